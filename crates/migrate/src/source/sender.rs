//! The thread that sends: walks the dirty set, reads pages, and writes them down.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as Post};
use std::time::{Duration, Instant};

use super::run::{Event, LIFE_SIGN};
use crate::bucket::TokenBucket;
use crate::channel::Channel;
use crate::descriptors::Passing;
use crate::dirty_set::DirtySet;
use crate::encoding::Encodings;
use crate::heat::Heat;
use crate::machine::{GuestMemory, MachineError, PageIndex};
use crate::page_buffer::{PAGE, PageBuffer};
use crate::report::PageCounts;
use crate::wire::{Encoder, Encoding, MAX_RUN_PAGES, Message, PageRun, WireError};
use crate::zeros::{MAX_ZERO_RUNS, is_zero, joined};

/// What the sender is to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Send what is dirty once.
    Walk(WalkOrder),
    /// Say something.
    Message(Message),
    /// Say something with which descriptors go along.
    Pass(Message, Vec<OwnedFd>),
}

/// How to walk through the dirty set: cold pages first, each kind from the first page to the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalkOrder {
    /// The destination acknowledges it by this.
    pub(super) number: u32,
    /// All pages were sent before.
    pub(super) again: bool,
    /// Cold pages before this one are left for later.
    pub(super) from: PageIndex,
    /// Pages go over the first so many channels.
    pub(super) channels: u16,
    /// When it is to be left, while it is at cold pages.
    pub(super) until: Option<Instant>,
}

/// What has left, by all senders together. Each number is written by senders and read for statistics only.
#[derive(Debug, Default)]
pub(super) struct Counters {
    bytes: AtomicU64,
    zero: AtomicU64,
    raw: AtomicU64,
    delta: AtomicU64,
    compressed: AtomicU64,
}

impl Counters {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn pages(&self) -> u64 {
        let counts = self.page_counts();
        counts.zero + counts.raw + counts.delta + counts.compressed
    }

    pub(super) fn page_counts(&self) -> PageCounts {
        PageCounts {
            zero: self.zero.load(Ordering::Relaxed),
            raw: self.raw.load(Ordering::Relaxed),
            delta: self.delta.load(Ordering::Relaxed),
            compressed: self.compressed.load(Ordering::Relaxed),
        }
    }

    /// Those that are sent in this way.
    fn of(&self, encoding: Option<Encoding>) -> &AtomicU64 {
        match encoding {
            None => &self.raw,
            Some(Encoding::Delta) => &self.delta,
            Some(Encoding::Lz4 | Encoding::Zstd) => &self.compressed,
        }
    }
}

/// Why a pass was left.
#[derive(Debug)]
enum Interrupted {
    /// The migration is being stopped.
    Stopped,
    Wire(WireError),
    Memory(MachineError),
}

impl From<WireError> for Interrupted {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// The sender of one channel.
pub(super) struct Sender {
    pub(super) channel: u16,
    pub(super) stream: Channel,
    pub(super) memory: Arc<dyn GuestMemory>,
    pub(super) dirty: Arc<DirtySet>,
    pub(super) heat: Arc<Heat>,
    pub(super) bucket: Arc<TokenBucket>,
    pub(super) counters: Arc<Counters>,
    pub(super) encoder: Encoder,
    pub(super) encodings: Encodings,
}

impl Sender {
    /// Serves `commands` until there are no more, or nothing can be sent any more.
    pub(super) fn serve(mut self, commands: &Receiver<Command>, post: &Post<Event>) {
        self.obey(commands, post);
        // A migration that has ended listens no more.
        let _ = post.send(Event::SenderGone(self.channel));
    }

    fn obey(&mut self, commands: &Receiver<Command>, post: &Post<Event>) {
        let mut walk =
            Walk { buffer: PageBuffer::new(64), waited: Duration::ZERO, zero_runs: Vec::new() };
        // Between its walks a channel says now and then that it is there. What is said after them is waited for as it is.
        let mut walks = false;
        loop {
            let command = match commands.recv_timeout(LIFE_SIGN) {
                Ok(command) => command,
                Err(RecvTimeoutError::Timeout) => {
                    if walks {
                        self.show_life();
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            walks = matches!(command, Command::Walk(_));
            let event = match command {
                Command::Walk(order) => match self.walk(order, &mut walk) {
                    Ok(cut_at) => Event::WalkSent { cut_at },
                    // Said already by who stopped it; a farewell may follow.
                    Err(Interrupted::Stopped) => continue,
                    Err(Interrupted::Wire(error)) => Event::SendFailed(error),
                    Err(Interrupted::Memory(error)) => Event::MemoryFailed(error),
                },
                Command::Message(message) => said(self.say(&message)),
                Command::Pass(message, descriptors) => said(self.pass(&message, &descriptors)),
            };
            let failed = matches!(event, Event::SendFailed(_));
            // A migration that has ended listens no more.
            if post.send(event).is_err() || failed {
                return;
            }
        }
    }

    fn say(&mut self, message: &Message) -> Result<(), WireError> {
        let bytes = self.encoder.write(&mut self.stream, message)?;
        self.sent(bytes);
        Ok(())
    }

    /// Says that no page is zero. That is counted nowhere, so that a destination that takes nothing any more is found to be silent.
    fn show_life(&mut self) {
        // One that has all of it may have closed this channel. Who has to send something more hears of it then.
        let _ = self.encoder.write(&mut self.stream, &Message::ZeroPages(Vec::new()));
    }

    fn pass(&mut self, message: &Message, descriptors: &[OwnedFd]) -> Result<(), WireError> {
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut passing = Passing::new(&mut self.stream, &descriptors);
        let bytes = self.encoder.write(&mut passing, message)?;
        self.sent(bytes);
        Ok(())
    }

    fn sent(&self, bytes: u64) {
        self.bucket.spend(bytes);
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sends what is `wanted` of the dirty pages, from `cursor` to the last. Where it came to if there was `enough` before.
    fn walk_over(
        &mut self,
        walk: &mut Walk,
        mut cursor: PageIndex,
        channels: u16,
        wanted: impl Fn(usize) -> u64,
        enough: impl Fn() -> bool,
    ) -> Result<Option<PageIndex>, Interrupted> {
        while !enough() {
            let waits = Instant::now();
            self.bucket.wait().map_err(|_| Interrupted::Stopped)?;
            walk.waited = waits.elapsed();
            let most = self.bucket.run_pages().min(MAX_RUN_PAGES);
            let run = self.dirty.take_run(cursor, most, self.channel, channels, &wanted);
            let Some(run) = run else { return Ok(None) };
            cursor = run.first.offset(run.count);
            self.send_run(run, walk)?;
        }
        Ok(Some(cursor))
    }

    /// Gives where it was left, if that was sooner than at its end.
    fn walk(
        &mut self,
        order: WalkOrder,
        walk: &mut Walk,
    ) -> Result<Option<PageIndex>, Interrupted> {
        let heat = Arc::clone(&self.heat);
        heat.walk_begins();
        self.encodings.spread_over(order.channels, self.bucket.rate());
        self.encodings.walk_begins(order.again);
        let mut cut_at = None;
        if self.channel < order.channels {
            let is_due = || order.until.is_some_and(|until| Instant::now() >= until);
            let cold = |word| heat.cold(word);
            cut_at = self.walk_over(walk, order.from, order.channels, cold, is_due)?;
            if cut_at.is_none() {
                let hot = |word| heat.hot(word);
                self.walk_over(walk, PageIndex(0), order.channels, hot, || heat.cold_waits())?;
            }
            self.flush_zeros(walk)?;
        }
        self.say(&Message::PassEnd { pass: order.number })?;
        Ok(cut_at)
    }

    /// Sends a run: its zero pages by number, the others as they are.
    fn send_run(&mut self, run: PageRun, walk: &mut Walk) -> Result<(), Interrupted> {
        if self.memory.is_untouched(run.first, run.count) {
            return Ok(self.add_zeros(run, walk)?);
        }
        let bytes = usize::try_from(run.count).map_or(0, |count| count * PAGE);
        let mut buffer = std::mem::take(&mut walk.buffer);
        let content = &mut buffer[..bytes];
        // Copied, because the guest goes on writing: the checksum must be that of the bytes that are sent.
        let read = self.memory.read_pages(run.first, content).map_err(Interrupted::Memory);
        let sent = read.and_then(|()| self.send_content(run.first, content, walk));
        walk.buffer = buffer;
        sent
    }

    fn send_content(
        &mut self,
        first: PageIndex,
        content: &[u8],
        walk: &mut Walk,
    ) -> Result<(), Interrupted> {
        let mut rest = content;
        let mut at = first;
        while !rest.is_empty() {
            let zero = is_zero(&rest[..PAGE]);
            let pages = rest.chunks_exact(PAGE).take_while(|page| is_zero(page) == zero).count();
            let (part, after) = rest.split_at(pages * PAGE);
            let count = pages as u64;
            if zero {
                self.add_zeros(PageRun { first: at, count }, walk)?;
            } else {
                self.send_pages(at, part, walk)?;
            }
            at = at.offset(count);
            rest = after;
        }
        Ok(())
    }

    /// Sends pages that are not all zeros, each stretch of them as it is best sent.
    fn send_pages(
        &mut self,
        first: PageIndex,
        content: &[u8],
        walk: &mut Walk,
    ) -> Result<(), WireError> {
        let mut rest = content;
        let mut at = first;
        while !rest.is_empty() {
            let piece = self.encodings.next_piece(at, rest);
            let (part, after) = rest.split_at(piece.pages * PAGE);
            let run = PageRun { first: at, count: piece.pages as u64 };
            let begins = Instant::now();
            let bytes = match piece.encoding {
                None => self.encoder.write_pages(&mut self.stream, at, part)?,
                Some(encoding) => {
                    let packed = self.encodings.packed();
                    self.encoder.write_encoded(&mut self.stream, run, encoding, packed)?
                }
            };
            self.encodings.left(bytes, begins.elapsed() + std::mem::take(&mut walk.waited));
            self.counters.of(piece.encoding).fetch_add(run.count, Ordering::Relaxed);
            self.sent(bytes);
            at = at.offset(run.count);
            rest = after;
        }
        Ok(())
    }

    fn add_zeros(&mut self, run: PageRun, walk: &mut Walk) -> Result<(), WireError> {
        self.encodings.zeros(run);
        walk.zero_runs.push(run);
        if walk.zero_runs.len() >= MAX_ZERO_RUNS { self.flush_zeros(walk) } else { Ok(()) }
    }

    fn flush_zeros(&mut self, walk: &mut Walk) -> Result<(), WireError> {
        if walk.zero_runs.is_empty() {
            return Ok(());
        }
        let runs = joined(std::mem::take(&mut walk.zero_runs));
        let pages: u64 = runs.iter().map(|run| run.count).sum();
        self.say(&Message::ZeroPages(runs))?;
        self.counters.zero.fetch_add(pages, Ordering::Relaxed);
        Ok(())
    }
}

fn said(said: Result<(), WireError>) -> Event {
    match said {
        Ok(()) => Event::Sent,
        Err(error) => Event::SendFailed(error),
    }
}

struct Walk {
    buffer: PageBuffer,
    /// Since something was sent last.
    waited: Duration,
    zero_runs: Vec<PageRun>,
}
