//! Where a guest's network card meets the host: a tap for as long as the guest may run here, and nothing before and after.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::Waker;
use super::mac::Mac;
use super::tap::{NetChoice, NetError, attach, exists};

/// What is watched: the tap, and the end of it all.
const TAP: u64 = 0;
const END: u64 = 1;

/// Where a card meets the host.
pub struct Port {
    name: String,
    mac: Mac,
    tap: Mutex<Option<File>>,
    watched: Epoll,
    end: EventFd,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port")
            .field("name", &self.name)
            .field("mac", &self.mac)
            .finish_non_exhaustive()
    }
}

impl Port {
    /// A port without its tap, which this host must have.
    ///
    /// # Errors
    /// When it has none of that name, or the system nothing to watch it with.
    pub fn new(choice: &NetChoice) -> Result<Self, NetError> {
        if !exists(&choice.tap) {
            return Err(NetError::Missing(choice.tap.clone()));
        }
        Self::unattached(&choice.tap, choice.mac).map_err(NetError::Watch)
    }

    fn unattached(name: &str, mac: Mac) -> io::Result<Self> {
        let (watched, end) = (Epoll::new()?, EventFd::new(EFD_NONBLOCK)?);
        let event = EpollEvent::new(EventSet::IN, END);
        watched.ctl(ControlOperation::Add, end.as_raw_fd(), event)?;
        Ok(Self { name: name.to_owned(), mac, tap: Mutex::new(None), watched, end })
    }

    /// A port at whose other end is not a tap, but something with its manners.
    #[cfg(test)]
    pub(super) fn with(mac: Mac, tap: File) -> Self {
        let port = Self::unattached("test", mac).unwrap();
        port.watch(&tap).unwrap();
        *port.tap() = Some(tap);
        port
    }

    fn tap(&self) -> MutexGuard<'_, Option<File>> {
        self.tap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told once for each time that frames come, so that those for which the guest has no room are not told for ever.
    fn watch(&self, tap: &File) -> io::Result<()> {
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, TAP);
        self.watched.ctl(ControlOperation::Add, tap.as_raw_fd(), event)
    }

    pub(super) fn mac(&self) -> Mac {
        self.mac
    }

    /// Takes hold of the tap. Does nothing where that was done.
    ///
    /// # Errors
    /// When another process has it.
    pub fn claim(&self) -> Result<(), NetError> {
        let mut tap = self.tap();
        if tap.is_none() {
            let file = attach(&self.name)?;
            self.watch(&file).map_err(NetError::Watch)?;
            *tap = Some(file);
        }
        Ok(())
    }

    /// Lets go of it. With the file all watching of it ends.
    pub fn let_go(&self) {
        drop(self.tap().take());
    }

    /// The next frame into `buffer`; its length.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        // Nothing is there, or what there was is lost: as a network does it.
        self.tap().as_ref()?.read(buffer).ok()
    }

    /// Sends a frame, if it can be sent.
    pub(super) fn send(&self, frame: &[u8]) {
        if let Some(mut tap) = self.tap().as_ref()
            && let Err(error) = tap.write(frame)
        {
            tracing::debug!("a frame to {} is lost: {error}", self.name);
        }
    }
}

impl Waker for Port {
    fn wait(&self) -> bool {
        let mut events = [EpollEvent::default(); 2];
        loop {
            match self.watched.wait(-1, &mut events) {
                Ok(count) => return events.iter().take(count).all(|event| event.data() != END),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::error!(
                        "the network card {} hears nothing any more: {error}",
                        self.name
                    );
                    return false;
                }
            }
        }
    }

    fn end(&self) {
        // A counter that is full has told it already.
        let _ = self.end.write(1);
    }
}

#[cfg(test)]
#[path = "port_tests.rs"]
mod tests;
