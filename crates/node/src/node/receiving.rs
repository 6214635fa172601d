//! The destination's side: guests that come in.

use super::{Node, NodeError, lock};
use crate::machines::Condition;
use crate::model::{CheckItem, MigrationState, Needs, Severity, VmRecord};
use crate::ownership::{Conflict, Holding, Ownership, Step, Verdict};
use crate::peer::{Offer, Prepared, Question};

impl Node {
    /// Prepares for a guest that a source wants to give to this node.
    ///
    /// # Errors
    /// When it takes none now, has one of this name, or no process can be started for it.
    pub fn expect(&self, offer: &Offer) -> Result<Prepared, NodeError> {
        self.peer(&offer.from)?;
        let (record, awaited) = self.admit(offer)?;
        self.next_step()?;
        // A process that was started for the same offer before has nobody who knows where it listens.
        if awaited {
            self.0.machines.end(&record);
        }
        self.open_to(offer, &record)
    }

    /// Writes down that a guest comes in, if one more may. Says too whether it was awaited before.
    fn admit(&self, offer: &Offer) -> Result<(VmRecord, bool), NodeError> {
        let _alone = lock(&self.0.admitting);
        let name = &offer.spec.name;
        let known = self.0.store.vm(name)?;
        let awaited =
            known.as_ref().is_some_and(|it| it.ownership.migration() == Some(&offer.migration));
        let facts = self.facts()?;
        // Looked at here: a drain that is asked for meanwhile waits, and then knows of this guest.
        if facts.draining {
            return Err(NodeError::Invalid(format!(
                "{} is being emptied and takes no guests",
                self.name()
            )));
        }
        if !awaited && facts.incoming >= facts.max_incoming {
            return Err(NodeError::Busy(format!(
                "{} guests are coming in already, which is as many as may at a time",
                facts.incoming
            )));
        }
        let step = Step::Expect {
            from: offer.from.clone(),
            migration: offer.migration.clone(),
            epoch: offer.epoch,
        };
        let record = self.0.store.change_vm::<NodeError>(name, |before| {
            let ownership = Ownership::after(before.as_ref().map(|it| &it.ownership), &step)
                .map_err(NodeError::Conflict)?;
            Ok(VmRecord {
                spec: offer.spec.clone(),
                ownership,
                process: before.filter(|_| awaited).and_then(|before| before.process),
                monitor: self.0.setup.monitor(name),
                trouble: None,
                settlement: None,
            })
        })?;
        Ok((record, awaited))
    }

    /// Starts the process that the guest comes into.
    fn open_to(&self, offer: &Offer, record: &VmRecord) -> Result<Prepared, NodeError> {
        let name = &offer.spec.name;
        match self.0.machines.expect(record, &self.0.setup.guest_address) {
            Ok((process, uri)) => {
                self.next_step()?;
                let record = self.0.store.change_vm::<NodeError>(name, |record| {
                    let record = record.ok_or_else(|| NodeError::NoVm(name.clone()))?;
                    Ok(VmRecord { process: Some(process), ..record })
                })?;
                self.look(&record);
                self.tell_vm(name);
                Ok(Prepared { uri })
            }
            Err(error) => {
                let refuse = Step::Refuse {
                    from: offer.from.clone(),
                    migration: offer.migration.clone(),
                    epoch: offer.epoch,
                };
                self.0.store.step(name, &refuse)?;
                Err(error.into())
            }
        }
    }

    /// What this node finds when a source of an earlier version has it look at an offer.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn examine(&self, offer: &Offer) -> Result<Vec<CheckItem>, NodeError> {
        let mut items = self.examine_terms(offer)?;
        let missing = missing_files(&Needs::of(&offer.spec.machine));
        items.push(if missing.is_empty() {
            CheckItem::new(
                "files",
                Severity::Ok,
                format!("what it is made from is on {}", self.name()),
            )
        } else {
            let message = format!(
                "{} has no {}; put it there, or share it between the two",
                self.name(),
                missing.join(", no ")
            );
            CheckItem::new("files", Severity::Error, message)
        });
        Ok(items)
    }

    /// Whether a guest of this name and with this policy may come.
    pub(super) fn examine_terms(&self, offer: &Offer) -> Result<Vec<CheckItem>, NodeError> {
        let mut items = Vec::new();
        let name = &offer.spec.name;
        let (severity, message) = match self.0.store.vm(name)?.map(|it| it.ownership.holding) {
            Some(Holding::Here { .. } | Holding::Outgoing { .. }) => (
                Severity::Error,
                format!("{} has a machine '{name}' of its own; rename one of the two", self.name()),
            ),
            Some(Holding::Incoming { migration, .. }) => (
                Severity::Error,
                format!(
                    "'{name}' is on its way to {} already ({migration}); wait for that",
                    self.name()
                ),
            ),
            _ => (Severity::Ok, format!("{} has no other machine '{name}'", self.name())),
        };
        items.push(CheckItem::new("name", severity, message));
        if let Some(policy) = &offer.spec.policy
            && self.policy(policy).is_err()
        {
            let message = format!(
                "{} has no policy '{policy}', by which '{name}' migrates; add it there, or the usual one holds from there",
                self.name()
            );
            items.push(CheckItem::new("policy", Severity::Warning, message));
        }
        Ok(items)
    }

    /// What has become here of a guest that was offered.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn verdict(&self, question: &Question) -> Result<Verdict, NodeError> {
        let Some(record) = self.0.store.vm(&question.vm)? else { return Ok(Verdict::Unknown) };
        let verdict = record.ownership.verdict(&question.migration, question.epoch);
        if verdict == Verdict::Open && runs(self.look(&record)) {
            self.accept(&record)?;
            return Ok(Verdict::Accepted);
        }
        Ok(verdict)
    }

    /// Never runs a guest that was offered, unless it runs already. `committed` says whether the source may have given it
    /// away: then only a guest that waits for the word is refused, since of any other it is not known whether it ran.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn refuse(&self, question: &Question, committed: bool) -> Result<Verdict, NodeError> {
        let record = self.0.store.vm(&question.vm)?;
        let verdict = record.as_ref().map_or(Verdict::Unknown, |record| {
            record.ownership.verdict(&question.migration, question.epoch)
        });
        if matches!(verdict, Verdict::Accepted | Verdict::Refused) {
            return Ok(verdict);
        }
        let refuse = Step::Refuse {
            from: question.from.clone(),
            migration: question.migration.clone(),
            epoch: question.epoch,
        };
        let Some(record) = record else {
            // Nothing came here yet, and nothing shall.
            return Ok(Verdict::Refused);
        };
        if verdict == Verdict::Unknown {
            return match self.0.store.step(&question.vm, &refuse) {
                Ok(_) => Ok(Verdict::Refused),
                // Another guest of this name is here: this one never was, and cannot come any more.
                Err(crate::store::StoreError::Conflict(
                    Conflict::HereAlready | Conflict::AnotherMigration,
                )) => Ok(Verdict::Refused),
                Err(error) => Err(error.into()),
            };
        }
        match self.look(&record) {
            condition if runs(condition) => {
                self.accept(&record)?;
                return Ok(Verdict::Accepted);
            }
            // What waits for the word is discarded in one step, after which the word comes too late.
            Condition::InDoubt => self.0.machines.settle(&record, false)?,
            // It was discarded already, before the daemon ended.
            Condition::GivenAway => {}
            _ if committed => return Ok(Verdict::Open),
            _ => {}
        }
        self.next_step()?;
        self.0.store.step(&question.vm, &refuse)?;
        self.next_step()?;
        self.0.machines.end(&record);
        self.look(&record);
        self.tell_vm(&question.vm);
        Ok(Verdict::Refused)
    }

    /// The guest was given to this node, and runs.
    fn accept(&self, record: &VmRecord) -> Result<(), NodeError> {
        let Some(migration) = record.ownership.migration().cloned() else { return Ok(()) };
        let name = &record.spec.name;
        self.next_step()?;
        // The source's question and a look at what comes in may find it at the same moment.
        let alone = lock(&self.0.admitting);
        let now = self.record(name)?.ownership;
        if now.verdict(&migration, record.ownership.epoch) == Verdict::Accepted {
            return Ok(());
        }
        self.0.store.step(name, &Step::Accept { migration: migration.clone() })?;
        drop(alone);
        tracing::info!("{migration}: '{name}' has come in");
        self.0.machines.let_in(record);
        self.tell_vm(name);
        Ok(())
    }

    /// Looks after the guests that are coming in; with `ask`, also whether their sources still want to send them.
    pub(super) fn tend_incoming(&self, ask: bool) -> Result<(), NodeError> {
        for record in self.0.store.vms()? {
            let Holding::Incoming { from, migration } = &record.ownership.holding else { continue };
            if runs(self.look(&record)) {
                self.accept(&record)?;
            } else if ask {
                let question = Question {
                    vm: record.spec.name.clone(),
                    migration: migration.clone(),
                    from: from.clone(),
                    epoch: record.ownership.epoch,
                };
                self.end_if_over(&record, &question)?;
            }
        }
        Ok(())
    }

    /// A source that was interrupted may not have said that its guest stays. Once it says so, the guest is not awaited any
    /// more; and one that waits for the word runs once the source says that it has gone, as an operator has decided there.
    fn end_if_over(&self, record: &VmRecord, question: &Question) -> Result<(), NodeError> {
        let Ok(peer) = self.peer(&question.from) else { return Ok(()) };
        match peer.migration(&question.migration) {
            Ok(Some(MigrationState::Completed)) => match self.look(record) {
                Condition::InDoubt => self.take_in(record),
                _ => Ok(()),
            },
            Ok(Some(state)) if state.is_final() => self.refuse(question, false).map(drop),
            _ => Ok(()),
        }
    }
}

/// Whether the guest was given to this side: it runs, or was paused at the source and is so here.
pub(super) fn runs(condition: Condition) -> bool {
    matches!(condition, Condition::Running { .. } | Condition::Paused { .. })
}

/// Files that a machine is made from and that are not here.
fn missing_files(needs: &Needs) -> Vec<String> {
    let disks = needs.disks.iter().map(|disk| &disk.path);
    let missing = needs.files.iter().chain(disks).filter(|path| !path.exists());
    missing.map(|path| path.display().to_string()).collect()
}
