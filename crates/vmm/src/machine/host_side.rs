//! What a machine has of the host that it is on.

use std::sync::Arc;

use crate::devices::Line;
use crate::pc::BootFiles;

/// What a machine has of the host that it is on. It does not travel: a destination has its own.
#[derive(Clone, Debug, Default)]
pub struct HostSide {
    /// What a new guest is booted from.
    pub boot: Option<BootFiles>,
    /// The other end of the serial port.
    pub serial: Arc<Line>,
    /// The other end of the console, if it leads anywhere.
    pub console: Option<Arc<Line>>,
}
