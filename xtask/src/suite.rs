//! The tests that are written in Rust.

use crate::command::{cargo, run, works};
use crate::step::Outcome;
use crate::workspace::Workspace;

pub(crate) fn tests(workspace: &Workspace) -> Outcome {
    let run_tests = || {
        if works(&mut cargo(workspace, ["nextest", "--version"])) {
            // The output of tests that fail stands at the end, where it is looked for.
            let nextest = [
                "nextest",
                "run",
                "--workspace",
                "--no-fail-fast",
                "--failure-output",
                "immediate-final",
            ];
            return run(&mut cargo(workspace, nextest));
        }
        println!("cargo-nextest is not installed; cargo test runs the same tests");
        run(&mut cargo(workspace, ["test", "--workspace", "--all-targets", "--no-fail-fast"]))
    };
    let run_examples =
        || run(&mut cargo(workspace, ["test", "--workspace", "--doc", "--no-fail-fast"]));
    // Both are run whatever became of the first.
    let (tests, examples) = (run_tests(), run_examples());
    tests.and(examples).into()
}
