//! A stream to the other side, over TCP or a Unix socket.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::options::Uri;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Channel {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! each {
    ($self:expr, $stream:ident => $do:expr) => {
        match $self {
            Channel::Tcp($stream) => $do,
            Channel::Unix($stream) => $do,
        }
    };
}

impl Channel {
    /// Connects to a destination; gives up after `timeout`.
    pub(crate) fn connect(uri: &Uri, timeout: Duration) -> io::Result<Self> {
        match uri {
            Uri::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            Uri::Tcp(address) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, timeout) {
                        Ok(stream) => return Self::tcp(stream),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    fn tcp(stream: TcpStream) -> io::Result<Self> {
        // The small messages of the commit must not wait for larger ones that never come.
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    /// No single read or write waits longer than this for the other side.
    pub(crate) fn set_timeouts(
        &self,
        read: Option<Duration>,
        write: Option<Duration>,
    ) -> io::Result<()> {
        each!(self, stream => {
            stream.set_read_timeout(read)?;
            stream.set_write_timeout(write)
        })
    }

    /// Says that nothing more will be written, and reads away what still comes until the other side ends too, for `time`
    /// at most. A connection that is closed with something unread in it takes with it what was written last.
    pub(crate) fn end_gently(&mut self, time: Duration) {
        let until = Instant::now() + time;
        let mut unread = vec![0; 64 * 1024];
        // Fails only when the other side has ended it already.
        let _ = each!(self, stream => stream.shutdown(Shutdown::Write));
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
        let _ = each!(self, stream => stream.shutdown(Shutdown::Both));
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.read(buffer))
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, stream => stream.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, stream => stream.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        each!(self, stream => stream.flush())
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
            Uri::Tcp(address) => TcpListener::bind(address.as_str()).map(Self::Tcp),
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

    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
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
