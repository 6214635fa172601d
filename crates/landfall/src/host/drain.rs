//! `landfall node drain` and `undrain`: a host that is emptied.

use std::io::{self, Write};

use clap::Args;
use landfall_node::client::{Client, ClientError};
use landfall_node::model::{Drain, DrainItem, DrainItemState, NodeName};

use super::HostError;
use super::listing::{or_dash, rows};
use super::via::{Asked, Via};
use crate::error::CliError;
use crate::exit::{EXIT_CODES, Exit};

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DrainArgs {
    /// What the node is called.
    name: NodeName,
    /// Return at once; it goes on by itself.
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct UndrainArgs {
    /// What the node is called.
    name: NodeName,
    #[command(flatten)]
    via: Via,
}

/// A node empties itself, so it is the one to be asked.
fn client(via: &Via, name: &NodeName) -> Result<Client, HostError> {
    let node = via.node.clone().unwrap_or_else(|| name.to_string());
    Via { node: Some(node), ..via.clone() }.client()
}

pub(crate) fn drain(args: &DrainArgs) -> Result<Exit, CliError> {
    let client = client(&args.asked.via, &args.name)?;
    let path = format!("nodes/{}/drain", args.name);
    let begun: Drain = client.post(&path, &()).map_err(HostError::Client)?;
    let drain = if args.detach { begun } else { to_its_end(&client, &path, &args.name)? };
    args.asked.write(&drain, || text(&drain))?;
    let stayed = drain.items.iter().any(|item| item.state == DrainItemState::Stayed);
    Ok(if stayed { Exit::Failed } else { Exit::Done })
}

pub(crate) fn undrain(args: &UndrainArgs) -> Result<Exit, CliError> {
    let client = client(&args.via, &args.name)?;
    client.delete(&format!("nodes/{}/drain", args.name)).map_err(HostError::Client)?;
    writeln!(io::stdout(), "{}  takes guests again", args.name)?;
    Ok(Exit::Done)
}

/// Tells what becomes of each guest, until nothing more happens. Ctrl-C ends the looking alone.
fn to_its_end(client: &Client, path: &str, name: &NodeName) -> Result<Drain, HostError> {
    let events = client.events(None)?;
    let mut seen = Drain::default();
    let news = events.filter(|told| told.kind == "drain").map(|told| told.data);
    let first = serde_json::to_value(client.get::<Option<Drain>>(path)?).unwrap_or_default();
    for data in std::iter::once(first).chain(news) {
        // Somebody has undrained it.
        let Ok(Some(drain)) = serde_json::from_value::<Option<Drain>>(data) else {
            return Ok(seen);
        };
        for item in drain.items.iter().filter(|item| !seen.items.contains(item)) {
            tell(item);
        }
        if drain.finished {
            return Ok(drain);
        }
        seen = drain;
    }
    let why = format!("the daemon has ended; once it is back, node {name} goes on");
    Err(ClientError::Unreachable { address: client.address().to_owned(), why }.into())
}

fn tell(item: &DrainItem) {
    let target = or_dash(item.target.as_ref());
    match item.state {
        DrainItemState::Waiting => {}
        DrainItemState::Moving => eprintln!("{}: on its way to {target}", item.vm),
        DrainItemState::Left => eprintln!("{}: has arrived at {target}", item.vm),
        DrainItemState::Stayed => {
            eprintln!("{}: stays: {}", item.vm, or_dash(item.reason.as_ref()))
        }
    }
}

fn text(drain: &Drain) -> String {
    let row = |item: &DrainItem| {
        [
            item.vm.to_string(),
            item.state.name().to_owned(),
            or_dash(item.target.as_ref()),
            or_dash(item.migration.as_ref()),
            or_dash(item.reason.as_ref()),
        ]
    };
    rows(["VM", "STATE", "NODE", "MIGRATION", "BECAUSE"], drain.items.iter().map(row))
}
