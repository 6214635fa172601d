//! The machines of a node.

use std::path::PathBuf;

use super::{Node, NodeError, lock};
use crate::machines::{Condition, MachineError};
use crate::model::{MachineSpec, PolicyName, QemuSpec, VmName, VmRecord, VmSpec, VmState, VmView};
use crate::ownership::{Conflict, Holding, Ownership};

impl Node {
    /// Every machine that this node knows of, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn vms(&self) -> Result<Vec<VmView>, NodeError> {
        self.0.store.vms()?.into_iter().map(|record| self.view(record)).collect()
    }

    /// One machine.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn vm(&self, name: &VmName) -> Result<VmView, NodeError> {
        self.view(self.record(name)?)
    }

    pub(super) fn record(&self, name: &VmName) -> Result<VmRecord, NodeError> {
        self.0.store.vm(name)?.ok_or_else(|| NodeError::NoVm(name.clone()))
    }

    fn view(&self, record: VmRecord) -> Result<VmView, NodeError> {
        let condition = self.condition(&record);
        let migration = match record.ownership.migration() {
            Some(id) => self.0.store.migration(id)?,
            None => None,
        };
        let throttle = match condition {
            Condition::Running { throttle, .. } => throttle,
            _ => 0.0,
        };
        let migration = migration.map(|migration| self.show(&migration));
        let shown = migration.as_ref().and_then(|it| it.progress.as_ref());
        Ok(VmView {
            node: self.name().clone(),
            state: state(&record.ownership.holding, condition),
            throttle: shown.map_or(throttle, |progress| progress.throttle),
            pid: record.process.filter(|process| process.is_alive()).map(|process| process.pid),
            spec: record.spec,
            ownership: record.ownership,
            monitor: record.monitor,
            trouble: record.trouble,
            settlement: record.settlement,
            migration,
        })
    }

    /// What the machine was last seen to do; asked of it where that is not known.
    fn condition(&self, record: &VmRecord) -> Condition {
        let known = lock(&self.0.conditions).get(&record.spec.name).copied();
        known.unwrap_or_else(|| self.look(record))
    }

    /// What the machine does now. Tells everybody if that has changed.
    pub(super) fn look(&self, record: &VmRecord) -> Condition {
        let name = &record.spec.name;
        let condition = match record.ownership.holding {
            Holding::Away { .. } | Holding::Refused { .. } => Condition::Gone,
            _ => self.0.machines.condition(record),
        };
        let before = lock(&self.0.conditions).insert(name.clone(), condition);
        if before.is_some_and(|before| before != condition) {
            self.tell_vm(name);
        }
        condition
    }

    /// Tells everybody how a machine is now.
    pub(super) fn tell_vm(&self, name: &VmName) {
        if let Ok(view) = self.vm(name) {
            self.0.events.tell("vm", name.as_str(), &view);
        }
    }

    /// Takes a machine of Landfall's own in, and starts it.
    ///
    /// # Errors
    /// When there is one of this name already, or it does not come up; nothing of it is left then.
    pub fn create(&self, mut spec: VmSpec) -> Result<VmView, NodeError> {
        let MachineSpec::Native(native) = &mut spec.machine else {
            return Err(NodeError::Invalid(
                "a QEMU is adopted, not made; use `landfall vm adopt NAME SOCKET`".to_owned(),
            ));
        };
        native.check()?;
        native.settle().map_err(NodeError::Random)?;
        self.settings(&spec, spec.policy.as_ref(), &Default::default())?;
        let name = spec.name.clone();
        self.insert(VmRecord {
            ownership: Ownership::first(),
            process: None,
            monitor: self.0.setup.monitor(&name),
            trouble: None,
            settlement: None,
            spec,
        })?;
        match self.start(&name) {
            Ok(view) => Ok(view),
            Err(error) => {
                self.0.store.forget_vm(&name)?;
                Err(error)
            }
        }
    }

    /// Takes a QEMU in that somebody else has started and owns.
    ///
    /// # Errors
    /// When there is a machine of this name already, or nothing answers at the socket.
    pub fn adopt(
        &self,
        name: VmName,
        qemu: QemuSpec,
        policy: Option<PolicyName>,
    ) -> Result<VmView, NodeError> {
        if !qemu.socket.is_absolute() {
            return Err(NodeError::Invalid(
                "give the whole path of the monitor's socket, beginning with /".to_owned(),
            ));
        }
        let monitor = qemu.socket.clone();
        let spec = VmSpec { name: name.clone(), policy, machine: MachineSpec::Qemu(qemu) };
        self.settings(&spec, spec.policy.as_ref(), &Default::default())?;
        let mut record = VmRecord {
            spec,
            ownership: Ownership::first(),
            process: None,
            monitor,
            trouble: None,
            settlement: None,
        };
        let (process, command) = self.0.machines.find(&record)?;
        record.process = Some(process);
        if let MachineSpec::Qemu(qemu) = &mut record.spec.machine
            && qemu.command.is_empty()
        {
            qemu.command = command;
        }
        self.insert(record.clone())?;
        self.look(&record);
        self.tell_vm(&name);
        self.vm(&name)
    }

    fn insert(&self, record: VmRecord) -> Result<(), NodeError> {
        let name = record.spec.name.clone();
        self.0.store.change_vm(&name, |before| match before {
            // One that has left, or never came, makes room for another. Its epoch goes on: it may come back.
            Some(before) => match before.ownership.holding {
                Holding::Away { .. } | Holding::Refused { .. } => {
                    let ownership =
                        Ownership { epoch: before.ownership.epoch + 1, ..record.ownership };
                    Ok(VmRecord { ownership, ..record })
                }
                _ => Err(NodeError::Conflict(Conflict::HereAlready)),
            },
            None => Ok(record),
        })?;
        Ok(())
    }

    /// Starts a machine that has stopped.
    ///
    /// # Errors
    /// When it is not here, runs already, or does not come up.
    pub fn start(&self, name: &VmName) -> Result<VmView, NodeError> {
        let record = self.record(name)?;
        self.here(&record)?;
        if !matches!(self.look(&record), Condition::Gone) {
            return Err(NodeError::Busy(format!("'{name}' runs already")));
        }
        let process = self.0.machines.start(&record)?;
        let record = self.0.store.change_vm::<NodeError>(name, |record| {
            let record = record.ok_or_else(|| NodeError::NoVm(name.clone()))?;
            Ok(VmRecord { process: Some(process), trouble: None, ..record })
        })?;
        self.look(&record);
        self.tell_vm(name);
        self.vm(name)
    }

    /// Ends a machine, as if its power were cut.
    ///
    /// # Errors
    /// When it is not here, or on its way.
    pub fn stop(&self, name: &VmName) -> Result<VmView, NodeError> {
        let record = self.record(name)?;
        self.here(&record)?;
        self.0.machines.end(&record);
        self.look(&record);
        self.tell_vm(name);
        self.vm(name)
    }

    /// Asks the guest of a machine to end, by its power button, and does not wait for that.
    ///
    /// # Errors
    /// When it is not here, on its way, or has no such button.
    pub fn ask_to_stop(&self, name: &VmName) -> Result<VmView, NodeError> {
        let record = self.record(name)?;
        self.here(&record)?;
        match self.look(&record) {
            Condition::Gone => {}
            Condition::Running { .. } => {
                self.0.machines.press_button(&record).map_err(|error| no_button(name, error))?;
                self.look(&record);
            }
            _ => {
                return Err(NodeError::Busy(format!(
                    "'{name}' does not run, so its guest cannot be asked; end it as if its power were cut, with `landfall vm stop \
                     {name} --force`"
                )));
            }
        }
        self.vm(name)
    }

    /// Forgets a machine. One of Landfall's own must have stopped; a QEMU runs on.
    ///
    /// # Errors
    /// When it runs, or is on its way.
    pub fn forget(&self, name: &VmName) -> Result<(), NodeError> {
        let record = self.record(name)?;
        if let Some(migration) = record.ownership.migration() {
            return Err(NodeError::Conflict(Conflict::UnderWay(migration.clone())));
        }
        let own = matches!(record.spec.machine, MachineSpec::Native(_));
        if own && !matches!(self.look(&record), Condition::Gone) {
            return Err(NodeError::Busy(format!(
                "'{name}' runs; stop it first with `landfall vm stop {name} --force`"
            )));
        }
        self.0.store.forget_vm(name)?;
        lock(&self.0.conditions).remove(name);
        self.0.events.tell("vm", name.as_str(), &serde_json::Value::Null);
        Ok(())
    }

    fn here(&self, record: &VmRecord) -> Result<(), NodeError> {
        match &record.ownership.holding {
            Holding::Here { .. } => Ok(()),
            Holding::Outgoing { migration, .. } | Holding::Incoming { migration, .. } => {
                Err(NodeError::Conflict(Conflict::UnderWay(migration.clone())))
            }
            Holding::Away { .. } | Holding::Refused { .. } => {
                Err(NodeError::Conflict(Conflict::NotHere))
            }
        }
    }
}

impl super::Setup {
    /// Where the monitor of a machine listens that is started here.
    pub(super) fn monitor(&self, name: &VmName) -> PathBuf {
        self.machines.join(name.as_str()).join("qmp")
    }
}

fn no_button(name: &VmName, error: MachineError) -> NodeError {
    match error {
        MachineError::Unsupported(_) => NodeError::Invalid(format!(
            "'{name}' has no power button by which its guest could be asked; end it from inside, or as if its power were cut, with \
             `landfall vm stop {name} --force`"
        )),
        error => error.into(),
    }
}

fn state(holding: &Holding, condition: Condition) -> VmState {
    match (holding, condition) {
        (Holding::Away { .. } | Holding::Refused { .. }, _) => VmState::Away,
        (_, Condition::InDoubt) => VmState::InDoubt,
        (Holding::Incoming { .. }, _) => VmState::Incoming,
        (_, Condition::Running { .. }) => VmState::Running,
        (_, Condition::Paused { .. } | Condition::Awaiting | Condition::GivenAway) => {
            VmState::Paused
        }
        (_, Condition::Gone) => VmState::Stopped,
        (_, Condition::Unreachable) => VmState::Unreachable,
    }
}
