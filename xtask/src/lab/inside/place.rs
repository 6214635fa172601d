//! Where a program of a trial runs: on the lab machine that the trial runs on, or on the other one.

use std::process::Command;

use crate::lab::network::{HOSTS, SERVICE};

/// A lab machine, seen from the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The first lab machine, on which trials run.
    Here,
    /// The second one.
    There,
}

impl Place {
    /// A program there, which is started, spoken with and waited for as if it ran here.
    pub(super) fn command(self, program: &str) -> Command {
        match self {
            Self::Here => Command::new(program),
            Self::There => {
                let mut command = Command::new("/bin/xtask");
                let service = format!("{}:{SERVICE}", self.address());
                command.args(["lab-inside", "at", &service, program]);
                command
            }
        }
    }

    /// Its address on the network of both.
    pub(super) fn address(self) -> &'static str {
        match self {
            Self::Here => HOSTS[0].1,
            Self::There => HOSTS[1].1,
        }
    }
}
