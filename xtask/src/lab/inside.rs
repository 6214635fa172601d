//! What happens inside a lab machine: one trial after the other, until one fails.

mod connection;
mod host;
mod trials;

use std::process::ExitCode;
use std::time::Instant;

use self::host::Host;
use self::trials::TRIALS;
use super::machine::{FAILED, FINISHED, NEWS};

/// Runs every trial, and tells the lab how each ended.
pub(crate) fn lab_inside() -> ExitCode {
    for trial in TRIALS {
        let begin = Instant::now();
        let ended = Host::new().and_then(|mut host| (trial.run)(&mut host));
        match ended {
            Ok(()) => {
                println!("{NEWS}{}: ok, {:.1} s", trial.name, begin.elapsed().as_secs_f64());
            }
            Err(error) => {
                for line in error.lines().skip(1) {
                    println!("{NEWS}{line}");
                }
                println!("{FAILED}{}: {}", trial.name, error.lines().next().unwrap_or_default());
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{FINISHED}");
    ExitCode::SUCCESS
}
