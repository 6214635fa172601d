//! A guest in a file: what a migration sends, in the same frames, with nobody at the other end.
//!
//! Hello, configuration, pages, state, the digest of all, and whether the guest ran; nothing comes after. A file that was cut
//! or changed is never taken for a guest.

mod new_file;
mod reading;
mod writing;

use std::io;
use std::path::PathBuf;

use crate::machine::MachineError;
use crate::wire::{VERSION, WireError};

pub use self::reading::restore;
pub use self::writing::write_snapshot;

/// Why a snapshot could not be taken, or no guest came from one.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is such a file already.
    #[error("{0} is there already, and is not written over; choose another name, or remove it")]
    Exists(PathBuf),
    /// The file cannot be made.
    #[error("no snapshot can be made at {path}; look at the folder and its rights")]
    Create {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written to its end.
    #[error(
        "the snapshot {path} could not be written, and nothing was kept of it; is the disk full?"
    )]
    Write {
        /// Where it was to be.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The guest could not be read.
    #[error("the guest could not be saved")]
    Save(#[source] MachineError),
    /// The file cannot be read.
    #[error("the snapshot {path} cannot be read; is there such a file, and may this user read it?")]
    Open {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else is in the file.
    #[error("{0} is no snapshot; take one with `landfall vm snapshot`")]
    NoSnapshot(PathBuf),
    /// The end is missing.
    #[error("the snapshot {0} is cut off; copy it again, or take another")]
    Cut(PathBuf),
    /// It is not as it was written.
    #[error("the snapshot {path} is damaged; copy it again, or take another")]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What was found.
        source: WireError,
    },
    /// Each frame is sound, but they are not all.
    #[error(
        "the snapshot {0} is damaged: it does not give the guest that was saved; copy it again, or take another"
    )]
    Digest(PathBuf),
    /// Written by a version that this one does not understand.
    #[error(
        "the snapshot is in version {0} to {1} of the format, this program reads {VERSION}; restore it with the version of Landfall that took it"
    )]
    Version(u16, u16),
    /// The machine cannot be built here.
    #[error("this host cannot run the guest of the snapshot")]
    Refused(#[source] MachineError),
    /// The guest could not be put into the machine.
    #[error("the guest of the snapshot could not be loaded")]
    Load(#[source] MachineError),
    /// Another machine has what the guest needs, or a vCPU does not start.
    #[error("the guest of the snapshot could not be started")]
    Start(#[source] MachineError),
}
