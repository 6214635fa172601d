//! What travels between source and destination, as far as a proxy must understand it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use landfall_migrate::wire::{Encoder, HEADER_BYTES, Message};

use serde_json::Value;

use crate::rights;

/// The kinds of messages, by their numbers on the wire: part of the protocol, and so not to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Tag {
    Hello = 1,
    Welcome = 2,
    Configuration = 3,
    Accepted = 4,
    Pages = 5,
    PassEnd = 7,
    PassReceived = 8,
    State = 9,
    Finish = 10,
    Ready = 11,
    Commit = 12,
    Running = 13,
    Memory = 17,
}

/// One message, as its bytes and the descriptors that go along with them.
#[derive(Debug)]
pub(crate) struct Frame(Vec<u8>, Vec<OwnedFd>);

impl Frame {
    /// The next one; `None` at the end of the stream, wherever in a frame that is.
    pub(crate) fn read(from: &UnixStream) -> Option<Self> {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut descriptors = rights::read_exact(from, &mut bytes).ok()?;
        let length = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        bytes.resize(HEADER_BYTES + usize::try_from(length).unwrap(), 0);
        descriptors.extend(rights::read_exact(from, &mut bytes[HEADER_BYTES..]).ok()?);
        Some(Self(bytes, descriptors))
    }

    pub(crate) fn of(message: &Message) -> Self {
        let mut bytes = Vec::new();
        Encoder::default().write(&mut bytes, message).unwrap();
        Self(bytes, Vec::new())
    }

    pub(crate) fn write(&self, to: &UnixStream) -> io::Result<()> {
        rights::write_all(to, &self.0, &self.1)
    }

    pub(crate) fn is(&self, tag: Tag) -> bool {
        u16::from_le_bytes([self.0[4], self.0[5]]) == tag as u16
    }

    /// With a payload that is JSON as `change` leaves it, and a checksum that says that all is well.
    pub(crate) fn with_json(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut value = serde_json::from_slice(&self.0[HEADER_BYTES..]).unwrap();
        change(&mut value);
        let payload = serde_json::to_vec(&value).unwrap();
        Self::of(&if self.is(Tag::State) {
            Message::State(payload)
        } else {
            Message::Configuration(payload)
        })
    }

    /// Without what goes along with it, as by something that passes on bytes alone.
    pub(crate) fn of_bytes_alone(self) -> Self {
        Self(self.0, Vec::new())
    }

    /// With one bit changed in byte `index` of its header.
    pub(crate) fn with_header_bit_flipped(mut self, index: usize) -> Self {
        assert!(index < HEADER_BYTES);
        self.0[index] ^= 0x10;
        self
    }

    /// With one bit changed in the middle of its payload.
    pub(crate) fn with_payload_bit_flipped(mut self) -> Self {
        let middle = usize::midpoint(HEADER_BYTES, self.0.len());
        assert!(middle >= HEADER_BYTES && middle < self.0.len(), "there is no payload");
        self.0[middle] ^= 0x10;
        self
    }
}
