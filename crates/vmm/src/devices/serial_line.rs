//! What is at the other end of a guest's serial port: a terminal, a file or a socket of this host.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use super::SerialPort;

/// Where a guest's serial port leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SerialChoice {
    /// The standard streams of the process.
    #[default]
    Stdio,
    /// A file that takes what the guest writes, behind what it holds already.
    File(PathBuf),
    /// A Unix socket. One client at a time; what the guest writes while there is none is lost.
    Socket(PathBuf),
}

/// Why a text names no end of a serial line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no place for a serial port; write stdio, file:PATH or socket:PATH")]
pub struct ParseSerialError(String);

impl FromStr for SerialChoice {
    type Err = ParseSerialError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "stdio" => Ok(Self::Stdio),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("socket", path)) if !path.is_empty() => Ok(Self::Socket(path.into())),
            _ => Err(ParseSerialError(text.to_owned())),
        }
    }
}

impl fmt::Display for SerialChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio => f.write_str("stdio"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Socket(path) => write!(f, "socket:{}", path.display()),
        }
    }
}

/// A serial line could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the guest's serial port cannot lead to {0}; choose another place with --serial")]
pub struct SerialLineError(SerialChoice, #[source] io::Error);

/// The line to one guest's serial port. It outlives machines: a guest that comes in after another has the same.
pub struct SerialLine {
    output: Mutex<Box<dyn Write + Send>>,
    port: Mutex<Weak<SerialPort>>,
    /// There is another port at the guest's end.
    connected: Condvar,
}

impl fmt::Debug for SerialLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerialLine").finish_non_exhaustive()
    }
}

impl Default for SerialLine {
    /// To the standard output stream, without input.
    fn default() -> Self {
        Self::to(Box::new(io::stdout()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SerialLine {
    /// A line to `output`, without input.
    #[must_use]
    pub fn to(output: Box<dyn Write + Send>) -> Self {
        Self {
            output: Mutex::new(output),
            port: Mutex::new(Weak::new()),
            connected: Condvar::new(),
        }
    }

    /// Opens the line to `choice`. The standard input stream is read only if `reads_stdin`.
    ///
    /// # Errors
    /// When the file or socket cannot be opened, or the system gives no thread.
    pub fn open(choice: &SerialChoice, reads_stdin: bool) -> Result<Arc<Self>, SerialLineError> {
        Self::opened(choice, reads_stdin).map_err(|error| SerialLineError(choice.clone(), error))
    }

    fn opened(choice: &SerialChoice, reads_stdin: bool) -> io::Result<Arc<Self>> {
        match choice {
            SerialChoice::Stdio => {
                let line = Arc::new(Self::default());
                if reads_stdin {
                    let line = Arc::clone(&line);
                    spawn(move || line.deliver(&mut io::stdin()))?;
                }
                Ok(line)
            }
            SerialChoice::File(path) => {
                let file = File::options().create(true).append(true).open(path)?;
                Ok(Arc::new(Self::to(Box::new(file))))
            }
            SerialChoice::Socket(path) => {
                let listener = listen(path)?;
                let client = Arc::new(Mutex::new(None));
                let line = Arc::new(Self::to(Box::new(ToClient(Arc::clone(&client)))));
                let serving = Arc::clone(&line);
                spawn(move || serving.serve(&listener, &client))?;
                Ok(line)
            }
        }
    }

    /// What a guest's serial port is to write to.
    pub(crate) fn output(self: &Arc<Self>) -> Box<dyn Write + Send> {
        Box::new(ToLine(Arc::clone(self)))
    }

    /// Puts `port` at the guest's end of the line.
    pub(crate) fn connect(&self, port: &Arc<SerialPort>) {
        *lock(&self.port) = Arc::downgrade(port);
        self.connected.notify_all();
    }

    /// Gives all that comes from `input` to whichever guest is there, until `input` ends.
    fn deliver(&self, input: &mut impl Read) {
        let mut bytes = [0; 256];
        loop {
            match input.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => self.give(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Waits for a guest if there is none.
    fn give(&self, bytes: &[u8]) {
        let mut connected = lock(&self.port);
        loop {
            if let Some(port) = connected.upgrade() {
                drop(connected);
                if port.receive(bytes) {
                    return;
                }
                // The next machine gets it, once there is one.
                drop(port);
                connected = lock(&self.port);
                if connected.strong_count() > 0 {
                    continue;
                }
            }
            connected = self.connected.wait(connected).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn serve(&self, listener: &UnixListener, client: &Mutex<Option<UnixStream>>) {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let Ok(output) = stream.try_clone() else { continue };
            *lock(client) = Some(output);
            self.deliver(&mut stream);
            *lock(client) = None;
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("serial".to_owned()).spawn(work).map(drop)
}

/// Listens at `path`, also where a process that is no more has left its socket.
fn listen(path: &Path) -> io::Result<UnixListener> {
    UnixListener::bind(path).or_else(|error| {
        let stale = error.kind() == io::ErrorKind::AddrInUse
            && UnixStream::connect(path)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if !stale {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        UnixListener::bind(path)
    })
}

struct ToLine(Arc<SerialLine>);

impl Write for ToLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0.output).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.0.output).flush()
    }
}

/// Writes to the client, if there is one and it reads: a guest must never stand still for want of a reader.
struct ToClient(Arc<Mutex<Option<UnixStream>>>);

impl Write for ToClient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(stream) = &*lock(&self.0) {
            // SAFETY: the descriptor is open for as long as the lock is held, and pointer and length are those of one
            // slice.
            unsafe {
                libc::send(
                    stream.as_raw_fd(),
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "serial_line_tests.rs"]
mod tests;
