//! Puts a guest into a file.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use landfall_converge::Bytes;

use super::SnapshotError;
use super::new_file::NewFile;
use crate::digest::digest;
use crate::machine::{GuestMemory, MachineError, PageIndex, Source};
use crate::page_buffer::{PAGE, PageBuffer};
use crate::wire::{
    Commit, Encoder, Finish, Hello, MAX_RUN_PAGES, Message, OLDEST_VERSION, PageRun, VERSION,
    WireError,
};
use crate::zeros::{MAX_ZERO_RUNS, is_zero, joined};

/// Puts the paused guest of `machine` into a new file at `path`, which nobody but its owner may read; gives its size. `runs` says
/// whether the guest shall run when it is restored. The file has its name once all of it is on the disk, and not before.
///
/// # Errors
/// When the file is there already or cannot be written, or the guest cannot be read. Nothing is left of the file then.
pub fn write_snapshot(
    machine: &mut dyn Source,
    path: &Path,
    runs: bool,
) -> Result<Bytes, SnapshotError> {
    // Found out before much is written; the name is given at the end only if it is still free.
    if path.symlink_metadata().is_ok() {
        return Err(SnapshotError::Exists(path.to_owned()));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let create = |source| SnapshotError::Create { path: path.to_owned(), source };
    let mut file = NewFile::create_in(folder).map_err(create)?;
    let written = Writing { file: file.file(), encoder: Encoder::default(), bytes: 0 }
        .everything(machine, runs)
        .map_err(|error| error.at(path))?;
    let write = |source| SnapshotError::Write { path: path.to_owned(), source };
    file.file().sync_all().map_err(write)?;
    file.name(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SnapshotError::Exists(path.to_owned()),
        _ => write(error),
    })?;
    // Its name must last as well.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(write)?;
    Ok(Bytes(written))
}

/// What goes wrong while a guest is written down.
enum Trouble {
    File(WireError),
    Guest(MachineError),
}

impl From<WireError> for Trouble {
    fn from(error: WireError) -> Self {
        Self::File(error)
    }
}

impl Trouble {
    fn at(self, path: &Path) -> SnapshotError {
        let source = match self {
            Self::Guest(error) => return SnapshotError::Save(error),
            Self::File(WireError::Io(error)) => error,
            Self::File(error) => io::Error::other(error),
        };
        SnapshotError::Write { path: path.to_owned(), source }
    }
}

struct Writing<'a> {
    file: &'a mut File,
    encoder: Encoder,
    bytes: u64,
}

impl Writing<'_> {
    fn everything(mut self, machine: &mut dyn Source, runs: bool) -> Result<u64, Trouble> {
        let (oldest_version, newest_version) = (OLDEST_VERSION, VERSION);
        let hello = Hello { oldest_version, newest_version, channel: 0, channels: 1, migration: 0 };
        self.say(&Message::Hello(hello))?;
        self.say(&Message::Configuration(machine.configuration()))?;
        let state = machine.save().map_err(Trouble::Guest)?;
        let memory = machine.memory();
        self.pages(&memory)?;
        let digest = digest(memory.as_ref(), &state).map_err(Trouble::Guest)?;
        self.say(&Message::State(state))?;
        self.say(&Message::Finish(Finish { digest: Some(digest) }))?;
        self.say(&Message::Commit(Commit { run: runs }))?;
        Ok(self.bytes)
    }

    fn say(&mut self, message: &Message) -> Result<(), WireError> {
        self.bytes += self.encoder.write(self.file, message)?;
        Ok(())
    }

    fn pages(&mut self, memory: &Arc<dyn GuestMemory>) -> Result<(), Trouble> {
        let mut buffer = PageBuffer::new(64);
        let mut zeros = Vec::new();
        for range in memory.layout().ranges() {
            for first in range.clone().step_by(64) {
                let count = MAX_RUN_PAGES.min(range.end - first);
                let run = PageRun { first: PageIndex(first), count };
                if memory.is_untouched(run.first, count) {
                    zeros.push(run);
                } else {
                    // Ranges are whole multiples of 64 pages.
                    memory.read_pages(run.first, &mut buffer).map_err(Trouble::Guest)?;
                    self.content(run.first, &buffer, &mut zeros)?;
                }
                if zeros.len() >= MAX_ZERO_RUNS {
                    self.zeros(&mut zeros)?;
                }
            }
        }
        Ok(self.zeros(&mut zeros)?)
    }

    /// Writes pages, but for those of zeros.
    fn content(
        &mut self,
        first: PageIndex,
        content: &[u8],
        zeros: &mut Vec<PageRun>,
    ) -> Result<(), WireError> {
        let mut at = first;
        let mut rest = content;
        while !rest.is_empty() {
            let zero = is_zero(&rest[..PAGE]);
            let pages = rest.chunks_exact(PAGE).take_while(|page| is_zero(page) == zero).count();
            let (part, after) = rest.split_at(pages * PAGE);
            let count = pages as u64;
            if zero {
                zeros.push(PageRun { first: at, count });
            } else {
                self.bytes += self.encoder.write_pages(self.file, at, part)?;
            }
            at = at.offset(count);
            rest = after;
        }
        Ok(())
    }

    fn zeros(&mut self, runs: &mut Vec<PageRun>) -> Result<(), WireError> {
        for runs in joined(std::mem::take(runs)).chunks(MAX_ZERO_RUNS) {
            self.say(&Message::ZeroPages(runs.to_vec()))?;
        }
        Ok(())
    }
}
