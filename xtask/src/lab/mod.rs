//! The lab: a machine that QEMU emulates, with a processor that can run guests of its own, so that Landfall boots and moves
//! a Linux as a distribution ships it, in a KVM that is the real one, on a host that has none.

mod archive;
mod course;
mod images;
mod inside;
mod machine;
mod modules;
mod network;
mod packages;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Args;
use tempfile::NamedTempFile;

use self::course::Trouble;
pub(crate) use self::inside::lab_inside;
use self::inside::{TRIALS, Trial};
use self::machine::{Machine, Running};
use self::packages::Packages;
use crate::command::output;
use crate::step::Outcome;
use crate::tools;
use crate::workspace::Workspace;

/// So many trials run at once: each takes a processor of this host, also one with two machines, of which one mostly waits.
const AT_ONCE: usize = 2;

#[derive(Clone, Debug, Args)]
#[command(after_help = trials_help())]
pub(crate) struct LabArgs {
    /// How many lab machines, 1 or 2: one has both ends of each migration; of two each has one, and guests go from kernel
    /// to kernel. One if neither this nor a trial says otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=2))]
    hosts: Option<u8>,
    /// Only a prompt in the lab machine, or in the first of two.
    #[arg(long, conflicts_with = "trial")]
    shell: bool,
    /// Only this trial; all that need so many hosts if none is named.
    #[arg(value_name = "TRIAL", value_parser = trial_named)]
    trial: Option<&'static Trial>,
}

fn trials_help() -> String {
    let line = |trial: &Trial| format!("  {:<8} {}\n", trial.name, trial.about);
    let with = |hosts: u8| TRIALS.iter().filter(move |trial| trial.hosts == hosts).map(line);
    let (one, two) = (with(1).collect::<String>(), with(2).collect::<String>());
    format!("Trials with one host:\n{one}\nTrials with --hosts 2:\n{two}")
}

fn trial_named(name: &str) -> Result<&'static Trial, String> {
    TRIALS.iter().find(|trial| trial.name == name).ok_or_else(|| {
        let names: Vec<_> = TRIALS.iter().map(|trial| trial.name).collect();
        format!("there is no such trial; there are {}", names.join(", "))
    })
}

/// The lab, asked for by itself.
pub(crate) fn lab(workspace: &Workspace, args: &LabArgs) -> ExitCode {
    let hosts = args.hosts.unwrap_or(args.trial.map_or(1, |trial| trial.hosts));
    let done = match (prepared(workspace), args.trial) {
        (Err(Missing::Tool(what) | Missing::Fault(what)), _) => Err(what),
        (Ok(lab), _) if args.shell => lab.shell(hosts),
        (Ok(lab), None) => lab.run_all(TRIALS.iter().filter(|trial| trial.hosts == hosts)),
        (Ok(lab), Some(trial)) if trial.hosts == hosts => lab.run(trial),
        (Ok(_), Some(trial)) => {
            Err(format!("the trial {} needs --hosts {}", trial.name, trial.hosts))
        }
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
        Ok(lab) => lab.run_all(TRIALS.iter()).into(),
        Err(Missing::Tool(what)) => Outcome::Skipped(what),
        Err(Missing::Fault(what)) => Outcome::Failed(what),
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
enum Missing {
    /// Something is not on this host and cannot be had.
    Tool(String),
    /// What is here does not work.
    Fault(String),
}

/// What lab machines are made of.
struct Lab {
    qemu: &'static str,
    kernel: PathBuf,
    disk: PathBuf,
    folder: PathBuf,
    /// The disk of the guests, as it is before anybody writes to it.
    image: PathBuf,
}

impl Lab {
    /// Gives the user a prompt, until the user leaves. The other machine is ready before.
    fn shell(&self, hosts: u8) -> Result<(), String> {
        let image = self.fresh_image()?;
        let mut machines = self.machines(hosts, image.path())?.into_iter();
        let first = machines.next().ok_or("no machine")?;
        let others = machines.map(|other| {
            let mut other = other.start("", Stdio::null(), Stdio::piped())?;
            course::ready(&mut other)?;
            Ok::<_, String>(other)
        });
        let _others = others.collect::<Result<Vec<_>, _>>()?;
        first.start("lab=shell", Stdio::inherit(), Stdio::inherit())?.end()
    }

    /// Runs these trials, some at the same time. One that fails does not keep the others from being run.
    fn run_all(&self, trials: impl Iterator<Item = &'static Trial> + Send) -> Result<(), String> {
        let left = Mutex::new(trials);
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let lane = || -> Vec<String> {
            std::iter::from_fn(next).filter_map(|trial| self.run(trial).err()).collect()
        };
        let failed = thread::scope(|scope| {
            let lanes: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(lane)).collect();
            let ended = lanes.into_iter().map(|lane| lane.join());
            let failed = ended.map(|failed| failed.unwrap_or(vec!["a trial panicked".to_owned()]));
            failed.flatten().collect::<Vec<_>>()
        });
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
    }

    /// Runs a trial, and once more if its machines stood still.
    fn run(&self, trial: &Trial) -> Result<(), String> {
        match self.run_once(trial) {
            Err(Trouble::Silent(what)) => println!("{what}\n  {}: once more", trial.name),
            Err(Trouble::Failed(why)) => return Err(why),
            Ok(()) => return Ok(()),
        }
        self.run_once(trial).map_err(|(Trouble::Silent(why) | Trouble::Failed(why))| why)
    }

    fn run_once(&self, trial: &Trial) -> Result<(), Trouble> {
        let image = self.fresh_image().map_err(Trouble::Failed)?;
        let start = |machine: Machine<'_>| {
            let words = format!("trial={}", trial.name);
            machine.start(&words, Stdio::piped(), Stdio::piped())
        };
        let machines = self.machines(trial.hosts, image.path());
        let started = machines.and_then(|all| all.into_iter().map(start).collect());
        let mut running: Vec<Running> = started.map_err(Trouble::Failed)?;
        course::follow(trial.name, &mut running)
    }

    /// The machines of a lab with so many, joined by a wire, and with one disk for their guests.
    fn machines<'a>(&'a self, hosts: u8, image: &'a Path) -> Result<Vec<Machine<'a>>, String> {
        let machine = |wire| {
            let Self { qemu, kernel, disk, .. } = self;
            Machine { qemu, kernel, disk, image, wire }
        };
        if hosts == 1 {
            return Ok(vec![machine(None)]);
        }
        let ends = UnixStream::pair().map_err(|error| format!("there is no wire: {error}"))?;
        let ends = [(1, OwnedFd::from(ends.0)), (2, OwnedFd::from(ends.1))];
        Ok(ends.into_iter().map(|end| machine(Some(end))).collect())
    }

    /// A copy of the guests' disk, which goes when it is dropped.
    fn fresh_image(&self) -> Result<NamedTempFile, String> {
        let made = NamedTempFile::new_in(&self.folder);
        let copy = made.map_err(|error| format!("{}: {error}", self.folder.display()))?;
        let mut command = std::process::Command::new("cp");
        output(command.arg("--sparse=always").arg(&self.image).arg(copy.path()))?;
        Ok(copy)
    }
}

fn prepared(workspace: &Workspace) -> Result<Lab, Missing> {
    let folder = workspace.target().join("lab");
    let unwritable = |error| Missing::Fault(format!("{}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(unwritable)?;
    let qemu = tools::qemu(workspace).map_err(Missing::Tool)?;
    let packages = Packages::fetch(workspace).map_err(Missing::Tool)?;
    let kernel = packages.kernel().map_err(Missing::Tool)?;
    let image = images::guest_disk(workspace, &packages).map_err(Missing::Fault)?;
    let disk = images::host_disk(workspace, &packages).map_err(Missing::Fault)?;
    Ok(Lab { qemu, kernel, disk, folder, image })
}
