//! What is told of a migration that is over.

use landfall_qmp::{Command, MigrationInfo, MigrationStatus, RunState, StatusInfo};

use super::Pilot;
use crate::bill::{Bill, Outcome};
use crate::course::Course;
use crate::monitor::{AskError, query};

impl Pilot {
    pub(super) fn gone(&self, course: Course, error: &AskError) -> Bill {
        let last = MigrationInfo::default();
        if self.arrived {
            return course.bill(Outcome::Completed, None, &last);
        }
        let reason = format!(
            "{}; it did not say how the migration ended. If it was killed, the guest is lost here and its destination \
             waits in vain; if its manager removed it, the guest runs there. Look at the destination",
            error.reason()
        );
        course.bill(Outcome::InDoubt, Some(reason), &last)
    }

    pub(super) fn ended(&mut self, course: Course, info: &MigrationInfo) -> Bill {
        let (outcome, reason) = match info.status {
            MigrationStatus::Completed => (Outcome::Completed, None),
            MigrationStatus::Cancelled if self.gave_up => {
                let limit = self.options.time_limit.unwrap_or_default().as_secs_f64();
                let believed = course.escaped.map_or_else(
                    || course.controller().verdict().text.clone(),
                    |escaped| escaped.to_string(),
                );
                let reason = format!("the time limit of {limit:.1} s has passed: {believed}");
                self.where_it_runs(Outcome::GaveUp, reason)
            }
            MigrationStatus::Cancelled => {
                self.where_it_runs(Outcome::Cancelled, "it was called off".to_owned())
            }
            _ => {
                let said = info.error_desc.clone();
                let said = said.unwrap_or_else(|| "QEMU does not say why it failed".to_owned());
                self.where_it_runs(Outcome::Failed, said)
            }
        };
        course.bill(outcome, reason, info)
    }

    /// Whether the guest runs on here, as it should when it did not arrive.
    fn where_it_runs(&mut self, outcome: Outcome, reason: String) -> (Outcome, Option<String>) {
        let status: Result<StatusInfo, _> = query(self.monitor.as_mut(), &Command::QueryStatus);
        match status {
            Ok(status) if status.running || status.status == RunState::Paused => {
                (outcome, Some(reason))
            }
            Ok(status) => (
                Outcome::InDoubt,
                Some(format!(
                    "{reason}; and QEMU did not let the guest run on, it says {:?}. Make sure that it does not run at \
                     the destination, then send `cont` here",
                    status.status
                )),
            ),
            Err(error) => (
                Outcome::InDoubt,
                Some(format!(
                    "{reason}; and whether the guest runs on is not known: {}",
                    error.reason()
                )),
            ),
        }
    }
}
