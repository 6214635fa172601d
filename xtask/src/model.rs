//! Model checks: hand-shakes between threads, in every order in which they can happen.

use std::process::Command;

use crate::command::{cargo, output, run};
use crate::step::Outcome;
use crate::workspace::Workspace;

/// A crate with model checks, and what the names of these have in common.
struct Models {
    package: &'static str,
    name: &'static str,
}

const MODELS: &[Models] = &[Models { package: "landfall-vmm", name: "loom" }];

pub(crate) fn check(workspace: &Workspace) -> Outcome {
    MODELS.iter().try_for_each(|models| check_one(workspace, models)).into()
}

fn check_one(workspace: &Workspace, models: &Models) -> Result<(), String> {
    // A name that matches nothing would pass without a single check.
    let list = output(&mut cargo_test(workspace, models, &["--list"]))?;
    if !list.lines().any(|line| line.ends_with(": test")) {
        return Err(format!("{} has no test with '{}' in its name", models.package, models.name));
    }
    run(&mut cargo_test(workspace, models, &[]))
}

fn cargo_test(workspace: &Workspace, models: &Models, arguments: &[&str]) -> Command {
    let Models { package, name } = models;
    let mut command =
        cargo(workspace, ["test", "--release", "--lib", "--package", package, name, "--"]);
    command.args(arguments);
    // Everything is built differently for loom; in a folder of its own it does not drive out the ordinary build.
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", workspace.target().join("loom"));
    command
}
