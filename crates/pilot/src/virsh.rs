//! The way through libvirt, which holds the monitors of its machines itself.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use landfall_qmp::EventKind;
use serde_json::{Map, Value, json};

use crate::monitor::{AskError, Monitor};

/// A QEMU of libvirt's, asked with `virsh qemu-monitor-command`.
#[derive(Debug)]
pub struct Virsh {
    program: PathBuf,
    domain: String,
}

impl Virsh {
    /// The machine that libvirt knows as `domain`.
    #[must_use]
    pub fn domain(domain: impl Into<String>) -> Self {
        Self { program: PathBuf::from("virsh"), domain: domain.into() }
    }

    /// The same, with another program than the `virsh` that is found first.
    #[must_use]
    pub fn with_program(self, program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), ..self }
    }

    fn not_passed_on(&self, command: &str, reason: String) -> AskError {
        let program = self.program.display().to_string();
        AskError::NotPassedOn { program, command: command.to_owned(), reason }
    }
}

impl Monitor for Virsh {
    fn ask(&mut self, name: &str, arguments: Map<String, Value>) -> Result<Value, AskError> {
        let request = json!({ "execute": name, "arguments": arguments }).to_string();
        let done = Command::new(&self.program)
            .args(["qemu-monitor-command", "--domain", &self.domain, "--cmd", &request])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| {
                self.not_passed_on(name, format!("{error}; is libvirt-clients installed?"))
            })?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            return Err(self.not_passed_on(name, said));
        }
        let mut answer: Value = serde_json::from_slice(&done.stdout)
            .map_err(|source| AskError::Unexpected { command: name.to_owned(), source })?;
        if let Some(error) = answer.get("error") {
            let reason = error["desc"].as_str().unwrap_or("it does not say why").to_owned();
            return Err(AskError::Refused { command: name.to_owned(), reason });
        }
        Ok(answer["return"].take())
    }

    fn wait(&mut self, deadline: Instant) -> Result<Option<EventKind>, AskError> {
        // libvirt keeps the events to itself.
        let left = deadline.saturating_duration_since(Instant::now());
        sleep(left.min(Duration::from_secs(1)));
        Ok(None)
    }
}

#[cfg(test)]
#[path = "virsh_tests.rs"]
mod tests;
