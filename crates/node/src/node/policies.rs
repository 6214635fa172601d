//! Policies of a node.

use super::{Node, NodeError};
use crate::model::{DEFAULT_POLICY, Policy, PolicyName, Settings, SettingsChange, VmSpec};

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
        if is_built_in(&policy.name) {
            return Err(NodeError::BuiltIn(policy.name.clone()));
        }
        Ok(self.0.store.put_policy(policy)?)
    }

    /// Removes a policy that was added.
    ///
    /// # Errors
    /// When there is none, or it comes with Landfall.
    pub fn remove_policy(&self, name: &PolicyName) -> Result<(), NodeError> {
        if is_built_in(name) {
            return Err(NodeError::BuiltIn(name.clone()));
        }
        self.policy(name)?;
        Ok(self.0.store.remove_policy(name)?)
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
        let policy = match policy.or(vm.policy.as_ref()) {
            Some(name) => self.policy(name)?,
            None => {
                let mut usual = Policy::built_in();
                usual.retain(|policy| policy.name.as_str() == DEFAULT_POLICY);
                usual.swap_remove(0)
            }
        };
        let settings = policy.settings.with(change);
        settings.check()?;
        Ok((policy.name, settings))
    }
}

fn is_built_in(name: &PolicyName) -> bool {
    Policy::built_in().iter().any(|policy| policy.name == *name)
}
