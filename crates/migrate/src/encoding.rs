//! How pages are written down: as they are, or as fewer bytes.
//!
//! What is chosen follows from what it costs: a compressor is worth its time only where the link is slower than it is.

mod block;
mod chooser;
mod delta;
mod trial;
mod unpacker;

use std::time::{Duration, Instant};

use landfall_converge::ByteRate;

use crate::machine::PageIndex;
use crate::options::EncodingChoice;
use crate::page_buffer::PAGE;
use crate::wire::{Encoding, PageRun};

use self::block::{BlockEncoder, Lz4, Zstd};
use self::chooser::Chooser;
use self::delta::Delta;
pub use self::unpacker::{UnpackError, Unpacker};

/// The first pages of a run that are written down alike, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) pages: usize,
    /// `None`: as they are.
    pub(crate) encoding: Option<Encoding>,
}

/// The encodings of one channel.
pub(crate) struct Encodings {
    choice: EncodingChoice,
    /// Pages go over so many.
    channels: u16,
    chooser: Chooser,
    delta: Delta,
    lz4: Lz4,
    zstd: Zstd,
    /// The pages of the current walk were sent before.
    again: bool,
    packed: Vec<u8>,
    /// The piece that was made last, and what that took.
    last: Option<(Piece, Duration)>,
}

impl std::fmt::Debug for Encodings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encodings").field("choice", &self.choice).finish_non_exhaustive()
    }
}

impl Encodings {
    /// Those of one channel, which has all of `rate` for itself if there is one.
    pub(crate) fn new(choice: EncodingChoice, rate: Option<ByteRate>) -> Self {
        Self {
            choice,
            channels: 1,
            chooser: Chooser::new(rate),
            delta: Delta::new(1),
            lz4: Lz4,
            zstd: Zstd::default(),
            again: false,
            packed: Vec::new(),
            last: None,
        }
    }

    /// From now on so many channels share `rate`, and what is kept of pages. With another number pages may have gone over
    /// another channel meanwhile, so that nothing is known of them.
    pub(crate) fn spread_over(&mut self, channels: u16, rate: Option<ByteRate>) {
        if std::mem::replace(&mut self.channels, channels) != channels {
            self.delta = Delta::new(channels);
        }
        self.chooser.share(channels, rate);
    }

    /// A walk begins over pages that were all sent before, or not.
    pub(crate) fn walk_begins(&mut self, again: bool) {
        self.again = again;
        if self.choice == EncodingChoice::Auto && !self.chooser.link_is_slow() {
            // What is sent without being noted would make what is known wrong.
            self.delta.forget_all();
        }
    }

    fn takes_deltas(&self) -> bool {
        match self.choice {
            EncodingChoice::Delta => true,
            EncodingChoice::Auto => self.chooser.link_is_slow() || self.delta.knows_any(),
            EncodingChoice::None | EncodingChoice::Lz4 | EncodingChoice::Zstd => false,
        }
    }

    /// Pages are sent as zeros.
    pub(crate) fn zeros(&mut self, run: PageRun) {
        self.delta.forget(run);
    }

    /// How the first pages of `content`, which is never empty, are to be written down; what they become is in
    /// [`Self::packed`], unless they are to go as they are. What this says must be sent.
    pub(crate) fn next_piece(&mut self, first: PageIndex, content: &[u8]) -> Piece {
        let began = Instant::now();
        let piece = self.piece(first, content);
        self.last = Some((piece, began.elapsed()));
        piece
    }

    fn piece(&mut self, first: PageIndex, content: &[u8]) -> Piece {
        if !self.takes_deltas() {
            let pages = content.len() / PAGE;
            return Piece { pages, encoding: self.compress(content) };
        }
        let (pages, known) = self.delta.alike(first, content.len() / PAGE);
        let content = &content[..pages * PAGE];
        if known {
            self.packed.clear();
            self.delta.encode(first, content, &mut self.packed);
            if self.packed.len() < content.len() / 4 * 3 {
                return Piece { pages, encoding: Some(Encoding::Delta) };
            }
        } else {
            self.delta.note(first, content, self.again);
        }
        Piece { pages, encoding: self.compress(content) }
    }

    /// What the last piece became.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The last piece has left as `bytes` in `time`, waiting for their turn included.
    pub(crate) fn left(&mut self, bytes: u64, time: Duration) {
        if let Some((piece, made_in)) = self.last.take() {
            self.chooser.left(piece, bytes, made_in, time);
        }
    }

    fn compress(&mut self, content: &[u8]) -> Option<Encoding> {
        let encoding = match self.choice {
            EncodingChoice::None | EncodingChoice::Delta => return None,
            EncodingChoice::Lz4 => Encoding::Lz4,
            EncodingChoice::Zstd => Encoding::Zstd,
            EncodingChoice::Auto => self.chooser.choose(content)?,
        };
        let (lz4, zstd) = (&mut self.lz4, &mut self.zstd);
        let encoder: &mut dyn BlockEncoder = if encoding == Encoding::Lz4 { lz4 } else { zstd };
        let began = Instant::now();
        let is_shorter = encoder.encode(content, &mut self.packed);
        self.chooser.took(encoding, content.len(), self.packed.len(), began.elapsed());
        is_shorter.then_some(encoding)
    }
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
