//! A migration that leaves this node, followed.

use std::time::{Duration, Instant};

use super::underway::UnderWay;
use super::{Node, lock};
use crate::machines::{Follower, Wish};
use crate::model::{Migration, Progress};

/// Watchers are told no more often than this.
const TELL: Duration = Duration::from_millis(200);

/// Keeps what is known of a migration true while it runs, and passes on what is wanted of it.
pub(super) struct Watcher<'a> {
    node: &'a Node,
    pub(super) migration: Migration,
    told: Option<Instant>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(node: &'a Node, migration: Migration) -> Self {
        Self { node, migration, told: None }
    }
}

impl Follower for Watcher<'_> {
    fn progress(&mut self, progress: Progress) {
        let id = &self.migration.id;
        let stage = progress.stage;
        let mut under_way = lock(&self.node.0.under_way);
        let entry = under_way.entry(id.clone()).or_default();
        let news = entry.progress.as_ref().is_none_or(|before| before.stage != stage);
        entry.see(progress);
        drop(under_way);
        if news || self.told.is_none_or(|told| told.elapsed() >= TELL) {
            self.told = Some(Instant::now());
            if let Ok(migration) = self.node.migration(id) {
                self.node.tell_migration(&migration);
            }
        }
    }

    fn wish(&mut self) -> Wish {
        if self.node.is_leaving() {
            return Wish::Leave;
        }
        let mut under_way = lock(&self.node.0.under_way);
        under_way.get_mut(&self.migration.id).map_or(Wish::GoOn, UnderWay::wish)
    }
}
