//! Gets a guest out of a file.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use super::SnapshotError;
use crate::digest::digest;
use crate::machine::{Destination, GuestMemory, Host, MachineError};
use crate::wire::{Commit, Decoder, Finish, Message, PageRun, Received, WireError, common_version};

/// Frames of pages go past the buffer; it is for the many small ones.
const BUFFER_BYTES: usize = 64 << 10;

/// Has `host` build the machine of the snapshot at `path`, puts the guest into it, and runs it if it ran when the snapshot was
/// taken; gives whether it does.
///
/// # Errors
/// When the file is no whole, sound snapshot, or the machine cannot be built or started. The guest does not run then.
pub fn restore(host: &mut dyn Host, path: &Path) -> Result<bool, SnapshotError> {
    let file =
        File::open(path).map_err(|source| SnapshotError::Open { path: path.to_owned(), source })?;
    let from = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut reading = Reading { from, decoder: Decoder::default(), path };
    reading.greeting()?;
    let Message::Configuration(configuration) = reading.message()? else {
        return Err(reading.out_of_order("something else than the configuration"));
    };
    let mut machine = host.build(&configuration).map_err(SnapshotError::Refused)?;
    let (state, finish) = reading.guest(machine.memory().as_ref())?;
    let Message::Commit(Commit { run }) = reading.message()? else {
        return Err(reading.out_of_order("something else than the end"));
    };
    reading.end()?;
    let found = digest(machine.memory().as_ref(), &state).map_err(SnapshotError::Load)?;
    if finish.digest != Some(found) {
        return Err(SnapshotError::Digest(path.to_owned()));
    }
    machine.load(&state).map_err(SnapshotError::Load)?;
    start(machine.as_mut(), run).map_err(SnapshotError::Start)?;
    Ok(run)
}

fn start(machine: &mut dyn Destination, run: bool) -> Result<(), MachineError> {
    machine.claim()?;
    if run { machine.resume() } else { Ok(()) }
}

struct Reading<'a> {
    from: BufReader<File>,
    decoder: Decoder,
    path: &'a Path,
}

impl Reading<'_> {
    fn greeting(&mut self) -> Result<(), SnapshotError> {
        let message = match self.decoder.read(&mut self.from) {
            Ok(message) => message,
            Err(WireError::Magic | WireError::WantsTls) => {
                return Err(SnapshotError::NoSnapshot(self.path.to_owned()));
            }
            Err(error) => return Err(failed(self.path, error)),
        };
        let Message::Hello(hello) = message else {
            return Err(SnapshotError::NoSnapshot(self.path.to_owned()));
        };
        match common_version(hello.oldest_version..=hello.newest_version) {
            Some(_) => Ok(()),
            None => Err(SnapshotError::Version(hello.oldest_version, hello.newest_version)),
        }
    }

    fn message(&mut self) -> Result<Message, SnapshotError> {
        self.decoder.read(&mut self.from).map_err(|error| failed(self.path, error))
    }

    /// Puts the pages where they belong; gives the state, and what must be found in the end.
    fn guest(&mut self, memory: &dyn GuestMemory) -> Result<(Vec<u8>, Finish), SnapshotError> {
        let mut state = None;
        loop {
            let received = self.decoder.read_borrowed(&mut self.from);
            match received.map_err(|error| failed(self.path, error))? {
                Received::Pages { first, data } => {
                    memory.write_pages(first, data).map_err(SnapshotError::Load)?;
                }
                Received::Message(Message::ZeroPages(runs)) => {
                    let zero = |run: PageRun| memory.zero_pages(run.first, run.count);
                    runs.into_iter().try_for_each(zero).map_err(SnapshotError::Load)?;
                }
                Received::Message(Message::State(bytes)) => state = Some(bytes),
                Received::Message(Message::Finish(finish)) => {
                    let without = || self.out_of_order("the end without the guest's state");
                    return Ok((state.ok_or_else(without)?, finish));
                }
                Received::Encoded { .. } | Received::Message(_) => {
                    return Err(self.out_of_order("something that is no part of a guest"));
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), SnapshotError> {
        match self.decoder.read(&mut self.from) {
            Err(WireError::Closed) => Ok(()),
            Ok(_) | Err(_) => Err(self.out_of_order("something after the end")),
        }
    }

    fn out_of_order(&self, what: &'static str) -> SnapshotError {
        failed(self.path, WireError::Unexpected(what))
    }
}

fn failed(path: &Path, error: WireError) -> SnapshotError {
    let path = path.to_owned();
    match error {
        WireError::Closed => SnapshotError::Cut(path),
        WireError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            SnapshotError::Cut(path)
        }
        WireError::Io(source) => SnapshotError::Open { path, source },
        source => SnapshotError::Damaged { path, source },
    }
}
