//! Tells beforehand whether a host could run a guest.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;

use landfall_migrate::machine::Host as _;
use landfall_qmp::QmpError;
use serde_json::{Value, json};

use super::{Monitor, chain, failed};
use crate::devices::Line;
use crate::machine::{HostSide, IncomingHost};

impl Monitor {
    /// What the machine here is made from, as it travels.
    pub(super) fn configuration(&self) -> Result<Value, QmpError> {
        let configuration = serde_json::to_string(self.vm()?.configuration()).map_err(failed)?;
        Ok(json!({ "configuration": configuration }))
    }

    /// Builds a machine like this one as if its guest came in, and lets it go again. It takes neither locks nor taps, and memory only
    /// when there would be something in it, so that whatever runs here is left alone.
    pub(super) fn check_configuration(&self, configuration: &str) -> Result<Value, QmpError> {
        let (events, _nobody_listens) = channel();
        let nowhere = Arc::new(Line::to(Box::new(io::sink())));
        let (serial, console) = (Arc::clone(&nowhere), Some(nowhere));
        let mut host = IncomingHost::on(HostSide { boot: None, serial, console }, events);
        let built = host.build(configuration.as_bytes());
        built.map(|_| json!({})).map_err(|error| QmpError::generic(chain(&*error)))
    }
}
