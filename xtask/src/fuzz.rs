//! Fuzzing: what reads bytes from elsewhere gets bytes that nobody thought of.

use std::num::NonZeroU32;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::command::{cargo, run, works};
use crate::step::Outcome;
use crate::tools;
use crate::workspace::Workspace;

const FOLDER: &str = "crates/migrate/fuzz";
/// What decodes frames, and what makes pages of what is in them.
const TARGETS: [&str; 2] = ["wire_decode", "unpack"];
/// For each of them.
const SHORT: Duration = Duration::from_secs(30);

pub(crate) fn run_short(workspace: &Workspace) -> Outcome {
    fuzz(workspace, SHORT)
}

pub(crate) fn run_long(workspace: &Workspace, minutes: NonZeroU32) -> ExitCode {
    match fuzz(workspace, Duration::from_secs(60) * minutes.get()) {
        Outcome::Passed => ExitCode::SUCCESS,
        Outcome::Failed(reason) | Outcome::Skipped(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz(workspace: &Workspace, time: Duration) -> Outcome {
    if !workspace.path(FOLDER).join("Cargo.toml").is_file() {
        return Outcome::Failed(format!("there is no fuzz target in {FOLDER}"));
    }
    if let Err(missing) = tools(workspace) {
        return Outcome::Skipped(missing);
    }
    let mut outcomes = TARGETS.into_iter().map(|target| fuzz_target(workspace, target, time));
    outcomes.find(|outcome| !matches!(outcome, Outcome::Passed)).unwrap_or(Outcome::Passed)
}

fn fuzz_target(workspace: &Workspace, target: &str, time: Duration) -> Outcome {
    let mut command = cargo(workspace, ["fuzz", "run", "--fuzz-dir", FOLDER]);
    // The code forbids unsafe code: what a sanitizer looks for cannot be there, but for zstd, which is fuzzed by its makers.
    // Without one, fuzzing is far faster and needs no nightly toolchain.
    command.args(["--sanitizer", "none", target, "--"]);
    command.arg(format!("-max_total_time={}", time.as_secs()));
    // A frame that asks for much memory before it has brought any is a fault too.
    command.args(["-rss_limit_mb=2048", "-malloc_limit_mb=256"]);
    run(&mut command).into()
}

fn tools(workspace: &Workspace) -> Result<(), String> {
    if !works(Command::new("c++").arg("--version")) {
        // libFuzzer is written in C++ and built here.
        tools::debian(workspace, &["g++"])?;
    }
    tools::cargo_command(workspace, "fuzz", "cargo-fuzz")
}
