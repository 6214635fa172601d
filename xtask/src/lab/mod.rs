//! The lab: a machine that QEMU emulates, with a processor that can run guests of its own, so that Landfall boots and moves
//! a Linux as a distribution ships it, in a KVM that is the real one, on a host that has none.

mod archive;
mod images;
mod inside;
mod machine;
mod modules;
mod packages;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

pub(crate) use self::inside::lab_inside;
use self::machine::Machine;
use self::packages::Packages;
use crate::step::Outcome;
use crate::tools;
use crate::workspace::Workspace;

/// It takes four minutes or so on a host with nothing else to do.
const LIMIT: Duration = Duration::from_secs(30 * 60);

#[derive(Clone, Debug, Args)]
#[command(after_help = trials_help())]
pub(crate) struct LabArgs {
    /// Only a prompt in the lab machine.
    #[arg(long, conflicts_with = "trial")]
    shell: bool,
    /// Only this trial; all of them if none is named.
    #[arg(value_name = "TRIAL", value_parser = trial_named)]
    trial: Option<&'static str>,
}

fn trials_help() -> String {
    let lines = inside::trials().map(|(name, about)| format!("  {name:<8} {about}\n"));
    format!("Trials:\n{}", lines.collect::<String>())
}

fn trial_named(name: &str) -> Result<&'static str, String> {
    let names: Vec<_> = inside::trials().map(|(name, _)| name).collect();
    let named = names.iter().copied().find(|trial| *trial == name);
    named.ok_or_else(|| format!("there is no such trial; there are {}", names.join(", ")))
}

/// The lab, asked for by itself.
pub(crate) fn lab(workspace: &Workspace, args: &LabArgs) -> ExitCode {
    let done = match prepared(workspace) {
        Ok(lab) if args.shell => lab.machine().shell(),
        Ok(lab) => lab.machine().run(args.trial, LIMIT),
        Err(Trouble::Missing(what) | Trouble::Fault(what)) => Err(what),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The lab as a step of the tests.
pub(crate) fn trials(workspace: &Workspace) -> Outcome {
    match prepared(workspace) {
        Ok(lab) => lab.machine().run(None, LIMIT).into(),
        Err(Trouble::Missing(what)) => Outcome::Skipped(what),
        Err(Trouble::Fault(what)) => Outcome::Failed(what),
    }
}

/// A Linux that writes to its memory, for a machine of QEMU's: its kernel, and its initial RAM disk.
///
/// # Errors
/// When it cannot be had.
pub(crate) fn writing_linux(workspace: &Workspace) -> Result<(PathBuf, PathBuf), String> {
    let packages = Packages::fetch(workspace)?;
    Ok((packages.kernel()?, images::writer_disk(workspace, &packages)?))
}

/// Why there is no lab.
enum Trouble {
    /// Something is not on this host and cannot be had.
    Missing(String),
    /// What is here does not work.
    Fault(String),
}

/// What a lab machine is made of.
struct Lab {
    qemu: &'static str,
    kernel: PathBuf,
    disk: PathBuf,
}

impl Lab {
    fn machine(&self) -> Machine<'_> {
        Machine { qemu: self.qemu, kernel: &self.kernel, disk: &self.disk }
    }
}

fn prepared(workspace: &Workspace) -> Result<Lab, Trouble> {
    let folder = workspace.target().join("lab");
    let unwritable = |error| Trouble::Fault(format!("{}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(unwritable)?;
    let qemu = tools::qemu(workspace).map_err(Trouble::Missing)?;
    let packages = Packages::fetch(workspace).map_err(Trouble::Missing)?;
    let kernel = packages.kernel().map_err(Trouble::Missing)?;
    let disk = images::host_disk(workspace, &packages).map_err(Trouble::Fault)?;
    Ok(Lab { qemu, kernel, disk })
}
