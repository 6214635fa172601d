//! The target's look at what a guest needs of a host, before anything is begun.

use std::fmt::Display;
use std::io;

use landfall_converge::Bytes;

use super::{Node, NodeError};
use crate::host::{self, Image, Interface};
use crate::model::{CheckItem, DiskSpec, MachineSpec, Needs, NodeName, Severity};
use crate::peer::Survey;

/// What only a survey tells: a node of an earlier version looks at none of it.
pub(super) const CODES: [&str; 4] = ["disks", "disk_lock", "network", "machine"];

impl Node {
    /// What this node finds when it looks at an offer, at what the guest needs of a host, and at what is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn survey(&self, survey: &Survey) -> Result<Vec<CheckItem>, NodeError> {
        let site = Site::of(self.name(), survey);
        let mut items = self.examine_terms(&survey.offer)?;
        items.push(site.files());
        items.extend(site.disks());
        items.extend(site.network());
        // What has been found already would only be found once more.
        if let Some(configuration) = &survey.configuration
            && items.iter().all(|item| item.severity < Severity::Error)
        {
            items.push(self.try_out(survey, configuration));
        }
        Ok(items)
    }

    /// The processor, the memory and all else that the guest itself decides.
    fn try_out(&self, survey: &Survey, configuration: &str) -> CheckItem {
        let (severity, message) = match self.0.machines.try_out(&survey.offer.spec, configuration) {
            Ok(Ok(())) => (
                Severity::Ok,
                format!("{} has built such a machine and let it go again", self.name()),
            ),
            Ok(Err(why)) => (Severity::Error, format!("{} cannot run it: {why}", self.name())),
            Err(error) => (Severity::Info, format!("{} could not try it: {error}", self.name())),
        };
        CheckItem::new("machine", severity, message)
    }
}

/// A target, and a guest that would come to it.
struct Site<'a> {
    node: &'a NodeName,
    from: &'a NodeName,
    survey: &'a Survey,
    needs: Needs,
    is_qemu: bool,
    /// The guest's process, where it is one of this host.
    here: Option<u32>,
}

/// What comes of a look at several things of one kind: what is wrong with each, or that all is well.
fn items(code: &str, wrong: Vec<(Severity, String)>, well: impl Display) -> Vec<CheckItem> {
    if wrong.is_empty() {
        return vec![CheckItem::new(code, Severity::Ok, well.to_string())];
    }
    wrong.into_iter().map(|(severity, message)| CheckItem::new(code, severity, message)).collect()
}

impl<'a> Site<'a> {
    fn of(node: &'a NodeName, survey: &'a Survey) -> Self {
        let machine = &survey.offer.spec.machine;
        Self {
            node,
            from: &survey.offer.from,
            survey,
            needs: Needs::of(machine),
            is_qemu: matches!(machine, MachineSpec::Qemu(_)),
            here: survey.process.filter(|_| host::boot_id() == survey.host),
        }
    }

    fn files(&self) -> CheckItem {
        let missing: Vec<_> = self.needs.files.iter().filter(|path| !path.exists()).collect();
        if missing.is_empty() {
            let message = format!("what it is started from is on {}", self.node);
            return CheckItem::new("files", Severity::Ok, message);
        }
        let missing: Vec<_> = missing.iter().map(|path| path.display().to_string()).collect();
        let message = format!(
            "{} has no {}; put it there, or share it between the two",
            self.node,
            missing.join(", no ")
        );
        CheckItem::new("files", Severity::Error, message)
    }

    fn disks(&self) -> Vec<CheckItem> {
        let (mut wrong, mut locks) = (Vec::new(), Vec::new());
        for disk in &self.needs.disks {
            match Image::at(&disk.path, disk.read_only) {
                Ok(image) => {
                    let source = self.survey.images.iter().find(|it| it.path == disk.path);
                    wrong.extend(source.and_then(|source| self.differs(source, &image)));
                    locks.extend(self.locked(disk, source, &image));
                }
                Err(error) => wrong.push((Severity::Error, self.cannot_open(disk, &error))),
            }
        }
        let count = self.needs.disks.len();
        let (there, free) = match count {
            0 => ("it has no disks".to_owned(), "it has no disks to lock".to_owned()),
            _ => (
                format!("{} has its disks ({count}), and its node may use them", self.node),
                "nobody else holds its disks, and their locks go with the guest".to_owned(),
            ),
        };
        let opened = count == 0 || wrong.is_empty() || !locks.is_empty();
        let mut found = items("disks", wrong, there);
        if opened {
            found.extend(items("disk_lock", locks, free));
        }
        found
    }

    fn cannot_open(&self, disk: &DiskSpec, error: &io::Error) -> String {
        let (node, path) = (self.node, disk.path.display());
        match error.kind() {
            io::ErrorKind::NotFound => format!(
                "{node} has no disk {path}; put it on storage that both hosts have, and mount that at the same path"
            ),
            io::ErrorKind::PermissionDenied => {
                let what = if disk.read_only { "read" } else { "read and write" };
                format!("the node {node} may not {what} {path}; give its user the right to")
            }
            _ => format!("{node} cannot use the disk {path}: {error}; see what is at this path"),
        }
    }

    /// Whether it is another image than the one at the source.
    fn differs(&self, there: &Image, here: &Image) -> Option<(Severity, String)> {
        let (node, from, path) = (self.node, self.from, here.path.display());
        let how = if there.bytes != here.bytes {
            let size = |image: &Image| format!("{} ({} bytes)", Bytes(image.bytes), image.bytes);
            format!("is {} on {node}, and {} on {from}", size(here), size(there))
        } else if there.format != here.format {
            format!("is {} on {node}, and {} on {from}", here.format, there.format)
        } else {
            return None;
        };
        let message = format!("{path} {how}: it is not the same image; share one between the two");
        Some((Severity::Error, message))
    }

    /// Whether the guest can have the disk once it is here.
    fn locked(
        &self,
        disk: &DiskSpec,
        source: Option<&Image>,
        image: &Image,
    ) -> Option<(Severity, String)> {
        let (node, from, path) = (self.node, self.from, disk.path.display());
        let by_source = source.is_some_and(|source| source.locked);
        if !image.locked {
            // Between hosts a lock that is not seen is none, and what two guests write to one disk cannot be mended.
            let unseen = by_source && self.here.is_none();
            return unseen.then(|| {
                let message = format!(
                    "{node} does not see the lock that the guest has on {path} on {from}; see that it is the same image, on storage whose locks hold between hosts"
                );
                (Severity::Warning, message)
            });
        }
        let mut holders = host::lock_holders(&disk.path);
        let seen = holders.len();
        holders.retain(|pid| Some(*pid) != self.here);
        let severity = if self.is_qemu { Severity::Warning } else { Severity::Error };
        if let Some(pid) = holders.first() {
            let message = format!(
                "process {pid} on {node} has {path} locked, and is not the guest; end that one first"
            );
            return Some((severity, message));
        }
        // It is the guest: its process on this host, or on another whose locks are seen here.
        if seen > 0 || by_source {
            return None;
        }
        let message = format!(
            "{path} is locked, by nobody whom {node} or {from} can see; find out who uses it, and end that one first"
        );
        Some((severity, message))
    }

    fn network(&self) -> Vec<CheckItem> {
        let Needs { taps, bridges, unknown, .. } = &self.needs;
        let mut wrong: Vec<_> = taps.iter().flat_map(|tap| self.tap(tap)).collect();
        wrong.extend(bridges.iter().filter(|it| Interface::named(it).is_none()).map(|bridge| {
            let message = format!(
                "{} has no bridge {bridge}; make it with: ip link add {bridge} type bridge",
                self.node
            );
            (Severity::Error, message)
        }));
        wrong.extend(unknown.iter().map(|what| {
            (Severity::Warning, format!("it needs {what}; see to it on {} beforehand", self.node))
        }));
        let well = match taps.len() + bridges.len() {
            0 => "it has no network card that needs anything of a host".to_owned(),
            _ => format!("{} has {}", self.node, [&taps[..], bridges].concat().join(", ")),
        };
        items("network", wrong, well)
    }

    fn tap(&self, tap: &str) -> Vec<(Severity, String)> {
        let node = self.node;
        let Some(found) = Interface::named(tap) else {
            // A native machine refuses to make one; a QEMU does.
            return vec![if self.is_qemu {
                let message = format!(
                    "{node} has no interface {tap}: QEMU makes one, that leads nowhere unless a script of the host puts it to its network; make it there"
                );
                (Severity::Warning, message)
            } else {
                let message = format!(
                    "{node} has no interface {tap}; make it there with: ip tuntap add dev {tap} mode tap user USER"
                );
                (Severity::Error, message)
            }];
        };
        if !found.is_tap {
            let message = format!(
                "{tap} on {node} is no tap with one queue; make one of this name with: ip tuntap add dev {tap} mode tap user USER"
            );
            return vec![(Severity::Error, message)];
        }
        let mut wrong = Vec::new();
        if found.taken == Some(true) {
            wrong.extend(self.holder(tap));
        }
        if !found.is_up {
            let message = format!(
                "{tap} on {node} is down, and nothing reaches the guest; do there: ip link set {tap} up"
            );
            wrong.push((Severity::Warning, message));
        }
        wrong
    }

    /// Who has the tap, if it is not the guest itself on this host, which gives it away.
    fn holder(&self, tap: &str) -> Option<(Severity, String)> {
        let node = self.node;
        let holders = host::tap_holders(tap);
        if self.here.is_some_and(|guest| holders.contains(&guest)) {
            return None;
        }
        let who = match holders.first() {
            Some(pid) => format!("process {pid}"),
            None => "a process that its node cannot see".to_owned(),
        };
        let message = format!("{who} on {node} has the tap {tap}; end that one first");
        Some((Severity::Error, message))
    }
}

#[cfg(test)]
#[path = "surveying_tests.rs"]
mod tests;
