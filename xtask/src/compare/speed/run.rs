//! One run: two machines, and memory that goes from one to the other.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::{GuestMemory, PageIndex};
use landfall_qmp::Command as Qmp;
use landfall_vmm::memory::GuestRam;
use serde::Serialize;

use super::super::contender::Engine;
use super::super::machine::Machine;
use super::super::measure::{Setting, follow, warm_up};
use super::super::start::{self, QemuMemory};
use super::content::Content;
use super::mover::Mover;

const FOUND_WITHIN: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(5);
const COMPARED_PAGES: u64 = 512;

/// One run.
#[derive(Debug, Serialize)]
pub(super) struct Moved {
    /// As the engine reports it.
    pub(super) total_ms: f64,
    /// Guest memory by that time.
    pub(super) bytes_per_second: f64,
    /// As the engine reports it.
    pub(super) sent_bytes: u64,
    /// Of both sides together, guest and all, from before to after.
    pub(super) processor_seconds: f64,
}

/// Moves a guest with this content once.
pub(super) fn moved(
    setting: &Setting<'_>,
    content: Content,
    mover: &Mover,
) -> Result<Moved, String> {
    let folder = tempfile::Builder::new().prefix("landfall-compare-").tempdir();
    let folder = folder.map_err(|error| format!("no folder for sockets: {error}"))?;
    let uri = format!("unix:{}", folder.path().join("migration").display());
    let mut destination = started(setting, mover, "destination", folder.path(), Some(&uri))?;
    let mut source = started(setting, mover, "source", folder.path(), None)?;
    let memory = source.memory().find().ok_or("the source's memory is not found")?;
    let (plan, _) = setting.plan()?;
    warm_up(&plan.vcpus, &memory)?;
    // All of it but what the guest and its firmware have.
    let first = memory.layout().ranges().last().map_or(0, |range| range.end / 16);
    content.fill(&memory, first).map_err(|error| error.to_string())?;
    mover.tell(&mut source.client).map_err(|error| source.blamed(&error))?;
    mover.lift_limit(&mut source.client).map_err(|error| source.blamed(&error))?;
    if mover.engine == Engine::Qemu {
        mover.tell(&mut destination.client).map_err(|error| destination.blamed(&error))?;
        let listen = Qmp::MigrateIncoming { uri: uri.clone() };
        let listens = destination.client.execute(&listen);
        listens.map_err(|error| destination.blamed(&error))?;
    }

    let before = source.processor_time()? + destination.processor_time()?;
    let began = Instant::now();
    let asked = source.client.execute(&Qmp::Migrate { uri });
    asked.map_err(|error| source.blamed(&error))?;
    let told = follow(&mut source, setting, mover.engine, began)?;
    if !told.arrived {
        return Err(format!("it has not arrived in {} s", setting.time_limit.as_secs()));
    }
    let processor = source.processor_time()? + destination.processor_time()?;
    let arrived = match mover.engine {
        Engine::Qemu => Arc::new(destination.copy_of_own_memory(setting.memory)?),
        Engine::Landfall => arrived(&destination)?,
    };
    same(&memory, &arrived, first)?;
    Ok(Moved {
        total_ms: told.total_ms,
        bytes_per_second: setting.memory.0 as f64 / (told.total_ms / 1000.0),
        sent_bytes: told.sent_bytes,
        processor_seconds: processor.saturating_sub(before).as_secs_f64(),
    })
}

fn started(
    setting: &Setting<'_>,
    mover: &Mover,
    role: &'static str,
    folder: &Path,
    incoming: Option<&str>,
) -> Result<Machine, String> {
    let socket = folder.join(role);
    let (program, arguments) = match mover.engine {
        Engine::Qemu => {
            // What fills the source's memory looks at it as a file. Where it arrives QEMU is to do as well as it can.
            let memory = incoming.map_or(QemuMemory::File, |_| QemuMemory::Own);
            let incoming = incoming.map(|_| "defer");
            (Path::new(start::QEMU), start::qemu_arguments(setting, &socket, incoming, memory))
        }
        Engine::Landfall => {
            (setting.landfall, start::landfall_arguments(setting, &socket, incoming))
        }
    };
    Machine::start(role, &[program.into()], &arguments, &socket)
}

/// The guest's memory at the destination.
fn arrived(destination: &Machine) -> Result<Arc<GuestRam>, String> {
    let deadline = Instant::now() + FOUND_WITHIN;
    loop {
        match destination.memory().find() {
            Some(memory) => return Ok(memory),
            None if Instant::now() >= deadline => {
                return Err("the destination's memory is not found".to_owned());
            }
            None => sleep(RETRY),
        }
    }
}

/// Says where what has arrived is not what was sent, from page `first` on.
#[expect(clippy::cast_possible_truncation, reason = "2 MiB at most")]
fn same(sent: &GuestRam, arrived: &GuestRam, first: u64) -> Result<(), String> {
    let length = (COMPARED_PAGES * PAGE_SIZE) as usize;
    let (mut one, mut other) = (vec![0; length], vec![0; length]);
    for range in sent.layout().ranges() {
        let mut page = range.start.max(first);
        while page < range.end {
            let pages = COMPARED_PAGES.min(range.end - page);
            let length = (pages * PAGE_SIZE) as usize;
            let read = |memory: &GuestRam, buffer: &mut [u8]| {
                let read = memory.read_pages(PageIndex(page), buffer);
                read.map_err(|error| error.to_string())
            };
            read(sent, &mut one[..length])?;
            read(arrived, &mut other[..length])?;
            if one[..length] != other[..length] {
                return Err(format!("what has arrived from page {page} on is not what was sent"));
            }
            page += pages;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use landfall_converge::Bytes;

    use super::*;

    #[test]
    fn what_did_not_arrive_whole_is_found() {
        let (sent, arrived) = (GuestRam::new(Bytes(4 << 20)), GuestRam::new(Bytes(4 << 20)));
        let (sent, arrived) = (sent.unwrap(), arrived.unwrap());
        Content::Noise.fill(&sent, 8).unwrap();
        Content::Noise.fill(&arrived, 8).unwrap();
        assert_eq!(same(&sent, &arrived, 0), Ok(()));
        arrived.store(1023 * PAGE_SIZE + 8, 7).unwrap();
        assert!(same(&sent, &arrived, 0).unwrap_err().contains("page 512"));
        assert!(same(&sent, &arrived, 1023).is_err());
    }
}
