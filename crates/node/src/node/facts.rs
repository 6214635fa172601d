//! What a node tells of itself.

use std::fs;
use std::path::Path;

use super::{Node, NodeError};
use crate::model::{NodeFacts, NodeView};
use crate::ownership::Holding;

impl Node {
    /// What this node has and can take.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn facts(&self) -> Result<NodeFacts, NodeError> {
        let vms = self.0.store.vms()?;
        let count = |is: fn(&Holding) -> bool| {
            let count = vms.iter().filter(|vm| is(&vm.ownership.holding)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let (cpu_model, cpu_features) = processor();
        let (memory_free_bytes, memory_bytes) = memory();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(NodeFacts {
            name: self.name().clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kvm: Path::new("/dev/kvm").exists(),
            cpu_model,
            cpu_features,
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            memory_free_bytes,
            memory_bytes,
            vms: count(|it| matches!(it, Holding::Here { .. } | Holding::Outgoing { .. })),
            outgoing: count(|it| matches!(it, Holding::Outgoing { .. })),
            incoming: count(|it| matches!(it, Holding::Incoming { .. })),
            max_outgoing: self.0.setup.max_outgoing,
            max_incoming: self.0.setup.max_incoming,
            draining: self.0.store.drain()?.is_some(),
        })
    }

    /// This node and those that it knows, by name; what they tell of themselves is asked of them now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn nodes(&self) -> Result<Vec<NodeView>, NodeError> {
        let mut nodes = vec![NodeView {
            name: self.name().clone(),
            address: "this node".to_owned(),
            is_self: true,
            facts: Some(self.facts()?),
            trouble: None,
            drain: self.0.store.drain()?,
        }];
        let asked = std::thread::scope(|scope| {
            let ask = |peer: &'_ _| -> (_, _) {
                let peer: &std::sync::Arc<dyn crate::peer::Peer> = peer;
                (peer.address(), peer.facts())
            };
            let threads: Vec<_> = self
                .0
                .peers
                .iter()
                .map(|(name, peer)| (name, scope.spawn(move || ask(peer))))
                .collect();
            threads
                .into_iter()
                .filter_map(|(name, thread)| Some((name, thread.join().ok()?)))
                .collect::<Vec<_>>()
        });
        for (name, (address, facts)) in asked {
            let trouble = facts.as_ref().err().map(ToString::to_string);
            let facts = facts.ok();
            nodes.push(NodeView {
                name: name.clone(),
                address,
                is_self: false,
                facts,
                trouble,
                drain: None,
            });
        }
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }
}

/// The model of the processors, and what they can do.
fn processor() -> (String, Vec<String>) {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.split(':').next().map(str::trim) == Some(name));
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
    };
    let features = field("flags").unwrap_or_default();
    let mut features: Vec<_> = features.split_whitespace().map(str::to_owned).collect();
    features.sort();
    (field("model name").unwrap_or_else(|| "unknown".to_owned()), features)
}

/// Memory that is free, and all of it, in bytes.
fn memory() -> (u64, u64) {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0)
    };
    (kilobytes("MemAvailable:") << 10, kilobytes("MemTotal:") << 10)
}
