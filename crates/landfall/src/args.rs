//! What may be written on the command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use landfall_migrate::options::Uri;
use landfall_node::model::NodeName;
use landfall_qmp::PageEncoding;

use crate::cert::CertCommand;
use crate::channels::Channels;
use crate::check::CheckArgs;
use crate::demo::DemoArgs;
use crate::exit::EXIT_CODES;
use crate::host::policy::PolicyCommand;
use crate::host::via::Via;
use crate::host::vm::HostVmCommand;
use crate::limits::MigrationLimitArgs;
use crate::manual::{CompletionsArgs, ManArgs};
use crate::migration::MigrationCommand;
use crate::node::NodeArgs;
use crate::pilot::PilotArgs;
use crate::plan::PlanArgs;
use crate::security::SecurityArgs;
use crate::simulate::SimulateArgs;
use crate::snapshot::SnapshotArgs;
use crate::vm_run::VmRunArgs;

/// Moves running virtual machines between processes and hosts, and makes sure that they arrive.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes the certificates by which hosts know each other.
    #[command(subcommand)]
    Cert(CertCommand),
    /// Shows it: migrates a busy guest on this machine without auto-converge and with it.
    Demo(DemoArgs),
    /// Moves the guest of a running machine to a destination or to another node, and follows it until it has arrived.
    Migrate(MigrateArgs),
    /// Looks at migrations, and changes those under way.
    #[command(subcommand)]
    Migration(MigrationCommand),
    /// Writes down what a shell needs to complete the words of a command.
    Completions(CompletionsArgs),
    /// Writes the manual pages.
    Man(ManArgs),
    /// Runs the daemon of this host (its machines, their migrations, an API and pages), or asks one about its nodes.
    Node(NodeArgs),
    /// Looks at what migrations between nodes may cost, and adds to it.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Steers the migration of a stock QEMU that somebody else begins.
    Pilot(PilotArgs),
    /// Watches the guest of a running machine for a moment, and tells what a migration of it would do and cost.
    Plan(PlanArgs),
    /// Tells what a migration would do and cost under each policy, without moving anything.
    Simulate(SimulateArgs),
    /// Tells what a machine is doing.
    Status(StatusArgs),
    /// Decides over a guest whose migration broke off in the middle of being given away.
    Settle(SettleArgs),
    /// Runs a virtual machine in this process, or has a node run it.
    #[command(subcommand)]
    Vm(VmCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum VmCommand {
    /// Runs a guest in this process, or waits for one to come in.
    Run(Box<VmRunArgs>),
    /// Puts the guest of a running machine into a file, from which `vm run --restore` lets it go on.
    Snapshot(SnapshotArgs),
    /// Tells whether another host could run the guest, without moving it.
    Check(CheckArgs),
    #[command(flatten)]
    Host(HostVmCommand),
}

/// How results are written to the standard output stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs; every key carries its unit.
    Json,
}

/// Whether the guest may be throttled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Where the migration would not arrive otherwise.
    #[default]
    On,
    /// Never.
    Off,
}

/// What is about pages on their way, or about others than processes of this host.
const NOT_IN_A_HAND_OVER: [&str; 13] = [
    "auto_converge",
    "bandwidth",
    "channels",
    "encoding",
    "insecure",
    "max_stall",
    "max_throttle",
    "on_limit",
    "policy",
    "time_limit",
    "tls_identity",
    "tls_name",
    "idempotency_key",
];

#[derive(Debug, Args)]
#[command(
    after_help = format!("{EXIT_CODES}\n\nA machine of a node is moved to another node by their names; one that is named by its socket to an address.")
)]
pub(crate) struct MigrateArgs {
    /// The machine: its name on the node, or the QMP socket of the process that runs the guest.
    pub(crate) machine: PathBuf,
    /// Where to: the name of a node, or where the destination listens: tls:HOST:PORT, tcp:HOST:PORT or unix:PATH.
    pub(crate) to: Destination,
    /// Throttle the guest where the migration would not arrive otherwise; on unless the policy says otherwise.
    #[arg(long, value_enum, value_name = "SWITCH")]
    pub(crate) auto_converge: Option<Switch>,
    /// Only tell what is known beforehand, and what the migration would do. Between nodes.
    #[arg(long, conflicts_with = "detach")]
    pub(crate) check: bool,
    /// Return as soon as the migration is under way; it is named on the standard output stream. Between nodes.
    #[arg(long)]
    pub(crate) detach: bool,
    /// A text for this request alone, such as a random one: given again with the same request, it follows the migration that was
    /// begun then, and begins no second one. Between nodes.
    #[arg(long, value_name = "KEY", conflicts_with = "check")]
    pub(crate) idempotency_key: Option<landfall_node::model::IdempotencyKey>,
    /// Hand the guest's memory itself over to a process of this host, at unix:PATH, as for an update of Landfall: nothing is
    /// copied, and the guest stands still only while its state is passed on.
    #[arg(long, conflicts_with_all = NOT_IN_A_HAND_OVER)]
    pub(crate) hand_over: bool,
    #[command(flatten)]
    pub(crate) limits: MigrationLimitArgs,
    /// The most that may leave a second, as in 125MB/s or 10Gbit/s; as much as the link takes if not given.
    #[arg(long, value_name = "RATE")]
    pub(crate) bandwidth: Option<landfall_converge::ByteRate>,
    /// Over how many connections pages go: 1 to 128, or auto for as many as make it faster, which is measured.
    #[arg(long, value_name = "N", default_value_t)]
    pub(crate) channels: Channels,
    /// How pages are written down: as they are (none), by whatever costs least as measured (auto), as what has changed since
    /// they were sent last (delta), or compressed.
    #[arg(long, value_name = "ENCODING", default_value = "none", value_parser = encoding())]
    pub(crate) encoding: PageEncoding,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    /// The name in the destination's certificate, where it is not HOST.
    #[arg(long, value_name = "NAME", help_heading = "Security")]
    pub(crate) tls_name: Option<String>,
    #[command(flatten)]
    pub(crate) via: Via,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Where a guest is moved to. The name of a node has no colon, an address has one.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// Where a destination listens.
    Uri(Uri),
    /// Another node.
    Node(NodeName),
}

impl FromStr for Destination {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(':') {
            text.parse().map(Self::Uri).map_err(|error| format!("{error}"))
        } else {
            let node = text.parse().map(Self::Node);
            node.map_err(|error: landfall_node::model::NameError| error.to_string())
        }
    }
}

fn encoding() -> impl TypedValueParser<Value = PageEncoding> {
    PossibleValuesParser::new(["none", "auto", "delta", "lz4", "zstd"]).map(|name| {
        match name.as_str() {
            "auto" => PageEncoding::Auto,
            "delta" => PageEncoding::Delta,
            "lz4" => PageEncoding::Lz4,
            "zstd" => PageEncoding::Zstd,
            _ => PageEncoding::None,
        }
    })
}

#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// How the result is written.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// With `-o json`: rates over time and every decision, too.
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The QMP socket of the machine.
    pub(crate) socket: PathBuf,
    /// How the result is written.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What becomes of a guest in doubt on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Settlement {
    /// It runs here. Only when it is certain that it does not run on the other side.
    Run,
    /// It is discarded here.
    Discard,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A guest is in doubt when the connection broke while it was being given away: both sides may \
    be paused. Look at both with `landfall status`. Exactly one side may run the guest: `discard` on one side first, \
    then `run` on the other."
)]
pub(crate) struct SettleArgs {
    /// The QMP socket of the machine to decide over.
    pub(crate) socket: PathBuf,
    /// What becomes of the guest on this side.
    #[arg(value_enum)]
    pub(crate) settlement: Settlement,
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
