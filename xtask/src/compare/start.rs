//! How each engine is started, and told to migrate.

use std::path::Path;
use std::process::Command;

use landfall_qmp::{
    Capability, CapabilityState, ClientError, Command as Qmp, ParametersUpdate, Policy,
};

use super::contender::{Contender, Engine};
use super::machine::Machine;
use super::measure::Setting;
use crate::command::output;

const QEMU: &str = "qemu-system-x86_64";

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
}

impl Ends {
    /// Starts both; the guest runs at the source.
    pub(super) fn start(
        setting: &Setting<'_>,
        engine: Engine,
        folder: &Path,
    ) -> Result<Self, String> {
        let uri = format!("unix:{}", folder.join("migration").display());
        let program = match engine {
            Engine::Qemu => Path::new(QEMU),
            Engine::Landfall => setting.landfall,
        };
        let start = |role, incoming: Option<&str>| {
            let socket = folder.join(role);
            let arguments = match engine {
                Engine::Qemu => qemu_arguments(setting, &socket, incoming),
                Engine::Landfall => landfall_arguments(setting, &socket, incoming),
            };
            Machine::start(role, program, &arguments, &socket)
        };
        let destination = start("destination", Some(&uri))?;
        let source = start("source", None)?;
        Ok(Self { source, destination, uri })
    }

    /// Sets everything, so that only [`Ends::migrate`] is left.
    pub(super) fn prepare(
        &mut self,
        setting: &Setting<'_>,
        contender: Contender,
    ) -> Result<(), String> {
        let result = prepare(&mut self.source, setting, contender);
        result.map_err(|error| self.source.blamed(&error))
    }

    /// Begins the migration, and returns at once.
    pub(super) fn migrate(&mut self) -> Result<(), String> {
        let result = self.source.client.execute(&Qmp::Migrate { uri: self.uri.clone() });
        result.map(drop).map_err(|error| self.source.blamed(&error))
    }
}

fn qemu_arguments(setting: &Setting<'_>, socket: &Path, incoming: Option<&str>) -> Vec<String> {
    let megabytes = setting.memory.0 >> 20;
    let memory = format!("memory-backend-memfd,id=ram,size={megabytes}M,share=on");
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
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(uri) = incoming {
        arguments.extend(["-incoming".to_owned(), uri.to_owned()]);
    }
    arguments
}

fn landfall_arguments(setting: &Setting<'_>, socket: &Path, incoming: Option<&str>) -> Vec<String> {
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
    contender: Contender,
) -> Result<(), ClientError> {
    let auto_converge = match contender {
        Contender::QemuOff | Contender::QemuXbzrle | Contender::LandfallOff => false,
        Contender::QemuAutoConverge
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
    let mut parameters = ParametersUpdate {
        max_bandwidth: Some(setting.bandwidth.bytes_per_second() as u64),
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
