//! What is at the other end of a guest's serial port or console: a terminal, a file or a socket of this host.

mod patient;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use self::patient::Patient;

/// So much is read at a time.
const MOST_READ: usize = 256;

/// Where a guest's serial port or console leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LineChoice {
    /// The standard streams of the process.
    #[default]
    Stdio,
    /// A file that takes what the guest writes, behind what it holds already.
    File(PathBuf),
    /// A Unix socket. One client at a time; what the guest writes while there is none is lost.
    Socket(PathBuf),
}

/// Why a text names no end of a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no place for a serial port or console; write stdio, file:PATH or socket:PATH")]
pub struct ParseLineError(String);

impl FromStr for LineChoice {
    type Err = ParseLineError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "stdio" => Ok(Self::Stdio),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("socket", path)) if !path.is_empty() => Ok(Self::Socket(path.into())),
            _ => Err(ParseLineError(text.to_owned())),
        }
    }
}

impl fmt::Display for LineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio => f.write_str("stdio"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Socket(path) => write!(f, "socket:{}", path.display()),
        }
    }
}

/// A line could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("a serial port or console of the guest cannot lead to {0}; choose another place")]
pub struct LineError(LineChoice, #[source] io::Error);

/// The guest's end of a line.
pub trait LineEnd: Send + Sync {
    /// Waits until the guest runs and has room for more: for how many bytes. `None` where the machine is gone.
    fn wait_for_room(&self) -> Option<usize>;

    /// Gives `bytes` to the guest, and waits if there is no room for them after all; whether the machine is still there.
    fn receive(&self, bytes: &[u8]) -> bool;
}

/// The line to one guest's serial port or console. It outlives machines: a guest that comes in after another has the same.
pub struct Line {
    output: Mutex<Box<dyn Write + Send>>,
    end: Mutex<Option<Weak<dyn LineEnd>>>,
    /// There is something else at the guest's end.
    connected: Condvar,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Default for Line {
    /// To the standard output stream, without input.
    fn default() -> Self {
        Self::to(Box::new(Patient::stdout()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    /// A line to `output`, without input.
    #[must_use]
    pub fn to(output: Box<dyn Write + Send>) -> Self {
        Self { output: Mutex::new(output), end: Mutex::new(None), connected: Condvar::new() }
    }

    /// Opens the line to `choice`. The standard input stream is read only if `reads_stdin`.
    ///
    /// # Errors
    /// When the file or socket cannot be opened, or the system gives no thread.
    pub fn open(choice: &LineChoice, reads_stdin: bool) -> Result<Arc<Self>, LineError> {
        Self::opened(choice, reads_stdin).map_err(|error| LineError(choice.clone(), error))
    }

    fn opened(choice: &LineChoice, reads_stdin: bool) -> io::Result<Arc<Self>> {
        match choice {
            LineChoice::Stdio => {
                let line = Arc::new(Self::default());
                if reads_stdin {
                    let line = Arc::clone(&line);
                    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
                    spawn(move || line.deliver(&mut input))?;
                }
                Ok(line)
            }
            LineChoice::File(path) => {
                let file = File::options().create(true).append(true).open(path)?;
                Ok(Arc::new(Self::to(Box::new(Patient::of(file)))))
            }
            LineChoice::Socket(path) => {
                let listener = listen(path)?;
                let client = Arc::new(Mutex::new(None));
                let line = Arc::new(Self::to(Box::new(ToClient(Arc::clone(&client)))));
                let serving = Arc::clone(&line);
                spawn(move || serving.serve(&listener, &client))?;
                Ok(line)
            }
        }
    }

    /// What the guest is to write to.
    pub(crate) fn output(self: &Arc<Self>) -> Box<dyn Write + Send> {
        Box::new(ToLine(Arc::clone(self)))
    }

    /// Puts `end` at the guest's end of the line.
    pub(crate) fn connect(&self, end: Weak<dyn LineEnd>) {
        *lock(&self.end) = Some(end);
        self.connected.notify_all();
    }

    /// Gives all that comes from `input` to whichever guest is there, until `input` ends. What no guest has room for is
    /// left where it is: a guest that is stopped and goes somewhere else has all that was read for it.
    fn deliver<I: Read + AsFd>(&self, input: &mut I) {
        let mut bytes = [0; MOST_READ];
        loop {
            let room = match waiting_in(input.as_fd()) {
                // Its end, or something that does not tell.
                Ok(0) => MOST_READ,
                Ok(_) => self.room().min(MOST_READ),
                Err(_) => return,
            };
            match input.read(&mut bytes[..room]) {
                Ok(0) => return,
                Ok(count) => self.give(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Waits until a guest has room: for how many bytes.
    fn room(&self) -> usize {
        self.with_guest(|end| end.wait_for_room())
    }

    /// Waits for a guest if there is none.
    fn give(&self, bytes: &[u8]) {
        self.with_guest(|end| end.receive(bytes).then_some(()));
    }

    /// What `ask` gets of the guest that is there, or of the next one that gives something.
    fn with_guest<T>(&self, ask: impl Fn(&dyn LineEnd) -> Option<T>) -> T {
        let mut connected = lock(&self.end);
        loop {
            if let Some(end) = connected.as_ref().and_then(Weak::upgrade) {
                let asked = connected.clone();
                drop(connected);
                if let Some(value) = ask(&*end) {
                    return value;
                }
                // That machine is no more.
                drop(end);
                connected = lock(&self.end);
                let is_same = match (&asked, &*connected) {
                    (Some(before), Some(now)) => before.ptr_eq(now),
                    _ => false,
                };
                if !is_same {
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

/// Waits until `input` has something, or has ended: how many bytes can be read.
fn waiting_in(input: BorrowedFd<'_>) -> io::Result<usize> {
    loop {
        let mut watched = libc::pollfd { fd: input.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which lives for as long as the call lasts; the descriptor is borrowed.
        if unsafe { libc::poll(&raw mut watched, 1, -1) } > 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed, and the request writes one number, which lives for as long as the call lasts.
    let asked = unsafe { libc::ioctl(input.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    Ok(if asked == 0 { usize::try_from(count).unwrap_or(0) } else { 0 })
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

struct ToLine(Arc<Line>);

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
#[path = "line_tests.rs"]
mod tests;
