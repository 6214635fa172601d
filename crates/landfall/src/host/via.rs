//! The node that a command asks.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use landfall_node::client::Client;
use landfall_node::presence::{Presence, present};
use landfall_node::trust::Trust;
use serde::Serialize;

use super::{HostError, listing};
use crate::args::Output;
use crate::error::CliError;

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Node")]
pub(crate) struct Via {
    /// The node to ask: its name where it runs on this machine, or its address, as https://host-a:7101; if not given, the
    /// only one of this user on this machine.
    #[arg(long, value_name = "NODE", env = "LANDFALL_NODE", hide_env_values = true)]
    pub(crate) node: Option<String>,
    /// The file with the token that opens the node; that of a node of this user on this machine is found.
    #[arg(long, value_name = "FILE", env = "LANDFALL_TOKEN_FILE", hide_env_values = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// The file with the certificate of the authority by which the node is known (ca.pem); that of a node of this user on
    /// this machine is found.
    #[arg(long = "ca", value_name = "FILE", env = "LANDFALL_CA_FILE", hide_env_values = true)]
    pub(crate) authority: Option<PathBuf>,
}

/// A node that is meant, and what it is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    address: String,
    token: PathBuf,
    trust: Option<Trust>,
    /// The socket by which neither is needed.
    socket: Option<PathBuf>,
}

/// What a node is asked for, and how the answer is written.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// How the result is written.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) via: Via,
}

impl Asked {
    pub(super) fn client(&self) -> Result<Client, HostError> {
        self.via.client()
    }

    pub(super) fn write(
        &self,
        shown: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        listing::write(self.output, shown, text)
    }
}

impl Via {
    /// A way to ask the node that is meant.
    pub(crate) fn client(&self) -> Result<Client, HostError> {
        let Found { address, token: path, trust, socket } =
            self.find(|| present().map_err(HostError::Present))?;
        if let Some(socket) = socket.filter(|socket| socket.exists()) {
            return Ok(Client::on_this_host(&socket)?);
        }
        let token =
            fs::read_to_string(&path).map_err(|source| HostError::Token { path, source })?;
        Ok(Client::new(&address, token.trim(), trust.as_ref())?)
    }

    /// A node elsewhere must be known by a certificate, where it is not spoken with in the open.
    fn elsewhere(&self, address: &str, token: &Path) -> Result<Found, HostError> {
        let tls = address.starts_with("https://");
        let trust = match &self.authority {
            Some(authority) if tls => Some(Trust { authority: authority.clone(), name: None }),
            None if tls => return Err(HostError::NoAuthority(address.to_owned())),
            _ => None,
        };
        Ok(Found { address: address.to_owned(), token: token.to_owned(), trust, socket: None })
    }

    fn here(&self, node: &Presence) -> Found {
        let authority = self.authority.clone().or_else(|| node.authority.clone());
        let name = Some(node.name.clone());
        Found {
            address: node.address.clone(),
            token: self.token_file.clone().unwrap_or_else(|| node.token.clone()),
            trust: authority.map(|authority| Trust { authority, name }),
            // Whoever names what opens the node is to be known by that.
            socket: node.socket.clone().filter(|_| self.token_file.is_none()),
        }
    }

    /// Finds the node that is meant.
    fn find(
        &self,
        present: impl FnOnce() -> Result<Vec<Presence>, HostError>,
    ) -> Result<Found, HostError> {
        let elsewhere = self.node.as_ref().filter(|node| node.contains("://"));
        if let (Some(address), Some(token)) = (elsewhere, &self.token_file) {
            return self.elsewhere(address, token);
        }
        let mut present = present()?;
        if let Some(node) = &self.node {
            let names = names(&present);
            present.retain(|it| it.name.as_str() == node || same(&it.address, node));
            if present.is_empty() {
                return Err(match elsewhere {
                    Some(address) => HostError::NoToken(address.clone()),
                    None => HostError::Unknown { name: node.clone(), known: names },
                });
            }
        }
        match present.as_slice() {
            [] => Err(HostError::None),
            [one] => Ok(self.here(one)),
            several => Err(HostError::Several(names(several))),
        }
    }
}

fn same(address: &str, named: &str) -> bool {
    address == named.trim_end_matches('/')
}

fn names(present: &[Presence]) -> String {
    let name = |it: &Presence| format!("{} ({})", it.name, it.address);
    present.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "via_tests.rs"]
mod tests;
