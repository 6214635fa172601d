//! The node that a command asks.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use landfall_node::client::Client;
use landfall_node::presence::{Presence, present};
use serde::Serialize;

use super::{HostError, listing};
use crate::args::Output;
use crate::error::CliError;

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Node")]
pub(crate) struct Via {
    /// The node to ask: its name where it runs on this machine, or its address, as http://127.0.0.1:7101; if not given, the
    /// only one of this user on this machine.
    #[arg(long, value_name = "NODE", env = "LANDFALL_NODE", hide_env_values = true)]
    pub(crate) node: Option<String>,
    /// The file with the token that opens the node; that of a node of this user on this machine is found.
    #[arg(long, value_name = "FILE", env = "LANDFALL_TOKEN_FILE", hide_env_values = true)]
    pub(crate) token_file: Option<PathBuf>,
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
        let (address, path) = self.find(|| present().map_err(HostError::Present))?;
        let token =
            fs::read_to_string(&path).map_err(|source| HostError::Token { path, source })?;
        Ok(Client::new(&address, token.trim())?)
    }

    /// The node's address, and the file with its token.
    fn find(
        &self,
        present: impl FnOnce() -> Result<Vec<Presence>, HostError>,
    ) -> Result<(String, PathBuf), HostError> {
        let elsewhere = self.node.as_ref().filter(|node| node.contains("://"));
        if let (Some(address), Some(token)) = (elsewhere, &self.token_file) {
            return Ok((address.clone(), token.clone()));
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
            [one] => {
                let token = self.token_file.clone().unwrap_or_else(|| one.token.clone());
                Ok((one.address.clone(), token))
            }
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
