//! What is known of a migration before it begins.

use super::{Node, NodeError};
use crate::machines::Condition;
use crate::model::{
    Check, CheckItem, MachineSpec, MigrationRequest, NodeFacts, NodeName, Severity, VmName,
    VmRecord,
};
use crate::ownership::Holding;
use crate::peer::Offer;

/// Where nodes speak TLS, no guest is to go in the open.
const UNPROTECTED: &str = "the pages of a QEMU cannot be sent over TLS by a node so far; move it with `landfall migrate SOCKET` and QEMU's own tls-creds";

impl Node {
    /// Looks at everything that a migration depends on, and predicts what it would do. Takes a second or two.
    ///
    /// # Errors
    /// When there is no such machine, or the settings are out of range.
    pub fn check(&self, vm: &VmName, request: &MigrationRequest) -> Result<Check, NodeError> {
        let record = self.record(vm)?;
        let (_, settings) =
            self.settings(&record.spec, request.policy.as_ref(), &request.settings)?;
        let check = self.precheck(&record, &request.target)?;
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

    /// All that can be looked at in no time.
    pub(super) fn precheck(
        &self,
        record: &VmRecord,
        target: &NodeName,
    ) -> Result<Check, NodeError> {
        let mut items = vec![self.check_guest(record)];
        if target == self.name() {
            let message = format!("it is on {target} already; choose another target");
            items.push(CheckItem::new("target", Severity::Error, message));
        } else {
            match self.check_target(record, target) {
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
            (Holding::Outgoing { migration, .. } | Holding::Incoming { migration, .. }, _) => (
                Severity::Error,
                format!(
                    "'{name}' is being migrated already ({migration}); wait for that, or cancel it"
                ),
            ),
            (Holding::Away { to, .. }, _) => {
                (Severity::Error, format!("'{name}' has left for {to}; ask there"))
            }
            (Holding::Refused { from, .. }, _) => {
                (Severity::Error, format!("'{name}' is on {from}; ask there"))
            }
        };
        CheckItem::new("guest", severity, message)
    }

    fn check_target(
        &self,
        record: &VmRecord,
        target: &NodeName,
    ) -> Result<Vec<CheckItem>, NodeError> {
        let peer = self.peer(target)?;
        let (here, there) = (self.facts()?, peer.facts()?);
        let mut items = vec![CheckItem::new("target", Severity::Ok, format!("{target} answers"))];
        if there.draining {
            let message =
                format!("{target} is being emptied; choose another target, or undrain it");
            items.push(CheckItem::new("draining", Severity::Error, message));
        }
        items.push(check_version(&here, &there));
        if self.0.setup.protected && matches!(record.spec.machine, MachineSpec::Qemu(_)) {
            items.push(CheckItem::new("protection", Severity::Error, UNPROTECTED));
        }
        items.push(check_processor(record, &here, &there));
        items.push(check_memory(record, &there));
        if there.incoming >= there.max_incoming {
            let message = format!(
                "{target} takes {} guests at a time, and this one waits for its turn",
                there.max_incoming
            );
            items.push(CheckItem::new("turn", Severity::Info, message));
        }
        let offer = Offer {
            spec: record.spec.clone(),
            migration: "check".parse().map_err(|_| NodeError::Invalid(String::new()))?,
            from: self.name().clone(),
            epoch: record.ownership.epoch + 1,
        };
        items.extend(peer.check(&offer)?);
        Ok(items)
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
    let MachineSpec::Native(spec) = &record.spec.machine else {
        let message = format!("{} has {free} free; see that the guest fits", there.name);
        return CheckItem::new("memory", Severity::Info, message);
    };
    let needed = spec.memory.value();
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
