//! `landfall node list`: the nodes that one of them knows.

use landfall_converge::Bytes;
use landfall_node::model::NodeView;

use super::HostError;
use super::listing::{or_dash, rows};
use super::via::Asked;
use crate::error::CliError;
use crate::exit::Exit;

pub(crate) fn list(asked: &Asked) -> Result<Exit, CliError> {
    let nodes: Vec<NodeView> = asked.client()?.get("nodes").map_err(HostError::Client)?;
    asked.write(&nodes, || {
        let row = |node: &NodeView| {
            let facts = node.facts.as_ref();
            [
                node.name.to_string(),
                node.address.clone(),
                state(node),
                or_dash(facts.map(|it| it.vms)),
                or_dash(facts.map(|it| format!("{}/{}", it.outgoing, it.max_outgoing))),
                or_dash(facts.map(|it| format!("{}/{}", it.incoming, it.max_incoming))),
                or_dash(facts.map(|it| Bytes(it.memory_free_bytes))),
                or_dash(facts.map(|it| it.version.clone())),
            ]
        };
        let titles = ["NODE", "ADDRESS", "STATE", "VMS", "OUT", "IN", "FREE", "VERSION"];
        rows(titles, nodes.iter().map(row))
    })?;
    Ok(Exit::Done)
}

fn state(node: &NodeView) -> String {
    match (&node.facts, &node.trouble) {
        (Some(facts), _) if facts.draining => "draining".to_owned(),
        (Some(_), _) => "ready".to_owned(),
        (None, Some(trouble)) => trouble.clone(),
        (None, None) => "unknown".to_owned(),
    }
}
