//! What becomes of a guest whose migration is over, broke off, or was under way when the daemon ended.

use std::time::Duration;

use landfall_migrate::report::{Outcome, Report};

use super::doubt::why_there;
use super::underway::UnderWay;
use super::watcher::Watcher;
use super::{Node, NodeError, lock};
use crate::machines::{Condition, Followed, MachineError, chain};
use crate::model::{Migration, MigrationId, MigrationState};
use crate::ownership::{Holding, Step, Verdict};

/// How long to wait before a migration is taken up again whose record could not be kept.
const AGAIN: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 2000 });

/// Why a migration that was found not to have begun did not arrive.
const NOT_BEGUN: &str =
    "the daemon ended before the guest began to move; it stayed where it is, migrate it again";

impl Node {
    /// Draws the conclusion from how the sending of a guest went.
    pub(super) fn settle(
        &self,
        mut migration: Migration,
        sent: Result<Followed, MachineError>,
    ) -> Result<(), NodeError> {
        // What was asked for meanwhile stands in the store alone.
        if let Ok(stored) = self.migration(&migration.id) {
            migration.settings = stored.settings;
            migration.cancel_requested = stored.cancel_requested;
            migration.settlement = stored.settlement;
        }
        match sent {
            Ok(Followed::Left) => Ok(()),
            Ok(Followed::None) => {
                self.stays(migration, MigrationState::Failed, Some(NOT_BEGUN.to_owned()))
            }
            Ok(Followed::Over(report)) => self.conclude(migration, *report),
            Err(error) => self.lost_sight(migration, error),
        }
    }

    fn conclude(&self, mut migration: Migration, report: Report) -> Result<(), NodeError> {
        let (outcome, reason) = (report.outcome, report.reason.clone());
        migration.report = Some(report);
        let stays = |state| (migration.clone(), state, reason.clone());
        let (migration, state, reason) = match outcome {
            Outcome::Completed => return self.left(migration),
            Outcome::InDoubt => return self.ask_who_has_it(migration, reason),
            Outcome::GaveUp => stays(MigrationState::GaveUp),
            Outcome::Cancelled => stays(MigrationState::Cancelled),
            Outcome::Failed => stays(MigrationState::Failed),
        };
        self.stays(migration, state, reason)
    }

    /// The guest runs at the target: what is left of it here goes.
    pub(super) fn left(&self, mut migration: Migration) -> Result<(), NodeError> {
        migration.state = MigrationState::Settling;
        self.put(&migration)?;
        self.next_step()?;
        let step = Step::GiveAway { migration: migration.id.clone() };
        let record = self.0.store.step(&migration.vm, &step)?;
        self.next_step()?;
        // It is a moment until the target has written it down, too; asking makes it do so now.
        if let Ok(peer) = self.peer(&migration.target) {
            drop(peer.verdict(&self.question(&migration)));
        }
        self.0.machines.end(&record);
        self.next_step()?;
        let reason = why_there(&migration);
        self.over(&mut migration, MigrationState::Completed, reason)
    }

    /// The guest was not given away.
    fn stays(
        &self,
        mut migration: Migration,
        state: MigrationState,
        reason: Option<String>,
    ) -> Result<(), NodeError> {
        migration.state = MigrationState::Settling;
        self.put(&migration)?;
        self.next_step()?;
        self.withdraw(&migration)?;
        self.next_step()?;
        self.over(&mut migration, state, reason)
    }

    /// The machine could not be asked to the end.
    fn lost_sight(&self, migration: Migration, error: MachineError) -> Result<(), NodeError> {
        let why = chain(&error);
        let record = self.record(&migration.vm)?;
        match self.look(&record) {
            // It has refused to begin, or sight of it was lost for a moment only.
            Condition::Running { migrating: false, .. }
            | Condition::Paused { migrating: false } => {
                self.stays(migration, MigrationState::Failed, Some(why))
            }
            Condition::GivenAway => self.left(migration),
            Condition::InDoubt => self.ask_who_has_it(migration, Some(why)),
            Condition::Gone => self.process_gone(migration, &why),
            Condition::Unreachable => self.wait_for_process(migration, error),
            // It can be asked again, and is.
            _ => Err(error.into()),
        }
    }

    /// The guest's process has ended while it was on its way: it is at the target, or lost.
    fn process_gone(&self, migration: Migration, why: &str) -> Result<(), NodeError> {
        let Some((mut migration, verdict)) = self.ask_what_it_has(migration, why)? else {
            return Ok(());
        };
        if verdict == Verdict::Accepted {
            return self.left(migration);
        }
        self.withdraw(&migration)?;
        let reason = format!(
            "{why}; the machine's process ended while the guest was on its way, and the guest with it. Start it again"
        );
        self.0.store.change_vm::<NodeError>(&migration.vm, |record| {
            let record = record.ok_or_else(|| NodeError::NoVm(migration.vm.clone()))?;
            Ok(crate::model::VmRecord { trouble: Some(reason.clone()), ..record })
        })?;
        self.over(&mut migration, MigrationState::Failed, Some(reason))
    }

    /// Takes up what was under way when the daemon ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn recover(&self) -> Result<(), NodeError> {
        self.end_strays()?;
        for migration in self.0.store.migrations()? {
            if migration.state.is_final() {
                continue;
            }
            let mut entry = UnderWay::default();
            if migration.cancel_requested {
                entry.cancel();
            }
            lock(&self.0.under_way).insert(migration.id.clone(), entry);
            let name = format!("migration-{}", migration.id);
            self.spawn(name, move |node| node.resume(migration));
        }
        self.go_on_draining();
        Ok(())
    }

    /// Ends what is left of machines that went away, or did not come. Nothing comes in meanwhile.
    fn end_strays(&self) -> Result<(), NodeError> {
        let _alone = lock(&self.0.admitting);
        for record in self.0.store.vms()? {
            if matches!(record.ownership.holding, Holding::Away { .. } | Holding::Refused { .. }) {
                self.0.machines.end_strays(&record);
            }
        }
        Ok(())
    }

    fn resume(&self, migration: Migration) {
        let id = migration.id.clone();
        let _span = tracing::info_span!("migration", %id).entered();
        let followed = self.try_resume(migration);
        self.follow_to_its_end(&id, followed);
    }

    /// What could not be written down, on a full disk, is taken up again until it can be, as if the daemon had been started
    /// anew.
    pub(super) fn follow_to_its_end(&self, id: &MigrationId, mut followed: Result<(), NodeError>) {
        while let Err(error) = followed {
            if self.is_leaving() {
                break;
            }
            tracing::error!("the migration is taken up again: {}", chain(&error));
            self.0.slots.wait(AGAIN);
            followed = self.migration(id).and_then(|it| match it.state.is_final() {
                true => Ok(()),
                false => self.try_resume(it),
            });
        }
        lock(&self.0.under_way).remove(id);
    }

    fn try_resume(&self, mut migration: Migration) -> Result<(), NodeError> {
        let record = self.record(&migration.vm)?;
        let reason = || Some(NOT_BEGUN.to_owned());
        match &record.ownership.holding {
            Holding::Outgoing { migration: of, .. } if *of == migration.id => {}
            // It was written down who has the guest, but not yet that this was the end.
            Holding::Away { migration: of, .. } if *of == migration.id => {
                self.0.machines.end(&record);
                let reason = why_there(&migration);
                return self.over(&mut migration, MigrationState::Completed, reason);
            }
            _ => {
                let state = match &migration.report {
                    Some(report) if report.outcome == Outcome::GaveUp => MigrationState::GaveUp,
                    Some(report) if report.outcome == Outcome::Cancelled => {
                        MigrationState::Cancelled
                    }
                    _ => MigrationState::Failed,
                };
                if self.look(&record) == Condition::InDoubt {
                    return self.take_back(migration);
                }
                let why = migration.report.as_ref().map_or_else(reason, |it| it.reason.clone());
                return self.over(&mut migration, state, why);
            }
        }
        migration.epoch = record.ownership.epoch + 1;
        let slot = self.0.slots.take_anyway();
        let settings = self.share(migration.settings);
        let mut watcher = Watcher::new(self, migration);
        let sent = self.0.machines.send(&record, None, &settings, &mut watcher);
        let migration = watcher.migration;
        self.sent(migration, sent)?;
        drop(slot);
        Ok(())
    }
}
