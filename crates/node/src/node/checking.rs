//! What is known of a migration before it begins.

use super::surveying::CODES;
use super::{Node, NodeError};
use crate::host::{self, Image};
use crate::machines::Condition;
use crate::model::{
    Check, CheckItem, MachineSpec, MigrationRequest, NativeSpec, Needs, NodeFacts, NodeName,
    Severity, VmName, VmRecord,
};
use crate::ownership::Holding;
use crate::peer::{Offer, Survey};

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// At what takes no time.
    Quick,
    /// Also at what takes a moment: machines are asked, and the target builds one.
    Close,
}

impl Node {
    /// Looks at everything that a migration depends on, and predicts what it would do. Takes a second or two.
    ///
    /// # Errors
    /// When there is no such machine, or the settings are out of range.
    pub fn check(&self, vm: &VmName, request: &MigrationRequest) -> Result<Check, NodeError> {
        let record = self.record(vm)?;
        let (_, settings) =
            self.settings(&record.spec, request.policy.as_ref(), &request.settings)?;
        let check = self.close_check(&record, &request.target)?;
        if !check.allowed {
            return Ok(check);
        }
        let Check { mut items, .. } = check;
        let prediction = match self.predict(&record, &request.target, &settings) {
            Ok(prediction) => {
                let severity = if prediction.arrives { Severity::Ok } else { Severity::Warning };
                items.push(CheckItem::new("prediction", severity, &prediction.sentence));
                Some(prediction)
            }
            Err(error) => {
                let message = format!("what it would do cannot be foretold: {error}");
                items.push(CheckItem::new("prediction", Severity::Info, message));
                None
            }
        };
        Ok(Check::new(vm.clone(), request.target.clone(), items, prediction))
    }

    /// Whether another node could have a machine, without a look at what the migration would do. Takes a moment.
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn check_host(&self, vm: &VmName, target: &NodeName) -> Result<Check, NodeError> {
        self.close_check(&self.record(vm)?, target)
    }

    fn close_check(&self, record: &VmRecord, target: &NodeName) -> Result<Check, NodeError> {
        self.look_at(record, target, Look::Close)
    }

    /// All that can be looked at in no time.
    pub(super) fn precheck(
        &self,
        record: &VmRecord,
        target: &NodeName,
    ) -> Result<Check, NodeError> {
        self.look_at(record, target, Look::Quick)
    }

    fn look_at(
        &self,
        record: &VmRecord,
        target: &NodeName,
        look: Look,
    ) -> Result<Check, NodeError> {
        let mut items = vec![self.check_guest(record), self.check_others(record)?];
        if target == self.name() {
            let message = format!("it is on {target} already; choose another target");
            items.push(CheckItem::new("target", Severity::Error, message));
        } else {
            match self.check_target(record, target, look) {
                Ok(found) => items.extend(found),
                Err(error) => {
                    items.push(CheckItem::new("target", Severity::Error, error.to_string()));
                }
            }
        }
        Ok(Check::new(record.spec.name.clone(), target.clone(), items, None))
    }

    fn check_guest(&self, record: &VmRecord) -> CheckItem {
        let name = &record.spec.name;
        let (severity, message) = match (&record.ownership.holding, self.look(record)) {
            (Holding::Here { .. }, Condition::Running { migrating: false, .. }) => {
                (Severity::Ok, format!("'{name}' runs here"))
            }
            (Holding::Here { .. }, Condition::Paused { migrating: false }) => {
                (Severity::Info, format!("'{name}' is paused, and will be so at the target"))
            }
            (Holding::Here { .. }, Condition::Gone) => (
                Severity::Error,
                format!("'{name}' does not run; start it with `landfall vm start {name}`"),
            ),
            (Holding::Here { .. }, Condition::Unreachable) => (
                Severity::Error,
                format!(
                    "the monitor of '{name}' does not answer; see whether another program holds it"
                ),
            ),
            (Holding::Here { .. }, _) => (
                Severity::Error,
                format!(
                    "'{name}' is being migrated by somebody else; wait for that, or cancel it there"
                ),
            ),
            (Holding::Outgoing { .. }, _) => (Severity::Ok, format!("'{name}' is here")),
            (Holding::Incoming { from, .. }, _) => {
                (Severity::Error, format!("'{name}' is on its way here from {from}; wait for that"))
            }
            (Holding::Away { to, .. }, _) => {
                (Severity::Error, format!("'{name}' has left for {to}; ask there"))
            }
            (Holding::Refused { from, .. }, _) => {
                (Severity::Error, format!("'{name}' is on {from}; ask there"))
            }
        };
        CheckItem::new("guest", severity, message)
    }

    /// Whether the guest is on its way already, or waits for its turn.
    fn check_others(&self, record: &VmRecord) -> Result<CheckItem, NodeError> {
        let name = &record.spec.name;
        let waiting = || -> Result<_, NodeError> {
            let known = self.0.store.migrations()?;
            let mut open = known.into_iter().filter(|it| it.vm == *name && !it.state.is_final());
            Ok(open.next().map(|open| open.id))
        };
        let under_way = match record.ownership.holding {
            Holding::Here { .. } => waiting()?,
            _ => record.ownership.migration().cloned(),
        };
        Ok(match under_way {
            Some(id) => CheckItem::new(
                "migration",
                Severity::Error,
                format!("'{name}' is being migrated already ({id}); wait for that, or cancel it"),
            ),
            None => CheckItem::new(
                "migration",
                Severity::Ok,
                format!("no other migration of '{name}' is under way"),
            ),
        })
    }

    fn check_target(
        &self,
        record: &VmRecord,
        target: &NodeName,
        look: Look,
    ) -> Result<Vec<CheckItem>, NodeError> {
        let peer = self.peer(target)?;
        let (here, there) = (self.facts()?, peer.facts()?);
        let answers = match self.0.setup.protected {
            true => format!("{target} answers, and has shown that it is {target}"),
            false => format!("{target} answers"),
        };
        let mut items = vec![CheckItem::new("target", Severity::Ok, answers)];
        if there.draining {
            let message =
                format!("{target} is being emptied; choose another target, or undrain it");
            items.push(CheckItem::new("draining", Severity::Error, message));
        }
        items.push(check_version(&here, &there));
        items.extend(self.check_protection(record, look));
        items.push(check_processor(record, &here, &there));
        items.push(check_memory(record, &there));
        items.push(check_turn(&here, &there));
        let offer = Offer {
            spec: record.spec.clone(),
            migration: "check".parse().map_err(|_| NodeError::Invalid(String::new()))?,
            from: self.name().clone(),
            epoch: record.ownership.epoch + 1,
        };
        match peer.survey(&self.survey_for(record, offer.clone(), look))? {
            Some(found) => items.extend(found),
            None => {
                items.extend(peer.check(&offer)?);
                items.extend(not_looked_at(&there));
            }
        }
        agree_on_processor(&mut items);
        Ok(items)
    }

    /// What the target is told of the guest, so that it knows what to look for.
    fn survey_for(&self, record: &VmRecord, offer: Offer, look: Look) -> Survey {
        let disks = Needs::of(&record.spec.machine).disks;
        // One that cannot be opened here cannot be compared.
        let images = disks.iter().filter_map(|it| Image::at(&it.path, it.read_only).ok());
        let configuration = match look {
            Look::Quick => None,
            // Without it the target tries nothing out, and says nothing of it.
            Look::Close => self.0.machines.configuration(record).unwrap_or_default(),
        };
        Survey {
            offer,
            host: host::boot_id(),
            process: record.process.map(|process| process.pid),
            images: images.collect(),
            configuration,
        }
    }

    /// Where nodes speak TLS, no guest is to go in the open.
    fn check_protection(&self, record: &VmRecord, look: Look) -> Option<CheckItem> {
        if !self.0.setup.protected {
            let message = "its pages go in the open, on this machine alone (--insecure)";
            return Some(CheckItem::new("protection", Severity::Info, message));
        }
        if look == Look::Quick {
            return None;
        }
        Some(match self.0.machines.can_protect(record) {
            Ok(()) => CheckItem::new("protection", Severity::Ok, "its pages go over TLS"),
            Err(error) => CheckItem::new("protection", Severity::Error, error.to_string()),
        })
    }
}

/// What a target of an earlier version does not look at.
fn not_looked_at(there: &NodeFacts) -> impl Iterator<Item = CheckItem> {
    let message = format!(
        "not checked there: {} runs Landfall {}, which does not look at this; see to it by hand, or update it",
        there.name, there.version
    );
    CODES.into_iter().map(move |code| CheckItem::new(code, Severity::Info, message.clone()))
}

/// A machine that was built there has all of the processor that its guest has seen, whatever else the processors differ in.
fn agree_on_processor(items: &mut [CheckItem]) {
    let built = |item: &CheckItem| item.code == "machine" && item.severity == Severity::Ok;
    if !items.iter().any(built) {
        return;
    }
    let doubts = |item: &&mut CheckItem| item.code == "cpu" && item.severity == Severity::Warning;
    for item in items.iter_mut().filter(doubts) {
        item.severity = Severity::Info;
        let (found, _) = item.message.split_once("; ").unwrap_or((&item.message, ""));
        item.message = format!("{found}; the guest has seen none of that");
    }
}

/// Whether the guest may leave and come in at once.
fn check_turn(here: &NodeFacts, there: &NodeFacts) -> CheckItem {
    let full = |node: &NodeFacts, now: u32, most: u32, what: &str| {
        (now >= most).then(|| {
            format!("{} {what} {most} guests at a time, and this one waits for its turn", node.name)
        })
    };
    let waits = full(here, here.outgoing, here.max_outgoing, "sends")
        .or_else(|| full(there, there.incoming, there.max_incoming, "takes"));
    match waits {
        Some(message) => CheckItem::new("turn", Severity::Info, message),
        None => CheckItem::new("turn", Severity::Ok, "it need not wait for others"),
    }
}

fn check_version(here: &NodeFacts, there: &NodeFacts) -> CheckItem {
    if here.version == there.version {
        let message = format!("both run Landfall {}", here.version);
        return CheckItem::new("version", Severity::Ok, message);
    }
    let message = format!(
        "{} runs Landfall {}, {} runs {}; neighbouring versions understand each other",
        here.name, here.version, there.name, there.version
    );
    CheckItem::new("version", Severity::Warning, message)
}

fn check_processor(record: &VmRecord, here: &NodeFacts, there: &NodeFacts) -> CheckItem {
    let synthetic = matches!(&record.spec.machine, MachineSpec::Native(spec)
        if spec.machine == crate::model::MachineChoice::Synthetic);
    if !synthetic && here.kvm && !there.kvm {
        let message = format!("{} has no /dev/kvm; load the kernel's kvm module there", there.name);
        return CheckItem::new("cpu", Severity::Error, message);
    }
    let missing: Vec<_> =
        here.cpu_features.iter().filter(|it| !there.cpu_features.contains(it)).collect();
    if missing.is_empty() {
        let message = format!("the processors of {} can all that those here can", there.name);
        return CheckItem::new("cpu", Severity::Ok, message);
    }
    let some: Vec<_> = missing.iter().take(5).map(|it| it.as_str()).collect();
    let message = format!(
        "the processors of {} lack {} of what those here can ({}{}); if the guest uses it, the hand-shake refuses",
        there.name,
        missing.len(),
        some.join(", "),
        if missing.len() > some.len() { ", …" } else { "" }
    );
    CheckItem::new("cpu", Severity::Warning, message)
}

fn check_memory(record: &VmRecord, there: &NodeFacts) -> CheckItem {
    use landfall_converge::Bytes;
    let free = Bytes(there.memory_free_bytes);
    let Some(needed) = Needs::of(&record.spec.machine).memory else {
        let message = format!("{} has {free} free; see that the guest fits", there.name);
        return CheckItem::new("memory", Severity::Info, message);
    };
    if let MachineSpec::Native(NativeSpec { hugepages: Some(pages), .. }) = &record.spec.machine {
        // The target takes them and lets them go again when it builds the machine to see whether it can.
        let of = pages.name();
        let message =
            format!("{needed} are taken from the pool of {}, in huge pages of {of}", there.name);
        return CheckItem::new("memory", Severity::Info, message);
    }
    if needed <= free {
        let message = format!("{} has {free} free for {needed}", there.name);
        CheckItem::new("memory", Severity::Ok, message)
    } else {
        let message = format!(
            "{} has {free} free, and the guest needs {needed}; free some there, or choose another target",
            there.name
        );
        CheckItem::new("memory", Severity::Error, message)
    }
}
