//! Output that waits for its reader, but not for ever.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// For so long a reader may keep a guest waiting: a terminal that was told to hold on, or a pipe that nobody reads. It is far less than
/// what is waited for a vCPU that is to stop.
const PATIENCE: Duration = Duration::from_secs(1);
/// So much can be written to a pipe without waiting once it takes anything.
const PIECE: usize = libc::PIPE_BUF;

/// Writes to a file, terminal or pipe. Where nobody reads, what is written is lost until somebody does.
pub(super) struct Patient {
    /// `None` where the process has no such stream.
    output: Option<File>,
    given_up: bool,
}

impl Patient {
    /// The standard output stream of the process.
    pub(super) fn stdout() -> Self {
        let output = io::stdout().as_fd().try_clone_to_owned();
        Self { output: output.ok().map(File::from), given_up: false }
    }

    /// `output`, whatever it is.
    pub(super) fn of(output: File) -> Self {
        Self { output: Some(output), given_up: false }
    }
}

/// Whether `output` takes something within `patience`.
fn takes_some(output: &File, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let mut watched =
            libc::pollfd { fd: output.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        let left = deadline.saturating_duration_since(Instant::now());
        let left = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one structure, which lives for as long as the call lasts, and a descriptor that is borrowed.
        let ready = unsafe { libc::poll(&raw mut watched, 1, left) };
        let interrupted =
            ready < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
        if !interrupted {
            // What has an error shows it when it is written to.
            return ready > 0;
        }
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(output) = &mut self.output else { return Ok(bytes.len()) };
        let patience = if self.given_up { Duration::ZERO } else { PATIENCE };
        if takes_some(output, patience) {
            self.given_up = false;
            return output.write(&bytes[..bytes.len().min(PIECE)]);
        }
        if !self.given_up {
            tracing::warn!("nobody reads what the guest writes; what it writes until then is lost");
        }
        self.given_up = true;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "patient_tests.rs"]
mod tests;
