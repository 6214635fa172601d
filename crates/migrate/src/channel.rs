//! A stream to the other side, over TCP, TLS over TCP, or a Unix socket.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use socket2::SockRef;

use crate::options::Uri;
use crate::security::{Security, SecurityError};
use crate::tls::Tls;
use crate::wire::{Decoder, Encoder, WireError};

/// Room for what the other side of a Unix socket has not read yet: a frame of pages.
const UNIX_BUFFER: usize = 256 * 1024;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Channel {
    Tcp(TcpStream),
    Tls(Arc<Tls>),
    Unix(UnixStream),
}

/// Does the same with the socket, whatever it is.
macro_rules! socket {
    ($self:expr, $socket:ident => $do:expr) => {
        match $self {
            Channel::Tcp($socket) => $do,
            Channel::Tls(tls) => {
                let $socket = &tls.socket;
                $do
            }
            Channel::Unix($socket) => $do,
        }
    };
}

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Security(#[from] SecurityError),
    #[error(transparent)]
    Wire(WireError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn hand_shake_failed(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => SecurityError::HungUp.into(),
        _ => ConnectError::Wire(error.into()),
    }
}

impl Channel {
    /// Connects to a destination; gives up after `timeout`.
    pub(crate) fn connect(
        uri: &Uri,
        security: &Security,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let address = match uri {
            Uri::Unix(path) => return Ok(Self::connect_unix(path)?),
            Uri::Tcp(address) | Uri::Tls(address) => address,
        };
        let client = security.client(uri)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in address.to_socket_addrs()? {
            if client.is_none() {
                security.plain_to(address)?;
            }
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    let channel = Self::tcp(stream)?;
                    let Some(client) = client else { return Ok(channel) };
                    channel.set_timeouts(Some(timeout), Some(timeout))?;
                    return channel
                        .secured(|socket| Tls::connect(socket, client))
                        .map_err(hand_shake_failed);
                }
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    /// The side that was connected to shows who it is, and sees who the other one is. Timeouts that are set hold.
    pub(crate) fn secured_by(self, config: Arc<ServerConfig>) -> io::Result<Self> {
        self.secured(|socket| Tls::accept(socket, config))
    }

    fn secured(self, shake: impl FnOnce(TcpStream) -> io::Result<Tls>) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => shake(socket).map(|tls| Self::Tls(Arc::new(tls))),
            already => Ok(already),
        }
    }

    fn connect_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        // By itself less than a frame of pages fits in, so that each would wait for its reader. The kernel gives twice as much, or what
        // its administrator lets anybody have.
        SockRef::from(&stream).set_send_buffer_size(UNIX_BUFFER)?;
        Ok(Self::Unix(stream))
    }

    fn tcp(stream: TcpStream) -> io::Result<Self> {
        // The small messages of the commit must not wait for larger ones that never come.
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Tls(tls) => Self::Tls(Arc::clone(tls)),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    /// Who writes what goes over it.
    pub(crate) fn encoder(&self) -> Encoder {
        if let Self::Tls(_) = self { Encoder::over_tls() } else { Encoder::default() }
    }

    /// Who reads what comes over it.
    pub(crate) fn decoder(&self) -> Decoder {
        if let Self::Tls(_) = self { Decoder::over_tls() } else { Decoder::default() }
    }

    /// The socket, where descriptors can go along with what is written to it.
    pub(crate) fn unix(&self) -> Option<&UnixStream> {
        match self {
            Self::Unix(stream) => Some(stream),
            Self::Tcp(_) | Self::Tls(_) => None,
        }
    }

    /// No single read or write waits longer than this for the other side.
    pub(crate) fn set_timeouts(
        &self,
        read: Option<Duration>,
        write: Option<Duration>,
    ) -> io::Result<()> {
        socket!(self, socket => {
            socket.set_read_timeout(read)?;
            socket.set_write_timeout(write)
        })
    }

    /// Lets no more than `bytes` wait in the kernel for their turn to be sent, however much room it has. A Unix socket has
    /// no such bound, and needs none: what is written there has arrived.
    pub(crate) fn bound_unsent(&self, bytes: u32) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => SockRef::from(socket).set_tcp_notsent_lowat(bytes),
            Self::Tls(tls) => SockRef::from(&tls.socket).set_tcp_notsent_lowat(bytes),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Says that nothing more will be written, and reads away what still comes until the other side ends too, for `time`
    /// at most. A connection that is closed with something unread in it takes with it what was written last.
    pub(crate) fn end_gently(&mut self, time: Duration) {
        let until = Instant::now() + time;
        let mut unread = vec![0; 64 * 1024];
        // Fails only when the other side has ended it already.
        let _ = socket!(self, socket => socket.shutdown(Shutdown::Write));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.set_timeouts(Some(left), None).is_err() {
                return;
            }
            match self.read(&mut unread) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Ends both directions, also for those who wait in a read or write on a clone.
    pub(crate) fn shutdown(&self) {
        // Fails only when the other side has ended it already.
        let _ = socket!(self, socket => socket.shutdown(Shutdown::Both));
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Tls(tls) => tls.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    /// Nothing is kept back: every write reaches the socket.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a destination listens.
#[derive(Debug)]
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Acceptor {
    pub(crate) fn bind(uri: &Uri) -> io::Result<Self> {
        match uri {
            Uri::Tcp(address) | Uri::Tls(address) => {
                TcpListener::bind(address.as_str()).map(Self::Tcp)
            }
            Uri::Unix(path) => {
                // A socket that a process left behind when it was killed is nobody's: connecting to it is refused.
                let is_socket = std::fs::symlink_metadata(path)
                    .is_ok_and(|found| found.file_type().is_socket());
                if is_socket && UnixStream::connect(path).is_err() {
                    std::fs::remove_file(path)?;
                }
                UnixListener::bind(path).map(|listener| Self::Unix(listener, path.clone()))
            }
        }
    }

    pub(crate) fn accept(&self) -> io::Result<Channel> {
        match self {
            Self::Tcp(listener) => Channel::tcp(listener.accept()?.0),
            Self::Unix(listener, _) => Ok(Channel::Unix(listener.accept()?.0)),
        }
    }

    /// The same, but gives up at `until`.
    pub(crate) fn accept_until(&self, until: Instant) -> io::Result<Channel> {
        // The time limit for reading from a socket is also that for accepting from it. The clone is the same socket.
        let socket = self.waker()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_timeouts(Some(left), None)?;
        let accepted = self.accept();
        socket.set_timeouts(None, None)?;
        accepted
    }

    /// Where a TCP listener listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// Something whose `shutdown` ends a wait in `accept`.
    pub(crate) fn waker(&self) -> io::Result<Channel> {
        Ok(match self {
            Self::Tcp(listener) => {
                Channel::Tcp(TcpStream::from(OwnedFd::from(listener.try_clone()?)))
            }
            Self::Unix(listener, _) => {
                Channel::Unix(UnixStream::from(OwnedFd::from(listener.try_clone()?)))
            }
        })
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Whoever removed it before has done the same.
            let _ = std::fs::remove_file(path);
        }
    }
}
