//! The devices of a machine.

mod board;
mod line;
mod probe_board;
mod serial;
mod virtio;

pub use board::{Board, DeviceStateError, SavedDevices};
pub use line::{Line, LineChoice, LineEnd, LineError, ParseLineError};
pub use probe_board::ProbeBoard;
pub use serial::{Interrupt, SavedSerial, SerialPort};
pub(crate) use virtio::{
    Announcement, Balloon, Block, Console, Model, Net, Random, Typed, VirtioDevice,
};
pub use virtio::{
    Ballooning, Disk, DiskChoice, DiskError, Flusher, Mac, NetChoice, NetError, ParseDiskError,
    ParseMacError, ParseNetError, Port, SavedBalloon, SavedConsole, SavedQueue, SavedVirtio,
};

/// Where the first serial port of a PC is.
pub(crate) const SERIAL_BASE: u16 = 0x3F8;

/// The register of the serial port at [`SERIAL_BASE`] that `port` is.
pub(crate) fn serial_register(port: u16) -> Option<u8> {
    (SERIAL_BASE..SERIAL_BASE + SerialPort::PORTS)
        .contains(&port)
        .then(|| u8::try_from(port - SERIAL_BASE).unwrap_or(0))
}
