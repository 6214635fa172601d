//! What can be said of the code without running it.

use std::collections::BTreeMap;

use crate::command::{cargo, output, run};
use crate::step::Outcome;
use crate::workspace::Workspace;

pub(crate) fn format(workspace: &Workspace) -> Outcome {
    run(&mut cargo(workspace, ["fmt", "--all", "--check"])).into()
}

pub(crate) fn clippy(workspace: &Workspace) -> Outcome {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run(&mut cargo(workspace, arguments)).into()
}

pub(crate) fn docs(workspace: &Workspace) -> Outcome {
    let mut command = cargo(workspace, ["doc", "--workspace", "--no-deps"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings")).into()
}

/// Crates whose types appear in the interfaces of others: two versions of one do not fit together.
const ONE_VERSION: [&str; 4] = ["vm-memory", "vmm-sys-util", "kvm-bindings", "kvm-ioctls"];

pub(crate) fn crates(workspace: &Workspace) -> Outcome {
    let arguments = ["tree", "--workspace", "--duplicates", "--depth", "0", "--prefix", "none"];
    let tree = match output(&mut cargo(workspace, arguments)) {
        Ok(tree) => tree,
        Err(error) => return Outcome::Failed(error),
    };
    let versions = versions(&tree);
    for (name, versions) in &versions {
        println!("{name}: {}", versions.join(", "));
    }
    let twice = ONE_VERSION.into_iter().filter(|name| versions.contains_key(name));
    let twice: Vec<_> = twice.collect();
    if twice.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Failed(format!("there is more than one version of {}", twice.join(", ")))
    }
}

/// The crates of which there is more than one version, from what `cargo tree --duplicates` prints.
fn versions(tree: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            let known = versions.entry(name).or_default();
            // The same version stands there twice when it is built with different features.
            if !known.contains(&version) {
                known.push(version);
            }
        }
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
