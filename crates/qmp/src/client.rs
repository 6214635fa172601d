//! The other end of a monitor.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::codec::{FrameError, Framer, encode};
use crate::command::Command;
use crate::error::QmpError;
use crate::event::Event;
use crate::message::{Greeting, Outcome, Reply, Request, Version};

/// The largest reply: the report of a migration of many hours.
const MOST_REPLY_BYTES: usize = 64 << 20;
/// Events that nobody has asked for yet; older ones are dropped.
const MOST_EVENTS: usize = 4096;

/// Why a monitor did not do what a client wanted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no such path.
    #[error(
        "there is no socket at {0}; check the path, and that the machine was started with a monitor there"
    )]
    NoSocket(PathBuf),
    /// There is a socket, but its process has gone.
    #[error("nobody listens on {0}; the machine has ended, start it again")]
    NobodyListens(PathBuf),
    /// The socket was reached, but no greeting came.
    #[error(
        "no greeting came from {path} within {waited:?}; a monitor of QEMU serves one client at a time, and another \
         one (a management program?) seems to hold it: close that one, or give the machine a second monitor"
    )]
    Busy {
        /// The socket.
        path: PathBuf,
        /// How long.
        waited: Duration,
    },
    /// What listens there is something else.
    #[error("what listens on {path} does not speak QMP; give the path of a machine's monitor")]
    NotQmp {
        /// The socket.
        path: PathBuf,
    },
    /// The machine has hung up.
    #[error("the machine closed its monitor; it has ended, or was ended")]
    Closed,
    /// No reply came.
    #[error(
        "the machine did not answer '{command}' within {waited:?}; see whether its process hangs"
    )]
    Silent {
        /// What was asked.
        command: String,
        /// How long.
        waited: Duration,
    },
    /// The machine said no.
    #[error("the machine refused '{command}'")]
    Refused {
        /// What was asked.
        command: String,
        /// What it said.
        source: QmpError,
    },
    /// The reply has another shape than the language says.
    #[error(
        "the machine's answer to '{command}' is not understood; its version may be another than this program's"
    )]
    Unexpected {
        /// What was asked.
        command: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Bytes came that are no messages.
    #[error("the machine sent something that is no QMP")]
    Frame(#[source] FrameError),
    /// The system refused.
    #[error("cannot talk to the machine's monitor")]
    Io(#[source] io::Error),
}

/// A conversation with a monitor, past its negotiation. Not for several threads at once.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    framer: Framer,
    events: VecDeque<Event>,
    version: Version,
    timeout: Duration,
    next_id: u64,
}

impl Client {
    /// Connects to the monitor at `path` and negotiates; `timeout` bounds this, and each command later.
    ///
    /// # Errors
    /// When nobody listens there, another client holds it, or it is no monitor.
    pub fn connect(path: impl AsRef<Path>, timeout: Duration) -> Result<Self, ClientError> {
        let path = path.as_ref();
        let deadline = Instant::now() + timeout;
        let busy = || ClientError::Busy { path: path.to_owned(), waited: timeout };
        let stream = reach(path, timeout)?.ok_or_else(busy)?;
        stream.set_write_timeout(Some(timeout.max(Duration::from_millis(1)))).map_err(io_error)?;
        let mut client = Self {
            stream,
            framer: Framer::new(MOST_REPLY_BYTES),
            events: VecDeque::new(),
            version: Version { qemu: Default::default(), package: String::new() },
            timeout,
            next_id: 1,
        };
        let not_qmp = || ClientError::NotQmp { path: path.to_owned() };
        let greeting = match client.receive(deadline) {
            Ok(message) => message.ok_or_else(busy)?,
            Err(ClientError::Frame(_)) => return Err(not_qmp()),
            Err(error) => return Err(error),
        };
        let greeting: Greeting = serde_json::from_value(greeting).map_err(|_| not_qmp())?;
        client.version = greeting.qmp.version;
        client.execute_raw("qmp_capabilities", Map::new())?;
        Ok(client)
    }

    /// Waits for up to `timeout` for the answer to each command from now on.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Who speaks at the other end.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Has `command` done and waits for its reply.
    ///
    /// # Errors
    /// When the machine refuses, does not answer or has gone.
    pub fn execute(&mut self, command: &Command) -> Result<Value, ClientError> {
        self.execute_raw(command.name(), command.arguments())
    }

    /// Has `command` done and reads its result.
    ///
    /// # Errors
    /// As [`Client::execute`], and when the result is no `T`.
    pub fn query<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T, ClientError> {
        serde_json::from_value(self.execute(command)?)
            .map_err(|source| ClientError::Unexpected { command: command.name().into(), source })
    }

    /// Has a command done by its name, also one that this crate does not know.
    ///
    /// # Errors
    /// As [`Client::execute`].
    pub fn execute_raw(
        &mut self,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<Value, ClientError> {
        let id = json!(self.next_id);
        self.next_id += 1;
        let unexpected = |source| ClientError::Unexpected { command: name.to_owned(), source };
        let request = Request { execute: name.to_owned(), arguments, id: Some(id.clone()) };
        let line = encode(&request).map_err(unexpected)?;
        self.stream.write_all(&line).map_err(io_error)?;
        let deadline = Instant::now() + self.timeout;
        loop {
            let Some(message) = self.receive(deadline)? else {
                return Err(ClientError::Silent { command: name.to_owned(), waited: self.timeout });
            };
            let Some(message) = self.keep_event(message) else { continue };
            let reply: Reply = serde_json::from_value(message).map_err(unexpected)?;
            match reply.outcome {
                // The late reply to a command that was given up on.
                _ if reply.id.as_ref().is_some_and(|found| *found != id) => {}
                Outcome::Return(value) => return Ok(value),
                Outcome::Error(source) => {
                    return Err(ClientError::Refused { command: name.to_owned(), source });
                }
            }
        }
    }

    /// The events that have come in and were not asked for yet, oldest first. Does not wait.
    ///
    /// # Errors
    /// When the machine has gone and nothing is left to give.
    pub fn events(&mut self) -> Result<Vec<Event>, ClientError> {
        let mut result = Ok(());
        loop {
            match self.receive(Instant::now()) {
                Ok(Some(message)) => drop(self.keep_event(message)),
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if self.events.is_empty() {
            result?;
        }
        Ok(self.events.drain(..).collect())
    }

    /// The next event; `None` when none has come until `deadline`.
    ///
    /// # Errors
    /// When the machine has gone.
    pub fn wait_event(&mut self, deadline: Instant) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            match self.receive(deadline)? {
                Some(message) => drop(self.keep_event(message)),
                None => return Ok(None),
            }
        }
    }

    /// Puts an event aside and gives everything else back.
    fn keep_event(&mut self, message: Value) -> Option<Value> {
        if message.get("event").is_none() {
            return Some(message);
        }
        if let Ok(event) = serde_json::from_value(message) {
            if self.events.len() == MOST_EVENTS {
                self.events.pop_front();
            }
            self.events.push_back(event);
        }
        None
    }

    /// The next message; `None` when none is complete at `deadline`. What has come in already is given even after it.
    fn receive(&mut self, deadline: Instant) -> Result<Option<Value>, ClientError> {
        let mut buffer = [0; 16384];
        loop {
            if let Some(message) = self.framer.next_message() {
                return message.map(Some).map_err(ClientError::Frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // A read timeout of zero would mean to wait for ever.
            let expired = left.is_zero();
            let read = if expired {
                self.stream.set_nonblocking(true).map_err(io_error)?;
                let read = self.stream.read(&mut buffer);
                self.stream.set_nonblocking(false).map_err(io_error)?;
                read
            } else {
                self.stream.set_read_timeout(Some(left)).map_err(io_error)?;
                self.stream.read(&mut buffer)
            };
            match read {
                Ok(0) => return Err(ClientError::Closed),
                Ok(count) => self.framer.push(&buffer[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut if expired => return Ok(None),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Err(io_error(error)),
                },
            }
        }
    }
}

/// Connects to `path`; `None` when that takes longer than `timeout`, because too many clients wait already. A Unix
/// socket knows no timeout for this, so a thread does it, which ends with the wait or with this process.
fn reach(path: &Path, timeout: Duration) -> Result<Option<UnixStream>, ClientError> {
    let (sender, receiver) = channel();
    let target = path.to_owned();
    thread::Builder::new()
        .name("monitor-connect".to_owned())
        // Nobody receives any more when the wait was given up.
        .spawn(move || drop(sender.send(UnixStream::connect(target))))
        .map_err(io_error)?;
    match receiver.recv_timeout(timeout) {
        Ok(Ok(stream)) => Ok(Some(stream)),
        Ok(Err(error)) => Err(match error.kind() {
            ErrorKind::NotFound => ClientError::NoSocket(path.to_owned()),
            ErrorKind::ConnectionRefused => ClientError::NobodyListens(path.to_owned()),
            _ => ClientError::Io(error),
        }),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
    }
}

fn io_error(error: io::Error) -> ClientError {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => ClientError::Closed,
        _ => ClientError::Io(error),
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
