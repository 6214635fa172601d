//! Fuzzing: what reads bytes from elsewhere gets bytes that nobody thought of.

use std::num::NonZeroU32;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::command::{cargo, run, works};
use crate::step::Outcome;
use crate::tools;
use crate::workspace::Workspace;

const FOLDER: &str = "crates/migrate/fuzz";
const TARGET: &str = "wire_decode";
const SHORT: Duration = Duration::from_secs(45);

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
    let mut command = cargo(workspace, ["fuzz", "run", "--fuzz-dir", FOLDER]);
    // The decoder forbids unsafe code: what a sanitizer looks for cannot be there. Without one, fuzzing is far faster and
    // needs no nightly toolchain.
    command.args(["--sanitizer", "none", TARGET, "--"]);
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
