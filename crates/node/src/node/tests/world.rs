//! Two hosts whose machines are entries in a table. Processes go on while the daemons come and go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use landfall_converge::ByteRate;
use landfall_migrate::report::{Outcome, Report};
use landfall_qmp::DirtyMeasurement;

use super::super::{Node, NodeError, Setup};
use crate::machines::{Condition, Destination, Followed, Follower, MachineError, Machines, chain};
use crate::model::{
    CheckItem, MigrationId, MigrationState, NodeFacts, NodeName, Settings, VmRecord, VmSpec,
};
use crate::ownership::Verdict;
use crate::peer::{Offer, Peer, PeerError, Prepared, Question, Survey};
use crate::process::ProcessId;
use crate::store::Store;

/// How the connection between two machines behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The guest arrives.
    Good,
    /// It breaks before the guest is given away.
    BreaksEarly,
    /// It breaks with the word that gives the guest away, before it has arrived.
    BreaksBeforeTheWord,
    /// It breaks when the word has arrived, before the source hears of it.
    BreaksAfterTheWord,
}

#[derive(Debug)]
struct Process {
    condition: Condition,
    report: Option<Report>,
}

#[derive(Debug)]
pub(super) struct World {
    processes: Mutex<BTreeMap<String, Process>>,
    link: Link,
    /// Whether daemons are of a version that knows no surveys.
    pub(super) is_of_an_earlier_version: AtomicBool,
    /// The daemon that is gone as soon as a guest is sent.
    vanishing: Mutex<Option<Place>>,
}

impl World {
    pub(super) fn new(link: Link) -> Arc<Self> {
        Arc::new(Self {
            processes: Mutex::default(),
            link,
            is_of_an_earlier_version: AtomicBool::new(false),
            vanishing: Mutex::default(),
        })
    }

    /// The hosts on which the guest runs.
    pub(super) fn running(&self) -> Vec<String> {
        let processes = self.processes.lock().unwrap();
        let runs = |process: &Process| matches!(process.condition, Condition::Running { .. });
        processes.iter().filter(|(_, it)| runs(it)).map(|(host, _)| host.clone()).collect()
    }

    /// The hosts on which there is a process for the guest, whether it runs or not.
    pub(super) fn present(&self) -> Vec<String> {
        let processes = self.processes.lock().unwrap();
        let present = processes.iter().filter(|(_, it)| it.condition != Condition::Gone);
        present.map(|(host, _)| host.clone()).collect()
    }
}

pub(super) const RUNNING: Condition = Condition::Running { throttle: 0.0, migrating: false };

/// The machines of one host.
#[derive(Debug)]
struct Machine {
    host: String,
    world: Arc<World>,
}

impl Machine {
    fn put(&self, condition: Condition) -> ProcessId {
        let process = Process { condition, report: None };
        self.world.processes.lock().unwrap().insert(self.host.clone(), process);
        ProcessId { pid: 1, start_time: 1 }
    }
}

fn report(outcome: Outcome) -> Report {
    let reason = (outcome != Outcome::Completed).then(|| "the link broke".to_owned());
    Report { outcome, reason, ..crate::render::samples::empty() }
}

impl Machines for Machine {
    fn start(&self, _: &VmRecord) -> Result<ProcessId, MachineError> {
        Ok(self.put(RUNNING))
    }

    fn expect(&self, _: &VmRecord, _: &str) -> Result<(ProcessId, String), MachineError> {
        Ok((self.put(Condition::Awaiting), self.host.clone()))
    }

    fn find(&self, _: &VmRecord) -> Result<(ProcessId, Vec<String>), MachineError> {
        Err(MachineError::Unsupported("no QEMU here".to_owned()))
    }

    fn condition(&self, _: &VmRecord) -> Condition {
        let processes = self.world.processes.lock().unwrap();
        processes.get(&self.host).map_or(Condition::Gone, |process| process.condition)
    }

    fn send(
        &self,
        _: &VmRecord,
        to: Option<Destination<'_>>,
        _: &Settings,
        _: &mut dyn Follower,
    ) -> Result<Followed, MachineError> {
        let mut processes = self.world.processes.lock().unwrap();
        if let Some(Destination { uri: there, .. }) = to {
            if let Some(place) = self.world.vanishing.lock().unwrap().take() {
                *place.write().unwrap() = None;
            }
            let (outcome, here, arrived) = match self.world.link {
                Link::Good => (Outcome::Completed, Condition::GivenAway, RUNNING),
                Link::BreaksEarly => (Outcome::Failed, RUNNING, Condition::Gone),
                Link::BreaksBeforeTheWord => {
                    (Outcome::InDoubt, Condition::InDoubt, Condition::InDoubt)
                }
                Link::BreaksAfterTheWord => (Outcome::InDoubt, Condition::InDoubt, RUNNING),
            };
            processes.get_mut(there).expect("somebody waits there").condition = arrived;
            let source = processes.get_mut(&self.host).expect("the guest is here");
            source.condition = here;
            source.report = Some(report(outcome));
        }
        let source = processes.get(&self.host);
        let source = source.ok_or_else(|| MachineError::Monitor("it has ended".to_owned()))?;
        Ok(source.report.clone().map_or(Followed::None, |it| Followed::Over(Box::new(it))))
    }

    fn configuration(&self, _: &VmRecord) -> Result<Option<String>, MachineError> {
        Ok(Some("a guest".to_owned()))
    }

    fn try_out(&self, _: &VmSpec, _: &str) -> Result<Result<(), String>, MachineError> {
        Ok(Ok(()))
    }

    fn can_protect(&self, _: &VmRecord) -> Result<(), MachineError> {
        Ok(())
    }

    fn let_in(&self, _: &VmRecord) {}

    fn settle(&self, _: &VmRecord, run: bool) -> Result<(), MachineError> {
        let mut processes = self.world.processes.lock().unwrap();
        let process = processes.get_mut(&self.host).expect("it is here");
        assert_eq!(process.condition, Condition::InDoubt, "nothing else is settled");
        process.condition = if run { RUNNING } else { Condition::GivenAway };
        Ok(())
    }

    fn press_button(&self, _: &VmRecord) -> Result<(), MachineError> {
        self.world.processes.lock().unwrap().remove(&self.host);
        Ok(())
    }

    fn end(&self, _: &VmRecord) {
        self.world.processes.lock().unwrap().remove(&self.host);
    }

    fn end_strays(&self, record: &VmRecord) {
        assert_ne!(self.condition(record), RUNNING, "a guest that runs is no stray");
        self.end(record);
    }

    fn measure(&self, _: &VmRecord) -> Result<DirtyMeasurement, MachineError> {
        Err(MachineError::Unsupported("nothing to measure".to_owned()))
    }
}

/// Where a daemon is, if it runs.
type Place = Arc<RwLock<Option<Node>>>;

#[derive(Debug)]
struct Direct {
    name: NodeName,
    world: Arc<World>,
    place: Place,
}

impl Direct {
    fn ask<T>(&self, ask: impl FnOnce(&Node) -> Result<T, NodeError>) -> Result<T, PeerError> {
        let silent =
            || PeerError::Unreachable { node: self.name.clone(), why: "silence".to_owned() };
        let node = self.place.read().unwrap().clone().ok_or_else(silent)?;
        ask(&node).map_err(|error| match error {
            NodeError::Killed => silent(),
            NodeError::Busy(_) => PeerError::Busy(self.name.clone()),
            error => PeerError::Refused { node: self.name.clone(), why: chain(&error) },
        })
    }
}

impl Peer for Direct {
    fn address(&self) -> String {
        "memory".to_owned()
    }

    fn facts(&self) -> Result<NodeFacts, PeerError> {
        self.ask(Node::facts)
    }

    fn check(&self, offer: &Offer) -> Result<Vec<CheckItem>, PeerError> {
        self.ask(|node| node.examine(offer))
    }

    fn survey(&self, survey: &Survey) -> Result<Option<Vec<CheckItem>>, PeerError> {
        match self.world.is_of_an_earlier_version.load(Ordering::Acquire) {
            true => Ok(None),
            false => self.ask(|node| node.survey(survey)).map(Some),
        }
    }

    fn offer(&self, offer: &Offer) -> Result<Prepared, PeerError> {
        self.ask(|node| node.expect(offer))
    }

    fn verdict(&self, question: &Question) -> Result<Verdict, PeerError> {
        self.ask(|node| node.verdict(question))
    }

    fn refuse(&self, question: &Question, committed: bool) -> Result<Verdict, PeerError> {
        self.ask(|node| node.refuse(question, committed))
    }

    fn migration(&self, id: &MigrationId) -> Result<Option<MigrationState>, PeerError> {
        self.ask(|node| node.state_of(id))
    }

    fn measure(&self) -> Result<ByteRate, PeerError> {
        Ok(ByteRate::new(1e9))
    }
}

/// One host: its store outlives its daemon.
pub(super) struct Host {
    name: &'static str,
    store: Arc<Store>,
    world: Arc<World>,
    place: Place,
    other: (NodeName, Place),
}

/// Two hosts, and the folder in which they keep what they know.
pub(super) fn hosts(world: &Arc<World>) -> (tempfile::TempDir, Host, Host) {
    let folder = tempfile::tempdir().unwrap();
    let places = [Place::default(), Place::default()];
    let host = |name: &'static str, own: usize, other: &str| Host {
        name,
        store: Arc::new(Store::open(&folder.path().join(name)).unwrap()),
        world: Arc::clone(world),
        place: Arc::clone(&places[own]),
        other: (other.parse().unwrap(), Arc::clone(&places[1 - own])),
    };
    let (a, b) = (host("a", 0, "b"), host("b", 1, "a"));
    (folder, a, b)
}

impl Host {
    /// The daemon answers nobody any more.
    pub(super) fn vanishes(&self) {
        *self.place.write().unwrap() = None;
    }

    /// The daemon answers nobody any more once it has prepared for a guest.
    pub(super) fn vanishes_once_it_has_prepared(&self) {
        *self.world.vanishing.lock().unwrap() = Some(Arc::clone(&self.place));
    }

    /// Starts the daemon, which ends by itself after so many steps.
    pub(super) fn start(&self, steps: usize) -> Node {
        let setup = Setup {
            name: self.name.parse().unwrap(),
            machines: "machines".into(),
            guest_address: "127.0.0.1".to_owned(),
            protected: false,
            max_outgoing: 2,
            max_incoming: 2,
            bandwidth: None,
        };
        let machines = Machine { host: self.name.to_owned(), world: Arc::clone(&self.world) };
        let (name, place) = self.other.clone();
        let peer: Arc<dyn Peer> =
            Arc::new(Direct { name: name.clone(), world: Arc::clone(&self.world), place });
        let peers = BTreeMap::from([(name, peer)]);
        let node = Node::new(setup, Arc::clone(&self.store), Arc::new(machines), peers);
        node.dies_after(steps);
        *self.place.write().unwrap() = Some(node.clone());
        node
    }
}
