//! `landfall node`: the daemon of a host.

mod file;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use landfall_converge::ByteRate;
use landfall_node::daemon::{Daemon, DaemonError, Doors};
use landfall_node::model::NodeName;

use crate::error::CliError;
use crate::exit::Exit;
use crate::host::via::Asked;
use crate::host::{drain, nodes, token};

use self::file::FileError;

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7101);
const DATA: &str = "/var/lib/landfall";
const AT_A_TIME: u32 = 2;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    after_help = "Two nodes on one machine, to try it:\n  landfall node --name a --listen 127.0.0.1:7101 --data a --peer b=http://127.0.0.1:7102 --insecure\n  landfall node --name b --listen 127.0.0.1:7102 --data b --peer a=http://127.0.0.1:7101 --insecure\nOn two hosts, each with a certificate for its name (`landfall cert node a --ca CA`):\n  landfall node --name a --listen 0.0.0.0:7101 --reached-at host-a --identity a --peer b=https://host-b:7101\nThe pages are at the address that each of them prints. Machines run on when a node ends, and are found again."
)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    command: Option<NodeCommand>,
    /// The file that says all of this, in TOML: keys are called as the flags are, without the dashes before, and other nodes
    /// stand in a table, `peers`. What a flag says counts.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the node is called.
    #[arg(long, value_name = "NAME", required_unless_present = "config")]
    name: Option<NodeName>,
    /// Where its API and its pages are; 127.0.0.1:7101 if not given.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The folder with everything that it keeps; /var/lib/landfall if not given.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Another node, as b=https://host-b:7101; may be given several times. Its certificate must be for that name.
    #[arg(long, value_name = "NAME=URL", value_parser = peer)]
    peer: Vec<(NodeName, String)>,
    /// The folder of this host's identity (ca.pem, cert.pem, key.pem; see `landfall cert`): the node speaks TLS 1.3, knows
    /// other nodes by their certificates, and sends guests over TLS.
    #[arg(long, value_name = "FOLDER", conflicts_with = "insecure")]
    identity: Option<PathBuf>,
    /// Where others reach this host, as a name or an address; where it listens if not given.
    #[arg(long, value_name = "HOST")]
    reached_at: Option<String>,
    /// Speak plain HTTP, and send guests over plain connections. Only on this machine.
    #[arg(long)]
    insecure: bool,
    /// How many guests may leave at a time; 2 if not given.
    #[arg(long, value_name = "N")]
    max_outgoing: Option<u32>,
    /// How many guests may come in at a time; 2 if not given.
    #[arg(long, value_name = "N")]
    max_incoming: Option<u32>,
    /// The most that all migrations from here may send a second, together, as in 125MB/s; as much as the link takes if not
    /// given.
    #[arg(long, value_name = "RATE")]
    bandwidth: Option<ByteRate>,
    /// Let the machines that the node starts open this file or folder, too; may be given several times. What their descriptions
    /// name they may open anyway, and nothing else: snapshots of them, for one, go into one of these folders, or into
    /// their own in the node's.
    #[arg(long, value_name = "PATH")]
    allow: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Lists a node and those that it knows, with what they can take.
    List(Asked),
    /// Empties a node: its guests leave for others, and it takes none until it is undrained.
    Drain(drain::DrainArgs),
    /// Lets a node take guests again.
    Undrain(drain::UndrainArgs),
    /// Tokens for others: who may look, who may migrate, who may do everything.
    #[command(subcommand)]
    Token(token::TokenCommand),
}

impl NodeArgs {
    /// Whether a daemon is to run, and not one be asked.
    pub(crate) fn is_a_daemon(&self) -> bool {
        self.command.is_none()
    }
}

fn peer(text: &str) -> Result<(NodeName, String), String> {
    let (name, url) = text
        .split_once('=')
        .ok_or_else(|| format!("'{text}' is no node; write it as b=https://host-b:7101"))?;
    if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(format!("'{url}' is no address; write it as https://host-b:7101"));
    }
    let name: NodeName = name.parse().map_err(|error| format!("{error}"))?;
    Ok((name, url.to_owned()))
}

pub(crate) fn node(args: NodeArgs) -> Result<Exit, CliError> {
    match args.command {
        Some(NodeCommand::List(args)) => return nodes::list(&args),
        Some(NodeCommand::Drain(args)) => return drain::drain(&args),
        Some(NodeCommand::Undrain(args)) => return drain::undrain(&args),
        Some(NodeCommand::Token(command)) => return token::token(&command),
        None => {}
    }
    let daemon = daemon(args)?;
    daemon.run(|line| println!("{line}")).map_err(NodeError::from)?;
    Ok(Exit::Done)
}

/// What the flags say, and where they say nothing, the file.
fn daemon(args: NodeArgs) -> Result<Daemon, NodeError> {
    let written = args.config.as_deref().map(file::read).transpose()?.unwrap_or_default();
    let doors = match (args.identity, args.insecure) {
        (Some(directory), _) => Doors::Identity(directory),
        (None, true) => Doors::Plain,
        (None, false) => match written.identity {
            Some(directory) => Doors::Identity(directory),
            None if written.insecure => Doors::Plain,
            None => return Err(NodeError::NoDoors),
        },
    };
    Ok(Daemon {
        name: args.name.or(written.name).ok_or(NodeError::NoName)?,
        listen: args.listen.or(written.listen).unwrap_or(LISTEN),
        data: args.data.or(written.data).unwrap_or_else(|| DATA.into()),
        peers: if args.peer.is_empty() { written.peers } else { args.peer },
        reached_at: args.reached_at.or(written.reached_at),
        doors,
        max_outgoing: args.max_outgoing.or(written.max_outgoing).unwrap_or(AT_A_TIME),
        max_incoming: args.max_incoming.or(written.max_incoming).unwrap_or(AT_A_TIME),
        bandwidth: args.bandwidth.or(written.bandwidth),
        allowed: if args.allow.is_empty() { written.allow } else { args.allow },
    })
}

/// Why a node did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    #[error(
        "a node shows others who it is: give it a certificate with --identity FOLDER (`landfall cert` makes one), or try nodes on this machine alone with --insecure"
    )]
    NoDoors,
    #[error("a node needs a name: say it with --name, or as 'name' in the file")]
    NoName,
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
