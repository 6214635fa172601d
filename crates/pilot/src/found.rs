//! What was found in a QEMU, what it lacks, and what must be put back.

use std::collections::BTreeSet;

use landfall_qmp::{Capability, CapabilityState, Command};
use serde_json::{Map, Value, json};

use crate::lever::{INCREMENT, INITIAL, MAX, TAILSLOW, THRESHOLD};
use crate::memo::{Changed, Memo};
use crate::monitor::{AskError, Monitor, query, tell};

/// The state in which a QEMU was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    parameters: Map<String, Value>,
    capabilities: Vec<CapabilityState>,
    /// Parameters that are not as they were found.
    dirty: BTreeSet<String>,
    /// Parameters as they were set last.
    set: Map<String, Value>,
    /// Capabilities that are not as they were found.
    switched: Vec<Capability>,
    memo: Memo,
}

impl Found {
    /// What is there now; and what was there before a pilot that was killed, as far as it is still as that one left it.
    pub(crate) fn of(monitor: &mut dyn Monitor, memo: Memo) -> Result<Self, AskError> {
        let name = Command::QueryMigrateParameters.name();
        let parameters = match monitor.ask(name, Map::new())? {
            Value::Object(parameters) => parameters,
            _ => Map::new(),
        };
        let raw: Vec<Value> = query(monitor, &Command::QueryMigrateCapabilities)?;
        // A later QEMU may have capabilities that are not known here; they are none of our business.
        let capabilities = raw.into_iter().filter_map(|one| serde_json::from_value(one).ok());
        let mut this = Self {
            parameters,
            capabilities: capabilities.collect(),
            dirty: BTreeSet::new(),
            set: Map::new(),
            switched: Vec::new(),
            memo,
        };
        if let Some(left) = this.memo.read() {
            this.adopt(&left);
        }
        Ok(this)
    }

    fn adopt(&mut self, left: &Changed) {
        let mut all = true;
        for (name, found) in &left.found {
            match self.parameters.get_mut(name) {
                Some(now) if left.left(name, now) => {
                    if now == found {
                        continue;
                    }
                    self.set.insert(name.clone(), std::mem::replace(now, found.clone()));
                    self.dirty.insert(name.clone());
                }
                // Somebody has set it since, or this is another QEMU.
                _ => all = false,
            }
        }
        for found in left.capabilities.iter().filter(|_| all) {
            let now = self.capabilities.iter_mut().find(|one| one.capability == found.capability);
            if let Some(now) = now.filter(|now| now.state != found.state) {
                now.state = found.state;
                self.switched.push(found.capability);
            }
        }
        self.remember(self.set.clone());
    }

    /// Whether anything is not as it was found.
    pub(crate) fn is_changed(&self) -> bool {
        !self.dirty.is_empty() || !self.switched.is_empty()
    }

    /// Keeps what is changed, for whoever comes after one that is killed. `before` is what was set until now.
    fn remember(&self, before: Map<String, Value>) {
        if !self.is_changed() {
            return self.memo.forget();
        }
        let found = |name: &String| Some((name.clone(), self.parameters.get(name)?.clone()));
        let found: Map<String, Value> = self.dirty.iter().filter_map(found).collect();
        let switched = |one: &&CapabilityState| self.switched.contains(&one.capability);
        self.memo.write(&Changed {
            before: found.clone().into_iter().chain(before).collect(),
            found,
            set: self.set.clone(),
            capabilities: self.capabilities.iter().filter(switched).copied().collect(),
        });
    }

    /// Whether this QEMU has a parameter.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
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
        self.remember(self.set.clone());
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
        let before = self.set.clone();
        self.set.extend(values.clone());
        self.remember(before);
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
            let put_back = monitor.ask("migrate-set-parameters", values);
            if put_back.as_ref().is_err_and(AskError::is_gone) {
                self.memo.forget();
            }
            put_back?;
        }
        self.set.clear();
        self.remember(Map::new());
        if migrating {
            return Ok(());
        }
        for capability in std::mem::take(&mut self.switched) {
            let found = self.capabilities.iter().find(|one| one.capability == capability);
            if let Some(found) = found {
                tell(monitor, &Command::MigrateSetCapabilities(vec![*found]))?;
            }
        }
        self.memo.forget();
        Ok(())
    }
}
