//! Landfall's tasks: `cargo xtask test` runs every test there is, `cargo xtask fuzz` fuzzes for longer, `cargo xtask
//! compare` puts stock QEMU and Landfall side by side, `cargo xtask lab` moves a Linux guest in a KVM inside an emulated
//! machine, `cargo xtask soak` kills daemons during migrations, `cargo xtask screenshots` takes the pictures of the pages
//! that are in docs/.

#![forbid(unsafe_code)]

mod browser;
mod command;
mod compare;
mod fuzz;
mod lab;
mod lint;
mod model;
mod python;
mod qemu;
mod soak;
mod step;
mod suite;
mod tools;
mod workspace;

use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::step::{STEPS, Step};
use crate::workspace::Workspace;

/// Landfall's tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs every test there is, one step after the other, and sums up at the end.
    #[command(after_help = steps_help())]
    Test {
        /// Only these steps; all of them if none is named.
        #[arg(value_name = "STEP", value_parser = step_named)]
        steps: Vec<&'static Step>,
    },
    /// Migrates the same guest under stock QEMU and under Landfall, and shows what each takes and costs.
    Compare(compare::CompareArgs),
    /// Boots and moves a Linux guest in a KVM of its own, inside a machine that QEMU emulates; no /dev/kvm is needed.
    Lab(lab::LabArgs),
    /// Takes pictures of every page into docs/pages, while the tests of the pages run.
    Screenshots,
    /// What the lab runs inside its machine.
    #[command(hide = true)]
    LabInside {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Kills daemons at random moments of migrations, and sees that the guest runs exactly once.
    Soak(soak::SoakArgs),
    /// Fuzzes the decoder of the wire protocol, and then the unpacker of pages.
    Fuzz {
        /// For how long each.
        #[arg(long, default_value = "15")]
        minutes: NonZeroU32,
    },
}

fn steps_help() -> String {
    let lines = STEPS.iter().map(|step| format!("  {:<12} {}\n", step.name, step.about));
    format!("Steps:\n{}", lines.collect::<String>())
}

fn step_named(name: &str) -> Result<&'static Step, String> {
    STEPS.iter().find(|step| step.name == name).ok_or_else(|| {
        let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        format!("there is no such step; there are {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    let workspace = Workspace::of_this_program();
    match Cli::parse().task {
        Task::Test { steps } if steps.is_empty() => step::run(STEPS, &workspace),
        Task::Test { steps } => step::run(steps, &workspace),
        Task::Compare(args) => compare::compare(&workspace, &args),
        Task::Lab(args) => lab::lab(&workspace, &args),
        Task::Screenshots => browser::screenshots(&workspace),
        Task::LabInside { words } => lab::lab_inside(&words),
        Task::Soak(args) => soak::soak(&workspace, args),
        Task::Fuzz { minutes } => fuzz::run_long(&workspace, minutes),
    }
}
