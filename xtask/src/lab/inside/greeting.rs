//! A destination that dies while it is greeted.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use super::place::Place;

/// What is said when somebody can connect.
const LISTENS: &str = "listens";

/// Waits at `address` until somebody has connected and said something, and ends without a word.
pub(super) fn die_when_greeted(address: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{address}: {error}");
    let listener = TcpListener::bind(address).map_err(failed)?;
    println!("{LISTENS}");
    io::stdout().flush().map_err(failed)?;
    let (stream, _) = listener.accept().map_err(failed)?;
    stream.peek(&mut [0]).map(drop).map_err(failed)
}

/// One that does so, in a process of its own.
pub(super) struct Mortal(Child);

impl Mortal {
    /// One at `place`, which can be connected to.
    pub(super) fn at(place: Place, address: &str) -> Result<Self, String> {
        let mut command = place.command("/bin/xtask");
        command.args(["lab-inside", "greeted", address]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut this = Self(command.spawn().map_err(|error| error.to_string())?);
        let output = this.0.stdout.take().ok_or("a process without output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        if line.trim_end() == LISTENS {
            Ok(this)
        } else {
            Err(format!("nobody listens at {address}: {line:?}"))
        }
    }

    /// It was greeted, and has ended.
    pub(super) fn has_died(mut self) -> Result<(), String> {
        let status = self.0.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("nobody has greeted it: {status}")) }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
