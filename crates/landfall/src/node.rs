//! `landfall node`: the daemon of a host.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use landfall_converge::ByteRate;
use landfall_node::daemon::{Daemon, DaemonError};
use landfall_node::model::NodeName;

use crate::error::CliError;
use crate::exit::Exit;
use crate::host::via::Asked;
use crate::host::{drain, nodes, token};

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    after_help = "Two nodes on one machine, to try it:\n  landfall node --name a --listen 127.0.0.1:7101 --data a --peer b=http://127.0.0.1:7102 --insecure\n  landfall node --name b --listen 127.0.0.1:7102 --data b --peer a=http://127.0.0.1:7101 --insecure\nThe pages are at the address that each of them prints. Machines run on when a node ends, and are found again."
)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    command: Option<NodeCommand>,
    /// What the node is called.
    #[arg(long, value_name = "NAME", required = true)]
    name: Option<NodeName>,
    /// Where its API and its pages are, as 127.0.0.1:7101.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7101")]
    listen: SocketAddr,
    /// The folder with everything that it keeps.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/landfall")]
    data: PathBuf,
    /// Another node, as b=http://127.0.0.1:7102; may be given several times.
    #[arg(long, value_name = "NAME=URL", value_parser = peer)]
    peer: Vec<(NodeName, String)>,
    /// Speak plain HTTP, and send guests over plain connections. Only on this machine.
    #[arg(long)]
    insecure: bool,
    /// How many guests may leave at a time.
    #[arg(long, value_name = "N", default_value = "2")]
    max_outgoing: u32,
    /// How many guests may come in at a time.
    #[arg(long, value_name = "N", default_value = "2")]
    max_incoming: u32,
    /// The most that all migrations from here may send a second, together, as in 125MB/s; as much as the link takes if not
    /// given.
    #[arg(long, value_name = "RATE")]
    bandwidth: Option<ByteRate>,
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

fn peer(text: &str) -> Result<(NodeName, String), String> {
    let (name, url) = text
        .split_once('=')
        .ok_or_else(|| format!("'{text}' is no node; write it as b=http://127.0.0.1:7102"))?;
    if !url.starts_with("http://") {
        return Err(format!("'{url}' is no address; write it as http://127.0.0.1:7102"));
    }
    let name: NodeName = name.parse().map_err(|error| format!("{error}"))?;
    Ok((name, url.to_owned()))
}

pub(crate) fn node(args: NodeArgs) -> Result<Exit, CliError> {
    let name = match (args.command, args.name) {
        (Some(NodeCommand::List(args)), _) => return nodes::list(&args),
        (Some(NodeCommand::Drain(args)), _) => return drain::drain(&args),
        (Some(NodeCommand::Undrain(args)), _) => return drain::undrain(&args),
        (Some(NodeCommand::Token(command)), _) => return token::token(&command),
        (None, Some(name)) => name,
        // The parser of arguments asks for one of the two.
        (None, None) => return Ok(Exit::Error),
    };
    let daemon = Daemon {
        name,
        listen: args.listen,
        data: args.data,
        peers: args.peer,
        insecure: args.insecure,
        max_outgoing: args.max_outgoing,
        max_incoming: args.max_incoming,
        bandwidth: args.bandwidth,
    };
    daemon.run(|line| println!("{line}")).map_err(NodeError)?;
    Ok(Exit::Done)
}

/// Why a node did not run.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct NodeError(#[from] DaemonError);

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
