//! Takes pages in, on every channel at the same time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_converge::PAGE_SIZE;

use super::ReceiveError;
use super::greeting::{Greeted, reason};
use crate::channel::Channel;
use crate::encoding::{UnpackError, Unpacker};
use crate::machine::{GuestMemory, PageIndex};
use crate::wire::{Decoder, Encoder, Message, PageRun, Received, WireError};

/// Speaks to the source. All channels do so on the first.
#[derive(Debug)]
pub(super) struct Voice {
    pub(super) stream: Channel,
    pub(super) encoder: Encoder,
}

impl Voice {
    pub(super) fn say(&mut self, message: &Message) -> Result<(), WireError> {
        self.encoder.write(&mut self.stream, message).map(drop)
    }
}

/// What the channels of one migration share.
pub(super) struct Receiving<'a> {
    memory: Arc<dyn GuestMemory>,
    voice: &'a Mutex<Voice>,
    /// The walk that each channel has come to the end of.
    walks: Mutex<Vec<u32>>,
    /// What has failed first on a channel other than the first, and was told to the source.
    failure: Mutex<Option<ReceiveError>>,
    /// Channels end because nothing more is expected of them.
    is_over: AtomicBool,
    bytes: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Receiving<'a> {
    pub(super) fn new(
        memory: Arc<dyn GuestMemory>,
        voice: &'a Mutex<Voice>,
        channels: usize,
    ) -> Self {
        Self {
            memory,
            voice,
            walks: Mutex::new(vec![0; channels]),
            failure: Mutex::new(None),
            is_over: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
        }
    }

    /// Bytes of pages that came in.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Nothing more is expected of the channels: that they end is no failure from now on.
    pub(super) fn is_over(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub(super) fn failure(&self) -> Option<ReceiveError> {
        lock(&self.failure).take()
    }

    /// Takes pages in until there is a message that is about something else.
    pub(super) fn until_other(
        &self,
        channel: usize,
        decoder: &mut Decoder,
        stream: &mut Channel,
    ) -> Result<Message, ReceiveError> {
        let mut unpacker = Unpacker::default();
        loop {
            let message = match decoder.read_borrowed(stream)? {
                Received::Pages { first, data } => {
                    self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
                    self.write_pages(first, data)?;
                    continue;
                }
                Received::Encoded { run, encoding, data } => {
                    self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
                    self.check(run)?;
                    let unpacked = unpacker.unpack(self.memory.as_ref(), run, encoding, data)?;
                    self.memory.write_pages(run.first, unpacked).map_err(ReceiveError::Memory)?;
                    continue;
                }
                Received::Message(message) => message,
            };
            match message {
                Message::ZeroPages(runs) => {
                    for run in runs {
                        self.zero_pages(run)?;
                    }
                }
                Message::PassEnd { pass } => self.walk_ended(channel, pass)?,
                other => return Ok(other),
            }
        }
    }

    /// Serves a channel other than the first to its end.
    pub(super) fn serve(&self, mut greeted: Greeted) {
        let channel = usize::from(greeted.hello.channel);
        let error = match self.until_other(channel, &mut greeted.decoder, &mut greeted.stream) {
            Ok(_) => WireError::Unexpected("something else than pages on a further channel").into(),
            Err(error) => error,
        };
        if self.is_over.load(Ordering::Acquire) {
            return;
        }
        // The source ends the migration when it hears of it, and with it the wait on the first channel.
        let reason = reason(&error);
        lock(&self.failure).get_or_insert(error);
        // One that is gone knows already.
        let _ = lock(self.voice).say(&Message::Failed { reason });
    }

    /// The last channel to come to the end of a walk tells the source so.
    fn walk_ended(&self, channel: usize, walk: u32) -> Result<(), WireError> {
        let mut walks = lock(&self.walks);
        if let Some(reached) = walks.get_mut(channel) {
            *reached = walk;
        }
        if walks.iter().min() == Some(&walk) {
            lock(self.voice).say(&Message::PassReceived { pass: walk })?;
        }
        Ok(())
    }

    fn write_pages(&self, first: PageIndex, data: &[u8]) -> Result<(), ReceiveError> {
        self.check(PageRun { first, count: data.len() as u64 / PAGE_SIZE })?;
        self.memory.write_pages(first, data).map_err(ReceiveError::Memory)
    }

    fn zero_pages(&self, run: PageRun) -> Result<(), ReceiveError> {
        self.check(run)?;
        self.memory.zero_pages(run.first, run.count).map_err(ReceiveError::Memory)
    }

    fn check(&self, run: PageRun) -> Result<(), ReceiveError> {
        if self.memory.layout().contains_run(run.first, run.count) {
            Ok(())
        } else {
            Err(ReceiveError::Memory("pages lie outside of guest memory".into()))
        }
    }
}

impl From<UnpackError> for ReceiveError {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Wire(error) => Self::Wire(error),
            UnpackError::Memory(error) => Self::Memory(error),
        }
    }
}
