//! The monitor behind a Unix socket: one thread accepts, two serve each client.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::codec::{Framer, encode};
use crate::command::Command;
use crate::error::QmpError;
use crate::message::{Reply, Version};
use crate::session::{Session, Step};
use crate::subscribers::{EventBroadcast, Line};

/// The largest request; the commands that there are fit into a small part of it.
const MOST_REQUEST_BYTES: usize = 1 << 20;
/// Replies and events on their way to one client.
const QUEUED_LINES: usize = 1024;
/// More clients at once are hung up on.
const MOST_CLIENTS: usize = 64;
/// How long a client may leave its socket full before it is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// What answers the commands. Called from one thread a client, so it must bring its own locks, and should return soon:
/// what takes long is begun, and asked after with another command.
pub trait Handler: Send + Sync + 'static {
    /// Does what `command` says; commands without a result give `{}`.
    ///
    /// # Errors
    /// What stands in the reply.
    fn handle(&self, command: Command) -> Result<Value, QmpError>;
}

impl<F> Handler for F
where
    F: Fn(Command) -> Result<Value, QmpError> + Send + Sync + 'static,
{
    fn handle(&self, command: Command) -> Result<Value, QmpError> {
        self(command)
    }
}

/// Why a monitor could not be put on a socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("another process listens on {0}; choose another path or end that process")]
    InUse(PathBuf),
    /// There is something else at the path.
    #[error("{0} is there already and is no socket; choose another path")]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot listen on {path}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A monitor that serves clients until it is dropped. The drop lets commands under way end, sends what is queued, and
/// removes the socket.
pub struct MonitorServer {
    path: PathBuf,
    /// Device and inode of the socket, so that the drop does not remove another's.
    identity: (u64, u64),
    /// The listening socket again, for ending the wait in `accept`.
    waker: UnixStream,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
    clients: Clients,
}

type Clients = Arc<Mutex<Vec<Connection>>>;

struct Connection {
    stream: UnixStream,
    thread: JoinHandle<()>,
}

impl fmt::Debug for MonitorServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorServer").field("path", &self.path).finish_non_exhaustive()
    }
}

impl MonitorServer {
    /// Listens on `path`, greets as `version`, asks `handler` and tells clients of `events`. A socket that nobody
    /// listens on any more is replaced.
    ///
    /// # Errors
    /// When somebody listens there, something else is there, or the system refuses.
    pub fn bind(
        path: impl Into<PathBuf>,
        version: Version,
        handler: Arc<dyn Handler>,
        events: EventBroadcast,
    ) -> Result<Self, BindError> {
        let path = path.into();
        let io = |source| BindError::Io { path: path.clone(), source };
        remove_stale_socket(&path)?;
        let listener = UnixListener::bind(&path).map_err(io)?;
        // Who may talk to the monitor owns the machine.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(io)?;
        let identity = identity(&path).map_err(io)?;
        let waker = UnixStream::from(OwnedFd::from(listener.try_clone().map_err(io)?));
        let stopping = Arc::new(AtomicBool::new(false));
        let clients = Clients::default();
        let reception = Reception {
            service: Service { version, handler, events },
            stopping: Arc::clone(&stopping),
            clients: Arc::clone(&clients),
        };
        let acceptor = thread::Builder::new()
            .name("monitor".to_owned())
            .spawn(move || reception.run(&listener))
            .map_err(io)?;
        Ok(Self { path, identity, waker, stopping, acceptor: Some(acceptor), clients })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for MonitorServer {
    fn drop(&mut self) {
        // Release: the acceptor that sees the shutdown also sees the flag.
        self.stopping.store(true, Ordering::Release);
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Whoever removes it in between has done the same.
            let _ = fs::remove_file(&self.path);
        }
        let woken = self.waker.shutdown(Shutdown::Both).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            // A panic there has been printed already.
            let _ = acceptor.join();
        }
        let clients =
            std::mem::take(&mut *self.clients.lock().unwrap_or_else(PoisonError::into_inner));
        for client in &clients {
            // Fails only when the client has gone already.
            let _ = client.stream.shutdown(Shutdown::Read);
        }
        for client in clients {
            // Dropped from within a handler, the server cannot wait for that handler.
            if client.thread.thread().id() != thread::current().id() {
                let _ = client.thread.join();
            }
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn remove_stale_socket(path: &Path) -> Result<(), BindError> {
    let io = |source| BindError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(io)
        }
        Err(error) => Err(io(error)),
    }
}

/// The accepting thread.
struct Reception {
    service: Service,
    stopping: Arc<AtomicBool>,
    clients: Clients,
}

impl Reception {
    fn run(&self, listener: &UnixListener) {
        loop {
            let accepted = listener.accept();
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            match accepted {
                // A client that is gone before it is served, or that finds no thread, needs nothing from us.
                Ok((stream, _)) => drop(self.admit(stream)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Out of file descriptors, most likely: give clients time to leave rather than spin.
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn admit(&self, stream: UnixStream) -> io::Result<()> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|client| !client.thread.is_finished());
        if clients.len() >= MOST_CLIENTS {
            return Ok(());
        }
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let service = self.service.clone();
        let served = stream.try_clone()?;
        let thread = thread::Builder::new().name("monitor-client".to_owned()).spawn(move || {
            // A client that breaks off is no news.
            let _ = service.serve(&served);
            let _ = served.shutdown(Shutdown::Both);
        })?;
        clients.push(Connection { stream, thread });
        Ok(())
    }
}

/// What every client is served with.
#[derive(Clone)]
struct Service {
    version: Version,
    handler: Arc<dyn Handler>,
    events: EventBroadcast,
}

impl Service {
    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        let (lines, queue) = sync_channel(QUEUED_LINES);
        let writing = stream.try_clone()?;
        let writer = thread::Builder::new()
            .name("monitor-writer".to_owned())
            .spawn(move || write_lines(&writing, &queue))?;
        let result = self.converse(stream, &lines);
        drop(lines);
        // Waits until what is queued has been sent; a panic there has been printed already.
        let _ = writer.join();
        result
    }

    fn converse(&self, mut stream: &UnixStream, lines: &SyncSender<Line>) -> io::Result<()> {
        let mut session = Session::new(self.version.clone());
        let mut framer = Framer::new(MOST_REQUEST_BYTES);
        let mut subscription = None;
        queue_line(lines, &session.greeting())?;
        let mut buffer = [0; 4096];
        loop {
            let count = match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            framer.push(&buffer[..count]);
            while let Some(message) = framer.next_message() {
                match session.take(message) {
                    Step::Reply(reply) => queue_line(lines, &reply)?,
                    Step::Negotiated(reply) => {
                        queue_line(lines, &reply)?;
                        let stream = stream.try_clone()?;
                        subscription = Some(self.events.subscribe(lines.clone(), stream));
                    }
                    Step::Execute(command, id) => {
                        queue_line(lines, &Reply::new(self.handler.handle(command), id))?;
                    }
                    Step::HangUp(reply) => {
                        queue_line(lines, &reply)?;
                        drop(subscription);
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn queue_line(lines: &SyncSender<Line>, message: &impl Serialize) -> io::Result<()> {
    let line = encode(message)?;
    lines.send(Line::from(line)).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
}

fn write_lines(mut stream: &UnixStream, queue: &Receiver<Line>) {
    for line in queue {
        if stream.write_all(&line).is_err() {
            // Wakes the reading thread; fails only when the client has gone already.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
