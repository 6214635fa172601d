//! One client's conversation, without I/O.

use serde_json::{Value, json};

use crate::codec::FrameError;
use crate::command::Command;
use crate::error::QmpError;
use crate::message::{Greeting, Reply, Request, SessionCommand, Version};

/// The monitor's side of one conversation. It begins in negotiation, where only `qmp_capabilities` is understood and no
/// events are sent; that command ends it for good.
#[derive(Debug)]
pub struct Session {
    version: Version,
    negotiated: bool,
}

/// What is to be done about a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send this reply.
    Reply(Reply),
    /// Send this reply; from now on the client gets events, too.
    Negotiated(Reply),
    /// Ask the machine, and send what it says with [`Reply::new`] and this `id`.
    Execute(Command, Option<Value>),
    /// Send this reply and hang up: the rest of the stream makes no sense.
    HangUp(Reply),
}

impl Session {
    /// A session that has just begun.
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self { version, negotiated: false }
    }

    /// What to send first.
    #[must_use]
    pub fn greeting(&self) -> Greeting {
        Greeting::new(self.version.clone())
    }

    /// Takes a message of the client.
    pub fn take(&mut self, message: Result<Value, FrameError>) -> Step {
        let error = |error| Step::Reply(Reply::new(Err(error), None));
        match message {
            Ok(message) => match Request::parse(message) {
                Ok(request) => self.take_request(request),
                Err((error, id)) => Step::Reply(Reply::new(Err(error), id)),
            },
            Err(syntax @ FrameError::Syntax(_)) => error(QmpError::generic(syntax.to_string())),
            Err(large @ FrameError::TooLarge(_)) => {
                Step::HangUp(Reply::new(Err(QmpError::generic(large.to_string())), None))
            }
        }
    }

    fn take_request(&mut self, request: Request) -> Step {
        let refuse = |desc: &str, id| {
            Step::Reply(Reply::new(Err(QmpError::command_not_found(desc.to_owned())), id))
        };
        let session_command = match SessionCommand::parse(&request) {
            Some(Err(error)) => return Step::Reply(Reply::new(Err(error), request.id)),
            Some(Ok(command)) => Some(command),
            None => None,
        };
        match (session_command, self.negotiated) {
            (Some(SessionCommand::Capabilities), false) => {
                self.negotiated = true;
                Step::Negotiated(Reply::new(Ok(json!({})), request.id))
            }
            (_, false) => {
                refuse("Expecting capabilities negotiation with 'qmp_capabilities'", request.id)
            }
            (Some(SessionCommand::Capabilities), true) => {
                refuse("Capabilities negotiation is already complete, command ignored", request.id)
            }
            (Some(SessionCommand::QueryVersion), true) => {
                Step::Reply(Reply::new(Ok(json!(self.version)), request.id))
            }
            (Some(SessionCommand::QueryCommands), true) => {
                let names: Vec<_> = Command::names().map(|name| json!({ "name": name })).collect();
                Step::Reply(Reply::new(Ok(Value::Array(names)), request.id))
            }
            (None, true) => match Command::parse(&request) {
                Ok(command) => Step::Execute(command, request.id),
                Err(error) => Step::Reply(Reply::new(Err(error), request.id)),
            },
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
