//! A guest whose memory the destination has already.

use std::time::Instant;

use super::ended::Ended;
use super::handing_over::StoppedGuest;
use super::run::Run;
use crate::progress::Phase;

/// The destination has built the machine around the memory in which the guest runs. Nothing has to be sent but its state.
#[derive(Debug)]
pub(super) struct Offered {
    span: tracing::Span,
}

impl Offered {
    pub(super) fn new() -> Self {
        Self { span: tracing::info_span!("hand_over") }
    }

    /// Stops the guest.
    pub(super) fn stop(self, run: &mut Run<'_>) -> Result<StoppedGuest, Ended> {
        let entered = self.span.entered();
        let (predicted, limit) =
            (run.costs.fixed_downtime(Instant::now()), run.options.limits.max_downtime);
        if predicted > limit {
            // Nothing makes it shorter by waiting.
            return Err(Ended::GaveUp(format!(
                "handing the guest over takes some {predicted:.0?}, and no more than {limit:?} of downtime is allowed; allow more with --max-downtime"
            )));
        }
        run.enter(Phase::Switchover);
        let began = Instant::now();
        run.paused = true;
        let ran = run.machine.pause().map_err(|error| Ended::Machine("stop the guest", error))?;
        Ok(StoppedGuest::with_its_state_alone(entered.exit(), ran, began, predicted))
    }
}
