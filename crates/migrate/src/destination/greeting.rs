//! Who connects, and whether it is a channel of a migration.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::{Listener, ReceiveError};
use crate::channel::Channel;
use crate::control::Control;
use crate::wire::{
    Decoder, Encoder, Hello, MAX_CHANNELS, Message, Welcome, WireError, common_version,
};

/// A connection that does not say what it is within this time is not a migration.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the source is given to read why this side has failed.
const FAREWELL: Duration = Duration::from_millis(500);

/// A connection that has said what it is, and was welcomed.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) stream: Channel,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    pub(super) hello: Hello,
}

impl Greeted {
    /// Hears what a connection is: the first channel of a migration, or a further one of that whose first is `of`.
    pub(super) fn welcome(
        mut stream: Channel,
        config: Option<Arc<ServerConfig>>,
        of: Option<&Hello>,
        interrupt: impl FnOnce(Channel),
    ) -> Result<Self, ReceiveError> {
        let mut interruptible = stream
            .set_timeouts(Some(GREETING_TIMEOUT), Some(GREETING_TIMEOUT))
            .and_then(|()| Ok((stream.try_clone()?, stream.try_clone()?)))
            .map(|(clone, other)| {
                interrupt(clone);
                other
            })
            .map_err(WireError::from)?;
        if let Some(config) = config {
            stream = stream.secured_by(config).map_err(|error| {
                // The other side hears why, rather than that the connection was reset.
                interruptible.end_gently(FAREWELL);
                WireError::from(error)
            })?;
        }
        let (mut encoder, mut decoder) = (stream.encoder(), stream.decoder());
        let Message::Hello(hello) = decoder.read(&mut stream)? else {
            return Err(WireError::Unexpected("something else than a greeting").into());
        };
        match answer(&hello, of) {
            Ok(welcome) => encoder.write(&mut stream, &Message::Welcome(welcome))?,
            Err(error) => return Err(tell_why(&mut stream, &mut encoder, error)),
        };
        Ok(Self { stream, encoder, decoder, hello })
    }
}

/// Whether this is the connection that was waited for.
fn answer(hello: &Hello, of: Option<&Hello>) -> Result<Welcome, ReceiveError> {
    let Some(version) = common_version(hello.oldest_version..=hello.newest_version) else {
        return Err(ReceiveError::Version(hello.oldest_version, hello.newest_version));
    };
    let is_awaited = match of {
        None => hello.channel == 0 && (1..=MAX_CHANNELS).contains(&hello.channels),
        Some(first) => {
            let theirs = (hello.migration, hello.channels);
            theirs == (first.migration, first.channels)
                && (1..first.channels).contains(&hello.channel)
        }
    };
    if is_awaited {
        Ok(Welcome { version })
    } else {
        Err(WireError::Unexpected("a channel that is none of the migration's").into())
    }
}

/// Tells the source why, and gives the error back.
pub(super) fn tell_why(
    stream: &mut Channel,
    encoder: &mut Encoder,
    error: ReceiveError,
) -> ReceiveError {
    let reason = reason(&error);
    // A source that is gone knows already that it failed.
    if encoder.write(stream, &Message::Failed { reason }).is_ok() {
        stream.end_gently(FAREWELL);
    }
    error
}

/// An error and what caused it, for the source's user.
pub(super) fn reason(error: &ReceiveError) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason += &format!(": {cause}");
        source = cause.source();
    }
    reason
}

/// Waits for all channels of a migration but the first, in their order.
pub(super) fn further_channels(
    first: &Hello,
    listener: &Listener,
    control: &Control,
) -> Result<Vec<Greeted>, ReceiveError> {
    let mut channels: Vec<Option<Greeted>> = (1..first.channels).map(|_| None).collect();
    let until = Instant::now() + GREETING_TIMEOUT;
    while channels.iter().any(Option::is_none) {
        let missing = channels.iter().filter(|channel| channel.is_none()).count();
        for greeted in accept_some(missing, first, listener, control, until)? {
            let slot = channels.get_mut(usize::from(greeted.hello.channel) - 1);
            if let Some(slot) = slot {
                *slot = Some(greeted);
            }
        }
    }
    Ok(channels.into_iter().flatten().collect())
}

/// Accepts `count` connections, and hears what they are at the same time; those that are something else are hung up on.
fn accept_some(
    count: usize,
    first: &Hello,
    listener: &Listener,
    control: &Control,
    until: Instant,
) -> Result<Vec<Greeted>, ReceiveError> {
    control.interrupt(listener.acceptor.waker().map_err(WireError::from)?);
    let config = listener.security.server(&listener.uri)?;
    let greeted: Vec<_> = thread::scope(|scope| {
        let mut greetings = Vec::new();
        for _ in 0..count {
            let accepted = listener.acceptor.accept_until(until);
            if control.is_cancelled() {
                return Err(ReceiveError::Cancelled);
            }
            let stream = accepted.map_err(WireError::from)?;
            let config = config.clone();
            greetings
                .push(scope.spawn(move || Greeted::welcome(stream, config, Some(first), |_| ())));
        }
        Ok(greetings.into_iter().map(thread::ScopedJoinHandle::join).collect())
    })?;
    let mut channels = Vec::new();
    for greeted in greeted {
        match greeted {
            Ok(Ok(greeted)) => channels.push(greeted),
            Ok(Err(error)) => tracing::warn!("a connection that is no channel was closed: {error}"),
            // A panic there has been printed already.
            Err(_) => {}
        }
    }
    Ok(channels)
}
