//! What happens inside a lab machine: a trial, and the services that it needs.

mod boot;
mod connection;
mod devices;
mod greeting;
mod helper;
mod holding;
mod host;
mod killing;
mod link;
mod moving;
mod pages;
mod place;
mod service;
mod trials;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use landfall_qmp::{Client, Command};

use self::host::{Host, LIMIT};
pub(super) use self::trials::{TRIALS, Trial};
use super::machine::{FAILED, FINISHED, NEWS, READY};

/// Does what the first program of a lab machine, or a trial, asks for.
pub(crate) fn lab_inside(words: &[String]) -> ExitCode {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let done = match &words[..] {
        ["trial", name] => return trial(name),
        ["serve"] => service::serve(),
        ["at", address, command @ ..] => return service::run_at(address, command),
        ["quit", socket] => quit(Path::new(socket)),
        ["greeted", address] => greeting::die_when_greeted(address),
        ["hold", disk] => holding::hold(Path::new(disk)),
        _ => Err("this is what a lab machine says to itself; see `cargo xtask lab`".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a trial, and tells the lab how it ended.
fn trial(name: &str) -> ExitCode {
    let Some(trial) = TRIALS.iter().find(|trial| trial.name == name) else {
        println!("{FAILED}there is no trial {name}");
        return ExitCode::FAILURE;
    };
    if trial.hosts > 1 {
        // A line comes when the other one is ready, too.
        println!("{READY}");
        let _ = std::io::stdin().read_line(&mut String::new());
    }
    let begin = Instant::now();
    let ended = Host::new().and_then(|mut host| (trial.run)(&mut host));
    if let Err(error) = ended {
        for line in error.lines().skip(1) {
            println!("{NEWS}{line}");
        }
        println!("{FAILED}{}: {}", trial.about, error.lines().next().unwrap_or_default());
        return ExitCode::FAILURE;
    }
    println!("{NEWS}{}: ok, {:.1} s", trial.about, begin.elapsed().as_secs_f64());
    println!("{FINISHED}");
    ExitCode::SUCCESS
}

/// Ends the machine whose monitor listens there.
fn quit(socket: &Path) -> Result<(), String> {
    let mut client = Client::connect(socket, LIMIT).map_err(|error| error.to_string())?;
    client.execute(&Command::Quit).map(drop).map_err(|error| error.to_string())
}
