//! What is asked of migrations that are known: how they are, and to go on otherwise.

use super::underway::UnderWay;
use super::{Node, NodeError, lock};
use crate::model::{Migration, MigrationId, MigrationState, MigrationView, Point, SettingsChange};

impl Node {
    /// Every migration from this node, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn migrations(&self) -> Result<Vec<MigrationView>, NodeError> {
        Ok(self.0.store.migrations()?.iter().map(|migration| self.show(migration)).collect())
    }

    /// One migration, with everything that is kept of it.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn migration(&self, id: &MigrationId) -> Result<Migration, NodeError> {
        self.0.store.migration(id)?.ok_or_else(|| NodeError::NoMigration(id.clone()))
    }

    /// How far a migration has come; `None` for one that is not known here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn state_of(&self, id: &MigrationId) -> Result<Option<MigrationState>, NodeError> {
        Ok(self.0.store.migration(id)?.map(|migration| migration.state))
    }

    /// As it is shown.
    #[must_use]
    pub fn show(&self, migration: &Migration) -> MigrationView {
        let under_way = lock(&self.0.under_way);
        let progress = under_way.get(&migration.id).and_then(|it| it.progress.clone());
        migration.view(progress.filter(|_| !migration.state.is_final()))
    }

    /// Its time line: as far as it was seen, or as the bill has it.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn timeline(&self, id: &MigrationId) -> Result<Vec<Point>, NodeError> {
        let migration = self.migration(id)?;
        if let Some(report) = migration.report {
            return Ok(report.timeline.iter().map(Point::from).collect());
        }
        Ok(lock(&self.0.under_way).get(id).map(UnderWay::points).unwrap_or_default())
    }

    /// Asks for the end of a migration: the guest stays here, unless it is too late.
    ///
    /// # Errors
    /// When there is none of this name, or it is over.
    pub fn cancel(&self, id: &MigrationId) -> Result<MigrationView, NodeError> {
        let migration = self.open(id)?;
        let migration = self.0.store.change_migration::<NodeError>(id, |now| {
            Ok(Migration { cancel_requested: true, ..now.unwrap_or(migration) })
        })?;
        if let Some(under_way) = lock(&self.0.under_way).get_mut(id) {
            under_way.cancel();
        }
        self.0.slots.nudge();
        Ok(self.show(&migration))
    }

    /// Holds a migration to other settings from now on.
    ///
    /// # Errors
    /// When it is over, the settings are out of range, or cannot be changed any more.
    pub fn adjust(
        &self,
        id: &MigrationId,
        change: &SettingsChange,
    ) -> Result<MigrationView, NodeError> {
        let migration = self.open(id)?;
        let waits = migration.state == MigrationState::Queued;
        if change.auto_converge.is_some_and(|on| on != migration.settings.auto_converge) && !waits {
            return Err(NodeError::Busy(
                "auto-converge cannot be switched while the guest is on its way; cancel, and migrate again"
                    .to_owned(),
            ));
        }
        let settings = migration.settings.with(change);
        settings.check()?;
        let migration = self.0.store.change_migration::<NodeError>(id, |now| {
            Ok(Migration { settings, ..now.unwrap_or(migration) })
        })?;
        if let Some(under_way) = lock(&self.0.under_way).get_mut(id) {
            under_way.adjust(self.share(settings));
        }
        self.tell_migration(&migration);
        Ok(self.show(&migration))
    }

    /// Has a migration switch over now, whatever the downtime.
    ///
    /// # Errors
    /// When the guest is not on its way.
    pub fn complete(&self, id: &MigrationId) -> Result<MigrationView, NodeError> {
        let migration = self.open(id)?;
        if migration.state != MigrationState::Moving {
            return Err(NodeError::Busy(format!(
                "the guest is not on its way yet ({}); ask again when it is",
                migration.state.name()
            )));
        }
        if let Some(under_way) = lock(&self.0.under_way).get_mut(id) {
            under_way.switch_over(self.share(migration.settings));
        }
        Ok(self.show(&migration))
    }

    fn open(&self, id: &MigrationId) -> Result<Migration, NodeError> {
        let migration = self.migration(id)?;
        if migration.state.is_final() {
            return Err(NodeError::Busy(format!(
                "the migration is over: {}",
                migration.state.name()
            )));
        }
        Ok(migration)
    }
}
