//! Fuzzing: what reads bytes from elsewhere gets bytes that nobody thought of.

use std::num::NonZeroU32;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::command::{output, program, run, works};
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
    let mut command = nightly(workspace, &["fuzz", "run", "--fuzz-dir", FOLDER]);
    // The decoder forbids unsafe code: what a sanitizer looks for cannot be there, and it is far slower with one.
    command.args(["--sanitizer", "none", TARGET, "--"]);
    command.arg(format!("-max_total_time={}", time.as_secs()));
    // A frame that asks for much memory before it has brought any is a fault too.
    command.args(["-rss_limit_mb=2048", "-malloc_limit_mb=256"]);
    run(&mut command).into()
}

fn nightly(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = program(workspace, "cargo", ["+nightly"]);
    command.args(arguments);
    // This program was itself started by a cargo of another toolchain, which must not be handed on.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command
}

fn tools(workspace: &Workspace) -> Result<(), String> {
    output(&mut nightly(workspace, &["--version"])).map_err(|_| {
        "there is no nightly toolchain; `rustup toolchain install nightly` brings it".to_owned()
    })?;
    if !works(Command::new("c++").arg("--version")) {
        // libFuzzer is written in C++ and built here.
        tools::debian(workspace, &["g++"])?;
    }
    tools::cargo_command(workspace, "fuzz", "cargo-fuzz")
}
