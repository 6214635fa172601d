//! The source's side of a guest in doubt: it is asked who has it until somebody knows, or an operator decides.

use std::time::Duration;

use super::{Node, NodeError};
use crate::machines::{Condition, MachineError, chain};
use crate::model::{Decision, Migration, MigrationState};
use crate::ownership::{Step, Verdict};

/// How often a target that cannot be asked is asked again who has the guest.
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });

impl Node {
    /// The word that gives the guest away may have been sent, and may not have arrived. Only the target knows, and what it
    /// says it writes down: either the guest runs there, or it never will.
    pub(super) fn ask_who_has_it(
        &self,
        migration: Migration,
        reason: Option<String>,
    ) -> Result<(), NodeError> {
        let migration = self.doubted(migration, reason)?;
        let question = self.question(&migration);
        let found = self.until_decided(&migration, || {
            let peer = self.peer(&migration.target).ok()?;
            let verdict = peer.refuse(&question, true).ok()?;
            matches!(verdict, Verdict::Accepted | Verdict::Refused).then_some(verdict)
        })?;
        match found {
            Some(Verdict::Accepted) => self.left(migration),
            Some(_) => self.take_back(migration),
            None => Ok(()),
        }
    }

    /// What the target says of a guest whose process here has ended; `None` when nothing is left to do.
    pub(super) fn ask_what_it_has(
        &self,
        migration: Migration,
        why: &str,
    ) -> Result<Option<(Migration, Verdict)>, NodeError> {
        let question = self.question(&migration);
        let ask = |migration: &Migration| {
            let peer = self.peer(&migration.target).ok()?;
            peer.verdict(&question).ok()
        };
        if let Some(verdict) = ask(&migration) {
            return Ok(Some((migration, verdict)));
        }
        let reason = format!(
            "{why}; the machine's process here has ended, and the target cannot be asked whether the guest runs there"
        );
        let migration = self.doubted(migration, Some(reason))?;
        let found = self.until_decided(&migration, || ask(&migration))?;
        Ok(found.map(|verdict| (migration, verdict)))
    }

    /// Waits for a process that does not answer; the migration is taken up again once it does.
    pub(super) fn wait_for_process(
        &self,
        migration: Migration,
        error: MachineError,
    ) -> Result<(), NodeError> {
        let why = chain(&error);
        let reason = format!("{why}; the machine's process does not answer, see whether it hangs");
        let migration = self.doubted(migration, Some(reason))?;
        let found = self.until_decided(&migration, || {
            let record = self.record(&migration.vm).ok()?;
            (self.look(&record) != Condition::Unreachable).then_some(())
        })?;
        found.map_or(Ok(()), |()| Err(error.into()))
    }

    fn doubted(
        &self,
        mut migration: Migration,
        reason: Option<String>,
    ) -> Result<Migration, NodeError> {
        migration.state = MigrationState::InDoubt;
        migration.reason = reason;
        self.put(&migration)?;
        self.tell_vm(&migration.vm);
        Ok(migration)
    }

    /// Asks until there is an answer; `None` when it was decided otherwise, or the daemon ends.
    fn until_decided<T>(
        &self,
        migration: &Migration,
        mut ask: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>, NodeError> {
        loop {
            self.next_step()?;
            if let Some(found) = ask() {
                return Ok(Some(found));
            }
            if self.is_leaving() || self.decided_by_hand(migration)? {
                return Ok(None);
            }
            self.0.slots.wait(RETRY);
        }
    }

    /// Acts by what an operator has decided, if one has: over this node, or at the machine itself.
    fn decided_by_hand(&self, migration: &Migration) -> Result<bool, NodeError> {
        let stored = self.migration(&migration.id)?;
        let decision = match &stored.settlement {
            Some(settlement) => settlement.decision,
            None => match self.look(&self.record(&migration.vm)?) {
                Condition::Running { migrating: false, .. } => Decision::Run,
                Condition::GivenAway => Decision::Discard,
                _ => return Ok(false),
            },
        };
        let migration = Migration { settlement: stored.settlement, ..migration.clone() };
        match decision {
            Decision::Run => self.take_back(migration)?,
            Decision::Discard => self.left(migration)?,
        }
        Ok(true)
    }

    /// The guest runs on here, and never at the target.
    pub(super) fn take_back(&self, mut migration: Migration) -> Result<(), NodeError> {
        self.next_step()?;
        let step = Step::TakeBack { migration: migration.id.clone() };
        let record = self.0.store.step(&migration.vm, &step)?;
        self.next_step()?;
        // It is in doubt no more should this have been done before the daemon ended.
        if self.look(&record) == Condition::InDoubt {
            self.0.machines.settle(&record, true)?;
        }
        let gone = self.look(&record) == Condition::Gone;
        let reason = why_here(&migration)
            + if gone { "; its process has ended, start it again" } else { "" };
        self.over(&mut migration, MigrationState::Failed, Some(reason))
    }
}

/// Why a guest that was in doubt runs at its source.
fn why_here(migration: &Migration) -> String {
    match &migration.settlement {
        Some(settlement) if settlement.decision == Decision::Run => format!(
            "the connection broke while the guest was being given away; that it runs on here was decided by {}",
            settlement.whose()
        ),
        _ => "the connection broke while the guest was being given away; the target had not taken it, and it runs on here"
            .to_owned(),
    }
}

/// Why a guest that was in doubt is at its target; nothing where it was not in doubt.
pub(super) fn why_there(migration: &Migration) -> Option<String> {
    let settlement = migration.settlement.as_ref()?;
    Some(match settlement.decision {
        Decision::Discard => format!(
            "the connection broke while the guest was being given away; that it is at the target was decided by {}",
            settlement.whose()
        ),
        Decision::Run => {
            "the connection broke while the guest was being given away; the target has it"
                .to_owned()
        }
    })
}
