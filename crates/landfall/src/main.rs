//! The command line: one binary that runs machines, moves them, and tells what it did.

#![forbid(unsafe_code)]

mod args;
mod cert;
mod channels;
mod check;
mod demo;
mod error;
mod exit;
mod follow;
mod host;
mod interrupts;
mod limits;
mod log;
mod manual;
mod migrate;
mod migration;
mod node;
mod pilot;
mod plan;
mod progress;
mod qemu;
mod security;
mod settle;
mod simulate;
mod snapshot;
mod status;
mod table;
mod vm_run;

#[cfg(test)]
#[path = "../../node/src/summary_fixture.rs"]
mod tests_report;

use std::process::ExitCode;

use clap::Parser;
use landfall_node::{quantities, render, summary};

use crate::args::{Cli, Command, VmCommand};

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::begin(match &cli.command {
        Command::Node(args) if args.is_a_daemon() => log::OF_A_DAEMON,
        _ => log::OF_COMMANDS,
    });
    let result = match cli.command {
        Command::Cert(command) => cert::cert(&command),
        Command::Demo(args) => demo::demo(&args),
        Command::Migrate(args) => migrate::migrate(&args),
        Command::Migration(command) => migration::migration(&command),
        Command::Node(args) => node::node(args),
        Command::Policy(command) => host::policy::policy(&command),
        Command::Pilot(args) => pilot::pilot(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Status(args) => status::status(&args),
        Command::Settle(args) => settle::settle(&args),
        Command::Vm(VmCommand::Run(args)) => vm_run::vm_run(*args),
        Command::Vm(VmCommand::Snapshot(args)) => snapshot::snapshot(&args),
        Command::Vm(VmCommand::Check(args)) => check::check(&args),
        Command::Vm(VmCommand::Host(command)) => host::vm::vm(&command),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print();
            error.exit().into()
        }
    }
}
