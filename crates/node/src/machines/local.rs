//! The machines of this host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use landfall_qmp::{Client, ClientError, DirtyMeasurement};

use super::credentials::{self, Credentials, End};
use super::trial::Trial;
use super::{
    Condition, Destination, Followed, Follower, MachineError, Machines, chain, native, qemu,
};
use crate::model::{MachineSpec, NativeSpec, Settings, VmName, VmRecord, VmSpec};
use crate::process::{self, ProcessId};

/// How long a machine may take to bring its monitor up.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a machine may take to answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to answer when it is only looked at.
const GLANCE: Duration = Duration::from_secs(2);
/// How often a monitor that is not there yet is tried.
const RETRY: Duration = Duration::from_millis(10);
/// How long a guest is watched for a prediction.
const WATCH: Duration = Duration::from_secs(1);
/// How long a machine may take to end when it was asked to.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Machines as processes of this host, each with a folder of its own.
#[derive(Debug)]
pub struct LocalMachines {
    program: PathBuf,
    folder: PathBuf,
    identity: Option<PathBuf>,
    allowed: Vec<PathBuf>,
}

impl LocalMachines {
    /// Machines that `program` (the binary of Landfall) runs, with their files below `folder`. They show the identity in the
    /// folder `identity` to each other; without one, guests go over plain connections, on this host alone.
    #[must_use]
    pub fn new(program: PathBuf, folder: PathBuf, identity: Option<PathBuf>) -> Self {
        Self { program, folder, identity, allowed: Vec::new() }
    }

    /// Lets machines open these files and folders, too, beside what their descriptions name.
    #[must_use]
    pub fn allowing(self, allowed: Vec<PathBuf>) -> Self {
        Self { allowed, ..self }
    }

    /// Where the monitor of a machine listens that is started here.
    #[must_use]
    pub fn monitor(&self, name: &VmName) -> PathBuf {
        self.folder.join(name.as_str()).join("qmp")
    }

    fn log(&self, name: &VmName) -> PathBuf {
        self.folder.join(name.as_str()).join("log")
    }

    /// Starts `command` and waits until its monitor answers.
    fn launch(
        &self,
        record: &VmRecord,
        command: Command,
    ) -> Result<(ProcessId, Client), MachineError> {
        let failed = |error: std::io::Error| MachineError::Start(error.to_string());
        let name = &record.spec.name;
        // What an earlier process left there would be taken for this one's.
        let _ = fs::remove_file(&record.monitor);
        self.folder_of(name)?;
        let log = self.log(name);
        fs::write(&log, "").map_err(failed)?;
        let process = process::start(command, &log).map_err(|error| self.ended(name, &error))?;
        match self.await_monitor(process, &record.monitor) {
            Ok(client) => Ok((process, client)),
            Err(error) => {
                process.kill();
                Err(error.map_or_else(
                    || self.ended(name, &"it ended"),
                    |error| MachineError::monitor(&error),
                ))
            }
        }
    }

    /// Why a process has ended, by what it said last.
    fn ended(&self, name: &VmName, otherwise: &dyn std::fmt::Display) -> MachineError {
        let words = process::last_words(&self.log(name));
        MachineError::Start(words.unwrap_or_else(|| otherwise.to_string()))
    }

    /// Connects to the monitor of a process that was just started; `Err(None)` when it has ended.
    fn await_monitor(
        &self,
        process: ProcessId,
        monitor: &Path,
    ) -> Result<Client, Option<ClientError>> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match Client::connect(monitor, TIMEOUT) {
                Err(ClientError::NoSocket(_) | ClientError::NobodyListens(_))
                    if Instant::now() < deadline => {}
                connected => return connected.map_err(Some),
            }
            if process.ends_within(RETRY) {
                return Err(None);
            }
        }
    }

    /// The processes that were started here for the machine, also one of which a daemon that was killed had not taken note yet.
    fn processes(&self, record: &VmRecord) -> Vec<ProcessId> {
        // Of others nobody here knows which of the processes that name it are the machine.
        if !record.monitor.starts_with(&self.folder) {
            return Vec::new();
        }
        let monitor = record.monitor.display().to_string();
        process::with_arguments(|words| serves(words, &monitor))
    }

    /// How URIs of awaited guests begin.
    fn scheme(&self) -> &'static str {
        if self.identity.is_some() { "tls" } else { "tcp" }
    }

    /// The folder of a machine, which is made if it is not there.
    fn folder_of(&self, name: &VmName) -> Result<PathBuf, MachineError> {
        let folder = self.folder.join(name.as_str());
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(folder),
            Err(error) => Err(MachineError::Start(format!("{}: {error}", folder.display()))),
        }
    }

    /// What a QEMU is to show to the other side, where nobody may look on.
    fn credentials(&self, record: &VmRecord) -> Result<Option<Credentials>, MachineError> {
        let Some(identity) = &self.identity else { return Ok(None) };
        Ok(Some(Credentials::new(identity, &self.folder_of(&record.spec.name)?)))
    }

    fn native(&self, record: &VmRecord) -> Result<Command, MachineError> {
        let own = self.folder_of(&record.spec.name)?;
        Ok(self.native_in(&own, &record.monitor, &record.spec))
    }

    /// A process for such a machine, with its files in the folder `own`.
    fn native_in(&self, own: &Path, monitor: &Path, spec: &VmSpec) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["vm", "run", "--qmp"]).arg(monitor);
        if let Some(identity) = &self.identity {
            command.arg("--tls-identity").arg(identity);
        }
        // What is missing is told by whoever opens it.
        let may_open = disks(spec).chain(&self.allowed).filter(|path| path.exists());
        for path in may_open.map(PathBuf::as_path).chain([own]) {
            command.arg("--allow").arg(path);
        }
        command
    }
}

/// The images that come with the guest, so that no option of a destination names them.
fn disks(spec: &VmSpec) -> impl Iterator<Item = &PathBuf> {
    let kernel = match &spec.machine {
        MachineSpec::Native(NativeSpec { kernel, .. }) => kernel.as_ref(),
        MachineSpec::Qemu(_) => None,
    };
    kernel.into_iter().flat_map(|kernel| &kernel.disks).map(|disk| &disk.path)
}

/// Whether a process with these arguments has its monitor at `monitor`; those who only speak with it are other processes.
fn serves(words: &[&str], monitor: &str) -> bool {
    let by_option = |pair: &[&str]| matches!(pair[0], "--qmp" | "-qmp") && pair[1] == monitor;
    let address = [format!("unix:{monitor},"), format!("path={monitor},")];
    // As QEMU has them: unix:PATH,server=on for -qmp, socket,path=PATH,server=on for -chardev.
    let of_qemu = |word: &&str| {
        (word.starts_with("unix:") || word.starts_with("socket,"))
            && word.contains(",server")
            && address.iter().any(|address| format!("{word},").contains(address))
    };
    words.windows(2).any(by_option) || words.iter().any(of_qemu)
}

/// A conversation with a machine's monitor.
pub(super) fn connect(record: &VmRecord, timeout: Duration) -> Result<Client, MachineError> {
    Client::connect(&record.monitor, timeout).map_err(|error| MachineError::monitor(&error))
}

impl Machines for LocalMachines {
    fn start(&self, record: &VmRecord) -> Result<ProcessId, MachineError> {
        let MachineSpec::Native(spec) = &record.spec.machine else {
            return Err(MachineError::Unsupported(
                "a QEMU is started by whoever owns it; start it there, and it is found again"
                    .to_owned(),
            ));
        };
        let mut command = self.native(record)?;
        command.args(spec.flags());
        self.launch(record, command).map(|(process, _)| process)
    }

    fn expect(&self, record: &VmRecord, host: &str) -> Result<(ProcessId, String), MachineError> {
        let command = match &record.spec.machine {
            MachineSpec::Native(_) => {
                let mut command = self.native(record)?;
                command.arg(format!("--incoming={}:{host}:0", self.scheme()));
                command
            }
            MachineSpec::Qemu(spec) => {
                let listen = self.identity.is_none().then_some(host);
                qemu::incoming(spec, &record.monitor, listen)?
            }
        };
        let (process, mut client) = self.launch(record, command)?;
        let opened = match (&record.spec.machine, self.credentials(record)?) {
            // It is told by its credentials, and not by the address, that it is to speak TLS.
            (MachineSpec::Qemu(_), Some(credentials)) => credentials
                .open(&mut client, format!("tcp:{host}:0"))
                .and_then(|()| native::listening(&mut client, "tcp")),
            (MachineSpec::Qemu(_), None) => native::listening(&mut client, "tcp"),
            (MachineSpec::Native(_), _) => native::listening(&mut client, self.scheme()),
        };
        match opened {
            Ok(uri) => Ok((process, uri)),
            Err(error) => {
                process.kill();
                Err(error)
            }
        }
    }

    fn find(&self, record: &VmRecord) -> Result<(ProcessId, Vec<String>), MachineError> {
        qemu::find(&record.monitor)
    }

    fn condition(&self, record: &VmRecord) -> Condition {
        match Client::connect(&record.monitor, GLANCE) {
            Ok(mut client) => native::condition(&mut client).unwrap_or(Condition::Unreachable),
            Err(ClientError::NoSocket(_) | ClientError::NobodyListens(_) | ClientError::Closed) => {
                if record.process.is_some_and(ProcessId::is_alive) {
                    Condition::Unreachable
                } else {
                    Condition::Gone
                }
            }
            Err(_) => Condition::Unreachable,
        }
    }

    fn send(
        &self,
        record: &VmRecord,
        to: Option<Destination<'_>>,
        settings: &Settings,
        follower: &mut dyn Follower,
    ) -> Result<Followed, MachineError> {
        let client = connect(record, TIMEOUT)?;
        match &record.spec.machine {
            MachineSpec::Native(_) => {
                let identity = self.identity.as_deref();
                native::send(client, to, identity, settings, follower)
            }
            MachineSpec::Qemu(_) => {
                let credentials = self.credentials(record)?;
                let sent = qemu::send(
                    client,
                    &record.monitor,
                    to,
                    credentials.as_ref(),
                    settings,
                    follower,
                );
                if credentials.is_some()
                    && !matches!(sent, Ok(Followed::Left))
                    && let Ok(mut client) = connect(record, GLANCE)
                {
                    credentials::take_away(&mut client, End::Source);
                }
                sent
            }
        }
    }

    fn configuration(&self, record: &VmRecord) -> Result<Option<String>, MachineError> {
        if matches!(record.spec.machine, MachineSpec::Qemu(_)) {
            return Ok(None);
        }
        match connect(record, TIMEOUT)?.execute(&landfall_qmp::Command::QueryConfiguration) {
            Ok(told) => Ok(told["configuration"].as_str().map(str::to_owned)),
            // Of a version that does not tell it.
            Err(ClientError::Refused { .. }) => Ok(None),
            Err(error) => Err(MachineError::monitor(&error)),
        }
    }

    fn try_out(
        &self,
        spec: &VmSpec,
        configuration: &str,
    ) -> Result<Result<(), String>, MachineError> {
        let failed = |error: std::io::Error| MachineError::Start(error.to_string());
        let mut trial = Trial::of(&spec.name, &self.folder).map_err(failed)?;
        let command = self.native_in(trial.folder(), &trial.monitor(), spec);
        let process = trial.start(command).map_err(failed)?;
        let client =
            self.await_monitor(process, &trial.monitor()).map_err(|error| match error {
                Some(error) => MachineError::monitor(&error),
                None => {
                    let words = process::last_words(&trial.log());
                    MachineError::Start(words.unwrap_or_else(|| "it ended".to_owned()))
                }
            })?;
        let configuration = configuration.to_owned();
        let check = landfall_qmp::Command::CheckConfiguration { configuration };
        match client.with_timeout(START_TIMEOUT).execute(&check) {
            Ok(_) => Ok(Ok(())),
            Err(ClientError::Refused { source, .. }) => Ok(Err(source.desc)),
            Err(error) => Err(MachineError::monitor(&error)),
        }
    }

    fn can_protect(&self, record: &VmRecord) -> Result<(), MachineError> {
        match (&record.spec.machine, self.credentials(record)?) {
            (MachineSpec::Qemu(_), Some(credentials)) => {
                let mut client = connect(record, TIMEOUT)?;
                credentials.give(&mut client, End::Source)?;
                credentials::take_away(&mut client, End::Source);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn let_in(&self, record: &VmRecord) {
        if self.identity.is_some()
            && matches!(record.spec.machine, MachineSpec::Qemu(_))
            && let Ok(mut client) = connect(record, GLANCE)
        {
            credentials::close(&mut client);
        }
    }

    fn settle(&self, record: &VmRecord, run: bool) -> Result<(), MachineError> {
        let mut client = connect(record, TIMEOUT)?;
        let settle = landfall_qmp::Command::Settle { run };
        client.execute(&settle).map(drop).map_err(|error| MachineError::monitor(&error))
    }

    fn press_button(&self, record: &VmRecord) -> Result<(), MachineError> {
        let mut client = connect(record, TIMEOUT)?;
        let pressed = client.execute(&landfall_qmp::Command::SystemPowerdown);
        pressed.map(drop).map_err(|error| match error {
            ClientError::Refused { .. } => MachineError::Unsupported(chain(&error)),
            error => MachineError::monitor(&error),
        })
    }

    fn end(&self, record: &VmRecord) {
        // Of one that was just started when its daemon was killed, neither is there yet: a note of it, nor its monitor.
        let mut processes = self.processes(record);
        processes.extend(record.process.filter(|process| !processes.contains(process)));
        let asked = connect(record, GLANCE)
            .is_ok_and(|mut client| client.execute(&landfall_qmp::Command::Quit).is_ok());
        for process in processes {
            if !(asked && process.ends_within(END_TIMEOUT)) {
                process.kill();
            }
        }
        // The socket of an ended process would only be in the way.
        if record.monitor.starts_with(&self.folder) {
            let _ = fs::remove_file(&record.monitor);
        }
    }

    fn end_strays(&self, record: &VmRecord) {
        self.processes(record).into_iter().for_each(ProcessId::kill);
    }

    fn measure(&self, record: &VmRecord) -> Result<DirtyMeasurement, MachineError> {
        let mut client = connect(record, TIMEOUT)?;
        let watched = crate::plan::watch(&mut client, WATCH);
        watched.map(|(_, told)| told).map_err(|error| MachineError::monitor(&error))
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
