//! The node itself: what it has, what it does with it. All of it blocks; the API calls it from threads that may.

mod asked;
mod beginning;
mod checking;
mod deciding;
mod doubt;
mod draining;
mod error;
mod facts;
mod moving;
mod policies;
mod predicting;
mod receiving;
mod registry;
mod settling;
mod slots;
mod surveying;
mod tending;
mod tokens;
mod underway;
mod watcher;

pub use error::NodeError;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use landfall_converge::ByteRate;

use self::slots::Slots;
use self::underway::UnderWay;
use crate::events::Events;
use crate::machines::{Condition, Machines};
use crate::model::{MigrationId, NodeName, VmName};
use crate::peer::Peer;
use crate::store::Store;

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What it is called.
    pub name: NodeName,
    /// The folder of the machines that are started here.
    pub machines: PathBuf,
    /// The address at which guests come in, as others reach it.
    pub guest_address: String,
    /// Whether nobody between the nodes can look into what they send.
    pub protected: bool,
    /// How many may leave at a time.
    pub max_outgoing: u32,
    /// How many may come in at a time.
    pub max_incoming: u32,
    /// What all migrations from here may take together.
    pub bandwidth: Option<ByteRate>,
}

/// A node. Clones are the same node.
#[derive(Clone, Debug)]
pub struct Node(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    setup: Setup,
    store: Arc<Store>,
    events: Events,
    machines: Arc<dyn Machines>,
    peers: BTreeMap<NodeName, Arc<dyn Peer>>,
    slots: Slots,
    under_way: Mutex<BTreeMap<MigrationId, UnderWay>>,
    /// What machines were last seen to do.
    conditions: Mutex<BTreeMap<VmName, Condition>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held while it is changed how far this node is emptied.
    draining: Mutex<()>,
    /// Held from counting the guests that come in to writing one more down.
    admitting: Mutex<()>,
    /// Set when the daemon ends: migrations go on unwatched.
    leaving: AtomicBool,
    /// Where a test ends the daemon.
    #[cfg(test)]
    steps_to_live: std::sync::atomic::AtomicUsize,
    /// Where a test has the disk be full, once.
    #[cfg(test)]
    steps_to_trouble: std::sync::atomic::AtomicUsize,
}

impl Node {
    /// A node with `store` as its memory. What was under way when the daemon ended last is not taken up before
    /// [`Node::recover`].
    #[must_use]
    pub fn new(
        setup: Setup,
        store: Arc<Store>,
        machines: Arc<dyn Machines>,
        peers: BTreeMap<NodeName, Arc<dyn Peer>>,
    ) -> Self {
        Self(Arc::new(Shared {
            slots: Slots::new(setup.max_outgoing),
            // Milliseconds go on faster than events are numbered.
            events: Events::new(now_ms() * 1000),
            setup,
            store,
            machines,
            peers,
            under_way: Mutex::default(),
            conditions: Mutex::default(),
            threads: Mutex::default(),
            draining: Mutex::default(),
            admitting: Mutex::default(),
            leaving: AtomicBool::new(false),
            #[cfg(test)]
            steps_to_live: std::sync::atomic::AtomicUsize::new(usize::MAX),
            #[cfg(test)]
            steps_to_trouble: std::sync::atomic::AtomicUsize::new(usize::MAX),
        }))
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.0.setup.name
    }

    /// What happens on it.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// The other nodes that this one knows.
    pub(crate) fn others(&self) -> impl Iterator<Item = &NodeName> {
        self.0.peers.keys()
    }

    /// Another node by its name.
    fn peer(&self, name: &NodeName) -> Result<&Arc<dyn Peer>, NodeError> {
        self.0.peers.get(name).ok_or_else(|| NodeError::NoNode(name.clone()))
    }

    /// Leaves everything as it is: machines run on, migrations go on unwatched. Returns once no thread works here any more.
    pub fn leave(&self) {
        self.0.leaving.store(true, Ordering::Release);
        self.0.slots.close();
        for thread in std::mem::take(&mut *lock(&self.0.threads)) {
            // What it has to say, it has said in the log.
            let _ = thread.join();
        }
    }

    /// Waits until no thread works here any more, without ending any.
    #[cfg(test)]
    fn finish(&self) {
        while let Some(thread) = { lock(&self.0.threads).pop() } {
            thread.join().expect("the thread has not panicked");
        }
    }

    /// Ends by itself after so many steps.
    #[cfg(test)]
    fn dies_after(&self, steps: usize) {
        self.0.steps_to_live.store(steps, Ordering::Release);
    }

    fn is_leaving(&self) -> bool {
        self.0.leaving.load(Ordering::Acquire)
    }

    /// Does something on a thread of its own, which [`Node::leave`] waits for.
    fn spawn(&self, name: String, work: impl FnOnce(&Self) + Send + 'static) {
        let this = self.clone();
        let spawned = std::thread::Builder::new().name(name).spawn(move || work(&this));
        match spawned {
            Ok(thread) => {
                let mut threads = lock(&self.0.threads);
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
            }
            Err(error) => tracing::error!("the system gives no thread: {error}"),
        }
    }

    /// Stands between any two steps that another must not take for one: a test ends the daemon here.
    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "only tests end it")
    )]
    fn next_step(&self) -> Result<(), NodeError> {
        #[cfg(test)]
        {
            let steps = &self.0.steps_to_live;
            let count = |left: usize| Some(left.saturating_sub(1));
            if steps.fetch_update(Ordering::AcqRel, Ordering::Acquire, count) <= Ok(1) {
                self.0.leaving.store(true, Ordering::Release);
                return Err(NodeError::Killed);
            }
            let before = self.0.steps_to_trouble.fetch_sub(1, Ordering::AcqRel);
            if before == 1 {
                return Err(NodeError::Random(std::io::Error::other("the disk is full")));
            }
        }
        Ok(())
    }
}

/// What was found by a thread that has panicked is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds of Unix time.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
