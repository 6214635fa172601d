//! What stands between source and destination: passes every frame on, until the one at which something happens.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use landfall_qmp::{Client, Command, RunState, StatusInfo};

use crate::frame::{Frame, Tag};
use crate::machine::Process;

const PATIENCE: Duration = Duration::from_secs(40);

/// Picks the frame at which something happens. It is asked for each frame that is about to be passed on.
pub(crate) struct Moment(Box<dyn FnMut(&Frame) -> bool + Send>);

impl Moment {
    /// The first frame of a kind.
    pub(crate) fn first(tag: Tag) -> Self {
        Self::nth(tag, 1)
    }

    /// The `n`th frame of a kind, from 1.
    pub(crate) fn nth(tag: Tag, n: u32) -> Self {
        let mut seen = 0;
        Self(Box::new(move |frame| {
            seen += u32::from(frame.is(tag));
            frame.is(tag) && seen == n
        }))
    }

    /// The first frame of a kind while the machine whose `monitor` it is has stopped its guest for the switchover.
    pub(crate) fn in_switchover(tag: Tag, monitor: &Path) -> Self {
        let mut client = Client::connect(monitor, PATIENCE).unwrap();
        Self(Box::new(move |frame| {
            let mut stopped = || {
                let status: StatusInfo = client.query(&Command::QueryStatus).unwrap();
                status.status == RunState::FinishMigrate
            };
            frame.is(tag) && stopped()
        }))
    }
}

/// What happens when the moment has come.
pub(crate) enum Fault {
    /// The frame, and whatever follows it in the same direction, waits until the test says go. The connection stays open.
    Hold,
    /// The connection is cut before the frame has passed.
    Cut,
    /// The connection is cut right behind the frame: nothing passes after it, in either direction.
    CutBehind,
    /// A process is killed before the frame has passed.
    Kill(Process),
    /// Another frame is passed on instead.
    Replace(fn(Frame) -> Frame),
    /// The frame is passed on with a bit of its header changed.
    CorruptHeader(usize),
}

/// A proxy with one fault in it.
#[derive(Debug)]
pub(crate) struct Proxy {
    struck: Receiver<()>,
    go: Option<Sender<()>>,
}

struct Line {
    plan: Option<(Moment, Fault)>,
    severed: bool,
    struck: Sender<()>,
    gate: Option<Receiver<()>>,
}

impl Proxy {
    /// Listens at `here` and passes on what comes to `there`, until `fault` happens at `moment`.
    pub(crate) fn between(here: &Path, there: &Path, moment: Moment, fault: Fault) -> Self {
        let listener = UnixListener::bind(here).unwrap();
        let there = there.to_owned();
        let (struck, strikes) = channel();
        let (go, gate) = channel();
        let plan = Some((moment, fault));
        let line = Line { plan, severed: false, struck, gate: Some(gate) };
        thread::spawn(move || {
            // A test that ends before a source has come leaves nobody to serve.
            let (source, _) = listener.accept()?;
            serve(&source, &UnixStream::connect(there)?, line)
        });
        Self { struck: strikes, go: Some(go) }
    }

    /// Waits until it has happened.
    pub(crate) fn wait_until_struck(&self) {
        self.struck.recv_timeout(PATIENCE).expect("nothing happened to the migration");
    }

    /// Lets what is held go on.
    pub(crate) fn go_on(&mut self) {
        drop(self.go.take());
    }
}

fn serve(source: &UnixStream, destination: &UnixStream, line: Line) -> io::Result<()> {
    let line = Arc::new(Mutex::new(line));
    for (from, to) in [(source, destination), (destination, source)] {
        let (from, to, line) = (from.try_clone()?, to.try_clone()?, Arc::clone(&line));
        thread::spawn(move || {
            let _ = pass_on(&from, &to, &line);
            if lock(&line).severed {
                end(&from, Shutdown::Both);
                end(&to, Shutdown::Both);
            } else {
                // Only this direction: what one side said last must reach the other, though it hears nothing any more.
                end(&from, Shutdown::Read);
                end(&to, Shutdown::Write);
            }
        });
    }
    Ok(())
}

fn end(stream: &UnixStream, how: Shutdown) {
    // Who has gone has ended it already.
    let _ = stream.shutdown(how);
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One direction. Each frame passes under the lock, so that behind a cut nothing passes in the other one either.
fn pass_on(from: &UnixStream, to: &UnixStream, line: &Mutex<Line>) -> io::Result<()> {
    while let Some(frame) = Frame::read(from) {
        let mut state = lock(line);
        if state.severed {
            return Ok(());
        }
        let Some(fault) = state.strike(&frame) else {
            // What waits for a destination that reads slowly must not keep its answers back.
            drop(state);
            frame.write(to)?;
            continue;
        };
        let told = state.struck.clone();
        match fault {
            Fault::Hold => {
                let gate = state.gate.take();
                drop(state);
                let _ = told.send(());
                // Ends when the test lets go, or has ended.
                let _ = gate.map(|gate| gate.recv());
                frame.write(to)?;
                continue;
            }
            Fault::Cut | Fault::CutBehind | Fault::Kill(_) => state.severed = true,
            Fault::Replace(_) | Fault::CorruptHeader(_) => {}
        }
        match fault {
            Fault::CutBehind => frame.write(to)?,
            Fault::Kill(process) => process.kill(),
            Fault::Replace(with) => with(frame).write(to)?,
            Fault::CorruptHeader(index) => frame.with_header_bit_flipped(index).write(to)?,
            Fault::Cut | Fault::Hold => {}
        }
        // Nobody may be interested.
        let _ = told.send(());
        if state.severed {
            break;
        }
    }
    Ok(())
}

impl Line {
    fn strike(&mut self, frame: &Frame) -> Option<Fault> {
        let (moment, _) = self.plan.as_mut()?;
        if !moment.0(frame) {
            return None;
        }
        self.plan.take().map(|(_, fault)| fault)
    }
}
