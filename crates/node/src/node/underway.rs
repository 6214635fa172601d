//! A migration that leaves this node, as far as it was seen.

use crate::machines::Wish;
use crate::model::{Point, Progress, Settings};

/// Points kept of a time line; of a long migration only every second, fourth, … point.
const MOST_POINTS: usize = 2048;

/// What was seen of a migration, and what is wanted of it.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    pub(super) progress: Option<Progress>,
    points: Vec<Point>,
    keep_every: usize,
    seen: usize,
    cancel: bool,
    adjust: Option<Settings>,
    switch_over: Option<Settings>,
}

impl UnderWay {
    pub(super) fn see(&mut self, progress: Progress) {
        let point = Point::from(&progress);
        self.progress = Some(progress);
        // Before anything has left nothing was measured, and a chart would begin with a leap.
        if self.points.is_empty() && point.bandwidth_bytes_per_second <= 0.0 {
            return;
        }
        let every = self.keep_every.max(1);
        if self.seen.is_multiple_of(every) {
            self.points.push(point);
        }
        self.seen += 1;
        if self.points.len() >= MOST_POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.keep_every = every * 2;
        }
    }

    pub(super) fn points(&self) -> Vec<Point> {
        self.points.clone()
    }

    pub(super) fn cancel(&mut self) {
        self.cancel = true;
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel
    }

    pub(super) fn adjust(&mut self, settings: Settings) {
        self.adjust = Some(settings);
    }

    pub(super) fn switch_over(&mut self, settings: Settings) {
        self.switch_over = Some(settings);
    }

    /// What is wanted now; each change is told once.
    pub(super) fn wish(&mut self) -> Wish {
        if self.cancel {
            return Wish::Cancel;
        }
        if let Some(settings) = self.switch_over.take() {
            return Wish::SwitchOver(settings);
        }
        self.adjust.take().map_or(Wish::GoOn, Wish::Adjust)
    }
}

#[cfg(test)]
#[path = "underway_tests.rs"]
mod tests;
