//! Sending memory while the guest runs.

use super::ended::Ended;
use super::handing_over::Switchover;
use super::run::{Run, Step};
use crate::progress::Phase;

/// Every page is sent once, but for those that are rewritten all the time.
#[derive(Debug)]
pub(super) struct FirstPass {
    span: tracing::Span,
}

/// What was dirtied meanwhile is sent again.
#[derive(Debug)]
pub(super) struct Passes {
    span: tracing::Span,
    /// The first pass already came so far that the rest fits into the downtime.
    due: bool,
}

impl FirstPass {
    pub(super) fn new() -> Self {
        Self { span: tracing::info_span!("first_pass") }
    }

    pub(super) fn send_everything(self, run: &mut Run<'_>) -> Result<Passes, Ended> {
        let span = self.span.entered();
        // Before the first page is read: what is written from now on is given by a later harvest.
        run.logging = true;
        run.machine
            .dirty_log()
            .start()
            .map_err(|error| Ended::Machine("switch its dirty log on", error))?;
        run.harvests_begin();
        run.enter(Phase::FirstPass);
        run.begin_pass()?;
        let due = loop {
            match run.precopy_step()? {
                Step::Going => {}
                Step::PassEnded => break false,
                Step::SwitchOver => break true,
            }
        };
        drop(span);
        run.enter(Phase::Passes);
        Ok(Passes { span: tracing::info_span!("passes"), due })
    }
}

impl Passes {
    /// Back from a switchover that did not fit.
    pub(super) fn again(run: &mut Run<'_>) -> Self {
        run.wait_with_next_attempt();
        Self { span: tracing::info_span!("passes"), due: false }
    }

    pub(super) fn until_switchover(self, run: &mut Run<'_>) -> Result<Switchover, Ended> {
        let _span = self.span.entered();
        while !self.due && run.precopy_step()? != Step::SwitchOver {}
        Ok(Switchover::new())
    }
}
