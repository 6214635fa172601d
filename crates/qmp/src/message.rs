//! The frames of the conversation: greeting, request, reply.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::command::Command;
use crate::error::QmpError;

/// The first message of a monitor: `{"QMP": {"version": …, "capabilities": []}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Who speaks, and what it can do beyond the plain language.
    #[serde(rename = "QMP")]
    pub qmp: GreetingBody,
}

/// What a [`Greeting`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GreetingBody {
    /// Who speaks.
    pub version: Version,
    /// Extensions of the protocol that a client may enable; Landfall's monitor offers none.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// The answer to `query-version`, and a part of the greeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The version of QEMU whose language this is.
    pub qemu: VersionTriple,
    /// The program that speaks it: `landfall 0.1.0`, or a distribution's name for its QEMU.
    pub package: String,
}

/// A version number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionTriple {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub micro: u32,
}

impl Version {
    /// What a Landfall machine of `version` says: the names and meanings of its QMP are those of QEMU 10.0.
    #[must_use]
    pub fn landfall(version: &str) -> Self {
        let qemu = VersionTriple { major: 10, minor: 0, micro: 0 };
        Self { qemu, package: format!("landfall {version}") }
    }

    /// Whether the machine is Landfall's own, and so understands `x-landfall-…`.
    #[must_use]
    pub fn is_landfall(&self) -> bool {
        self.package.starts_with("landfall ")
    }
}

impl Greeting {
    /// The greeting of a monitor of `version`.
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self { qmp: GreetingBody { version, capabilities: Vec::new() } }
    }
}

/// What a client asks for. The command is not looked at yet: see [`Command::parse`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// The command's name.
    pub execute: String,
    /// The command's arguments.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub arguments: Map<String, Value>,
    /// Any value; comes back in the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
}

impl Request {
    /// Reads a request, and gives the `id` with the error too, so that the reply can carry it.
    ///
    /// # Errors
    /// When the message is no request, in QEMU's words.
    pub fn parse(message: Value) -> Result<Self, (QmpError, Option<Value>)> {
        let Value::Object(mut members) = message else {
            return Err((QmpError::generic("QMP input must be a JSON object"), None));
        };
        let id = members.remove("id");
        let fail = |desc: String| Err((QmpError::generic(desc), id.clone()));
        let execute = match members.remove("execute") {
            Some(Value::String(name)) => name,
            Some(_) => return fail("QMP input member 'execute' must be a string".to_owned()),
            None => return fail("QMP input lacks member 'execute'".to_owned()),
        };
        let arguments = match members.remove("arguments") {
            None => Map::new(),
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return fail("QMP input member 'arguments' must be an object".to_owned()),
        };
        match members.keys().next() {
            Some(name) => fail(format!("QMP input member '{name}' is unexpected")),
            None => Ok(Self { execute, arguments, id }),
        }
    }
}

/// The commands that a session answers itself, without asking the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionCommand {
    /// `qmp_capabilities`: ends the negotiation.
    Capabilities,
    /// `query-version`
    QueryVersion,
    /// `query-commands`
    QueryCommands,
}

impl SessionCommand {
    const ALL: [(&'static str, Self); 3] = [
        ("qmp_capabilities", Self::Capabilities),
        ("query-version", Self::QueryVersion),
        ("query-commands", Self::QueryCommands),
    ];

    /// The names of all of them.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(|(name, _)| name)
    }

    /// Reads one; `None` when `request` is for the machine.
    pub(crate) fn parse(request: &Request) -> Option<Result<Self, QmpError>> {
        let (_, command) = Self::ALL.into_iter().find(|(name, _)| *name == request.execute)?;
        let mut arguments = Arguments::new(request.arguments.clone());
        Some(match command {
            Self::Capabilities => arguments.array("enable").and_then(|enable| {
                match enable.unwrap_or_default().first() {
                    Some(wanted) => {
                        Err(QmpError::generic(format!("Capability {wanted} is not available")))
                    }
                    None => arguments.finish().map(|()| command),
                }
            }),
            Self::QueryVersion | Self::QueryCommands => arguments.finish().map(|()| command),
        })
    }
}

/// What comes back for a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// `return` or `error`.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// As it was in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
}

/// The two kinds of reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done; commands without a result give an empty object.
    #[serde(rename = "return")]
    Return(Value),
    /// It was not done.
    #[serde(rename = "error")]
    Error(QmpError),
}

impl Reply {
    /// The reply that carries `result`.
    #[must_use]
    pub fn new(result: Result<Value, QmpError>, id: Option<Value>) -> Self {
        let outcome = match result {
            Ok(value) => Outcome::Return(value),
            Err(error) => Outcome::Error(error),
        };
        Self { outcome, id }
    }
}

impl From<&Command> for Request {
    fn from(command: &Command) -> Self {
        Self { execute: command.name().to_owned(), arguments: command.arguments(), id: None }
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
