//! Whether compressing makes the whole faster, found by doing now the one and now the other.
//!
//! That a write did not return at once does not say what it waited for. A link that is slow carries compressed pages in less
//! time; another side, or processors, that are busy do not become any faster by it. Only what a page took in all tells them
//! apart.

use std::time::Duration;

use super::PAGE;

/// Content after which what it took is looked at.
const WINDOW: u64 = 4 << 20;
/// What goes first is not counted: it meets buffers as the other way has left them.
const SETTLING: u64 = 2 << 20;
/// Content after which it is looked at what making alone took: more than a run, which may have waited for a processor.
const GLANCE: u64 = 512 << 10;
/// The other way is to be better by so much.
const MARGIN: f64 = 0.9;
/// Windows after which the other way is tried again; twice as many after each time in vain, up to the second.
const PATIENCE: u32 = 8;
const MOST_PATIENCE: u32 = 256;
const _: () = assert!(SETTLING < WINDOW && PAGE as u64 * 64 < WINDOW - SETTLING);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Plain,
    Packed,
}

impl Way {
    fn other(self) -> Self {
        match self {
            Self::Plain => Self::Packed,
            Self::Packed => Self::Plain,
        }
    }
}

/// What content took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    /// To be made into what is sent.
    pub(super) made_in: Duration,
    /// To be sent, waiting included.
    pub(super) left_in: Duration,
}

/// What was found on one channel.
#[derive(Debug)]
pub(super) struct Trial {
    way: Way,
    /// What is done now is not what was found best.
    on_trial: bool,
    /// Content of this window, and what that took which counts.
    content: u64,
    counted: u64,
    time: Duration,
    /// What all of it took, and what of that was making.
    so_far: Duration,
    made_in: Duration,
    /// What a byte took by the best way, in ns.
    best: f64,
    windows_left: u32,
    patience: u32,
}

impl Trial {
    pub(super) fn new() -> Self {
        Self {
            way: Way::Plain,
            on_trial: false,
            content: 0,
            counted: 0,
            time: Duration::ZERO,
            so_far: Duration::ZERO,
            made_in: Duration::ZERO,
            best: 0.0,
            windows_left: 0,
            patience: PATIENCE,
        }
    }

    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// Content has left by `way`. Compressing is tried only where it is believed to be worth something.
    pub(super) fn left(&mut self, way: Way, content: u64, took: Took, is_believed: bool) {
        // What gets no shorter goes as it is, whatever is being tried.
        if way != self.way {
            return;
        }
        let time = took.made_in + took.left_in;
        self.content += content;
        self.so_far += time;
        self.made_in += took.made_in;
        if self.content > SETTLING {
            self.counted += content;
            self.time += time;
        }
        if self.content >= WINDOW {
            let a_byte = self.time.as_secs_f64() * 1e9 / self.counted.max(1) as f64;
            self.window_ended(a_byte, is_believed);
        } else if self.is_hopeless() {
            self.window_ended(f64::INFINITY, is_believed);
        }
    }

    /// What is being tried has taken longer than the best way takes for all that it was to do, even if as much was in
    /// buffers before it; or making alone takes longer than the best way in all, for which nobody waits.
    fn is_hopeless(&self) -> bool {
        let longer =
            |time: Duration, content: u64| time.as_secs_f64() * 1e9 > content as f64 * self.best;
        let is_seen = self.content >= GLANCE;
        self.on_trial
            && (longer(self.so_far, 2 * WINDOW) || is_seen && longer(self.made_in, self.content))
    }

    fn window_ended(&mut self, a_byte: f64, is_believed: bool) {
        let way = self.way;
        if self.on_trial {
            self.on_trial = false;
            if a_byte < MARGIN * self.best {
                (self.best, self.patience) = (a_byte, PATIENCE);
                self.turn(way);
            } else {
                self.patience = (self.patience * 2).min(MOST_PATIENCE);
                self.turn(way.other());
            }
            self.windows_left = self.patience;
        } else {
            self.best = a_byte;
            let is_plausible = is_believed || way == Way::Packed;
            self.on_trial = self.windows_left == 0 && is_plausible;
            self.windows_left = self.windows_left.saturating_sub(1);
            self.turn(if self.on_trial { way.other() } else { way });
        }
    }

    /// Begins a window.
    fn turn(&mut self, way: Way) {
        self.way = way;
        (self.content, self.counted) = (0, 0);
        (self.time, self.so_far, self.made_in) = Default::default();
    }
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
