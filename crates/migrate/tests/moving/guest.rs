//! A guest whose vCPUs are threads: each sweeps its own pages, and checks every page before it writes it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use landfall_converge::{DutyCycle, VcpuThrottles};
use landfall_migrate::machine::{
    Destination, DirtyLog, DirtySink, GuestMemory, Host, MachineError, MachineKind, MemoryFile,
    MemoryLayout, Source, StolenTime, VcpuThrottle,
};
use serde::{Deserialize, Serialize};

use crate::memory::{Memory, WORDS};
use crate::shared;

/// Pages that a vCPU writes between two looks at its gate.
const CHUNK: u64 = 16;
/// The words of a page that a vCPU writes: a page that is torn differs in them.
const WRITTEN: [u64; 3] = [0, 200, WORDS - 1];

/// What a guest is made from, and what it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) layout: MemoryLayout,
    pub(crate) vcpus: u64,
    /// Pages that each vCPU sweeps, the first at the beginning of memory.
    pub(crate) pages_per_vcpu: u64,
    /// Pages that each vCPU writes a second at most.
    pub(crate) pace: u32,
}

impl Shape {
    /// Two vCPUs that sweep half of 16 MiB, faster than a narrow link carries it.
    pub(crate) fn busy() -> Self {
        Self {
            layout: MemoryLayout::new(vec![0..2048, 4096..6144]).unwrap(),
            vcpus: 2,
            pages_per_vcpu: 1024,
            pace: 20_000,
        }
    }

    /// The same with so little to do that it always arrives.
    pub(crate) fn calm() -> Self {
        Self { pace: 200, ..Self::busy() }
    }
}

/// What one vCPU knows apart from memory; it travels as the machine's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Registers {
    cursor: u64,
    lap: u64,
}

#[derive(Debug, Default)]
struct Gate {
    running: bool,
    stopped: bool,
    ended: bool,
    duty: Option<DutyCycle>,
    stolen: StolenTime,
    registers: Registers,
}

#[derive(Debug, Default)]
struct Vcpu {
    gate: Mutex<Gate>,
    changed: Condvar,
    work: AtomicU64,
    violations: AtomicU64,
}

impl Vcpu {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Gate)) {
        change(&mut self.gate());
        self.changed.notify_all();
    }

    fn wait_stopped(&self) {
        drop(self.changed.wait_while(self.gate(), |gate| !gate.stopped).unwrap());
    }

    /// The vCPU's thread: running, held back, paused, or at its end.
    fn live(&self, base: u64, shape: &Shape, memory: &Memory) {
        let mut slice = Instant::now();
        loop {
            let mut gate = self.gate();
            if !gate.running && !gate.ended {
                gate.stopped = true;
                self.changed.notify_all();
                gate = self.changed.wait_while(gate, |gate| !gate.running && !gate.ended).unwrap();
                gate.stopped = false;
                slice = Instant::now();
            }
            if gate.ended {
                gate.stopped = true;
                self.changed.notify_all();
                return;
            }
            if let Some(duty) = gate.duty
                && slice.elapsed() >= duty.run()
            {
                let began = Instant::now();
                gate = self
                    .changed
                    .wait_timeout_while(gate, duty.stall(), |gate| {
                        gate.running && gate.duty.is_some()
                    })
                    .unwrap()
                    .0;
                gate.stolen.total += began.elapsed();
                gate.stolen.longest_stall = gate.stolen.longest_stall.max(began.elapsed());
                slice = Instant::now();
                continue;
            }
            let mut registers = gate.registers;
            drop(gate);
            for _ in 0..CHUNK {
                self.visit(base, &mut registers, shape, memory);
            }
            let mut gate = self.gate();
            gate.registers = registers;
            let pause = Duration::from_secs(CHUNK) / shape.pace;
            drop(self.changed.wait_timeout_while(gate, pause, |gate| gate.running).unwrap());
        }
    }

    fn visit(&self, base: u64, registers: &mut Registers, shape: &Shape, memory: &Memory) {
        let page = base + registers.cursor;
        let expected = value(registers.lap, page);
        if WRITTEN.iter().any(|word| memory.load(page, *word) != expected) {
            self.violations.fetch_add(1, Ordering::Relaxed);
        }
        memory.store(page, &WRITTEN, value(registers.lap + 1, page));
        registers.cursor += 1;
        if registers.cursor == shape.pages_per_vcpu {
            *registers = Registers { cursor: 0, lap: registers.lap + 1 };
        }
        self.work.fetch_add(1, Ordering::Release);
    }
}

/// What a page holds that was written in `lap` laps: nothing at first, and never the same as another page.
fn value(lap: u64, page: u64) -> u64 {
    if lap == 0 { 0 } else { (lap << 32) | (page + 1) }
}

/// A guest in this process. Dropping it ends its vCPUs.
#[derive(Debug)]
pub(crate) struct Guest {
    shape: Shape,
    memory: Arc<Memory>,
    vcpus: Vec<Arc<Vcpu>>,
}

impl Guest {
    /// A paused guest.
    pub(crate) fn new(shape: &Shape) -> Arc<Self> {
        Self::on(Arc::new(Memory::new(&shape.layout)), shape)
    }

    /// A paused guest in `memory`.
    fn on(memory: Arc<Memory>, shape: &Shape) -> Arc<Self> {
        let vcpus = (0..shape.vcpus).map(|index| {
            let vcpu = Arc::new(Vcpu::default());
            let (thread, shape, memory) = (Arc::clone(&vcpu), shape.clone(), Arc::clone(&memory));
            thread::spawn(move || thread.live(index * shape.pages_per_vcpu, &shape, &memory));
            vcpu.wait_stopped();
            vcpu
        });
        Arc::new(Self { vcpus: vcpus.collect(), memory, shape: shape.clone() })
    }

    /// A guest that runs, with something in a quarter of the memory that its vCPUs never touch.
    pub(crate) fn running(shape: &Shape) -> Arc<Self> {
        let guest = Self::new(shape);
        for range in shape.layout.ranges() {
            for page in range.clone().filter(|page| page % 4 == 3 && !guest.is_swept(*page)) {
                guest.memory.store(page, &[7, 300], filling(page));
            }
        }
        guest.run();
        guest.wait_for_work();
        guest
    }

    fn is_swept(&self, page: u64) -> bool {
        page < self.shape.vcpus * self.shape.pages_per_vcpu
    }

    pub(crate) fn run(&self) {
        self.vcpus.iter().for_each(|vcpu| vcpu.change(|gate| gate.running = true));
    }

    pub(crate) fn pause(&self) {
        self.vcpus.iter().for_each(|vcpu| vcpu.change(|gate| gate.running = false));
        self.vcpus.iter().for_each(|vcpu| vcpu.wait_stopped());
    }

    pub(crate) fn is_running(&self) -> bool {
        self.vcpus.iter().all(|vcpu| vcpu.gate().running)
    }

    fn work(&self) -> Vec<u64> {
        self.vcpus.iter().map(|vcpu| vcpu.work.load(Ordering::Acquire)).collect()
    }

    /// Returns once every vCPU has gone on by more than one chunk; hangs where one does not run.
    pub(crate) fn wait_for_work(&self) {
        let before = self.work();
        while self.work().iter().zip(&before).any(|(now, then)| *now <= then + CHUNK) {
            thread::yield_now();
        }
    }

    /// Whether anything of the machine still shows that it was to be moved.
    pub(crate) fn assert_left_alone(&self) {
        assert!(self.vcpus.iter().all(|vcpu| vcpu.gate().duty.is_none()), "still throttled");
        assert!(!self.memory.is_logging(), "the dirty log is still on");
    }

    /// The guest goes on as if nothing had been asked of it.
    pub(crate) fn assert_goes_on(&self) {
        self.assert_left_alone();
        assert!(self.is_running());
        self.wait_for_work();
        self.assert_sound();
    }

    /// The guest stands still and nobody will start it by himself.
    pub(crate) fn assert_stands_still(&self) {
        self.assert_left_alone();
        assert!(!self.is_running());
        assert!(self.vcpus.iter().all(|vcpu| vcpu.gate().stopped));
        self.assert_sound();
    }

    /// Every page holds what it should, and no vCPU has ever found another thing.
    pub(crate) fn assert_sound(&self) {
        let was_running = self.is_running();
        self.pause();
        let mut base = 0;
        for vcpu in &self.vcpus {
            let registers = vcpu.gate().registers;
            for offset in 0..self.shape.pages_per_vcpu {
                let visited = u64::from(offset < registers.cursor);
                let expected = value(registers.lap + visited, base + offset);
                for word in WRITTEN {
                    assert_eq!(self.memory.load(base + offset, word), expected);
                }
            }
            base += self.shape.pages_per_vcpu;
            assert_eq!(vcpu.violations.load(Ordering::Relaxed), 0, "found by the guest itself");
        }
        for range in self.shape.layout.ranges() {
            for page in range.clone().filter(|page| !self.is_swept(*page)) {
                let expected = if page % 4 == 3 { filling(page) } else { 0 };
                assert_eq!(self.memory.load(page, 7), expected, "page {page}");
                assert_eq!(self.memory.load(page, 8), 0, "page {page}");
            }
        }
        if was_running {
            self.run();
        }
    }
}

fn filling(page: u64) -> u64 {
    page.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

impl Drop for Guest {
    fn drop(&mut self) {
        for vcpu in &self.vcpus {
            vcpu.change(|gate| gate.ended = true);
        }
    }
}

/// A guest as a migration sees it, at either end.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) guest: Arc<Guest>,
    /// Whether the pause that is in force was asked for by the migration of a running guest.
    held: bool,
    trouble: Option<Trouble>,
}

/// What a destination cannot do once the guest was given to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Claiming,
    Starting,
}

impl Machine {
    pub(crate) fn of(guest: &Arc<Guest>) -> Self {
        Self { guest: Arc::clone(guest), held: false, trouble: None }
    }

    fn fails_at(&self, trouble: Trouble) -> Result<(), MachineError> {
        let fails = self.trouble == Some(trouble);
        if fails { Err(format!("{trouble:?} fails").into()) } else { Ok(()) }
    }
}

impl Source for Machine {
    fn kind(&self) -> MachineKind {
        MachineKind::Synthetic
    }

    fn configuration(&self) -> Vec<u8> {
        serde_json::to_vec(&self.guest.shape).unwrap()
    }

    fn memory(&self) -> Arc<dyn GuestMemory> {
        Arc::clone(&self.guest.memory) as _
    }

    fn memory_files(&self) -> Result<Vec<MemoryFile>, MachineError> {
        shared::files(&self.guest.memory)
    }

    fn dirty_log(&mut self) -> &mut dyn DirtyLog {
        self
    }

    fn throttle(&self) -> Arc<dyn VcpuThrottle> {
        Arc::new(Throttles(Arc::clone(&self.guest)))
    }

    fn pause(&mut self) -> Result<bool, MachineError> {
        self.held = self.guest.is_running();
        self.guest.pause();
        Ok(self.held)
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        if std::mem::take(&mut self.held) {
            self.guest.run();
        }
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, MachineError> {
        let registers: Vec<_> = self.guest.vcpus.iter().map(|vcpu| vcpu.gate().registers).collect();
        Ok(serde_json::to_vec(&registers)?)
    }
}

impl DirtyLog for Machine {
    fn start(&mut self) -> Result<(), MachineError> {
        self.guest.memory.set_logging(true);
        Ok(())
    }

    fn harvest(&mut self, sink: &mut dyn DirtySink) -> Result<(), MachineError> {
        self.guest.memory.harvest(sink);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), MachineError> {
        self.guest.memory.set_logging(false);
        Ok(())
    }
}

impl Destination for Machine {
    fn memory(&self) -> Arc<dyn GuestMemory> {
        Source::memory(self)
    }

    fn load(&mut self, state: &[u8]) -> Result<(), MachineError> {
        let registers: Vec<Registers> = serde_json::from_slice(state)?;
        for (vcpu, registers) in self.guest.vcpus.iter().zip(registers) {
            vcpu.gate().registers = registers;
        }
        Ok(())
    }

    fn claim(&mut self) -> Result<(), MachineError> {
        self.fails_at(Trouble::Claiming)
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        self.fails_at(Trouble::Starting)?;
        self.guest.run();
        Ok(())
    }
}

struct Throttles(Arc<Guest>);

impl VcpuThrottle for Throttles {
    fn set(&self, throttles: &VcpuThrottles) {
        for (index, vcpu) in self.0.vcpus.iter().enumerate() {
            vcpu.change(|gate| gate.duty = throttles.of(index));
        }
    }

    fn stolen(&self) -> Vec<StolenTime> {
        self.0.vcpus.iter().map(|vcpu| vcpu.gate().stolen).collect()
    }

    fn reset_stolen(&self) {
        self.0
            .vcpus
            .iter()
            .for_each(|vcpu| vcpu.change(|gate| gate.stolen = StolenTime::default()));
    }
}

/// A host that builds what it is told, and remembers it.
#[derive(Debug, Default)]
pub(crate) struct TestHost {
    pub(crate) refusal: Option<&'static str>,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) built: Option<Arc<Guest>>,
}

impl TestHost {
    fn machine(&mut self, guest: Arc<Guest>) -> Box<dyn Destination> {
        self.built = Some(Arc::clone(&guest));
        Box::new(Machine { trouble: self.trouble, ..Machine::of(&guest) })
    }

    fn refuses(&self) -> Result<(), MachineError> {
        self.refusal.map_or(Ok(()), |refusal| Err(refusal.into()))
    }
}

impl Host for TestHost {
    fn build(&mut self, configuration: &[u8]) -> Result<Box<dyn Destination>, MachineError> {
        self.refuses()?;
        let guest = Guest::new(&serde_json::from_slice(configuration)?);
        Ok(self.machine(guest))
    }

    fn take_over(
        &mut self,
        configuration: &[u8],
        memory: Vec<MemoryFile>,
    ) -> Result<Box<dyn Destination>, MachineError> {
        self.refuses()?;
        let shape = serde_json::from_slice(configuration)?;
        let guest = Guest::on(shared::memory(&memory)?, &shape);
        Ok(self.machine(guest))
    }
}
