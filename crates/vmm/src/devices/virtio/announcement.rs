//! Tells the network where a guest is now: switches would send its frames to where it was.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::mac::Mac;
use super::port::Port;
use crate::sandbox::{ThreadKind, confine};

/// How long after one announcement the next follows. A switch may not listen at once.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_millis(1000),
];

/// The shortest frame there is, without the sum behind it.
const FRAME: usize = 60;

/// Tells it several times, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Announcement {
    /// Only its end is ever heard.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Announcement {
    /// Begins for the guest at `ports`.
    ///
    /// # Errors
    /// When the system gives no thread; it was told once, then.
    pub(crate) fn begin(ports: &[Arc<Port>]) -> io::Result<Self> {
        announce(ports);
        let (end, ended) = channel();
        let ports = ports.to_vec();
        let thread = thread::Builder::new().name("announcement".to_owned()).spawn(move || {
            confine(ThreadKind::Device);
            for pause in PAUSES {
                if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                announce(&ports);
            }
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        drop(self.end.take());
        // One that panicked has said so already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn announce(ports: &[Arc<Port>]) {
    ports.iter().for_each(|port| port.send(&frame(port.mac())));
}

/// Asks everybody for the guest's own IP address, by its card's (RFC 903). Whoever answers does no harm, and all who pass it on
/// learn where the card is; the guest's IP address, which a host does not know, is not needed.
fn frame(mac: Mac) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME);
    frame.extend([0xFF; 6]);
    frame.extend(mac.bytes());
    // Reverse ARP; Ethernet and IPv4, with addresses of 6 and 4 bytes; a question.
    for word in [0x8035_u16, 1, 0x0800, 0x0604, 3] {
        frame.extend(word.to_be_bytes());
    }
    for _ in 0..2 {
        frame.extend(mac.bytes());
        frame.extend([0; 4]);
    }
    frame.resize(FRAME, 0);
    frame
}

#[cfg(test)]
#[path = "announcement_tests.rs"]
mod tests;
