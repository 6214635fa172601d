//! How a migration ends at the source.

use std::time::{Duration, Instant};

use super::{Event, Run};
use crate::channel::Channel;
use crate::report::{Outcome, Report};
use crate::source::ended::Ended;
use crate::source::sender::Command;
use crate::wire::Message;

/// How long the destination is given to hear why it is called off, once the guest is safe.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why a guest that was handed over stays stopped here, when the destination was not heard of again.
pub(in crate::source) fn taken_over(why: &Ended) -> String {
    format!(
        "the destination took the guest over, and has not said that it runs ({why}); it cannot run here again, for its memory \
         is the one that the destination has. Find out whether it runs there; if it does not, start it anew"
    )
}

impl Run<'_> {
    /// The migration is over and the guest stays: lets it run as before, unthrottled, with its dirty log off, and only
    /// then tells the destination.
    pub(in crate::source) fn survive(mut self, ended: Ended) -> Report {
        if self.deed.as_mut().is_some_and(|deed| !deed.take()) {
            // Not given, but taken: an operator has decided so at the destination while this side was not heard of.
            return self.part(Outcome::InDoubt, Some(taken_over(&ended)));
        }
        self.release();
        let mut troubles = Vec::new();
        if self.paused {
            match self.machine.resume() {
                Ok(()) => self.paused = false,
                Err(error) => troubles.push(format!("the guest could not be resumed: {error}")),
            }
        }
        if self.logging
            && let Err(error) = self.machine.dirty_log().stop()
        {
            troubles.push(format!("the dirty log could not be switched off: {error}"));
        }
        let outcome = ended.outcome();
        troubles.insert(0, ended.to_string());
        let reason = troubles.join("; ");
        let report = self.report(outcome, Some(reason.clone()));
        self.close(Some(reason));
        report
    }

    /// The migration is over and the guest is not here any more, or may not be: nothing lets it run here but an operator.
    pub(in crate::source) fn part(mut self, outcome: Outcome, reason: Option<String>) -> Report {
        // The guest is stopped and stays so; but should an operator let it run here again, then at its full speed.
        self.release();
        // Given away or in doubt, the guest writes nothing here any more.
        if self.logging
            && let Err(error) = self.machine.dirty_log().stop()
        {
            tracing::warn!("the dirty log could not be switched off: {error}");
        }
        let report = self.report(outcome, reason);
        self.close(None);
        report
    }

    /// Ends the link; tells the destination `farewell` if it still listens.
    fn close(&mut self, farewell: Option<String>) {
        let Some(link) = self.link.take() else { return };
        self.bucket.stop();
        if let (Some(reason), Some(first)) = (farewell, link.channels.first()) {
            // A sender that is gone says nothing any more.
            let _ = first.commands.send(Command::Message(Message::Cancel { reason }));
        }
        // Senders end once they have said all that they were told to say.
        let (streams, senders): (Vec<_>, Vec<_>) =
            link.channels.into_iter().map(|channel| (channel.stream, channel.sender)).unzip();
        let until = Instant::now() + FAREWELL;
        while senders.first().is_some_and(|first| !first.is_finished()) {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Err(_) => break,
                // The first says the farewell; that the others are stuck is no reason to wait on.
                Ok(Event::SenderGone(0)) => break,
                Ok(_) => {}
            }
        }
        streams.iter().for_each(Channel::shutdown);
        for thread in senders.into_iter().chain([link.reader]) {
            // Panics there have been printed already.
            let _ = thread.join();
        }
    }
}
