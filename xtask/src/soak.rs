//! The soak: daemons killed at random moments of migrations, for as many kills as one likes.

use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::Args;

use crate::command::{cargo, run};
use crate::workspace::Workspace;

/// The test that is run; a short one of it is among the others.
const TEST: &str = "whichever_daemon_is_killed_whenever_the_guest_runs_exactly_once";

/// How long it goes on, and by which chance.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SoakArgs {
    /// How many daemons are killed.
    #[arg(long, value_name = "N", default_value = "500")]
    kills: NonZeroU32,
    /// The seed of the random moments, as an earlier soak has printed it; another one each time if not given.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

pub(crate) fn soak(workspace: &Workspace, args: SoakArgs) -> ExitCode {
    let words = ["test", "-p", "landfall", "--test", "cli", "--", TEST, "--nocapture"];
    let mut command = cargo(workspace, words);
    command.env("LANDFALL_SOAK_KILLS", args.kills.to_string());
    if let Some(seed) = args.seed {
        command.env("LANDFALL_SOAK_SEED", seed.to_string());
    }
    match run(&mut command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
