//! Whether a compressor is worth its time, by what it was measured to cost and what the link takes.
//!
//! A limit is certain. What a link takes is only believed: by the time that writes take, which may have another cause. So
//! where it is believed to be slow, both ways are tried.

use std::time::Duration;

use landfall_converge::ByteRate;

use super::block::{BlockEncoder, Lz4};
use super::trial::{Took, Trial, Way};
use super::{PAGE, Piece};
use crate::wire::Encoding;

/// A link that takes less time than this for a byte is faster than it is worth doing anything about, in ns: 1 GB/s.
const SLOW: f64 = 1.0;
/// The weight of the latest measurement, of a run of pages that is as long as one can be.
const WEIGHT: f64 = 0.1;
const LONGEST: f64 = 64.0 * PAGE as f64;
/// A compressor is to be better by so much.
const MARGIN: f64 = 0.9;
/// A page that gets no shorter than this stands for a run that does not, either.
const SHORT: f64 = 0.8;
/// The other compressor is tried once in so many runs, so that what is known of it stays true.
const TRIAL: u32 = 32;
/// Where none is worth it by what is known, one is used all the same once in so many runs.
const FORGOTTEN: u32 = 256;

/// What one compressor costs, in ns a byte of content, and what it leaves of it.
#[derive(Clone, Copy, Debug)]
struct Cost {
    time: f64,
    share: f64,
}

impl Cost {
    /// What a byte of content takes in all, on a link that takes `link` for a byte. The link carries one run while the
    /// next is compressed.
    fn total(self, link: f64) -> f64 {
        self.time.max(self.share * link)
    }

    fn observe(&mut self, time: f64, share: f64) {
        self.time += WEIGHT * (time - self.time);
        self.share += WEIGHT * (share - self.share);
    }
}

/// Chooses for one channel.
#[derive(Debug)]
pub(super) struct Chooser {
    /// What the limit makes of a byte, in ns; zero without a limit.
    limit: f64,
    /// What the link was measured to take for a byte, in ns.
    link: f64,
    lz4: Cost,
    zstd: Cost,
    trial: Trial,
    runs: u32,
    unused: u32,
    sample: Vec<u8>,
}

impl Chooser {
    pub(super) fn new(rate: Option<ByteRate>) -> Self {
        let mut this = Self {
            limit: 0.0,
            link: 0.0,
            // As they were found on processors of these years, until they are measured here.
            lz4: Cost { time: 1.5, share: 0.6 },
            zstd: Cost { time: 4.0, share: 0.5 },
            trial: Trial::new(),
            runs: 0,
            unused: 0,
            sample: Vec::new(),
        };
        this.share(1, rate);
        this
    }

    /// The limit, which so many channels share.
    pub(super) fn share(&mut self, channels: u16, rate: Option<ByteRate>) {
        let a_byte = |rate: ByteRate| f64::from(channels) * 1e9 / rate.bytes_per_second().max(1.0);
        self.limit = rate.map_or(0.0, a_byte);
    }

    /// A piece has left as `bytes` in `time`, after `made_in` was spent on it.
    pub(super) fn left(&mut self, piece: Piece, bytes: u64, made_in: Duration, time: Duration) {
        let content = (piece.pages * PAGE) as u64;
        let way = match piece.encoding {
            None => {
                let a_byte = time.as_secs_f64() * 1e9 / (bytes.max(1) as f64);
                let weight = WEIGHT * content as f64 / LONGEST;
                // A pause of the link is not its speed.
                self.link += weight * (a_byte.min(1e4) - self.link);
                Way::Plain
            }
            // Where the compressor is what takes longest, no write waits: that says nothing of the link.
            Some(Encoding::Lz4 | Encoding::Zstd) => Way::Packed,
            // And what a delta takes says nothing of whole pages.
            Some(Encoding::Delta) => return,
        };
        let is_believed = self.is_worth_it(self.link);
        self.trial.left(way, content, Took { made_in, left_in: time }, is_believed);
    }

    fn a_byte(&self) -> f64 {
        self.link.max(self.limit)
    }

    pub(super) fn link_is_slow(&self) -> bool {
        self.a_byte() > SLOW
    }

    /// What is best for a run; `None` to let it go as it is.
    pub(super) fn choose(&mut self, content: &[u8]) -> Option<Encoding> {
        if !self.compresses() || !self.is_compressible(content) {
            return None;
        }
        self.runs = self.runs.wrapping_add(1);
        let link = self.a_byte();
        let lz4_is_best = self.lz4.total(link) <= self.zstd.total(link);
        let lz4 = lz4_is_best != self.runs.is_multiple_of(TRIAL);
        Some(if lz4 { Encoding::Lz4 } else { Encoding::Zstd })
    }

    fn compresses(&mut self) -> bool {
        self.is_worth_it(self.limit)
            || self.trial.way() == Way::Packed
            || self.is_time_to_look_again()
    }

    /// What was measured when the processor was busy would hold for ever if nothing were compressed any more.
    fn is_time_to_look_again(&mut self) -> bool {
        if self.link <= SLOW || self.is_worth_it(self.link) {
            return false;
        }
        self.unused = self.unused.wrapping_add(1);
        self.unused.is_multiple_of(FORGOTTEN)
    }

    /// Whether one of the compressors is believed to be, where a byte takes so much.
    fn is_worth_it(&self, link: f64) -> bool {
        link > SLOW && self.lz4.total(link).min(self.zstd.total(link)) < MARGIN * link
    }

    /// Tried on the page in the middle of the run.
    fn is_compressible(&mut self, content: &[u8]) -> bool {
        let middle = content.len() / PAGE / 2 * PAGE;
        let page = &content[middle..middle + PAGE];
        Lz4.encode(page, &mut self.sample);
        (self.sample.len() as f64) < SHORT * PAGE as f64
    }

    /// A compressor was used.
    pub(super) fn took(&mut self, encoding: Encoding, from: usize, to: usize, time: Duration) {
        let from = from as f64;
        let (time, share) = (time.as_secs_f64() * 1e9 / from, (to as f64 / from).min(1.0));
        match encoding {
            Encoding::Lz4 => self.lz4.observe(time, share),
            Encoding::Zstd => self.zstd.observe(time, share),
            Encoding::Delta => {}
        }
    }
}

#[cfg(test)]
#[path = "chooser_tests.rs"]
mod tests;
