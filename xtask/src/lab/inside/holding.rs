//! Holding a disk that somebody else has, from the moment at which that one lets go of it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

/// What is said when it is held.
pub(super) const HELD: &str = "held";

/// Waits for the lock of the disk, says that it has it, and holds it until its input ends.
pub(super) fn hold(disk: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", disk.display());
    let file = File::options().read(true).write(true).open(disk).map_err(failed)?;
    fcntl_lock(&file, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    println!("{HELD}");
    io::stdout().flush().map_err(failed)?;
    io::stdin().read_to_end(&mut Vec::new()).map(drop).map_err(failed)
}
