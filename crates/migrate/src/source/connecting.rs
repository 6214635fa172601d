//! Reaching the destination, and agreeing with it on version and machine.

use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::ended::Ended;
use super::precopy::FirstPass;
use super::run::{Event, Link, Run};
use super::sender::{Command, Sender};
use crate::channel::Channel;
use crate::digest::digest_time;
use crate::progress::Phase;
use crate::wire::{Decoder, Encoder, Hello, Message, OLDEST_VERSION, VERSION, common_version};

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
        let stream = connect(run)?;
        open_link(run, stream)?;
        let asked = Instant::now();
        run.command(Command::Message(Message::Hello(Hello {
            oldest_version: OLDEST_VERSION,
            newest_version: VERSION,
            channel: 0,
            channels: 1,
            migration: migration_id(),
        })))?;
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
        run.command(Command::Message(Message::Configuration(run.machine.configuration())))?;
        run.expect("it was building the machine", |event| {
            matches!(event, Event::Peer(Message::Accepted)).then_some(())
        })?;
        if run.options.verify {
            let memory = run.machine.memory();
            let time = digest_time(memory.as_ref())
                .map_err(|error| Ended::Machine("read its memory", error))?;
            // First here, then there.
            run.costs.checks_in(time * 2);
        }
        drop(self);
        Ok(FirstPass::new())
    }
}

/// Connects on a thread of its own, because connecting can take long and cannot be interrupted.
fn connect(run: &mut Run<'_>) -> Result<Channel, Ended> {
    let (uri, security) = (run.options.uri.clone(), run.options.security.clone());
    let (timeout, post) = (run.options.peer_timeout, run.post.clone());
    std::thread::Builder::new()
        .name("connect".to_owned())
        .spawn(move || {
            let channel = Channel::connect(&uri, &security, timeout);
            // A migration that has ended listens no more.
            drop(post.send(Event::Connected(channel)));
        })
        .map_err(Ended::Thread)?;
    run.expect("it was connected to", |event| match event {
        Event::Connected(result) => Some(result),
        _ => None,
    })?
    .map_err(Ended::from)
}

fn open_link(run: &mut Run<'_>, stream: Channel) -> Result<(), Ended> {
    let timeout = Some(run.options.peer_timeout);
    // Reads wait for as long as the migration takes: what bounds them is the deadline of who expects an answer.
    stream.set_timeouts(None, timeout).map_err(Ended::Unreachable)?;
    let (read_half, write_half) = (
        stream.try_clone().map_err(Ended::Unreachable)?,
        stream.try_clone().map_err(Ended::Unreachable)?,
    );
    let post = run.post.clone();
    let reader = std::thread::Builder::new()
        .name("return-path".to_owned())
        .spawn(move || read_answers(read_half, |event| post.send(event).is_ok()))
        .map_err(Ended::Thread)?;
    let sender = Sender {
        channel: 0,
        channels: 1,
        stream: write_half,
        memory: run.machine.memory(),
        dirty: run.dirty.clone(),
        heat: run.heat.clone(),
        bucket: run.bucket.clone(),
        counters: run.counters.clone(),
        encoder: Encoder::default(),
    };
    let (commands, received): (_, Receiver<Command>) = channel();
    let post = run.post.clone();
    let sender = std::thread::Builder::new()
        .name("send0".to_owned())
        .spawn(move || sender.serve(&received, &post))
        .map_err(Ended::Thread)?;
    run.link = Some(Link { stream, commands, sender, reader });
    Ok(())
}

fn read_answers(mut from: Channel, post: impl Fn(Event) -> bool) {
    let mut decoder = Decoder::default();
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
