//! The right to run a guest whose memory two processes have.

use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The right to run a guest whose memory two processes have: one of them takes it, once, and the other never can.
///
/// It is a byte in a pipe whose other end is closed. The kernel gives a byte to one reader only, and tells every other one that
/// nothing is there and nothing will come; so nobody waits for the other side, or has to hear from it.
#[derive(Debug)]
pub struct Deed {
    pipe: PipeReader,
    is_ours: bool,
}

impl Deed {
    /// A new one, which nobody has taken.
    pub(crate) fn new() -> io::Result<Self> {
        let (pipe, mut writer) = io::pipe()?;
        writer.write_all(&[1])?;
        Ok(Self { pipe, is_ours: false })
    }

    /// The other side's.
    pub(crate) fn received(descriptor: OwnedFd) -> Self {
        Self { pipe: descriptor.into(), is_ours: false }
    }

    /// For the other side.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Takes it, unless the other side has; gives whether it is this side's, now and from now on.
    pub fn take(&mut self) -> bool {
        while !self.is_ours {
            match self.pipe.read(&mut [0]) {
                Ok(count) => {
                    self.is_ours = count > 0;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Without a word there is no right.
                Err(error) => {
                    tracing::error!("it cannot be told who may run the guest: {error}");
                    break;
                }
            }
        }
        self.is_ours
    }
}

#[cfg(test)]
#[path = "deed_tests.rs"]
mod tests;
