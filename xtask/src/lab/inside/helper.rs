//! A program of the lab's own, in a process of its own on either lab machine.

use std::io::BufReader;
use std::process::{Child, ChildStdout, Stdio};

use super::place::Place;

/// Ended when dropped.
pub(super) struct Helper(Child);

impl Helper {
    /// One at `place` that does what `words` say, and what it says itself.
    pub(super) fn at(
        place: Place,
        words: &[&str],
    ) -> Result<(Self, BufReader<ChildStdout>), String> {
        let mut command = place.command("/bin/xtask");
        command.arg("lab-inside").args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let output = child.stdout.take().ok_or("a process without output")?;
        Ok((Self(child), BufReader::new(output)))
    }

    /// It has done what it was to do, and has ended by itself.
    pub(super) fn has_ended(mut self) -> Result<(), String> {
        let status = self.0.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("it has not done its work: {status}")) }
    }

    /// Ends it, whatever it waits for.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.0.kill().and_then(|()| self.0.wait()).map(drop).map_err(|error| error.to_string())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It fails only when it has ended already.
        let _ = self.end();
    }
}
