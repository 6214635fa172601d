//! Reads and writes a Unix socket with the descriptors that go along.

use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// More than any message here has.
const MOST: usize = 32;

/// Fills `buffer`; gives what came along with it.
pub(crate) fn read_exact(from: &UnixStream, mut buffer: &mut [u8]) -> io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::new();
    while !buffer.is_empty() {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut along = RecvAncillaryBuffer::new(&mut room);
        let slices = &mut [IoSliceMut::new(buffer)];
        let read = recvmsg(from, slices, &mut along, RecvFlags::CMSG_CLOEXEC)?.bytes;
        for message in along.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
    }
    Ok(descriptors)
}

/// Writes `bytes`, and has `descriptors` go along with the first of them.
pub(crate) fn write_all(
    mut to: &UnixStream,
    bytes: &[u8],
    descriptors: &[OwnedFd],
) -> io::Result<()> {
    if descriptors.is_empty() {
        return to.write_all(bytes);
    }
    let descriptors: Vec<_> = descriptors.iter().map(|each| each.as_fd()).collect();
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut along = SendAncillaryBuffer::new(&mut room);
    assert!(along.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let sent = sendmsg(to, &[IoSlice::new(bytes)], &mut along, SendFlags::NOSIGNAL)?;
    to.write_all(&bytes[sent..])
}
