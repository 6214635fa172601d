//! `landfall vm list`, `show`, `start`, `stop`, `adopt`, `set` and `forget`: the machines of a node.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use landfall_converge::Throttle;
use landfall_node::model::{
    DEFAULT_POLICY, Decision, MachineSpec, NativeSpec, PolicyName, QemuSpec, Settling, VmName,
    VmSpec, VmView,
};
use landfall_node::ownership::Holding;
use serde_json::json;

use super::HostError;
use super::listing::{facts, or_dash, rows};
use super::migrate::Line;
use super::migration::{decided, state, to_its_end};
use super::stop::{self, StopArgs};
use super::via::{Asked, Via};
use crate::args::Settlement;
use crate::error::CliError;
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum HostVmCommand {
    /// Lists the machines of a node.
    List(Asked),
    /// Tells what a machine of a node is, and what it does.
    Show(ShowArgs),
    /// Starts a machine on a node: a new one from its description, or one that has stopped.
    Start(StartArgs),
    /// Asks the guest of a machine to end, by its power button, and waits for that; with --force ends it as if its power were cut.
    Stop(StopArgs),
    /// Gives a QEMU that runs already into a node's care.
    Adopt(AdoptArgs),
    /// Gives a machine another policy: what its migrations may cost, where nothing else is asked for.
    Set(SetArgs),
    /// Decides over a machine in doubt on the side of a node, where the other node will not come back.
    Settle(SettleArgs),
    /// Makes a node forget a machine that has stopped or left; an adopted QEMU runs on.
    Forget(NameArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// What the machine is called.
    name: VmName,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// What the machine is called.
    name: VmName,
    #[command(flatten)]
    via: Via,
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// What the machine is called that has stopped.
    #[arg(required_unless_present = "spec", conflicts_with = "spec")]
    name: Option<VmName>,
    /// The description of a new machine, in TOML or JSON; `-` for the standard input stream.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    via: Via,
}

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// What it is to be called.
    name: VmName,
    /// The socket of its monitor.
    #[arg(value_parser = absolute)]
    socket: PathBuf,
    /// By which policy it is migrated unless something else is asked for.
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    #[command(flatten)]
    via: Via,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// What the machine is called.
    name: VmName,
    /// The policy by which it is migrated, by a name of `landfall policy list`; `none` for the node's usual one.
    #[arg(long, value_name = "NAME")]
    policy: PolicyName,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A machine is in doubt when the connection broke while it was being given away. Nodes that reach each other settle \
    it by themselves. A guest that runs on both sides destroys its disks: see first that the other host is off, or ask there \
    with `landfall vm show`."
)]
pub(crate) struct SettleArgs {
    /// What the machine is called.
    name: VmName,
    /// What becomes of the guest on this node.
    #[arg(value_enum)]
    settlement: Settlement,
    /// Why, for those who ask later.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    via: Via,
}

/// The daemon has another working directory.
fn absolute(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}

pub(crate) fn vm(command: &HostVmCommand) -> Result<Exit, CliError> {
    match command {
        HostVmCommand::List(asked) => list(asked)?,
        HostVmCommand::Show(args) => {
            let vm: VmView =
                args.asked.client()?.get(&at(&args.name)).map_err(HostError::Client)?;
            args.asked.write(&vm, || text(&vm))?;
        }
        HostVmCommand::Start(args) => start(args)?,
        HostVmCommand::Stop(args) => {
            say(&stop::stop(args)?)?;
        }
        HostVmCommand::Settle(args) => settle(args)?,
        HostVmCommand::Adopt(args) => {
            let qemu = QemuSpec { socket: args.socket.clone(), command: Vec::new() };
            let (name, policy) = (args.name.clone(), args.policy.clone());
            let spec = VmSpec { name, policy, machine: MachineSpec::Qemu(qemu) };
            say(&args.via.client()?.post("vms", &spec).map_err(HostError::Client)?)?;
        }
        HostVmCommand::Set(args) => {
            // No policy can be called so.
            let policy = Some(&args.policy).filter(|name| name.as_str() != "none");
            let vm: VmView = args
                .asked
                .client()?
                .patch(&at(&args.name), &json!({ "policy": policy }))
                .map_err(HostError::Client)?;
            args.asked.write(&vm, || {
                let policy = vm.spec.policy.as_ref().map_or(DEFAULT_POLICY, PolicyName::as_str);
                format!("{}  migrates by the policy '{policy}'", vm.spec.name)
            })?;
        }
        HostVmCommand::Forget(args) => {
            args.via.client()?.delete(&at(&args.name)).map_err(HostError::Client)?;
            writeln!(io::stdout(), "{}  forgotten", args.name)?;
        }
    }
    Ok(Exit::Done)
}

pub(super) fn at(name: &VmName) -> String {
    format!("vms/{name}")
}

fn say(vm: &VmView) -> Result<(), CliError> {
    Ok(writeln!(io::stdout(), "{}  {}", vm.spec.name, vm.state.name())?)
}

fn start(args: &StartArgs) -> Result<(), CliError> {
    let client = args.via.client()?;
    let started = match (&args.name, &args.spec) {
        (_, Some(path)) => client.post("vms", &spec(path)?),
        (Some(name), None) => client.post(&format!("{}/start", at(name)), &()),
        // The parser of arguments asks for one of the two.
        (None, None) => return Ok(()),
    };
    say(&started.map_err(HostError::Client)?)
}

fn settle(args: &SettleArgs) -> Result<(), CliError> {
    let client = Arc::new(args.via.client()?);
    let decision = match args.settlement {
        Settlement::Run => Decision::Run,
        Settlement::Discard => Decision::Discard,
    };
    let wanted = Settling { decision, note: args.note.clone() };
    let path = format!("{}/settle", at(&args.name));
    let vm: VmView = client.post(&path, &wanted).map_err(HostError::Client)?;
    if let Some(migration) = &vm.migration {
        let migration = to_its_end(&client, &migration.id, &mut Line::new())?;
        eprintln!("{}", state(&migration));
    }
    say(&client.get(&at(&args.name)).map_err(HostError::Client)?)
}

/// A description, by its first letter in JSON, otherwise in TOML.
fn spec(path: &Path) -> Result<VmSpec, HostError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(drop)
    } else {
        fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(|source| HostError::Spec { path: path.to_owned(), source })?;
    let parsed = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    };
    parsed.map_err(|why| HostError::NoSpec { path: path.to_owned(), why })
}

fn list(asked: &Asked) -> Result<(), CliError> {
    let vms: Vec<VmView> = asked.client()?.get("vms").map_err(HostError::Client)?;
    asked.write(&vms, || {
        let row = |vm: &VmView| {
            [
                vm.spec.name.to_string(),
                vm.spec.machine.kind().to_owned(),
                vm.state.name().to_owned(),
                place(vm),
                or_dash(vm.migration.as_ref().map(|it| format!("{} to {}", it.id, it.target))),
                throttle(vm),
            ]
        };
        rows(["VM", "KIND", "STATE", "NODE", "MIGRATION", "THROTTLE"], vms.iter().map(row))
    })
}

/// Where it is, as far as this node knows.
fn place(vm: &VmView) -> String {
    match &vm.ownership.holding {
        Holding::Away { to, .. } => to.to_string(),
        Holding::Refused { from, .. } | Holding::Incoming { from, .. } => from.to_string(),
        Holding::Here { .. } | Holding::Outgoing { .. } => vm.node.to_string(),
    }
}

fn throttle(vm: &VmView) -> String {
    let throttle = Throttle::new(vm.throttle);
    if throttle.is_none() { "–".to_owned() } else { throttle.to_string() }
}

/// What it is, in a line.
fn machine(machine: &MachineSpec) -> String {
    let MachineSpec::Native(native) = machine else { return machine.kind().to_owned() };
    let NativeSpec { cpus, memory, probe, kernel, .. } = native;
    let vcpus = if *cpus == 1 { "vCPU" } else { "vCPUs" };
    let guest = match (probe, kernel) {
        (Some(probe), _) => format!(", probe {}", probe.workload),
        (None, Some(kernel)) => format!(", {}", kernel.image.display()),
        (None, None) => String::new(),
    };
    format!("native, {cpus} {vcpus}, {}{guest}", memory.as_str())
}

fn policy(own: Option<&PolicyName>) -> String {
    own.map_or_else(|| format!("{DEFAULT_POLICY}, the usual one"), ToString::to_string)
}

fn text(vm: &VmView) -> String {
    let mut lines = vec![
        ("machine", format!("{}, {}", vm.spec.name, machine(&vm.spec.machine))),
        ("state", format!("{} (node {})", vm.state.name(), place(vm))),
        ("policy", policy(vm.spec.policy.as_ref())),
        ("throttle", throttle(vm)),
        ("process", or_dash(vm.pid)),
        ("monitor", vm.monitor.display().to_string()),
    ];
    lines.extend(vm.trouble.iter().map(|trouble| ("trouble", trouble.clone())));
    lines.extend(vm.settlement.iter().map(|settlement| ("decided", decided(settlement))));
    if let Some(migration) = &vm.migration {
        lines.push(("migration", format!("{} to {}", migration.id, migration.target)));
        lines.push(("", state(migration)));
    }
    facts(&lines)
}
