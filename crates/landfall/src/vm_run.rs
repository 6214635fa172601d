//! `landfall vm run`: a machine in this process.

use std::io::{self, Read};
use std::num::NonZeroU16;
use std::path::{PathBuf, absolute};
use std::thread;

use clap::{Args, ValueEnum};
use landfall_converge::{ByteRate, Bytes};
use landfall_migrate::machine::MachineKind;
use landfall_migrate::options::Uri;
use landfall_vmm::devices::{DiskChoice, LineChoice, NetChoice};
use landfall_vmm::machine::{Configuration, DirtyLogChoice, Guest, KernelGuest};
use landfall_vmm::memory::HugePageSize;
use landfall_vmm::pc::BootFiles;
use landfall_vmm::probe::Workload;
use landfall_vmm::process::{End, GuestOrigin, RunError, RunOptions, confine, run};
use landfall_vmm::sandbox::{Sandbox, SandboxError};

use crate::error::CliError;
use crate::exit::Exit;
use crate::security::SecurityArgs;

/// What runs the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MachineChoice {
    /// KVM where there is /dev/kvm, otherwise synthetic.
    #[default]
    Auto,
    /// A guest in KVM.
    Kvm,
    /// Native threads that behave as a guest.
    Synthetic,
}

impl MachineChoice {
    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Kvm => "kvm",
            Self::Synthetic => "synthetic",
        }
    }

    /// Which machine is asked for; `None` for the best that there is.
    fn kind(self) -> Option<MachineKind> {
        match self {
            Self::Auto => None,
            Self::Kvm => Some(MachineKind::Kvm),
            Self::Synthetic => Some(MachineKind::Synthetic),
        }
    }
}

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A destination (--incoming) needs no copy of the configuration: it gets it in the hand-shake."
)]
pub(crate) struct VmRunArgs {
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    #[command(flatten)]
    pub(crate) kernel: KernelArgs,
    /// What runs the guest.
    #[arg(long, value_enum, default_value_t, conflicts_with_all = ["incoming", "restore"])]
    pub(crate) machine: MachineChoice,
    /// How many vCPUs.
    #[arg(long, value_name = "N", default_value = "1", conflicts_with_all = ["incoming", "restore"])]
    pub(crate) cpus: NonZeroU16,
    /// The guest's memory, as in 512MiB.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", conflicts_with_all = ["incoming", "restore"])]
    pub(crate) memory: Bytes,
    /// Take the memory from the pool of huge pages of this host, as in 2MiB or 1GiB (see vm.nr_hugepages). They travel with the guest: a
    /// destination takes them from its own pool, or refuses the guest.
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["incoming", "restore"])]
    pub(crate) hugepages: Option<HugePageSize>,
    /// How writes of a guest in KVM are recorded: auto, ring (a ring a vCPU, which tells vCPUs apart) or bitmap. It travels
    /// with the guest; a destination without rings uses bitmaps.
    #[arg(long, value_name = "LOG", default_value_t, conflicts_with_all = ["incoming", "restore"])]
    pub(crate) dirty_log: DirtyLogChoice,
    /// Where the guest's serial port leads: stdio, file:PATH or socket:PATH. It does not travel.
    #[arg(long, value_name = "WHERE", default_value_t)]
    pub(crate) serial: LineChoice,
    /// Gives a kernel a console of its own beside the serial port (virtio, hvc0 in Linux), and says where it leads: stdio,
    /// file:PATH or socket:PATH. The guest keeps it; where it leads does not travel, and a destination without this option
    /// takes what the guest writes and forgets it.
    #[arg(long, value_name = "WHERE", conflicts_with = "probe")]
    pub(crate) console: Option<LineChoice>,
    /// Where the monitor listens: the path of a Unix socket.
    #[arg(long, value_name = "SOCKET")]
    pub(crate) qmp: PathBuf,
    /// Wait for a guest to come in at tls:HOST:PORT, tcp:HOST:PORT or unix:PATH.
    #[arg(long, value_name = "URI")]
    pub(crate) incoming: Option<Uri>,
    /// Let a guest go on from a snapshot; its configuration is in the file.
    #[arg(long, value_name = "FILE", conflicts_with = "incoming")]
    pub(crate) restore: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,
    /// End when the standard input stream ends, so that a machine does not outlive who started it.
    #[arg(long, hide = true)]
    pub(crate) with_parent: bool,
}

/// What the process may still do once it runs.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Security")]
pub(crate) struct SandboxArgs {
    /// Let the process open only this file or folder, and what other options name; may be given more than once. Disks and
    /// certificates that come with a guest or a migration, and snapshots, must be in one of them. Without it, any path.
    #[arg(long, value_name = "PATH")]
    pub(crate) allow: Vec<PathBuf>,
    /// Let the process make every call into the system, so that it can be looked into.
    #[arg(long, conflicts_with = "allow")]
    pub(crate) no_sandbox: bool,
}

impl SandboxArgs {
    fn sandbox(self) -> Sandbox {
        if self.no_sandbox { Sandbox::Off } else { Sandbox::On { paths: self.allow } }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ProbeArgs {
    /// The probe guest's workload: sweep, random, hot-cold, read-only, compute or bursts; with options as in
    /// sweep,working-set=128MiB,rate=500MB/s.
    #[arg(
        long,
        value_name = "WORKLOAD",
        required_unless_present_any = ["incoming", "kernel", "restore"],
        conflicts_with_all = ["incoming", "kernel", "restore"]
    )]
    pub(crate) probe: Option<Workload>,
    /// The memory that the workload keeps rewriting, as in 128MiB.
    #[arg(long, value_name = "SIZE", requires = "probe")]
    pub(crate) working_set: Option<Bytes>,
    /// How fast it writes, as in 500MB/s; as fast as it can if not given.
    #[arg(long, value_name = "RATE", requires = "probe")]
    pub(crate) rate: Option<ByteRate>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct KernelArgs {
    /// Boots a kernel: a bzImage, as distributions ship Linux, or an ELF file with a PVH entry.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["incoming", "restore"])]
    pub(crate) kernel: Option<PathBuf>,
    /// The initial RAM disk for it.
    #[arg(long, value_name = "FILE", requires = "kernel", conflicts_with_all = ["probe", "incoming", "restore"])]
    pub(crate) initrd: Option<PathBuf>,
    /// Its command line, as in "console=ttyS0".
    #[arg(long, value_name = "TEXT", requires = "kernel", conflicts_with_all = ["probe", "incoming", "restore"])]
    pub(crate) cmdline: Option<String>,
    /// A disk for it: a file or block device, as in PATH or PATH,readonly; may be given more than once. The destination of a
    /// migration must find it at the same path.
    #[arg(long, value_name = "DISK", requires = "kernel", conflicts_with_all = ["probe", "incoming", "restore"])]
    pub(crate) disk: Vec<DiskChoice>,
    /// A network card for it at a tap of this host, as in tap=NAME or tap=NAME,mac=ADDRESS; may be given more than once. The
    /// destination of a migration must have a tap of that name.
    #[arg(long, value_name = "CARD", requires = "kernel", conflicts_with_all = ["probe", "incoming", "restore"])]
    pub(crate) net: Vec<NetChoice>,
}

impl KernelArgs {
    /// What is to be booted and what the guest has, if anything is.
    fn guest(self, console: bool) -> Option<(BootFiles, KernelGuest)> {
        let (initrd, command_line) = (self.initrd, self.cmdline.unwrap_or_default());
        let disks = self.disk.into_iter().map(|disk| {
            // Another process may be somewhere else.
            DiskChoice { path: absolute(&disk.path).unwrap_or(disk.path), ..disk }
        });
        let (disks, cards) = (disks.collect(), self.net);
        let guest =
            KernelGuest { processor: None, disks, cards, random: true, balloon: true, console };
        self.kernel.map(|kernel| (BootFiles { kernel, initrd, command_line }, guest))
    }
}

impl ProbeArgs {
    /// The workload as it was asked for; a flag of its own goes before an option of the workload.
    fn workload(&self) -> Workload {
        let workload = self.probe.unwrap_or_default();
        Workload {
            working_set: self.working_set.unwrap_or(workload.working_set),
            rate: self.rate.or(workload.rate),
            ..workload
        }
    }
}

impl VmRunArgs {
    fn options(self) -> RunOptions {
        let security = self.security.security();
        let (boot, guest) = match self.kernel.guest(self.console.is_some()) {
            Some((boot, guest)) => (Some(boot), Guest::Kernel(guest)),
            None => (None, Guest::Probe(self.probe.workload())),
        };
        let guest = match (self.incoming, self.restore) {
            (Some(uri), _) => GuestOrigin::Incoming(uri),
            (None, Some(file)) => GuestOrigin::Restored(file),
            (None, None) => GuestOrigin::Fresh {
                machine: self.machine.kind(),
                configuration: Configuration {
                    // Replaced by the one that is chosen.
                    machine: self.machine.kind().unwrap_or(MachineKind::Kvm),
                    memory: self.memory,
                    huge_pages: self.hugepages,
                    vcpus: usize::from(self.cpus.get()),
                    guest,
                    dirty_log: self.dirty_log,
                },
                boot,
            },
        };
        // The standard input stream is the parent's, where there is one.
        RunOptions {
            qmp: self.qmp,
            guest,
            security,
            serial: self.serial,
            console: self.console,
            reads_stdin: !self.with_parent,
            sandbox: self.sandbox.sandbox(),
        }
    }
}

/// Why a machine could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VmRunError {
    #[error("no thread can be started to watch the standard input stream")]
    Watch(#[source] io::Error),
    #[error(
        "--serial and --console cannot both lead to stdio, where nobody could tell them apart; give one of them file:PATH or socket:PATH"
    )]
    BothToStdio,
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Run(#[from] RunError),
}

pub(crate) fn vm_run(args: VmRunArgs) -> Result<Exit, CliError> {
    let (with_parent, options) = (args.with_parent, args.options());
    if options.serial == LineChoice::Stdio && options.console == Some(LineChoice::Stdio) {
        return Err(VmRunError::BothToStdio.into());
    }
    let say = |line: &str| eprintln!("{line}");
    // First of all: what a thread may do is settled when it starts.
    confine(&options, say).map_err(VmRunError::Sandbox)?;
    if with_parent {
        end_with_parent().map_err(VmRunError::Watch)?;
    }
    match run(options, say).map_err(VmRunError::Run)? {
        End::Quit | End::PowerOff => Ok(Exit::Done),
        End::Reset => Ok(Exit::Reset),
    }
}

/// The parent holds the other end of the standard input stream; the system closes it however the parent ends.
fn end_with_parent() -> io::Result<()> {
    thread::Builder::new().name("parent".to_owned()).spawn(|| {
        // An error is an end, too.
        while io::stdin().read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        std::process::exit(i32::from(Exit::Error as u8));
    })?;
    Ok(())
}
