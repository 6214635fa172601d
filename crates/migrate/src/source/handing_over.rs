//! Stopping the guest, sending the last of it, and giving it away.

use std::time::{Duration, Instant};

use landfall_converge::{Bytes, Pages};

use super::ended::Ended;
use super::precopy::Passes;
use super::run::{Event, Run, taken_over};
use super::sender::Command;
use crate::deed::Deed;
use crate::digest::digest;
use crate::dirty_set::DirtySet;
use crate::machine::GuestMemory;
use crate::options::EncodingChoice;
use crate::page_buffer::PAGE;
use crate::progress::Phase;
use crate::recorder::Timing;
use crate::report::{EventKind, Outcome, Report};
use crate::wire::{Commit, Finish, Message};
use crate::zeros::is_zero;

/// The guest is about to be stopped.
#[derive(Debug)]
pub(super) struct Switchover {
    span: tracing::Span,
}

/// What stopping the guest came to.
pub(super) enum Stopped {
    /// What is left fits into the downtime.
    Fits(StoppedGuest),
    /// It does not; the guest runs again.
    DoesNotFit(Passes),
}

/// The guest is stopped and every page that it wrote is known.
#[derive(Debug)]
pub(super) struct StoppedGuest {
    span: tracing::Span,
    timing: Timing,
    /// Whether the guest ran until now, and so shall run at the destination.
    ran: bool,
}

/// The destination has everything, has checked it, and waits for the word.
#[derive(Debug)]
pub(super) struct ReadyToCommit {
    span: tracing::Span,
    timing: Timing,
    ran: bool,
    digest: Option<u32>,
}

/// The guest was given away.
#[derive(Debug)]
pub(super) struct Committed {
    timing: Timing,
    digest: Option<u32>,
}

impl Switchover {
    pub(super) fn new() -> Self {
        Self { span: tracing::info_span!("switchover") }
    }

    /// Stops the guest, from throttled straight to paused, and reads the dirty log for the last time: now it is exact.
    pub(super) fn stop(self, run: &mut Run<'_>) -> Result<Stopped, Ended> {
        let entered = self.span.entered();
        let began = Instant::now();
        run.paused = true;
        let ran = run.machine.pause().map_err(|error| Ended::Machine("stop the guest", error))?;
        let stopped = Instant::now();
        run.costs.stopped_in(stopped - began, stopped);
        run.harvest(true)?;
        let synced = Instant::now();
        let remaining = run.dirty.pages();
        let fixed = run.costs.fixed_downtime(stopped);
        let (dirty, memory) = (run.dirty.clone(), run.machine.memory());
        let as_it_is = run.options.encoding == EncodingChoice::None;
        let count = || as_it_is.then(|| not_zeros(&dirty, memory.as_ref())).flatten();
        let accepted = run.controller.accepts_switchover(remaining, fixed, count);
        let predicted = run.controller.expected_downtime();
        if accepted {
            run.precopy_rate = Some(run.rate_so_far());
            run.enter(Phase::Switchover);
            let timing = Timing::stopped(began, stopped, synced, predicted);
            return Ok(Stopped::Fits(StoppedGuest { span: entered.exit(), timing, ran }));
        }
        run.machine.resume().map_err(|error| Ended::Machine("resume the guest", error))?;
        run.paused = false;
        run.recorder.event(EventKind::SwitchoverAbandoned {
            predicted_downtime_ms: predicted.as_secs_f64() * 1e3,
        });
        drop(entered);
        Ok(Stopped::DoesNotFit(Passes::again(run)))
    }
}

/// What the dirty pages take that are not of zeros, sent as they are.
fn not_zeros(dirty: &DirtySet, memory: &dyn GuestMemory) -> Option<Bytes> {
    let mut page = [0; PAGE];
    let mut count = Pages(0);
    for index in dirty.iter() {
        memory.read_pages(index, &mut page).ok()?;
        count += Pages(u64::from(!is_zero(&page)));
    }
    Some(count.bytes())
}

impl StoppedGuest {
    /// A guest that was stopped in a step that began at `began`, and of which nothing is left to send but its state.
    pub(super) fn with_its_state_alone(
        span: tracing::Span,
        ran: bool,
        began: Instant,
        predicted: Duration,
    ) -> Self {
        let stopped = Instant::now();
        Self { span, timing: Timing::stopped(began, stopped, stopped, predicted), ran }
    }

    /// Sends the last pages and the state, and waits until the destination has checked all of it.
    pub(super) fn send_the_rest(mut self, run: &mut Run<'_>) -> Result<ReadyToCommit, Ended> {
        let _entered = self.span.clone().entered();
        // The limit on bandwidth holds also now: the prediction counted on it.
        // A walk under way goes on to its end; this one takes what lies behind its cursor.
        let last = run.walk()?;
        // The guest's state is read while its last pages are on their way.
        let state = run.machine.save().map_err(|error| Ended::Machine("save its state", error))?;
        let digest = digest_if_asked(run, &state)?;
        wait_for_pages(run, last)?;
        self.timing.pages_received();
        self.have_checked(run, state, digest)
    }

    /// Sends the state, and waits until the destination, which has the memory itself, has checked it.
    pub(super) fn send_the_state(self, run: &mut Run<'_>) -> Result<ReadyToCommit, Ended> {
        let _entered = self.span.clone().entered();
        let state = run.machine.save_here();
        let state = state.map_err(|error| Ended::Machine("save its state", error))?;
        let digest = digest_if_asked(run, &state)?;
        self.have_checked(run, state, digest)
    }

    fn have_checked(
        mut self,
        run: &mut Run<'_>,
        state: Vec<u8>,
        digest: Option<u32>,
    ) -> Result<ReadyToCommit, Ended> {
        run.command(Command::Message(Message::State(state)))?;
        run.command(Command::Message(Message::Finish(Finish { digest })))?;
        run.expect("it was checking what it has", |event| match event {
            Event::Peer(Message::Ready(_)) => Some(()),
            _ => None,
        })?;
        self.timing.ready();
        Ok(ReadyToCommit { span: self.span, timing: self.timing, ran: self.ran, digest })
    }
}

fn digest_if_asked(run: &Run<'_>, state: &[u8]) -> Result<Option<u32>, Ended> {
    if !run.options.verify {
        return Ok(None);
    }
    let digest = digest(run.machine.memory().as_ref(), state);
    digest.map(Some).map_err(|error| Ended::Machine("read guest memory", error))
}

/// However long the last pages take, the destination must go on receiving them.
fn wait_for_pages(run: &mut Run<'_>, last: u32) -> Result<(), Ended> {
    loop {
        let before = run.counters.bytes();
        let received = run.expect("the last pages were sent to it", |event| match event {
            Event::Peer(Message::PassReceived { pass }) => Some(pass),
            _ => None,
        });
        match received {
            Ok(pass) if pass == last => return Ok(()),
            Ok(_) => {}
            // Slow is not silent: as long as bytes leave, somebody reads them.
            Err(Ended::Silent(..)) if run.counters.bytes() > before => {}
            Err(ended) => return Err(ended),
        }
    }
}

impl ReadyToCommit {
    /// Gives the guest away.
    pub(super) fn commit(self, run: &mut Run<'_>) -> Result<Committed, Ended> {
        let entered = self.span.entered();
        // The last moment at which it can be called off.
        run.nothing_ended_it()?;
        if run.control.is_cancelled() {
            return Err(Ended::Cancelled);
        }
        // From this line on the guest may be running at the destination, whatever this side still sees or does not see.
        // Nothing may ever resume it here: that is why only this function makes a `Committed`, and why whatever goes
        // wrong from here on is not an `Ended` any more. Only a deed can show that nobody has it after all.
        run.committed = true;
        run.machine.let_go();
        let commit = Commit { run: self.ran };
        let _ = run.command(Command::Message(Message::Commit(commit)));
        drop(entered);
        run.enter(Phase::Committed);
        Ok(Committed { timing: self.timing, digest: self.digest })
    }
}

impl Committed {
    /// Waits to hear that the guest runs, and writes the bill.
    pub(super) fn conclude(mut self, mut run: Run<'_>) -> Report {
        let _span = tracing::info_span!("committed").entered();
        let running = run.expect("it was starting the guest", |event| {
            match event {
                Event::Peer(Message::Running(running)) => Some(running),
                // The word has left for the other side.
                Event::Sent => {
                    self.timing.committed();
                    None
                }
                _ => None,
            }
        });
        let why = match running {
            Ok(_) => {
                self.timing.running();
                run.recorder.timing(&self.timing);
                let mut report = run.part(Outcome::Completed, None);
                if self.digest.is_some() {
                    // The destination compares before it says ready.
                    report.integrity = "ok".to_owned();
                }
                return report;
            }
            Err(why) => why,
        };
        let reason = match run.deed.as_mut().map(Deed::take) {
            // In a hand-over the word alone gives nothing away: nobody has taken the guest, and now nobody else can.
            Some(true) => return run.survive(why),
            Some(false) => taken_over(&why),
            None => format!(
                "the guest was given away, but the destination has not said that it runs ({why}); it stays paused here. \
                 Find out whether it runs there, then decide here with: landfall settle SOCKET run|discard"
            ),
        };
        run.recorder.timing(&self.timing);
        run.part(Outcome::InDoubt, Some(reason))
    }
}
