//! What was found in a QEMU, what it lacks, and what must be put back.

use std::collections::BTreeSet;

use landfall_qmp::{Capability, CapabilityState, Command};
use serde_json::{Map, Value, json};

use crate::lever::{INCREMENT, INITIAL, MAX, TAILSLOW, THRESHOLD};
use crate::monitor::{AskError, Monitor, query, tell};

/// The state in which a QEMU was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    parameters: Map<String, Value>,
    capabilities: Vec<CapabilityState>,
    /// Parameters that are not as they were found.
    dirty: BTreeSet<String>,
    /// Capabilities that are not as they were found.
    switched: Vec<Capability>,
}

impl Found {
    pub(crate) fn of(monitor: &mut dyn Monitor) -> Result<Self, AskError> {
        let name = Command::QueryMigrateParameters.name();
        let Value::Object(parameters) = monitor.ask(name, Map::new())? else {
            return Ok(Self::default());
        };
        let raw: Vec<Value> = query(monitor, &Command::QueryMigrateCapabilities)?;
        // A later QEMU may have capabilities that are not known here; they are none of our business.
        let capabilities = raw.into_iter().filter_map(|one| serde_json::from_value(one).ok());
        Ok(Self { parameters, capabilities: capabilities.collect(), ..Self::default() })
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.parameters.get(name)?.as_u64()
    }

    /// Whether a capability is on; `None` for one that this QEMU does not have.
    pub(crate) fn capability(&self, capability: Capability) -> Option<bool> {
        let state = self.capabilities.iter().find(|one| one.capability == capability)?;
        Some(if self.switched.contains(&capability) { !state.state } else { state.state })
    }

    /// The parameters of the throttle that this QEMU does not have.
    pub(crate) fn lacking(&self) -> Vec<&'static str> {
        let all = [INITIAL, INCREMENT, MAX, THRESHOLD];
        all.into_iter().filter(|name| !self.parameters.contains_key(*name)).collect()
    }

    /// Switches a capability on or off.
    pub(crate) fn switch(
        &mut self,
        monitor: &mut dyn Monitor,
        capability: Capability,
        state: bool,
    ) -> Result<(), AskError> {
        if self.capability(capability) == Some(state) {
            return Ok(());
        }
        tell(
            monitor,
            &Command::MigrateSetCapabilities(vec![CapabilityState { capability, state }]),
        )?;
        match self.switched.iter().position(|one| *one == capability) {
            Some(index) => drop(self.switched.remove(index)),
            None => self.switched.push(capability),
        }
        Ok(())
    }

    /// Sets parameters; those that this QEMU does not have are left out.
    pub(crate) fn set(
        &mut self,
        monitor: &mut dyn Monitor,
        mut values: Map<String, Value>,
    ) -> Result<(), AskError> {
        values.retain(|name, _| self.parameters.contains_key(name));
        if values.is_empty() {
            return Ok(());
        }
        self.dirty.extend(values.keys().cloned());
        monitor.ask("migrate-set-parameters", values).map(drop)
    }

    /// Switches QEMU's slower steps at the end off, which would stand in the way.
    pub(crate) fn straighten(&mut self, monitor: &mut dyn Monitor) -> Result<(), AskError> {
        if self.parameters.get(TAILSLOW) != Some(&Value::Bool(true)) {
            return Ok(());
        }
        let mut values = Map::new();
        values.insert(TAILSLOW.to_owned(), json!(false));
        self.set(monitor, values)
    }

    /// Puts everything back as it was found. Capabilities only once no migration is under way: QEMU takes none before.
    pub(crate) fn put_back(
        &mut self,
        monitor: &mut dyn Monitor,
        migrating: bool,
    ) -> Result<(), AskError> {
        let dirty = std::mem::take(&mut self.dirty);
        let found = |name: String| self.parameters.get(&name).cloned().map(|value| (name, value));
        let values: Map<String, Value> = dirty.into_iter().filter_map(found).collect();
        if !values.is_empty() {
            monitor.ask("migrate-set-parameters", values)?;
        }
        if migrating {
            return Ok(());
        }
        for capability in std::mem::take(&mut self.switched) {
            let found = self.capabilities.iter().find(|one| one.capability == capability);
            if let Some(found) = found {
                tell(monitor, &Command::MigrateSetCapabilities(vec![*found]))?;
            }
        }
        Ok(())
    }
}
