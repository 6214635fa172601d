//! What each dirty log costs a guest in KVM: how fast it works without one, with bitmaps and with rings, in turns.
//!
//! `cargo run --release --example dirty_log_cost -- [WORKLOAD] [VCPUS] [ROUNDS]`

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use landfall_converge::{Bytes, Pages};
use landfall_migrate::machine::{DirtyLog, DirtySink, MachineError, MachineKind};
use landfall_vmm::machine::{Configuration, DirtyLogChoice, Guest, Movable, Vm};

/// As often as a migration reads the log.
const TICK: Duration = Duration::from_millis(50);
const LASTING: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Count {
    pages: Pages,
    by_vcpu: Vec<Pages>,
}

impl DirtySink for Count {
    fn mark(&mut self, _word: u64, bits: u64) {
        self.pages += Pages(u64::from(bits.count_ones()));
    }

    fn attribute(&mut self, vcpu: usize, pages: Pages) {
        self.by_vcpu.resize(self.by_vcpu.len().max(vcpu + 1), Pages(0));
        self.by_vcpu[vcpu] += pages;
    }
}

fn work(vm: &Vm) -> Result<Vec<u64>, MachineError> {
    Ok(vm.check()?.vcpus.iter().map(|vcpu| vcpu.work).collect())
}

fn main() -> Result<(), MachineError> {
    let mut arguments = std::env::args().skip(1);
    let workload = arguments.next().unwrap_or_else(|| "sweep,working-set=128MiB".to_owned());
    let vcpus = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let rounds: u32 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let logs =
        [None, Some("bitmap"), Some("ring"), Some("ring,entries=4096"), Some("ring,entries=256")];
    for round in 1..=rounds {
        for log in logs {
            let (events, _ended) = channel();
            let configuration = Configuration {
                machine: MachineKind::Kvm,
                memory: Bytes(512 << 20),
                huge_pages: None,
                vcpus,
                guest: Guest::Probe(workload.parse()?),
                dirty_log: log.unwrap_or("bitmap").parse::<DirtyLogChoice>()?,
            };
            let vm = Vm::new(configuration, &events)?;
            vm.resume()?;
            while vm.laps()? < 1.0 {
                std::thread::sleep(TICK);
            }
            vm.pause()?;
            let before = work(&vm)?;
            let mut movable = Movable::new(Arc::clone(&vm));
            let mut count = Count::default();
            let (mut reading, mut longest) = (Duration::ZERO, Duration::ZERO);
            vm.resume()?;
            let began = Instant::now();
            if log.is_some() {
                movable.start()?;
            }
            let starting = began.elapsed();
            while began.elapsed() < LASTING {
                std::thread::sleep(TICK);
                if log.is_some() {
                    let since = Instant::now();
                    movable.harvest(&mut count)?;
                    reading += since.elapsed();
                    longest = longest.max(since.elapsed());
                }
            }
            vm.pause()?;
            let time = began.elapsed().as_secs_f64();
            let after = work(&vm)?;
            let rates: Vec<String> = before
                .iter()
                .zip(&after)
                .map(|(before, after)| {
                    format!("{:7.1}", (after - before) as f64 * 4096.0 / time / 1e6)
                })
                .collect();
            println!(
                "{round} {:18} work {} MB/s; dirtied {:7.1} MB/s {:?}; start {:5.1} ms, read {:5.2} % of the time, longest {:5.2} ms",
                log.unwrap_or("unlogged"),
                rates.join(" "),
                count.pages.bytes().0 as f64 / time / 1e6,
                count.by_vcpu.iter().map(|pages| pages.0).collect::<Vec<_>>(),
                starting.as_secs_f64() * 1e3,
                reading.as_secs_f64() / time * 100.0,
                longest.as_secs_f64() * 1e3,
            );
        }
    }
    Ok(())
}
