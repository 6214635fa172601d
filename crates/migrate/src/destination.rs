//! The destination's side: takes a guest in, checks it, and runs it once it was given.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_converge::PAGE_SIZE;
use rustls::ServerConfig;

use crate::channel::{Acceptor, Channel};
use crate::control::Control;
use crate::digest::digest;
use crate::machine::{Destination, GuestMemory, Host, MachineError, PageIndex};
use crate::options::Uri;
use crate::security::{Security, SecurityError};
use crate::wire::{
    Commit, Decoder, Encoder, Finish, Message, PageRun, Ready, Received, Running, VERSION, Welcome,
    WireError, common_version,
};

/// A source sends something many times a second; one that is silent for this long is not there any more.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that does not say what it is within this time is not a migration.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the source is given to read why this side has failed.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why no guest has come in.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The address cannot be listened on.
    #[error("cannot listen on {uri}; is another destination waiting there?")]
    Listen {
        /// The address.
        uri: Uri,
        /// What the system said.
        source: io::Error,
    },
    /// Who connects could not be trusted, or others could look on.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// It was cancelled on this side.
    #[error("cancelled")]
    Cancelled,
    /// The source has called it off.
    #[error("the source has called it off: {0}")]
    CalledOff(String),
    /// The connection failed, or what came over it is no migration.
    #[error("the guest goes on at the source")]
    Wire(#[from] WireError),
    /// No version is understood by both sides.
    #[error(
        "the source speaks versions {0} to {1} of the protocol, this side {VERSION}; run the same version of Landfall on both"
    )]
    Version(u16, u16),
    /// The machine cannot be built here.
    #[error("this host cannot run the guest; it goes on at the source")]
    Refused(#[source] MachineError),
    /// A page lies where the guest has no memory.
    #[error("a page could not be written; the guest goes on at the source")]
    Memory(#[source] MachineError),
    /// The state does not fit.
    #[error("the guest's state could not be loaded; it goes on at the source")]
    Load(#[source] MachineError),
    /// What arrived is not what was sent.
    #[error(
        "memory or state differ from the source's (digest {0:08x} instead of {1:08x}); the guest goes on at the source"
    )]
    Digest(u32, u32),
}

/// A guest that has come in.
pub struct Arrival {
    /// The machine: running, or paused where the guest was paused at the source or is in doubt.
    pub machine: Box<dyn Destination>,
    /// The connection was lost when everything was here and the guest was not given away yet, or not heard to be: it may
    /// run at the source. It stays paused until an operator decides.
    pub in_doubt: bool,
    /// Bytes of pages that came in.
    pub received_bytes: u64,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrival").field("in_doubt", &self.in_doubt).finish_non_exhaustive()
    }
}

/// Waits for a source.
#[derive(Debug)]
pub struct Listener {
    acceptor: Acceptor,
    uri: Uri,
    security: Security,
    source_timeout: Duration,
}

impl Listener {
    /// Listens where `uri` says, for those whom `security` lets in.
    ///
    /// # Errors
    /// When the address cannot be listened on, there is no identity where one is needed, or a plain connection from
    /// another host could be made that nobody has asked for.
    pub fn bind(uri: &Uri, security: &Security) -> Result<Self, ReceiveError> {
        let is_plain = security.server(uri)?.is_none();
        let acceptor = Acceptor::bind(uri)
            .map_err(|source| ReceiveError::Listen { uri: uri.clone(), source })?;
        if let Some(address) = acceptor.address().filter(|_| is_plain) {
            security.plain_to(address)?;
        }
        let (uri, security) = (uri.clone(), security.clone());
        Ok(Self { acceptor, uri, security, source_timeout: SOURCE_TIMEOUT })
    }

    /// Takes a source that has been silent for `timeout` to be lost; 30 s unless told otherwise.
    #[must_use]
    pub fn with_source_timeout(mut self, timeout: Duration) -> Self {
        self.source_timeout = timeout;
        self
    }

    /// Where a source finds it: with the port that the system gave where none was chosen.
    #[must_use]
    pub fn uri(&self) -> Uri {
        let with_port = |asked: &String| match (asked.rsplit_once(':'), self.acceptor.address()) {
            (Some((host, "0")), Some(given)) => format!("{host}:{}", given.port()),
            _ => asked.clone(),
        };
        match &self.uri {
            Uri::Tcp(address) => Uri::Tcp(with_port(address)),
            Uri::Tls(address) => Uri::Tls(with_port(address)),
            Uri::Unix(path) => Uri::Unix(path.clone()),
        }
    }

    /// Takes one guest in. Connections that are no migrations are hung up on.
    ///
    /// # Errors
    /// When it fails, is called off or cancelled; the guest goes on at the source then. Cancelling comes too late once the
    /// source was told that everything is here.
    pub fn accept_migration(
        &self,
        host: &mut dyn Host,
        control: &Control,
    ) -> Result<Arrival, ReceiveError> {
        let arrival = self.accept(host, control);
        // Otherwise the connection would stay open for as long as somebody has the handle.
        control.uninterrupt();
        arrival
    }

    fn accept(&self, host: &mut dyn Host, control: &Control) -> Result<Arrival, ReceiveError> {
        loop {
            // Each time anew: while a connection was looked at, cancelling would have ended that.
            control.interrupt(self.acceptor.waker().map_err(WireError::from)?);
            let accepted = self.acceptor.accept();
            if control.is_cancelled() {
                return Err(ReceiveError::Cancelled);
            }
            let stream = accepted.map_err(WireError::from)?;
            // Read anew each time, so that a renewed certificate is shown.
            let config = self.security.server(&self.uri)?;
            match Reception::greet(stream, config, control, self.source_timeout) {
                Ok(reception) => return reception.take_in(host, control),
                Err(ReceiveError::Wire(error)) => {
                    tracing::warn!("a connection that is no migration was closed: {error}");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A source that has said hello.
struct Reception {
    stream: Channel,
    encoder: Encoder,
    decoder: Decoder,
}

impl Reception {
    fn greet(
        mut stream: Channel,
        config: Option<Arc<ServerConfig>>,
        control: &Control,
        source_timeout: Duration,
    ) -> Result<Self, ReceiveError> {
        let mut interruptible = stream
            .set_timeouts(Some(GREETING_TIMEOUT), Some(GREETING_TIMEOUT))
            .and_then(|()| Ok((stream.try_clone()?, stream.try_clone()?)))
            .map(|(clone, other)| {
                control.interrupt(clone);
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
        let mut this = Self { stream, encoder: Encoder::default(), decoder: Decoder::default() };
        let Message::Hello(hello) = this.decoder.read(&mut this.stream)? else {
            return Err(WireError::Unexpected("something else than a greeting").into());
        };
        if (hello.channel, hello.channels) != (0, 1) {
            let error =
                WireError::Unexpected("a greeting for several channels, where one is taken");
            return Err(this.fail(error.into()));
        }
        match common_version(hello.oldest_version..=hello.newest_version) {
            Some(version) => this.say(&Message::Welcome(Welcome { version }))?,
            None => {
                let error = ReceiveError::Version(hello.oldest_version, hello.newest_version);
                return Err(this.fail(error));
            }
        }
        this.stream
            .set_timeouts(Some(source_timeout), Some(source_timeout))
            .map_err(WireError::from)?;
        Ok(this)
    }

    fn say(&mut self, message: &Message) -> Result<(), WireError> {
        self.encoder.write(&mut self.stream, message).map(drop)
    }

    /// Tells the source why, and gives the error back.
    fn fail(&mut self, error: ReceiveError) -> ReceiveError {
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            reason += &format!(": {cause}");
            source = cause.source();
        }
        // A source that is gone knows already that it failed.
        if self.say(&Message::Failed { reason }).is_ok() {
            self.stream.end_gently(FAREWELL);
        }
        error
    }

    fn take_in(mut self, host: &mut dyn Host, control: &Control) -> Result<Arrival, ReceiveError> {
        let everything = match self.everything(host, control) {
            Ok(everything) => everything,
            Err(_) if control.is_cancelled() => return Err(self.fail(ReceiveError::Cancelled)),
            Err(error) => return Err(self.fail(error)),
        };
        self.conclude(everything)
    }

    /// Receives the whole guest, and checks it.
    fn everything(
        &mut self,
        host: &mut dyn Host,
        control: &Control,
    ) -> Result<Arrival, ReceiveError> {
        let Message::Configuration(configuration) = self.decoder.read(&mut self.stream)? else {
            return Err(WireError::Unexpected("something else than the configuration").into());
        };
        let mut machine = host.build(&configuration).map_err(ReceiveError::Refused)?;
        self.say(&Message::Accepted)?;
        let memory = machine.memory();
        let mut received_bytes = 0;
        let mut state = None;
        let finish = loop {
            let message = match self.decoder.read_borrowed(&mut self.stream)? {
                Received::Pages { first, data } => {
                    received_bytes += data.len() as u64;
                    write_pages(memory.as_ref(), first, data)?;
                    continue;
                }
                Received::Message(message) => message,
            };
            match message {
                Message::ZeroPages(runs) => {
                    for PageRun { first, count } in runs {
                        zero_pages(memory.as_ref(), first, count)?;
                    }
                }
                Message::PassEnd { pass } => self.say(&Message::PassReceived { pass })?,
                Message::State(bytes) => state = Some(bytes),
                Message::Finish(finish) => break finish,
                Message::Cancel { reason } => return Err(ReceiveError::CalledOff(reason)),
                _ => {
                    return Err(
                        WireError::Unexpected("something that is no part of a guest").into()
                    );
                }
            }
        };
        let state = state.ok_or(WireError::Unexpected("the end without the guest's state"))?;
        let load = self.load(machine.as_mut(), &state, finish)?;
        // Once it was said that all is well here, only the source knows whether the guest was given away. To hang up
        // then would not call anything off, only leave it in doubt.
        if !control.cannot_be_cancelled_any_more() {
            return Err(ReceiveError::Cancelled);
        }
        self.say(&Message::Ready(Ready { load }))?;
        Ok(Arrival { machine, in_doubt: false, received_bytes })
    }

    fn load(
        &mut self,
        machine: &mut dyn Destination,
        state: &[u8],
        finish: Finish,
    ) -> Result<Duration, ReceiveError> {
        let began = Instant::now();
        if let Some(expected) = finish.digest {
            let found = digest(machine.memory().as_ref(), state).map_err(ReceiveError::Memory)?;
            if found != expected {
                return Err(ReceiveError::Digest(found, expected));
            }
        }
        machine.load(state).map_err(ReceiveError::Load)?;
        Ok(began.elapsed())
    }

    /// Everything is here and the source knows it. The guest runs only if the source gives it away; without its word it
    /// may still run there.
    fn conclude(mut self, arrival: Arrival) -> Result<Arrival, ReceiveError> {
        match self.decoder.read(&mut self.stream) {
            Ok(Message::Commit(commit)) => Ok(self.run(arrival, commit)),
            Ok(Message::Cancel { reason }) => Err(ReceiveError::CalledOff(reason)),
            Ok(_) | Err(_) => Ok(Arrival { in_doubt: true, ..arrival }),
        }
    }

    fn run(&mut self, mut arrival: Arrival, commit: Commit) -> Arrival {
        let began = Instant::now();
        if commit.run
            && let Err(error) = arrival.machine.resume()
        {
            let reason = format!("the guest was given away but could not be started: {error}");
            tracing::error!("{reason}");
            let _ = self.say(&Message::Failed { reason });
            return Arrival { in_doubt: true, ..arrival };
        }
        // The guest is here whether the source hears of it or not.
        let _ = self.say(&Message::Running(Running { resume: began.elapsed() }));
        arrival
    }
}

fn write_pages(
    memory: &dyn GuestMemory,
    first: PageIndex,
    data: &[u8],
) -> Result<(), ReceiveError> {
    if memory.layout().contains_run(first, data.len() as u64 / PAGE_SIZE) {
        memory.write_pages(first, data).map_err(ReceiveError::Memory)
    } else {
        Err(ReceiveError::Memory("pages lie outside of guest memory".into()))
    }
}

fn zero_pages(memory: &dyn GuestMemory, first: PageIndex, count: u64) -> Result<(), ReceiveError> {
    if memory.layout().contains_run(first, count) {
        memory.zero_pages(first, count).map_err(ReceiveError::Memory)
    } else {
        Err(ReceiveError::Memory("zero pages lie outside of guest memory".into()))
    }
}
