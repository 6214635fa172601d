//! How each engine is started, and told to migrate.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use landfall_converge::ByteRate;
use landfall_qmp::{
    Capability, CapabilityState, ClientError, Command as Qmp, NO_BANDWIDTH_LIMIT, ParametersUpdate,
    Policy,
};

use super::contender::{Contender, Engine};
use super::link::Link;
use super::machine::Machine;
use super::measure::Setting;
use crate::command::output;

pub(super) const QEMU: &str = "qemu-system-x86_64";

/// The version of QEMU here, or how to get one.
pub(super) fn qemu_version() -> Result<String, String> {
    let said = output(Command::new(QEMU).arg("--version")).map_err(|_| {
        "QEMU is not installed, so that only Landfall takes part; \
         `apt-get install qemu-system-x86` brings it"
            .to_owned()
    })?;
    let line = said.lines().next().unwrap_or_default();
    Ok(line.trim_start_matches("QEMU emulator version ").to_owned())
}

/// The two ends of a migration.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) source: Machine,
    pub(super) destination: Machine,
    uri: String,
    folder: PathBuf,
    steering: Option<Steering>,
    // Dropped last: nobody is left who talks over it.
    link: Link,
}

impl Ends {
    /// Starts both; the guest runs at the source.
    pub(super) fn start(
        setting: &Setting<'_>,
        engine: Engine,
        folder: &Path,
    ) -> Result<Self, String> {
        let link = Link::new(setting.link, setting.bandwidth)?;
        let uri = link.uri(folder);
        let program = match engine {
            Engine::Qemu => Path::new(QEMU),
            Engine::Landfall => setting.landfall,
        };
        let start = |role, incoming: Option<&str>| {
            let socket = folder.join(role);
            let arguments = match engine {
                Engine::Qemu => qemu_arguments(setting, &socket, incoming, QemuMemory::File),
                Engine::Landfall => landfall_arguments(setting, &socket, incoming),
            };
            Machine::start(role, &link.command(program), &arguments, &socket)
        };
        let destination = start("destination", Some(&uri))?;
        let source = start("source", None)?;
        let folder = folder.to_owned();
        Ok(Self { source, destination, uri, folder, steering: None, link })
    }

    /// Sets everything, so that only [`Ends::migrate`] is left.
    pub(super) fn prepare(
        &mut self,
        setting: &Setting<'_>,
        contender: Contender,
    ) -> Result<(), String> {
        let result =
            prepare(&mut self.source, setting, self.link.limit(setting.bandwidth), contender);
        result.map_err(|error| self.source.blamed(&error))?;
        if contender == Contender::Pilot {
            self.steering = Some(Steering::start(setting, &self.folder)?);
        }
        Ok(())
    }

    /// Begins the migration, and returns at once.
    pub(super) fn migrate(&mut self) -> Result<(), String> {
        let result = self.source.client.execute(&Qmp::Migrate { uri: self.uri.clone() });
        result.map(drop).map_err(|error| self.source.blamed(&error))
    }
}

/// QEMU serves one client a monitor, so a pilot has one of its own.
fn second_monitor(socket: &Path) -> PathBuf {
    socket.with_extension("pilot")
}

/// Somebody who steers the source; ended when dropped, should the migration not have ended it.
#[derive(Debug)]
pub(super) struct Steering(Child);

impl Steering {
    /// Returns once the pilot has looked at the source, so that it is there when the migration begins.
    fn start(setting: &Setting<'_>, folder: &Path) -> Result<Self, String> {
        let child = Command::new(setting.landfall)
            .arg("pilot")
            .arg(second_monitor(&folder.join("source")))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the pilot cannot be started: {error}"))?;
        let mut this = Self(child);
        let said = this.0.stderr.take().ok_or("the pilot says nothing")?;
        let mut lines = BufReader::new(said).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        if first.contains("waiting for a migration") {
            return Ok(this);
        }
        Err(format!("the pilot does not steer: {first}"))
    }
}

impl Drop for Steering {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What QEMU has its guest's memory in.
#[derive(Clone, Copy, Debug)]
pub(super) enum QemuMemory {
    /// A file that others can look at.
    File,
    /// What it takes where nothing is asked for: memory of its own, in huge pages where the kernel has some.
    Own,
}

pub(super) fn qemu_arguments(
    setting: &Setting<'_>,
    socket: &Path,
    incoming: Option<&str>,
    memory: QemuMemory,
) -> Vec<String> {
    let megabytes = setting.memory.0 >> 20;
    let memory = match memory {
        QemuMemory::File => format!("memory-backend-memfd,id=ram,size={megabytes}M,share=on"),
        QemuMemory::Own => format!("memory-backend-ram,id=ram,size={megabytes}M"),
    };
    let kernel = setting.elf.display().to_string();
    let mut arguments: Vec<String> = [
        "-accel",
        "kvm",
        "-machine",
        "microvm,memory-backend=ram",
        "-object",
        &memory,
        "-m",
        &format!("{megabytes}M"),
        "-smp",
        &setting.row.vcpus().to_string(),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-kernel",
        &kernel,
        "-qmp",
        &format!("unix:{},server=on,wait=off", socket.display()),
        "-qmp",
        &format!("unix:{},server=on,wait=off", second_monitor(socket).display()),
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(uri) = incoming {
        arguments.extend(["-incoming".to_owned(), uri.to_owned()]);
    }
    arguments
}

pub(super) fn landfall_arguments(
    setting: &Setting<'_>,
    socket: &Path,
    incoming: Option<&str>,
) -> Vec<String> {
    let socket = socket.display().to_string();
    let mut arguments =
        ["vm", "run", "--with-parent", "--qmp", &socket].map(str::to_owned).to_vec();
    match incoming {
        Some(uri) => arguments.extend(["--incoming".to_owned(), uri.to_owned()]),
        None => arguments.extend(
            [
                "--machine",
                "kvm",
                "--cpus",
                &setting.row.vcpus().to_string(),
                "--memory",
                &format!("{}B", setting.memory.0),
                "--probe",
                setting.row.workload,
            ]
            .map(str::to_owned),
        ),
    }
    arguments
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bandwidth in bytes a second, which is far below 2^53"
)]
fn prepare(
    source: &mut Machine,
    setting: &Setting<'_>,
    limit: Option<ByteRate>,
    contender: Contender,
) -> Result<(), ClientError> {
    let auto_converge = match contender {
        Contender::QemuOff | Contender::QemuXbzrle | Contender::LandfallOff => false,
        Contender::QemuAutoConverge
        | Contender::Pilot
        | Contender::Classic
        | Contender::Stepped
        | Contender::Adaptive => true,
    };
    let mut capabilities =
        vec![CapabilityState { capability: Capability::AutoConverge, state: auto_converge }];
    if contender == Contender::QemuXbzrle {
        capabilities.push(CapabilityState { capability: Capability::Xbzrle, state: true });
    }
    source.client.execute(&Qmp::MigrateSetCapabilities(capabilities))?;
    let no_limit = match contender.engine() {
        Engine::Qemu => NO_BANDWIDTH_LIMIT,
        Engine::Landfall => 0,
    };
    let mut parameters = ParametersUpdate {
        max_bandwidth: Some(limit.map_or(no_limit, |rate| rate.bytes_per_second() as u64)),
        downtime_limit: Some(setting.downtime_limit),
        ..ParametersUpdate::default()
    };
    if contender.engine() == Engine::Landfall {
        parameters.time_limit = Some(setting.time_limit);
        parameters.policy = Some(match contender {
            Contender::Classic => Policy::Classic,
            Contender::Stepped => Policy::Stepped,
            _ => Policy::Adaptive,
        });
    }
    source.client.execute(&Qmp::MigrateSetParameters(parameters))?;
    Ok(())
}
