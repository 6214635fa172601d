//! Migrations that leave a node: queued, offered, sent.

use std::time::Duration;

use super::underway::UnderWay;
use super::watcher::Watcher;
use super::{Node, NodeError, lock, now_ms};
use crate::machines::{Destination, MachineError};
use crate::model::{Migration, MigrationId, MigrationState, Settings};
use crate::ownership::Step;
use crate::peer::{Offer, PeerError, Question};

/// How often a target that takes no more guests is asked again.
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 300 });

impl Node {
    /// The settings with this migration's share of what all may take together.
    pub(super) fn share(&self, settings: Settings) -> Settings {
        let all = self.0.setup.bandwidth.map(|rate| rate.bytes_per_second());
        let share = all.map(|all| whole(all / f64::from(self.0.slots.taken().max(1))));
        let least = |own: u64| share.map_or(own, |share| share.min(own));
        let bandwidth = settings.bandwidth_bytes_per_second.map_or(share, |own| Some(least(own)));
        Settings { bandwidth_bytes_per_second: bandwidth, ..settings }
    }

    /// Writes a migration down, and tells everybody.
    pub(super) fn put(&self, migration: &Migration) -> Result<(), NodeError> {
        self.0.store.change_migration::<NodeError>(&migration.id, |before| {
            // What was asked for meanwhile must not be forgotten.
            let asked = before.as_ref().is_some_and(|it| it.cancel_requested);
            let cancel_requested = migration.cancel_requested || asked;
            let settlement = before.and_then(|it| it.settlement).or(migration.settlement.clone());
            Ok(Migration { cancel_requested, settlement, ..migration.clone() })
        })?;
        self.tell_migration(migration);
        Ok(())
    }

    pub(super) fn tell_migration(&self, migration: &Migration) {
        self.0.events.tell("migration", migration.id.as_str(), &self.show(migration));
    }

    fn is_cancelled(&self, id: &MigrationId) -> bool {
        lock(&self.0.under_way).get(id).is_some_and(UnderWay::is_cancelled)
    }

    /// A whole migration, on a thread of its own.
    pub(super) fn run(&self, migration: Migration) {
        let id = migration.id.clone();
        let _span = tracing::info_span!("migration", %id).entered();
        let followed = self.try_run(migration);
        self.follow_to_its_end(&id, followed);
    }

    fn try_run(&self, mut migration: Migration) -> Result<(), NodeError> {
        let Some((slot, uri)) = self.prepare(&mut migration)? else { return Ok(()) };
        self.rebalance();
        self.next_step()?;
        migration.state = MigrationState::Moving;
        migration.began_ms = Some(now_ms());
        self.put(&migration)?;
        self.next_step()?;
        let record = self.record(&migration.vm)?;
        let settings = self.share(migration.settings);
        let target = migration.target.clone();
        let to = Destination { uri: &uri, node: &target };
        let mut watcher = Watcher::new(self, migration.clone());
        let sent = self.0.machines.send(&record, Some(to), &settings, &mut watcher);
        let migration = watcher.migration;
        self.sent(migration, sent)?;
        drop(slot);
        self.rebalance();
        Ok(())
    }

    /// What remains once a guest was sent, or was not.
    pub(super) fn sent(
        &self,
        migration: Migration,
        sent: Result<crate::machines::Followed, MachineError>,
    ) -> Result<(), NodeError> {
        if self.is_leaving() {
            return Ok(());
        }
        self.next_step()?;
        self.settle(migration, sent)
    }

    /// Waits for its turn and has the target prepared; `None` when it was over before the guest began to move.
    fn prepare(
        &self,
        migration: &mut Migration,
    ) -> Result<Option<(super::slots::Slot<'_>, String)>, NodeError> {
        loop {
            if self.is_leaving() {
                return Ok(None);
            }
            if self.is_cancelled(&migration.id) {
                self.over(migration, MigrationState::Cancelled, None)?;
                return Ok(None);
            }
            let Some(slot) = self.0.slots.take(RETRY) else { continue };
            // It may have been adjusted while it waited.
            *migration = self.migration(&migration.id)?;
            match self.offer(migration) {
                Ok(uri) => return Ok(Some((slot, uri))),
                Err(NodeError::Peer(PeerError::Busy(_))) => {
                    drop(slot);
                    self.0.slots.wait(RETRY);
                }
                #[cfg(test)]
                Err(NodeError::Killed) => return Err(NodeError::Killed),
                Err(error) => {
                    // The offer may have been written down, and what came of it not.
                    let record = self.record(&migration.vm)?;
                    if record.ownership.migration() == Some(&migration.id) {
                        self.withdraw(migration)?;
                    }
                    self.over(
                        migration,
                        MigrationState::Failed,
                        Some(crate::machines::chain(&error)),
                    )?;
                    return Ok(None);
                }
            }
        }
    }

    /// Offers the guest to the target. The offer is written down before it is made, and withdrawn where it is not taken.
    fn offer(&self, migration: &mut Migration) -> Result<String, NodeError> {
        let record = self.0.store.step(
            &migration.vm,
            &Step::Offer { to: migration.target.clone(), migration: migration.id.clone() },
        )?;
        self.next_step()?;
        migration.epoch = record.ownership.epoch + 1;
        if migration.state != MigrationState::Preparing {
            migration.state = MigrationState::Preparing;
            self.put(migration)?;
        }
        self.next_step()?;
        let offer = Offer {
            spec: record.spec,
            migration: migration.id.clone(),
            from: self.name().clone(),
            epoch: migration.epoch,
        };
        let offered = self.peer(&migration.target).and_then(|peer| Ok(peer.offer(&offer)?));
        match offered {
            Ok(prepared) => Ok(prepared.uri),
            Err(error) => {
                self.withdraw(migration)?;
                Err(error)
            }
        }
    }

    /// The guest stays here. It never began to move, or the word that gives it away was never sent: whatever the target
    /// still believes, it cannot run it.
    pub(super) fn withdraw(&self, migration: &Migration) -> Result<(), NodeError> {
        let question = self.question(migration);
        if let Ok(peer) = self.peer(&migration.target)
            && let Err(error) = peer.refuse(&question, false)
        {
            tracing::warn!("the target was not told that the guest stays: {error}");
        }
        self.next_step()?;
        self.0.store.step(&migration.vm, &Step::TakeBack { migration: migration.id.clone() })?;
        self.tell_vm(&migration.vm);
        Ok(())
    }

    pub(super) fn question(&self, migration: &Migration) -> Question {
        Question {
            vm: migration.vm.clone(),
            migration: migration.id.clone(),
            from: self.name().clone(),
            epoch: migration.epoch,
        }
    }

    /// Writes down how a migration ended.
    pub(super) fn over(
        &self,
        migration: &mut Migration,
        state: MigrationState,
        reason: Option<String>,
    ) -> Result<(), NodeError> {
        migration.state = state;
        migration.reason = reason;
        migration.ended_ms = Some(now_ms());
        self.put(migration)?;
        log_end(migration);
        self.tell_vm(&migration.vm);
        Ok(())
    }

    /// Gives every migration under way its share of the bandwidth.
    fn rebalance(&self) {
        if self.0.setup.bandwidth.is_none() {
            return;
        }
        let ids: Vec<_> = lock(&self.0.under_way).keys().cloned().collect();
        for id in ids {
            let Ok(migration) = self.migration(&id) else { continue };
            if let Some(under_way) = lock(&self.0.under_way).get_mut(&id) {
                under_way.adjust(self.share(migration.settings));
            }
        }
    }
}

/// What an operator reads of it afterwards, in the log of the host.
fn log_end(migration: &Migration) {
    let Migration { id, vm, target, state, reason, .. } = migration;
    let how = state.name();
    match (state, reason) {
        (MigrationState::Completed, _) => tracing::info!("{id}: '{vm}' to {target}: {how}"),
        (_, None) => tracing::warn!("{id}: '{vm}' to {target}: {how}"),
        (_, Some(why)) => tracing::warn!("{id}: '{vm}' to {target}: {how}: {why}"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a rate is not negative, and one past u64 saturates"
)]
fn whole(rate: f64) -> u64 {
    (rate.round() as u64).max(1)
}
