//! The process of one machine: from the command line to the end.

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread;

use landfall_migrate::machine::MachineKind;
use landfall_migrate::options::{Security, Uri};
use landfall_migrate::snapshot::SnapshotError;
use landfall_qmp::{BindError, EventBroadcast, MonitorServer, QmpError, Version};

use crate::devices::{Line, LineChoice, LineError};
use crate::machine::{Configuration, Guest, HostSide, Vm, VmError, best_machine};
use crate::monitor::{Monitor, ProcessEvent};
use crate::pc::BootFiles;
use crate::sandbox::{self, Named, Sandbox, SandboxError};
use crate::vcpu::Ending;

/// What a machine's process is to do.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where the monitor listens: the path of a Unix socket.
    pub qmp: PathBuf,
    /// Where the guest comes from.
    pub guest: GuestOrigin,
    /// How the connection is protected over which a guest comes in, and over which it leaves unless a client says otherwise.
    pub security: Security,
    /// Where the serial port leads.
    pub serial: LineChoice,
    /// Where the console beside it leads, if it leads anywhere; a new guest with a kernel then has one.
    pub console: Option<LineChoice>,
    /// Whether the guest may read the standard input stream.
    pub reads_stdin: bool,
    /// What the process may still do.
    pub sandbox: Sandbox,
}

/// Where the guest comes from.
#[derive(Clone, Debug)]
pub enum GuestOrigin {
    /// A new guest.
    Fresh {
        /// What is asked for; `None` for the best that this host has.
        machine: Option<MachineKind>,
        /// What it is made from; the kind of machine in it is replaced by the one chosen.
        configuration: Configuration,
        /// What it is booted from, if it is no probe.
        boot: Option<BootFiles>,
    },
    /// A guest that comes in; its configuration comes with it.
    Incoming(Uri),
    /// A guest from a snapshot, its configuration with it.
    Restored(PathBuf),
}

/// Why a machine's process ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The monitor's socket.
    #[error(transparent)]
    Monitor(#[from] BindError),
    /// The machine.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// The destination's socket.
    #[error("{}", .0.desc)]
    Listen(QmpError),
    /// The snapshot.
    #[error(transparent)]
    Restore(#[from] SnapshotError),
    /// No guest has come in.
    #[error("no guest has come in: {0}")]
    NotArrived(String),
    /// The guest cannot go on.
    #[error("{0}")]
    GuestFailed(String),
    /// The serial port.
    #[error("--serial does not work")]
    Serial(#[source] LineError),
    /// The console.
    #[error("--console does not work")]
    Console(#[source] LineError),
    /// No thread.
    #[error("the system gives no thread to watch the guest")]
    Thread(#[source] std::io::Error),
}

/// How a machine's process ended, where nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A client asked for it.
    Quit,
    /// The guest powered off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
}

/// Confines the process to what a machine needs, as `options` say: the calling thread, and all that it starts from here on.
///
/// # Errors
/// When the kernel refuses, or a path that is to be allowed is not there.
pub fn confine(options: &RunOptions, mut say: impl FnMut(&str)) -> Result<(), SandboxError> {
    let mut named = Named { sockets: vec![&options.qmp], ..Named::default() };
    named.read.extend(options.security.identity.as_deref());
    for line in std::iter::once(&options.serial).chain(&options.console) {
        match line {
            LineChoice::Stdio => {}
            LineChoice::Socket(path) => named.sockets.push(path),
            LineChoice::File(path) => {
                // Only what is there can be allowed. Where it cannot be made, whoever opens it says so.
                let _ = File::options().create(true).append(true).open(path);
                named.written.push(path);
            }
        }
    }
    match &options.guest {
        GuestOrigin::Fresh { configuration, boot, .. } => {
            let initrd = boot.iter().filter_map(|boot| boot.initrd.as_deref());
            named.read.extend(boot.iter().map(|boot| boot.kernel.as_path()).chain(initrd));
            if let Guest::Kernel(guest) = &configuration.guest {
                named.written.extend(guest.disks.iter().map(|disk| disk.path.as_path()));
            }
        }
        GuestOrigin::Incoming(Uri::Unix(path)) => named.sockets.push(path),
        GuestOrigin::Incoming(_) => {}
        GuestOrigin::Restored(file) => named.read.push(file),
    }
    sandbox::enter(&options.sandbox, &named, &mut say)
}

/// Runs a machine until its monitor is told to quit, or the guest powers it off or resets it.
///
/// `say` is given what a person should know, a line at a time.
///
/// # Errors
/// When the machine cannot be made, the monitor or the destination cannot listen, no guest has come in, or the guest
/// cannot go on.
pub fn run(options: RunOptions, mut say: impl FnMut(&str)) -> Result<End, RunError> {
    let (process, happened) = channel();
    let (vm_events, guest_events) = channel();
    let broadcast = EventBroadcast::new();
    let line = |choice| Line::open(choice, options.reads_stdin);
    let serial = line(&options.serial).map_err(RunError::Serial)?;
    let console = options.console.as_ref().map(line).transpose().map_err(RunError::Console)?;
    let host = HostSide { boot: None, serial, console };
    let monitor = Monitor::new(broadcast.clone(), process, vm_events.clone(), host.clone());
    monitor.protect(&options.security);
    let incoming = match options.guest {
        GuestOrigin::Fresh { machine, configuration, boot } => {
            let (machine, reason) = match machine {
                Some(machine) => (machine, None),
                None => {
                    let (machine, reason) = best_machine();
                    (machine, reason.map(|error| crate::monitor::chain(&error)))
                }
            };
            let vm = Vm::on(
                &HostSide { boot, ..host },
                Configuration { machine, ..configuration },
                &vm_events,
            )?;
            say(&match (machine, &reason) {
                (MachineKind::Kvm, _) => "a guest in KVM".to_owned(),
                (_, None) => "a synthetic guest: threads of this process, no KVM".to_owned(),
                (_, Some(why)) => {
                    format!("a synthetic guest: threads of this process, because {why}")
                }
            });
            vm.resume()?;
            monitor.adopt(vm, reason);
            None
        }
        GuestOrigin::Incoming(uri) => Some(uri),
        GuestOrigin::Restored(file) => {
            say(if monitor.restore(&file)? {
                "the guest goes on from its snapshot"
            } else {
                "the guest is back from its snapshot, and paused as it was; let it go on with cont"
            });
            None
        }
    };
    let watcher = monitor.clone();
    thread::Builder::new()
        .name("guest-watch".to_owned())
        .spawn(move || watcher.watch(&guest_events))
        .map_err(RunError::Thread)?;
    if let Some(uri) = &incoming {
        let uri = monitor.listen(uri).map_err(RunError::Listen)?;
        say(&format!("waiting for a guest at {uri}"));
    }
    // The monitor's socket comes last: who can connect to it finds a machine that is ready.
    let _server = MonitorServer::bind(
        &options.qmp,
        Version::landfall(env!("CARGO_PKG_VERSION")),
        std::sync::Arc::new(monitor.clone()),
        broadcast,
    )?;
    say(&format!("the monitor listens on {}", options.qmp.display()));
    for event in happened {
        match event {
            ProcessEvent::Quit => break,
            ProcessEvent::Arrived => say("the guest has come in"),
            ProcessEvent::GuestEnded(how) => {
                say(&how.to_string());
                return ended(how);
            }
            // A machine that was started to take one guest in has nothing else to do.
            ProcessEvent::NotArrived(why) if incoming.is_some() => {
                return Err(RunError::NotArrived(why));
            }
            ProcessEvent::NotArrived(why) => say(&format!("no guest has come in: {why}")),
        }
    }
    Ok(End::Quit)
}

fn ended(how: Ending) -> Result<End, RunError> {
    match how {
        Ending::PowerOff => Ok(End::PowerOff),
        Ending::Reset => Ok(End::Reset),
        Ending::Failure(why) => Err(RunError::GuestFailed(why)),
    }
}
