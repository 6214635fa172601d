//! File descriptors that go along with a message, over a Unix socket.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::channel::Channel;
use crate::wire::MAX_MEMORY_FILES;

/// The most that go along with one message: files of memory, and the deed.
const MOST: usize = MAX_MEMORY_FILES + 1;

/// Writes to a channel. The descriptors leave with the first byte; the kernel keeps them with it until it is read.
#[derive(Debug)]
pub(crate) struct Passing<'a> {
    channel: &'a mut Channel,
    /// Those that have not left yet.
    descriptors: &'a [BorrowedFd<'a>],
}

impl<'a> Passing<'a> {
    /// Has `descriptors` go along with what is written next.
    pub(crate) fn new(channel: &'a mut Channel, descriptors: &'a [BorrowedFd<'a>]) -> Self {
        Self { channel, descriptors }
    }
}

impl Write for Passing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.descriptors.is_empty() {
            return self.channel.write_vectored(slices);
        }
        let socket = self.channel.unix().ok_or(io::ErrorKind::Unsupported)?;
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut along = SendAncillaryBuffer::new(&mut room);
        let fits = self.descriptors.len() <= MOST;
        if !(fits && along.push(SendAncillaryMessage::ScmRights(self.descriptors))) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let written = sendmsg(socket, slices, &mut along, SendFlags::NOSIGNAL)?;
        self.descriptors = &[];
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.channel.flush()
    }
}

/// Reads from a channel, and keeps the descriptors that come along. Read in any other way they would be lost.
#[derive(Debug)]
pub(crate) struct Taking<'a> {
    channel: &'a mut Channel,
    descriptors: Vec<OwnedFd>,
}

impl<'a> Taking<'a> {
    pub(crate) fn from(channel: &'a mut Channel) -> Self {
        Self { channel, descriptors: Vec::new() }
    }

    /// What has come along so far.
    pub(crate) fn descriptors(self) -> Vec<OwnedFd> {
        self.descriptors
    }
}

impl Read for Taking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(socket) = self.channel.unix() else { return self.channel.read(buffer) };
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut along = RecvAncillaryBuffer::new(&mut room);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let read = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut along, flags)?;
        for message in along.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if read.flags.contains(ReturnFlags::CTRUNC) || self.descriptors.len() > MOST {
            return Err(io::Error::other("more file descriptors came along than belong there"));
        }
        Ok(read.bytes)
    }
}

#[cfg(test)]
#[path = "descriptors_tests.rs"]
mod tests;
