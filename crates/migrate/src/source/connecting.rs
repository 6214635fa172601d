//! Reaching the destination, and agreeing with it on version and machine.

use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::ended::Ended;
use super::offered::Offered;
use super::precopy::FirstPass;
use super::run::{Event, Link, LinkChannel, Run};
use super::sender::{Command, Sender};
use super::spread::Spread;
use crate::channel::{Channel, ConnectError};
use crate::deed::Deed;
use crate::encoding::Encodings;
use crate::machine::MemoryFile;
use crate::options::{Options, Uri};
use crate::progress::Phase;
use crate::wire::{
    Hello, MAX_CHANNELS, Message, OLDEST_VERSION, PageRun, VERSION, WireError, common_version,
};

/// The first phase.
#[derive(Debug)]
pub(super) struct Connecting {
    _span: tracing::span::EnteredSpan,
}

impl Connecting {
    pub(super) fn begin(run: &mut Run<'_>) -> Self {
        let span = tracing::info_span!("connecting", uri = %run.options.uri).entered();
        run.enter(Phase::Connecting);
        Self { _span: span }
    }

    /// Connects, and has the destination build the machine.
    pub(super) fn agree(self, run: &mut Run<'_>) -> Result<FirstPass, Ended> {
        let hello = greet(run, run.options.channels.clamp(1, MAX_CHANNELS))?;
        let further = connect(run, move |options| further_channels(options, hello))?;
        for (number, stream) in (1..).zip(further) {
            add_sender(run, stream, number)?;
        }
        run.spread = if run.tries_channels() {
            Spread::up_to(hello.channels)
        } else {
            Spread::over(hello.channels)
        };
        configure(run)?;
        drop(self);
        Ok(FirstPass::new())
    }

    /// Connects, and has the destination build the machine around the memory that the guest runs in.
    pub(super) fn offer(self, run: &mut Run<'_>) -> Result<Offered, Ended> {
        if !matches!(run.options.uri, Uri::Unix(_)) {
            return Err(Ended::NoHandOver(run.options.uri.clone()));
        }
        let failed = |error| Ended::Machine("hand its memory over", error);
        let files = run.machine.memory_files().map_err(failed)?;
        let deed = Deed::new().map_err(|error| failed(error.into()))?;
        let token = deed.descriptor().try_clone_to_owned();
        let token = token.map_err(|error| failed(error.into()))?;
        greet(run, 1)?;
        let run_of = |file: &MemoryFile| PageRun { first: file.first, count: file.count };
        let runs = files.iter().map(run_of).collect();
        let descriptors = files.into_iter().map(|file| file.file).chain([token]).collect();
        // From here on the destination may have its copy.
        run.deed = Some(deed);
        run.command(Command::Pass(Message::Memory(runs), descriptors))?;
        configure(run)?;
        drop(self);
        Ok(Offered::new())
    }
}

/// Connects the first of `channels`, and agrees on a version.
fn greet(run: &mut Run<'_>, channels: u16) -> Result<Hello, Ended> {
    let hello = Hello {
        oldest_version: OLDEST_VERSION,
        newest_version: VERSION,
        channel: 0,
        channels,
        migration: migration_id(),
    };
    let first = connect(run, |options| {
        Ok(vec![Channel::connect(&options.uri, &options.security, options.peer_timeout)?])
    })?;
    open_link(run, first)?;
    let asked = Instant::now();
    run.command(Command::Message(Message::Hello(hello)))?;
    let version = run.expect("it was greeted", |event| match event {
        Event::Peer(Message::Welcome(welcome)) => Some(welcome.version),
        _ => None,
    })?;
    run.costs.answered_in(asked.elapsed());
    if common_version(version..=version).is_none() {
        return Err(Ended::PeerFailed(format!(
            "it chose version {version}, which was not offered"
        )));
    }
    Ok(hello)
}

/// Has the destination build the machine.
fn configure(run: &mut Run<'_>) -> Result<(), Ended> {
    run.command(Command::Message(Message::Configuration(run.machine.configuration())))?;
    run.expect("it was building the machine", |event| {
        matches!(event, Event::Peer(Message::Accepted)).then_some(())
    })?;
    if run.options.verify { run.weigh_check() } else { Ok(()) }
}

/// Connects on a thread of its own, because connecting can take long and cannot be interrupted.
fn connect(
    run: &mut Run<'_>,
    how: impl FnOnce(&Options) -> Result<Vec<Channel>, ConnectError> + Send + 'static,
) -> Result<Vec<Channel>, Ended> {
    let (options, post) = (run.options.clone(), run.post.clone());
    std::thread::Builder::new()
        .name("connect".to_owned())
        .spawn(move || {
            let channels = how(&options);
            // A migration that has ended listens no more.
            drop(post.send(Event::Connected(channels)));
        })
        .map_err(Ended::Thread)?;
    let connected = run.expect("it was connected to", |event| match event {
        Event::Connected(result) => Some(result),
        _ => None,
    })?;
    Ok(connected?)
}

/// Connects all channels but the first at the same time, and has each greeted.
fn further_channels(options: &Options, hello: Hello) -> Result<Vec<Channel>, ConnectError> {
    let numbers = 1..hello.channels;
    std::thread::scope(|scope| {
        let begun: Vec<_> = numbers
            .map(|channel| {
                scope.spawn(move || further_channel(options, Hello { channel, ..hello }))
            })
            .collect();
        begun
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a panic").into()))
            })
            .collect()
    })
}

fn further_channel(options: &Options, hello: Hello) -> Result<Channel, ConnectError> {
    let timeout = options.peer_timeout;
    let mut channel = Channel::connect(&options.uri, &options.security, timeout)?;
    channel.set_timeouts(Some(timeout), Some(timeout))?;
    let (mut encoder, mut decoder) = (channel.encoder(), channel.decoder());
    encoder
        .write(&mut channel, &Message::Hello(hello))
        .and_then(|_| match decoder.read(&mut channel)? {
            Message::Welcome(_) => Ok(channel),
            _ => Err(WireError::Unexpected("something else than a welcome")),
        })
        .map_err(ConnectError::Wire)
}

fn open_link(run: &mut Run<'_>, first: Vec<Channel>) -> Result<(), Ended> {
    for stream in first {
        // Reads wait for as long as the migration takes: what bounds them is the deadline of who expects an answer.
        stream.set_timeouts(None, Some(run.options.peer_timeout)).map_err(Ended::Unreachable)?;
        let read_half = stream.try_clone().map_err(Ended::Unreachable)?;
        let post = run.post.clone();
        let reader = std::thread::Builder::new()
            .name("return-path".to_owned())
            .spawn(move || read_answers(read_half, |event| post.send(event).is_ok()))
            .map_err(Ended::Thread)?;
        run.link = Some(Link { channels: Vec::new(), reader });
        add_sender(run, stream, 0)?;
    }
    Ok(())
}

/// Starts the thread that sends on channel `number`.
fn add_sender(run: &mut Run<'_>, stream: Channel, number: u16) -> Result<(), Ended> {
    let sender = Sender {
        channel: number,
        stream: stream.try_clone().map_err(Ended::Unreachable)?,
        memory: run.machine.memory(),
        dirty: run.dirty.clone(),
        heat: run.heat.clone(),
        bucket: run.bucket.clone(),
        counters: run.counters.clone(),
        encoder: stream.encoder(),
        encodings: Encodings::new(run.options.encoding, run.options.max_bandwidth),
    };
    let (commands, received): (_, Receiver<Command>) = channel();
    let post = run.post.clone();
    let sender = std::thread::Builder::new()
        .name(format!("send{number}"))
        .spawn(move || sender.serve(&received, &post))
        .map_err(Ended::Thread)?;
    if let Some(link) = &mut run.link {
        link.channels.push(LinkChannel { stream, commands, sender });
    }
    Ok(())
}

fn read_answers(mut from: Channel, post: impl Fn(Event) -> bool) {
    let mut decoder = from.decoder();
    loop {
        let event = match decoder.read(&mut from) {
            Ok(message) => Event::Peer(message),
            Err(error) => {
                post(Event::PeerGone(error));
                return;
            }
        };
        if !post(event) {
            return;
        }
    }
}

/// Tells migrations apart in logs and across channels; nothing rests on its being unique.
fn migration_id() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
    nanos ^ (u64::from(std::process::id()) << 32)
}
