//! A link that breaks, or waits, at a chosen message.

use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel as channel_of_words};
use std::thread;

use landfall_migrate::options::Uri;
use landfall_migrate::wire::HEADER_BYTES;

use crate::rights;

/// Messages by their number on the wire (docs/wire.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum At {
    Hello = 1,
    Welcome = 2,
    Configuration = 3,
    Accepted = 4,
    Pages = 5,
    ZeroPages = 6,
    PassEnd = 7,
    PassReceived = 8,
    State = 9,
    Finish = 10,
    Ready = 11,
    Commit = 12,
    Running = 13,
    EncodedPages = 16,
    Memory = 17,
}

impl At {
    pub(crate) const BEFORE_READY: [Self; 10] = [
        Self::Hello,
        Self::Welcome,
        Self::Configuration,
        Self::Accepted,
        Self::Pages,
        Self::ZeroPages,
        Self::PassEnd,
        Self::PassReceived,
        Self::State,
        Self::Finish,
    ];
}

impl At {
    /// Where memory itself is handed over.
    pub(crate) const HANDED_OVER_BEFORE_READY: [Self; 7] = [
        Self::Hello,
        Self::Welcome,
        Self::Memory,
        Self::Configuration,
        Self::Accepted,
        Self::State,
        Self::Finish,
    ];
}

/// What happens to the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Both directions end before it passes, as when a process is killed or a cable cut.
    Cut,
    /// It passes with one bit of its last byte turned.
    Corrupt,
    /// It waits, and all behind it, until it is let go.
    Hold,
}

/// A proxy between a source and a destination.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) uri: Uri,
    reached: Receiver<()>,
    go: Sender<()>,
}

impl Proxy {
    /// Listens at `uri` for one connection to `destination`, and strikes at the `nth` message `at` (from 1).
    pub(crate) fn new(uri: &Uri, destination: &Uri, at: At, nth: u32, fate: Fate) -> Self {
        Self::between(uri, destination, Strike { channels: 1, struck: Some(0), at, nth, fate })
    }

    /// The same for a migration over several channels.
    pub(crate) fn between(uri: &Uri, destination: &Uri, strike: Strike) -> Self {
        let (Uri::Unix(from), Uri::Unix(to)) = (uri, destination) else { panic!("unix only") };
        let (listener, to) = (UnixListener::bind(from).unwrap(), to.clone());
        let (reach, reached) = channel_of_words();
        let (go, gone) = channel_of_words::<()>();
        thread::spawn(move || {
            let mut held = Vec::new();
            // One for each direction.
            let counted = [(); 2].map(|()| Arc::new(AtomicU32::new(strike.nth)));
            for channel in 0..strike.channels {
                let source = listener.accept().unwrap().0;
                let destination = UnixStream::connect(&to).unwrap();
                let spared = strike.struck.is_some_and(|struck| struck != channel);
                let directions = [(&source, &destination), (&destination, &source)];
                for ((from, to), counted) in directions.into_iter().zip(&counted) {
                    let (let_go, go) = channel_of_words();
                    let Strike { at, fate, .. } = strike;
                    let left = (!spared).then(|| Arc::clone(counted));
                    let fault = Fault { at, left, fate, reach: reach.clone() };
                    let forward = Forward::new(from, to, fault, go);
                    thread::spawn(move || forward.run());
                    held.push(let_go);
                }
            }
            drop(reach);
            // Dropped by the test or sent by it: what waits goes on.
            let _ = gone.recv();
            drop(held);
        });
        Self { uri: uri.clone(), reached, go }
    }

    /// Returns when the message has come.
    pub(crate) fn wait(&self) {
        self.reached.recv().unwrap();
    }

    /// Lets a message go that was held.
    pub(crate) fn release(&self) {
        let _ = self.go.send(());
    }
}

/// What happens, and to which of the connections in the order in which they come: that on which the message is, counted over
/// all of them, if none is named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    pub(crate) channels: u16,
    pub(crate) struck: Option<u16>,
    pub(crate) at: At,
    pub(crate) nth: u32,
    pub(crate) fate: Fate,
}

struct Fault {
    at: At,
    /// How many such messages pass before the struck one and with it, where one is struck.
    left: Option<Arc<AtomicU32>>,
    fate: Fate,
    reach: Sender<()>,
}

struct Forward {
    from: UnixStream,
    to: UnixStream,
    fault: Fault,
    go: Receiver<()>,
}

impl Forward {
    fn new(from: &UnixStream, to: &UnixStream, fault: Fault, go: Receiver<()>) -> Self {
        Self { from: from.try_clone().unwrap(), to: to.try_clone().unwrap(), fault, go }
    }

    fn run(mut self) {
        // An end is passed on as it is: only the direction that ended.
        let _ = self.pass_frames();
        let _ = self.to.shutdown(Shutdown::Write);
        let _ = self.from.shutdown(Shutdown::Read);
    }

    fn pass_frames(&mut self) -> std::io::Result<()> {
        loop {
            let mut frame = vec![0; HEADER_BYTES];
            let mut along = rights::read_exact(&self.from, &mut frame)?;
            let length = u32::from_le_bytes(frame[8..12].try_into().unwrap());
            frame.resize(HEADER_BYTES + usize::try_from(length).unwrap(), 0);
            along.extend(rights::read_exact(&self.from, &mut frame[HEADER_BYTES..])?);
            if u16::from_le_bytes([frame[4], frame[5]]) == self.fault.at as u16 {
                let left = self.fault.left.as_ref();
                // Each number is given to one connection, whichever they come on.
                if left.is_some_and(|left| left.fetch_sub(1, Ordering::Relaxed) == 1) {
                    self.strike(&mut frame)?;
                }
            }
            rights::write_all(&self.to, &frame, &along)?;
        }
    }

    fn strike(&mut self, frame: &mut [u8]) -> std::io::Result<()> {
        let _ = self.fault.reach.send(());
        match self.fault.fate {
            Fate::Cut => {
                let _ = self.to.shutdown(Shutdown::Both);
                self.from.shutdown(Shutdown::Both)
            }
            Fate::Corrupt => {
                if let Some(last) = frame.last_mut() {
                    *last ^= 0x10;
                }
                Ok(())
            }
            Fate::Hold => {
                let _ = self.go.recv();
                Ok(())
            }
        }
    }
}
