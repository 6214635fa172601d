//! What an operator decides over a guest of which the nodes cannot find out who has it.

use super::receiving::runs;
use super::{Node, NodeError, now_ms};
use crate::machines::{Condition, chain};
use crate::model::{
    Decision, Migration, MigrationId, MigrationState, NodeName, Settlement, Settling, VmName,
    VmRecord, VmView,
};
use crate::ownership::{Holding, Step, Verdict};
use crate::peer::Question;

impl Node {
    /// Decides over a guest in doubt, on the side of this node.
    ///
    /// # Errors
    /// When nothing is in doubt, or the other node answers and knows better.
    pub fn decide(&self, vm: &VmName, wanted: &Settling, by: &str) -> Result<VmView, NodeError> {
        wanted.check().map_err(|error| NodeError::Invalid(error.to_string()))?;
        let record = self.record(vm)?;
        let settlement = |known: String| Settlement {
            decision: wanted.decision,
            by: by.to_owned(),
            note: wanted.note.clone().filter(|note| !note.trim().is_empty()),
            known,
            at_ms: now_ms(),
        };
        match &record.ownership.holding {
            Holding::Outgoing { migration, .. } => {
                let migration = self.migration(migration)?;
                let known = self.doubted_here(&record, &migration)?;
                self.decide_outgoing(&migration, settlement(known))?;
            }
            Holding::Incoming { from, migration } => {
                let known = self.doubted_there(&record, from, migration, wanted.decision)?;
                self.decide_incoming(&record, from, migration, settlement(known))?;
            }
            _ => {
                return Err(NodeError::Busy(format!(
                    "'{vm}' is not in doubt; see how it is with `landfall vm show {vm}`"
                )));
            }
        }
        self.vm(vm)
    }

    /// What is known at the source; an error where the target knows better.
    fn doubted_here(&self, record: &VmRecord, migration: &Migration) -> Result<String, NodeError> {
        let Migration { id, target, state, .. } = migration;
        if *state != MigrationState::InDoubt {
            return Err(NodeError::Busy(format!(
                "the migration {id} is not in doubt, but {}; wait for its end, or cancel it",
                state.name()
            )));
        }
        let here = told(self.look(record));
        let asked = self.peer(target).and_then(|peer| Ok(peer.verdict(&self.question(migration))?));
        let there = match asked {
            Ok(verdict @ (Verdict::Accepted | Verdict::Refused)) => {
                let has = if verdict == Verdict::Accepted { "has" } else { "has refused" };
                return Err(NodeError::Busy(format!(
                    "{target} answers, and {has} the guest: there is nothing to decide, and this node writes it down by itself"
                )));
            }
            Ok(Verdict::Open) => format!("{target} answers, and has not decided"),
            Ok(Verdict::Unknown) => format!("{target} answers, and knows nothing of it"),
            Err(error) => chain(&error),
        };
        Ok(format!("the guest here {here}; {there}"))
    }

    /// Writes the decision down. Whoever follows the migration acts by it.
    fn decide_outgoing(
        &self,
        migration: &Migration,
        settlement: Settlement,
    ) -> Result<(), NodeError> {
        let changed = self.0.store.change_migration(&migration.id, |before| {
            let before = before.ok_or_else(|| NodeError::NoMigration(migration.id.clone()))?;
            match &before.settlement {
                Some(earlier) if earlier.decision != settlement.decision => {
                    Err(NodeError::Busy(format!(
                        "the opposite was decided before, by {}; it is too late",
                        earlier.whose()
                    )))
                }
                Some(_) => Ok(before),
                None => Ok(Migration { settlement: Some(settlement), ..before }),
            }
        })?;
        tell(&changed.vm, changed.settlement.as_ref());
        self.tell_migration(&changed);
        self.0.slots.nudge();
        Ok(())
    }

    /// What is known at the destination; an error where the source knows better.
    fn doubted_there(
        &self,
        record: &VmRecord,
        from: &NodeName,
        migration: &MigrationId,
        decision: Decision,
    ) -> Result<String, NodeError> {
        let name = &record.spec.name;
        let here = self.look(record);
        if runs(here) {
            return Err(NodeError::Busy(format!(
                "'{name}' has arrived, and runs here: there is nothing to decide"
            )));
        }
        if here != Condition::InDoubt {
            return Err(NodeError::Busy(format!(
                "'{name}' has not come far enough to be run here: it {}; decide at {from} instead, with `landfall vm settle \
                 {name} run --node {from}`",
                told(here)
            )));
        }
        let better = |what: String| Err(NodeError::Busy(format!("{from} answers, and {what}")));
        match (self.peer(from).and_then(|peer| Ok(peer.migration(migration)?)), decision) {
            (Ok(Some(MigrationState::Completed)), Decision::Discard) => better(format!(
                "has given '{name}' away for good: the one here is the only one, use `run`"
            )),
            (Ok(Some(state)), Decision::Run)
                if state.is_final() && state != MigrationState::Completed =>
            {
                better(format!("has kept '{name}': the one here is out of date, use `discard`"))
            }
            (Ok(Some(state)), _) if !state.is_final() => better(format!(
                "is to decide, which it does by itself once it reaches this node; decide there, with `landfall vm settle \
                 {name} … --node {from}`"
            )),
            (Ok(Some(state)), _) => Ok(format!("{from} answers: {migration} {}", state.name())),
            (Ok(None), _) => Ok(format!("{from} answers, and knows nothing of {migration}")),
            (Err(error), _) => Ok(chain(&error)),
        }
    }

    /// Writes the decision down, and acts by it.
    fn decide_incoming(
        &self,
        record: &VmRecord,
        from: &NodeName,
        migration: &MigrationId,
        settlement: Settlement,
    ) -> Result<(), NodeError> {
        let name = &record.spec.name;
        let decision = settlement.decision;
        tell(name, Some(&settlement));
        self.0.store.change_vm::<NodeError>(name, |record| {
            let record = record.ok_or_else(|| NodeError::NoVm(name.clone()))?;
            Ok(VmRecord { settlement: Some(settlement), ..record })
        })?;
        self.next_step()?;
        let question = Question {
            vm: name.clone(),
            migration: migration.clone(),
            from: from.clone(),
            epoch: record.ownership.epoch,
        };
        match decision {
            Decision::Run => self.take_in(record),
            Decision::Discard => self.refuse(&question, false).map(drop),
        }
    }

    /// Has a guest run that waits for the word, which the source will never give, nor run it.
    pub(super) fn take_in(&self, record: &VmRecord) -> Result<(), NodeError> {
        let name = &record.spec.name;
        self.0.machines.settle(record, true)?;
        self.next_step()?;
        if let Some(migration) = record.ownership.migration().cloned() {
            self.0.store.step(name, &Step::Accept { migration })?;
        }
        self.look(record);
        self.tell_vm(name);
        Ok(())
    }
}

fn tell(vm: &VmName, settlement: Option<&Settlement>) {
    let Some(settlement) = settlement else { return };
    let (decision, whose, known) = (settlement.decision, settlement.whose(), &settlement.known);
    tracing::warn!("'{vm}' was settled by an operator: {decision:?}, by {whose}; known: {known}");
}

/// What a guest does, for the record.
fn told(condition: Condition) -> &'static str {
    match condition {
        Condition::Running { .. } => "runs",
        Condition::Paused { .. } => "is paused",
        Condition::Awaiting => "is still being received",
        Condition::GivenAway => "was given away",
        Condition::InDoubt => "is paused until this is decided",
        Condition::Gone => "has no process",
        Condition::Unreachable => "has a process that does not answer",
    }
}
