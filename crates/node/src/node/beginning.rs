//! Migrations that are asked for.

use super::underway::UnderWay;
use super::{Node, NodeError, lock, now_ms};
use crate::model::{
    IdempotencyKey, Migration, MigrationId, MigrationRequest, MigrationState, MigrationView, VmName,
};
use crate::secret;
use crate::store::Begun;

impl Node {
    /// Asks for a migration. It begins when it is its turn.
    ///
    /// # Errors
    /// When the check beforehand says no, or the settings are out of range.
    pub fn migrate(
        &self,
        vm: &VmName,
        request: &MigrationRequest,
    ) -> Result<MigrationView, NodeError> {
        self.migrate_once(vm, request, None)
    }

    /// The same, by a key: asked for again with it, it is the migration that was begun then, whatever has become of it.
    ///
    /// # Errors
    /// When the key was used for another request, the check beforehand says no, or the settings are out of range.
    pub fn migrate_once(
        &self,
        vm: &VmName,
        request: &MigrationRequest,
        key: Option<&IdempotencyKey>,
    ) -> Result<MigrationView, NodeError> {
        let sha256 = trace(vm, request);
        if let Some(before) = self.begun_by(key, &sha256)? {
            return Ok(self.show(&self.migration(&before)?));
        }
        let record = self.record(vm)?;
        let (policy, settings) =
            self.settings(&record.spec, request.policy.as_ref(), &request.settings)?;
        let check = self.precheck(&record, &request.target)?;
        if !check.allowed {
            // What stands in its way may be the same request, which came a moment before.
            if let Some(twin) = self.begun_by(key, &sha256)? {
                return Ok(self.show(&self.migration(&twin)?));
            }
            return Err(NodeError::Refused(Box::new(check)));
        }
        let mut begun = lock(&self.0.under_way);
        // Of two that were sent at the same moment, the second finds the first here.
        if let Some(twin) = self.begun_by(key, &sha256)? {
            drop(begun);
            return Ok(self.show(&self.migration(&twin)?));
        }
        self.not_yet_migrating(vm)?;
        let migration = Migration {
            id: self.0.store.next_migration(self.name())?,
            vm: vm.clone(),
            source: self.name().clone(),
            target: request.target.clone(),
            policy,
            settings,
            epoch: record.ownership.epoch + 1,
            state: MigrationState::Queued,
            reason: None,
            requested_ms: now_ms(),
            began_ms: None,
            ended_ms: None,
            report: None,
            cancel_requested: false,
            settlement: None,
        };
        let by = key.map(|key| Begun { key: key.clone(), sha256, migration: migration.id.clone() });
        self.0.store.begin_migration(&migration, by.as_ref())?;
        begun.insert(migration.id.clone(), UnderWay::default());
        drop(begun);
        tracing::info!("{}: '{vm}' is to move to {}", migration.id, migration.target);
        self.tell_migration(&migration);
        let view = self.show(&migration);
        self.spawn(format!("migration-{}", migration.id), move |node| node.run(migration));
        Ok(view)
    }

    /// The migration that the same request has begun before, if this key has begun one.
    fn begun_by(
        &self,
        key: Option<&IdempotencyKey>,
        sha256: &str,
    ) -> Result<Option<MigrationId>, NodeError> {
        let Some(key) = key else { return Ok(None) };
        match self.0.store.by_key(key)? {
            Some(begun) if begun.sha256 == sha256 => Ok(Some(begun.migration)),
            Some(begun) => Err(NodeError::Key(begun.migration)),
            None => Ok(None),
        }
    }

    /// A migration that waits for its turn has not offered the guest yet.
    fn not_yet_migrating(&self, vm: &VmName) -> Result<(), NodeError> {
        let known = self.0.store.migrations()?;
        let mut open = known.iter().filter(|it| it.vm == *vm && !it.state.is_final());
        match open.next() {
            Some(open) => Err(NodeError::Busy(format!(
                "'{vm}' is being migrated already ({}); wait for that, or cancel it",
                open.id
            ))),
            None => Ok(()),
        }
    }
}

/// By what a request is known again.
fn trace(vm: &VmName, request: &MigrationRequest) -> String {
    // Nothing in it is without a form in JSON.
    secret::trace(&serde_json::json!([vm, request]).to_string())
}
