//! What can go wrong, and what the user can do about it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use landfall_identity::IdentityError;
use landfall_pilot::PilotError;
use landfall_qmp::ClientError;

use crate::cert;
use crate::demo::DemoError;
use crate::exit::Exit;
use crate::follow::FollowError;
use crate::host::HostError;
use crate::migration::MigrationError;
use crate::node::NodeError;
use crate::plan::{self, PlanError};
use crate::vm_run::VmRunError;

/// Why a command ended without a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The monitor was not reached, or refused.
    #[error("{}", unanswered(socket, source))]
    Monitor { socket: PathBuf, source: ClientError },
    /// A migration was begun, but not followed to its end.
    #[error("the migration was not followed to its end")]
    Follow { socket: PathBuf, source: FollowError },
    #[error(
        "the machine at {socket} is a QEMU {version}, and this command is for machines of Landfall's own"
    )]
    Qemu { socket: PathBuf, version: String },
    #[error("the machine at {socket} is one of Landfall's own, which needs no pilot")]
    NotQemu { socket: PathBuf },
    #[error("a machine and its target are both given by their names, or both by their sockets")]
    NameAndSocket,
    /// A flag that means nothing to the machine at hand.
    #[error("{flag} {why}")]
    Flag { flag: &'static str, why: &'static str },
    #[error("the migration of {machine} was not steered")]
    Pilot { machine: String, source: PilotError },
    #[error(transparent)]
    Migration(#[from] MigrationError),
    #[error("there is no plan for the machine at {socket}")]
    Plan { socket: PathBuf, source: PlanError },
    #[error("the demonstration could not be shown")]
    Demo(#[from] DemoError),
    #[error("the machine could not be run")]
    VmRun(#[from] VmRunError),
    /// A node did not run.
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("Ctrl-C cannot be caught")]
    Signals(#[from] ctrlc::Error),
    #[error("the result could not be written")]
    Output(#[from] io::Error),
    #[error("the result has no form in JSON")]
    Json(#[from] serde_json::Error),
}

/// A machine that refuses is there, and says why.
fn unanswered(socket: &Path, source: &ClientError) -> String {
    let socket = socket.display();
    match source {
        ClientError::Refused { .. } => format!("the machine at {socket} did not do what was asked"),
        _ => format!("cannot talk to the machine at {socket}"),
    }
}

impl CliError {
    /// The exit code that stands for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Demo(DemoError::Interrupted | DemoError::Follow(FollowError::Detached)) => {
                Exit::Cancelled
            }
            Self::Host(error) => error.exit(),
            _ => Exit::Error,
        }
    }

    /// Writes it to the standard error stream, what led to it below, and what to do last.
    pub(crate) fn print(&self) {
        eprintln!("error: {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            eprintln!("  because: {error}");
            cause = error.source();
        }
        if let Some(advice) = self.advice() {
            eprintln!("  what to do: {advice}");
        }
    }

    /// What to do, where the text of the innermost cause does not say it.
    fn advice(&self) -> Option<String> {
        match self {
            Self::Monitor { socket, source: ClientError::Refused { .. } } => {
                Some(format!("see what it is doing with `landfall status {}`", socket.display()))
            }
            Self::Monitor { source: ClientError::Io(_), .. } => {
                Some("check the rights of the socket and of its directory".to_owned())
            }
            Self::Monitor { .. } => None,
            Self::Follow { socket, .. } => Some(format!(
                "see how it goes on, or ended, with `landfall status {}`",
                socket.display()
            )),
            Self::Qemu { .. } => Some(
                "a QEMU is migrated with `landfall migrate`, or steered with `landfall pilot`"
                    .to_owned(),
            ),
            Self::NotQemu { .. } => Some("move it with `landfall migrate SOCKET URI`".to_owned()),
            Self::NameAndSocket => {
                Some("write a socket with a slash, as in ./a.qmp, and a name without".to_owned())
            }
            Self::Flag { flag, .. } => Some(format!("leave {flag} out")),
            Self::Pilot { source: PilotError::Capability(..), .. } => Some(
                "see whether this QEMU was built with it, and a migration is not under way already"
                    .to_owned(),
            ),
            Self::Pilot { source: PilotError::Ask(error), .. } if error.is_refusal() => {
                Some("do what QEMU says, then begin again".to_owned())
            }
            Self::Pilot { .. } => None,
            Self::Plan { socket, source } => plan::advice(socket, source),
            Self::Migration(MigrationError::None) => {
                Some("begin one with `landfall migrate SOCKET URI`".to_owned())
            }
            Self::Migration(MigrationError::TooLate(_)) => {
                Some("see where the guest is with `landfall status` at both ends".to_owned())
            }
            Self::Demo(error) => Some(error.advice().to_owned()),
            Self::VmRun(_) | Self::Node(_) => None,
            Self::Host(error) => error.advice(),
            Self::Identity(error) => cert::advice(error),
            Self::Signals(_) | Self::Json(_) => {
                Some("this is a mistake in Landfall: please report it".to_owned())
            }
            Self::Output(_) => Some("check where the output goes: a full disk?".to_owned()),
        }
    }
}
