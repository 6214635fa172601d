//! Policies of a node.

use super::{Node, NodeError};
use crate::model::{
    DEFAULT_POLICY, Policy, PolicyName, Settings, SettingsChange, VmName, VmRecord, VmSpec, VmView,
};
use crate::ownership::Conflict;

/// What commands say for a machine that has no policy of its own.
const NO_POLICY: &str = "none";

impl Node {
    /// Every policy: those that come with Landfall, then those that were added, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn policies(&self) -> Result<Vec<Policy>, NodeError> {
        let mut policies = Policy::built_in();
        policies.extend(self.0.store.policies()?);
        Ok(policies)
    }

    /// One policy.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn policy(&self, name: &PolicyName) -> Result<Policy, NodeError> {
        let mut policies = self.policies()?;
        let index = policies.iter().position(|policy| policy.name == *name);
        index.map(|at| policies.swap_remove(at)).ok_or_else(|| NodeError::NoPolicy(name.clone()))
    }

    /// Adds a policy, or replaces one that was added.
    ///
    /// # Errors
    /// When it comes with Landfall, or cannot be kept.
    pub fn set_policy(&self, policy: &Policy) -> Result<(), NodeError> {
        policy.settings.check()?;
        if policy.name.as_str() == NO_POLICY {
            return Err(NodeError::Invalid(format!(
                "no policy can be called '{NO_POLICY}': that word says that a machine has none of its own; choose another name"
            )));
        }
        if is_built_in(&policy.name) {
            return Err(NodeError::BuiltIn(policy.name.clone()));
        }
        Ok(self.0.store.put_policy(policy)?)
    }

    /// Removes a policy that was added.
    ///
    /// # Errors
    /// When there is none, it comes with Landfall, or a machine has it.
    pub fn remove_policy(&self, name: &PolicyName) -> Result<(), NodeError> {
        if is_built_in(name) {
            return Err(NodeError::BuiltIn(name.clone()));
        }
        self.policy(name)?;
        let vms = self.0.store.vms()?;
        let has_it =
            |vm: &&VmRecord| vm.spec.policy.as_ref() == Some(name) && vm.ownership.may_run_here();
        if let Some(vm) = vms.iter().find(has_it) {
            return Err(NodeError::Busy(format!(
                "'{}' migrates by the policy '{name}'; give it another first",
                vm.spec.name
            )));
        }
        Ok(self.0.store.remove_policy(name)?)
    }

    /// Has a machine migrate by another policy where nothing else is asked for; the node's usual one without a name.
    ///
    /// # Errors
    /// When there is no such machine here, or no such policy.
    pub fn set_policy_of(
        &self,
        vm: &VmName,
        policy: Option<PolicyName>,
    ) -> Result<VmView, NodeError> {
        if let Some(name) = &policy {
            self.policy(name)?;
        }
        self.0.store.change_vm::<NodeError>(vm, |record| {
            let mut record = record.ok_or_else(|| NodeError::NoVm(vm.clone()))?;
            if !record.ownership.may_run_here() {
                return Err(NodeError::Conflict(Conflict::NotHere));
            }
            record.spec.policy = policy;
            Ok(record)
        })?;
        self.tell_vm(vm);
        self.vm(vm)
    }

    /// The policy that holds for a migration of `vm`, and its settings with what is to be otherwise.
    ///
    /// # Errors
    /// When there is no such policy, or the settings are out of range.
    pub fn settings(
        &self,
        vm: &VmSpec,
        policy: Option<&PolicyName>,
        change: &SettingsChange,
    ) -> Result<(PolicyName, Settings), NodeError> {
        let own = || vm.policy.as_ref().and_then(|name| self.policy(name).ok());
        let policy = match policy {
            Some(name) => self.policy(name)?,
            // A machine may have come from a node that has more policies than this one.
            None => own().unwrap_or_else(|| {
                let mut usual = Policy::built_in();
                usual.retain(|policy| policy.name.as_str() == DEFAULT_POLICY);
                usual.swap_remove(0)
            }),
        };
        let settings = policy.settings.with(change);
        settings.check()?;
        Ok((policy.name, settings))
    }
}

fn is_built_in(name: &PolicyName) -> bool {
    Policy::built_in().iter().any(|policy| policy.name == *name)
}
