//! What happens inside a lab machine: one trial after the other, until one fails.

mod connection;
mod host;
mod killing;
mod trials;

use std::process::ExitCode;
use std::time::Instant;

use self::host::Host;
use self::trials::{TRIALS, Trial};
use super::machine::{FAILED, FINISHED, NEWS};

/// The names of the trials, and what each shows.
pub(super) fn trials() -> impl Iterator<Item = (&'static str, &'static str)> {
    TRIALS.iter().map(|Trial { name, about, .. }| (*name, *about))
}

/// Runs every trial, or the one that is asked for, and tells the lab how each ended.
pub(crate) fn lab_inside(only: Option<&str>) -> ExitCode {
    for trial in TRIALS.iter().filter(|trial| only.is_none_or(|name| name == trial.name)) {
        let begin = Instant::now();
        let ended = Host::new().and_then(|mut host| (trial.run)(&mut host));
        match ended {
            Ok(()) => {
                println!("{NEWS}{}: ok, {:.1} s", trial.about, begin.elapsed().as_secs_f64());
            }
            Err(error) => {
                for line in error.lines().skip(1) {
                    println!("{NEWS}{line}");
                }
                println!("{FAILED}{}: {}", trial.about, error.lines().next().unwrap_or_default());
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{FINISHED}");
    ExitCode::SUCCESS
}
