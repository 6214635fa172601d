//! A stream over TCP in which each side has shown who it is, and nobody else can look on.
//!
//! One thread reads while another writes, and neither waits for the other: the session is locked only while bytes are
//! turned into others and the socket takes what it can at once, never while it is waited for.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};
use rustls::{ClientConnection, Connection, Error, ServerConfig, ServerConnection};

use crate::page_buffer::{PAGE, PageBuffer};
use crate::security::Client;

/// What is encrypted before it is written to the socket: little enough to be in the processor's cache still.
const OUTGOING: usize = 64 * 1024;
/// Pages of what is taken from the socket at once. The session by itself takes a record at a time.
const INCOMING: usize = OUTGOING / PAGE;

/// A connection whose hand-shake is over.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) socket: TcpStream,
    session: Mutex<Connection>,
    reader: Mutex<Reader>,
    /// Records that the socket did not take at once.
    writer: Mutex<Vec<u8>>,
}

/// The socket, for whose room nobody waits.
struct AtOnce<'a>(&'a TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut none = SendAncillaryBuffer::new(&mut []);
        Ok(retry_on_intr(|| sendmsg(self.0, slices, &mut none, flags))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Reader {
    /// What came from the socket, and the session has yet to see from `seen` to `filled`.
    records: PageBuffer,
    seen: usize,
    filled: usize,
    /// Content for which nobody had room, read up to `at`.
    plain: Vec<u8>,
    at: usize,
    ended: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Tls {
    /// Shows the certificate, and looks at the other side's; the socket's timeouts hold.
    pub(crate) fn connect(socket: TcpStream, client: Client) -> io::Result<Self> {
        let connection = ClientConnection::new(client.config, client.name).map_err(failed)?;
        Self::begin(socket, connection.into())
    }

    /// The same for the side that was connected to.
    pub(crate) fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = ServerConnection::new(config).map_err(failed)?;
        Self::begin(socket, connection.into())
    }

    fn begin(mut socket: TcpStream, mut session: Connection) -> io::Result<Self> {
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        // What is written is taken away at once, however much it is.
        session.set_buffer_limit(None);
        let mut reader = Reader::new();
        // Content may have come right behind the hand-shake.
        reader.take_content(&mut session, &mut [])?;
        Ok(Self {
            socket,
            session: Mutex::new(session),
            reader: Mutex::new(reader),
            writer: Mutex::default(),
        })
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut reader = lock(&self.reader);
        loop {
            let mut count = reader.give(buffer);
            count += reader.decrypt(&self.session, &mut buffer[count..])?;
            if count > 0 || buffer.is_empty() || reader.ended {
                return Ok(count);
            }
            reader.receive(&self.socket)?;
        }
    }

    /// Writes all of `slices`, or fails.
    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut left = lock(&self.writer);
        let mut waiting = 0;
        for part in slices.iter().flat_map(|slice| slice.chunks(OUTGOING)) {
            lock(&self.session).writer().write_all(part)?;
            waiting += part.len();
            if waiting >= OUTGOING {
                self.push(&mut left)?;
                waiting = 0;
            }
        }
        self.push(&mut left)?;
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    /// Writes the records that there are to the socket: straight, as far as it takes them at once.
    fn push(&self, left: &mut Vec<u8>) -> io::Result<()> {
        left.clear();
        let mut session = lock(&self.session);
        // Also what the session itself wants to say: answers to what the reader has found.
        while session.wants_write() {
            match session.write_tls(&mut AtOnce(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while session.wants_write() {
            session.write_tls(left)?;
        }
        drop(session);
        (&self.socket).write_all(left)
    }
}

impl Reader {
    fn new() -> Self {
        let records = PageBuffer::new(INCOMING);
        Self { records, seen: 0, filled: 0, plain: Vec::new(), at: 0, ended: false }
    }

    /// Waits until something comes, the other side ends, or this has taken too long.
    fn receive(&mut self, socket: &TcpStream) -> io::Result<()> {
        let records = &mut self.records[..];
        let (count, _) = retry_on_intr(|| recv(socket, &mut *records, RecvFlags::empty()))?;
        (self.seen, self.filled) = (0, count);
        self.ended |= count == 0;
        Ok(())
    }

    fn give(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.plain.len() - self.at);
        buffer[..count].copy_from_slice(&self.plain[self.at..self.at + count]);
        self.at += count;
        if self.at == self.plain.len() {
            self.plain.clear();
            self.at = 0;
        }
        count
    }

    /// Turns what came into its content until `buffer` is full, and gives how much of it is; the session keeps the
    /// beginning of a record that has not come whole.
    fn decrypt(&mut self, session: &Mutex<Connection>, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < buffer.len() && self.seen < self.filled && !self.ended {
            let mut session = lock(session);
            self.seen += session.read_tls(&mut &self.records[self.seen..self.filled])?;
            count += self.take_content(&mut session, &mut buffer[count..])?;
        }
        Ok(count)
    }

    /// Puts content straight into `buffer`, and keeps what finds no room there.
    fn take_content(&mut self, session: &mut Connection, buffer: &mut [u8]) -> io::Result<usize> {
        let state = session.process_new_packets().map_err(failed)?;
        let content = state.plaintext_bytes_to_read();
        let straight = content.min(buffer.len());
        session.reader().read_exact(&mut buffer[..straight])?;
        let begin = self.plain.len();
        self.plain.resize(begin + content - straight, 0);
        session.reader().read_exact(&mut self.plain[begin..])?;
        self.ended |= state.peer_has_closed();
        Ok(straight)
    }
}

fn failed(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What TLS itself has found wrong, where that is what `error` is about.
pub(crate) fn found_in(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
