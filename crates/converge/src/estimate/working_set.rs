//! How much memory the guest keeps rewriting, and in what pattern.

use crate::predict::Pattern;
use crate::sample::Harvest;

/// A harvest of fewer pages says nothing about a pattern.
const LEAST_HARVEST: f64 = 8.0;
/// A window in which fewer than this share of a harvest was new to it has seen the working set.
const SATURATED: f64 = 0.25;

/// The working set, from how a growing window of harvests fills up.
///
/// What a harvest adds to the window tells the patterns apart: a sweep adds all of each harvest until it comes round,
/// and then nothing; random writing adds ever less.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkingSet {
    /// Its size, once a window was seen to fill up.
    known: Option<f64>,
    /// The most distinct pages that the present and the previous window held.
    seen: f64,
    seen_before: f64,
    ran: f64,
    distinct: f64,
    /// Points of the present window: how full it was, and which share of the harvest was new to it.
    filling: Vec<(f64, f64)>,
    /// 0: as random writing fills it; 1: as a sweep does.
    sweep_score: Option<f64>,
}

impl WorkingSet {
    pub(crate) fn observe(&mut self, harvest: &Harvest) {
        let window = harvest.window;
        let (ran, distinct) = (window.guest_ran.as_secs_f64(), window.distinct.0 as f64);
        let dirtied = harvest.dirtied.0 as f64;
        if ran <= self.ran || distinct < self.distinct {
            self.begin_window();
        }
        let added = (distinct - self.distinct).clamp(0.0, dirtied.max(0.0));
        let middle = self.distinct + added / 2.0;
        let first = self.distinct == 0.0;
        self.ran = ran;
        self.distinct = distinct;
        self.seen = self.seen.max(distinct);
        if let Some(known) = self.known
            && distinct > known * 1.1
        {
            // It grew; how far is open again.
            self.known = None;
        }
        if first || dirtied < LEAST_HARVEST {
            return;
        }
        let share = added / dirtied;
        if share < SATURATED {
            let size = (middle / (1.0 - share)).max(distinct);
            self.known = Some(size);
            self.judge(size);
        } else if self.filling.len() < 64 {
            self.filling.push((middle, share));
        }
    }

    fn begin_window(&mut self) {
        self.seen_before = self.seen;
        self.seen = 0.0;
        self.distinct = 0.0;
        self.filling.clear();
    }

    fn judge(&mut self, size: f64) {
        let scores: Vec<f64> = self
            .filling
            .drain(..)
            .map(|(middle, share)| (middle / size, share))
            .filter(|(fill, _)| (0.25..0.9).contains(fill))
            .map(|(fill, share)| (share - (1.0 - fill)) / fill)
            .collect();
        if scores.is_empty() {
            return;
        }
        let score = scores.iter().sum::<f64>() / scores.len() as f64;
        self.sweep_score = Some(self.sweep_score.map_or(score, |old| 0.5 * old + 0.5 * score));
    }

    /// Pages: the working set where it is bounded, and otherwise the most that was seen of it.
    pub(crate) fn pages(&self) -> f64 {
        self.known.unwrap_or_else(|| self.seen.max(self.seen_before))
    }

    /// Whether a window was seen to fill up, so that the size is known.
    pub(crate) fn bounded(&self) -> bool {
        self.known.is_some()
    }

    /// In what order it is rewritten, when that could be told.
    pub(crate) fn pattern(&self) -> Option<Pattern> {
        self.sweep_score.map(|score| if score < 0.5 { Pattern::Random } else { Pattern::Sweep })
    }
}
