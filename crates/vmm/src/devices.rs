//! The devices of a machine.

mod board;
mod probe_board;
mod serial;
mod serial_line;
mod virtio;

pub use board::{Board, DeviceStateError, SavedDevices};
pub use probe_board::ProbeBoard;
pub use serial::{Interrupt, SavedSerial, SerialPort};
pub use serial_line::{ParseSerialError, SerialChoice, SerialLine, SerialLineError};
pub(crate) use virtio::{Announcement, Block, Model, Net, Random, VirtioDevice};
pub use virtio::{
    Disk, DiskChoice, DiskError, Flusher, Mac, NetChoice, NetError, ParseDiskError, ParseMacError,
    ParseNetError, Port, SavedQueue, SavedVirtio,
};

/// Where the first serial port of a PC is.
pub(crate) const SERIAL_BASE: u16 = 0x3F8;

/// The register of the serial port at [`SERIAL_BASE`] that `port` is.
pub(crate) fn serial_register(port: u16) -> Option<u8> {
    (SERIAL_BASE..SERIAL_BASE + SerialPort::PORTS)
        .contains(&port)
        .then(|| u8::try_from(port - SERIAL_BASE).unwrap_or(0))
}
