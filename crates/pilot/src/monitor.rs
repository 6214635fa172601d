//! The way to a QEMU's monitor.

use std::time::Instant;

use landfall_qmp::{Client, ClientError, Command, EventKind};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Why QEMU did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Over a socket.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// QEMU said no to whoever asked for us.
    #[error("QEMU refused '{command}': {reason}")]
    Refused {
        /// What was asked.
        command: String,
        /// What it said.
        reason: String,
    },
    /// The program that holds the socket did not pass it on.
    #[error("'{program}' did not pass '{command}' on: {reason}")]
    NotPassedOn {
        /// Which program.
        program: String,
        /// What was asked.
        command: String,
        /// What it said.
        reason: String,
    },
    /// The answer has another shape.
    #[error("QEMU's answer to '{command}' is not understood")]
    Unexpected {
        /// What was asked.
        command: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl AskError {
    /// Whether QEMU understood and said no, so that it can be asked for something else.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Client(ClientError::Refused { .. }))
    }

    /// Whether there is nobody any more who could be asked.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::NotPassedOn { .. }
                | Self::Client(ClientError::Closed | ClientError::Io(_) | ClientError::Frame(_))
        )
    }

    /// In QEMU's own words, where it said something.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Client(ClientError::Refused { source, .. }) => source.to_string(),
            Self::Refused { reason, .. } | Self::NotPassedOn { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }
}

/// A conversation with a QEMU.
pub trait Monitor: std::fmt::Debug {
    /// Has a command done and gives its result.
    ///
    /// # Errors
    /// When QEMU refuses, does not answer or has gone.
    fn ask(&mut self, name: &str, arguments: Map<String, Value>) -> Result<Value, AskError>;

    /// Waits until something happens, or until `deadline`. Gives what happened, where this way tells it.
    ///
    /// # Errors
    /// When QEMU has gone.
    fn wait(&mut self, deadline: Instant) -> Result<Option<EventKind>, AskError>;
}

impl Monitor for Client {
    fn ask(&mut self, name: &str, arguments: Map<String, Value>) -> Result<Value, AskError> {
        Ok(self.execute_raw(name, arguments)?)
    }

    fn wait(&mut self, deadline: Instant) -> Result<Option<EventKind>, AskError> {
        Ok(self.wait_event(deadline)?.and_then(|event| event.kind()))
    }
}

/// Has a command done and reads its result.
pub(crate) fn query<T: DeserializeOwned>(
    monitor: &mut dyn Monitor,
    command: &Command,
) -> Result<T, AskError> {
    let answer = monitor.ask(command.name(), command.arguments())?;
    serde_json::from_value(answer)
        .map_err(|source| AskError::Unexpected { command: command.name().to_owned(), source })
}

/// Has a command done whose result says nothing.
pub(crate) fn tell(monitor: &mut dyn Monitor, command: &Command) -> Result<(), AskError> {
    monitor.ask(command.name(), command.arguments()).map(drop)
}
