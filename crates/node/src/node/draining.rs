//! A node that is being emptied: every guest on it leaves for another, as many at a time as may.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Node, NodeError, lock, now_ms};
use crate::machines::chain;
use crate::model::{
    Drain, DrainItem, DrainItemState, Migration, MigrationId, MigrationRequest, MigrationState,
    Needs, NodeFacts, NodeName, SettingsChange, VmName, VmRecord,
};
use crate::ownership::Holding;

/// How often it is looked at what has become of those that leave.
const ROUND: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 200 });

/// Where guests were tried in vain, and why they stayed.
type Tried = BTreeMap<VmName, BTreeMap<NodeName, String>>;

impl Node {
    /// How far this node is emptied, if it is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn draining(&self) -> Result<Option<Drain>, NodeError> {
        Ok(self.0.store.drain()?)
    }

    /// Begins to empty this node: it takes no guests any more, and gives away those that it has. Asked again while it goes
    /// on, it changes nothing.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn drain(&self) -> Result<Drain, NodeError> {
        let drain = {
            let _changing = lock(&self.0.draining);
            // A guest comes in before this or not at all.
            let _alone = lock(&self.0.admitting);
            if let Some(drain) = self.0.store.drain()?.filter(|drain| !drain.finished) {
                return Ok(drain);
            }
            let mut drain = Drain { began_ms: now_ms(), ..Drain::default() };
            self.find_items(&mut drain)?;
            self.put_drain(&drain)?;
            drain
        };
        tracing::info!(
            "{} is being emptied: {} machines are to leave",
            self.name(),
            drain.items.len()
        );
        self.go_on_draining();
        Ok(drain)
    }

    /// Lets this node take guests again. Those that are on their way go on, others are not begun any more.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn undrain(&self) -> Result<(), NodeError> {
        let _changing = lock(&self.0.draining);
        self.0.store.set_drain(None)?;
        self.0.events.tell("drain", self.name().as_str(), &serde_json::Value::Null);
        Ok(())
    }

    /// Takes up what was begun, also by the daemon before this one.
    pub(super) fn go_on_draining(&self) {
        self.spawn("draining".to_owned(), |node| {
            let mut tried = Tried::new();
            let began = node.draining().ok().flatten().map(|drain| drain.began_ms);
            while !node.is_leaving() {
                match node.drain_once(began, &mut tried) {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => tracing::warn!("emptying this node has to wait: {error}"),
                }
                node.0.slots.wait(ROUND);
            }
        });
    }

    /// A look at everything; tells whether nothing more is to be done.
    fn drain_once(&self, began: Option<u64>, tried: &mut Tried) -> Result<bool, NodeError> {
        let _changing = lock(&self.0.draining);
        let Some(mut drain) = self.0.store.drain()? else { return Ok(true) };
        if drain.finished || Some(drain.began_ms) != began {
            return Ok(true);
        }
        let before = drain.clone();
        self.find_items(&mut drain)?;
        self.follow_items(&mut drain, tried)?;
        self.send_items(&mut drain, tried)?;
        let at_rest =
            |item: &DrainItem| matches!(item.state, DrainItemState::Left | DrainItemState::Stayed);
        // A guest that came in last is to leave as well, once it is here.
        drain.finished = drain.items.iter().all(at_rest) && self.facts()?.incoming == 0;
        if drain != before {
            self.put_drain(&drain)?;
        }
        if drain.finished {
            log_end(&drain);
        }
        Ok(drain.finished)
    }

    fn put_drain(&self, drain: &Drain) -> Result<(), NodeError> {
        self.0.store.set_drain(Some(drain))?;
        self.0.events.tell("drain", self.name().as_str(), drain);
        Ok(())
    }

    /// Guests that are here and not on the list, those that take longest first: so the last to arrive arrives earliest.
    fn find_items(&self, drain: &mut Drain) -> Result<(), NodeError> {
        let mut found = self.0.store.vms()?;
        found.retain(|record| {
            record.ownership.may_run_here()
                && !drain.items.iter().any(|item| item.vm == record.spec.name)
        });
        found.sort_by_key(|record| (Reverse(size(record)), record.spec.name.clone()));
        drain.items.extend(found.into_iter().map(|record| DrainItem {
            vm: record.spec.name,
            state: DrainItemState::Waiting,
            target: None,
            migration: None,
            reason: None,
        }));
        Ok(())
    }

    /// What has become of those that are on their way, by whomever that was asked for.
    fn follow_items(&self, drain: &mut Drain, tried: &mut Tried) -> Result<(), NodeError> {
        let migrations = self.0.store.migrations()?;
        for item in &mut drain.items {
            let open = migrations.iter().find(|it| it.vm == item.vm && !it.state.is_final());
            if let Some(open) = open {
                moving(item, open);
                continue;
            }
            let record = self.0.store.vm(&item.vm)?;
            match record.map(|record| record.ownership.holding) {
                Some(Holding::Away { to, migration }) => {
                    item.state = DrainItemState::Left;
                    (item.target, item.migration, item.reason) = (Some(to), Some(migration), None);
                }
                // Somebody has made the node forget it.
                None => item.state = DrainItemState::Left,
                Some(_) => back(item, &migrations, tried),
            }
        }
        Ok(())
    }

    /// Begins as many as may leave at a time.
    fn send_items(&self, drain: &mut Drain, tried: &mut Tried) -> Result<(), NodeError> {
        let is_moving = |item: &&DrainItem| item.state == DrainItemState::Moving;
        let most = usize::try_from(self.0.setup.max_outgoing.max(1)).unwrap_or(usize::MAX);
        let mut free = most.saturating_sub(drain.items.iter().filter(is_moving).count());
        if free == 0 {
            return Ok(());
        }
        let mut targets: Vec<NodeFacts> =
            self.nodes()?.into_iter().filter(|it| !it.is_self).filter_map(|it| it.facts).collect();
        for item in drain.items.iter_mut().filter(|it| it.state == DrainItemState::Waiting) {
            if free == 0 {
                break;
            }
            if self.send_item(item, &mut targets, tried)? {
                free -= 1;
            }
        }
        Ok(())
    }

    /// Sends one to the best target that has not failed it yet; tells whether it is on its way.
    fn send_item(
        &self,
        item: &mut DrainItem,
        targets: &mut [NodeFacts],
        tried: &mut Tried,
    ) -> Result<bool, NodeError> {
        let record = self.record(&item.vm)?;
        let reasons = tried.entry(item.vm.clone()).or_default();
        loop {
            let left =
                targets.iter_mut().filter(|it| !it.draining && !reasons.contains_key(&it.name));
            let Some(target) = left.max_by_key(|it| fitness(it)) else {
                item.state = DrainItemState::Stayed;
                let last = item.target.as_ref().and_then(|target| reasons.get(target));
                let last = last.or_else(|| reasons.values().next());
                item.reason = Some(last.cloned().unwrap_or_else(|| NOWHERE.to_owned()));
                return Ok(false);
            };
            let settings = SettingsChange::default();
            let request = MigrationRequest { target: target.name.clone(), policy: None, settings };
            match self.migrate(&item.vm, &request) {
                Ok(begun) => {
                    // What it takes is not free for the next one, although it is not there yet.
                    target.memory_free_bytes =
                        target.memory_free_bytes.saturating_sub(size(&record).unwrap_or_default());
                    target.incoming = target.incoming.saturating_add(1);
                    item.state = DrainItemState::Moving;
                    (item.target, item.migration) = (Some(begun.target), Some(begun.id));
                    return Ok(true);
                }
                Err(error @ NodeError::Store(_)) => return Err(error),
                Err(error) => {
                    item.target = Some(target.name.clone());
                    reasons.insert(target.name.clone(), chain(&error));
                }
            }
        }
    }
}

/// What an operator reads of it afterwards, in the log of the host.
fn log_end(drain: &Drain) {
    let (left, stayed) = (drain.count(DrainItemState::Left), drain.count(DrainItemState::Stayed));
    tracing::info!("the node is emptied: {left} machines have left, {stayed} have stayed");
    for item in drain.items.iter().filter(|item| item.state == DrainItemState::Stayed) {
        let why = item.reason.as_deref().unwrap_or("it is not known why");
        tracing::warn!("'{}' has stayed: {why}", item.vm);
    }
}

/// Why a guest stays that nothing else keeps.
const NOWHERE: &str =
    "no other node is there that takes guests; name one with --peer, or undrain one";

/// The guest's memory, which is what has to be sent at least; not known of every QEMU.
fn size(record: &VmRecord) -> Option<u64> {
    Needs::of(&record.spec.machine).memory.map(|memory| memory.0)
}

/// Where guests are sent first: where they need not wait for others, and then where most memory is free.
fn fitness(target: &NodeFacts) -> (bool, u64) {
    (target.incoming < target.max_incoming, target.memory_free_bytes)
}

fn moving(item: &mut DrainItem, open: &Migration) {
    let id: &MigrationId = &open.id;
    item.state = DrainItemState::Moving;
    (item.target, item.migration) = (Some(open.target.clone()), Some(id.clone()));
}

/// One that is here: it was not sent yet, or it has come back.
fn back(item: &mut DrainItem, migrations: &[Migration], tried: &mut Tried) {
    if item.state != DrainItemState::Moving {
        return;
    }
    item.state = DrainItemState::Waiting;
    let Some(last) = migrations.iter().find(|it| Some(&it.id) == item.migration.as_ref()) else {
        return;
    };
    let reason = last.reason.clone().unwrap_or_else(|| last.state.name().to_owned());
    if last.state == MigrationState::Cancelled {
        item.state = DrainItemState::Stayed;
        item.reason = Some("its migration was called off by somebody".to_owned());
        return;
    }
    tried.entry(item.vm.clone()).or_default().insert(last.target.clone(), reason);
}

#[cfg(test)]
#[path = "draining_tests.rs"]
mod tests;
