//! Brings what a guest writes to its disks while it is on its way, so that little is left to do when it stands still.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Disk;
use crate::sandbox::{ThreadKind, confine};

/// So much is written in between, at most. A disk to which nothing was written costs next to nothing.
const INTERVAL: Duration = Duration::from_millis(100);

/// Brings what a guest writes to its disks, for as long as this is kept.
#[derive(Debug)]
pub struct Flusher {
    /// Only its end is ever heard.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Begins with those of `disks` that can be written to; `None` where there are none.
    ///
    /// # Errors
    /// When the system gives no thread or no further open files.
    pub fn begin(disks: &[Arc<Disk>]) -> io::Result<Option<Self>> {
        let writable = disks.iter().filter(|disk| !disk.is_read_only());
        let files = writable.map(|disk| disk.reopened()).collect::<io::Result<Vec<_>>>()?;
        if files.is_empty() {
            return Ok(None);
        }
        let (end, ended) = channel();
        let thread = thread::Builder::new().name("flusher".to_owned());
        let thread = thread.spawn(move || flush_until(&ended, &files))?;
        Ok(Some(Self { end: Some(end), thread: Some(thread) }))
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        drop(self.end.take());
        // One that panicked has said so already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn flush_until(ended: &Receiver<()>, files: &[File]) {
    confine(ThreadKind::Device);
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        for file in files {
            if let Err(error) = file.sync_data() {
                // The guest hears of it when it asks, and so does the migration before it gives the guest away.
                tracing::warn!("what a guest has written does not reach its disk: {error}");
            }
        }
    }
}
