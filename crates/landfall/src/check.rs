//! `landfall vm check`: whether another host could run a guest, before anything is moved.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use landfall_qmp::{Client, ClientError, Command};
use landfall_vmm::machine::{Configuration, Guest};

use crate::error::CliError;
use crate::exit::{EXIT_CODES, Exit};
use crate::host;
use crate::host::via::Asked;
use crate::migrate::connect;

/// A machine is built and let go again.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
#[command(
    after_help = format!("{EXIT_CODES}\n\nA word with a slash is a socket, as in ./a.qmp, and any other a name; name both or neither.\n\nThe target builds such a machine as it would for the guest that comes in, and lets it go again: its processor must have all that the \
                  guest has seen, its disks and taps must be there, and its memory must be had. What is on the disks is not compared.")
)]
pub(crate) struct CheckArgs {
    /// The machine: its name on the node, or the QMP socket of the process that runs the guest.
    machine: PathBuf,
    /// The host that is asked about: the name of a node, or the QMP socket of a process there, which waits for a guest or is any
    /// other machine of Landfall's own.
    #[arg(long, value_name = "TARGET")]
    target: PathBuf,
    #[command(flatten)]
    asked: Asked,
}

/// A name has no slash.
fn is_name(word: &Path) -> bool {
    !word.to_string_lossy().contains('/')
}

pub(crate) fn check(args: &CheckArgs) -> Result<Exit, CliError> {
    match (is_name(&args.machine), is_name(&args.target)) {
        (true, true) => Ok(host::check(&args.machine, &args.target, &args.asked)?),
        (false, false) => sockets(&args.machine, &args.target),
        _ => Err(CliError::NameAndSocket),
    }
}

fn sockets(socket: &Path, target: &Path) -> Result<Exit, CliError> {
    let asked = ask(socket, &Command::QueryConfiguration)?;
    let asked = asked.map_err(|source| CliError::Monitor { socket: socket.to_owned(), source })?;
    let configuration = asked["configuration"].as_str().unwrap_or_default().to_owned();
    let machine: Configuration = serde_json::from_str(&configuration)?;
    match ask(target, &Command::CheckConfiguration { configuration })? {
        Ok(_) => {
            println!("the target can run the guest: {}", words(&machine));
            Ok(Exit::Done)
        }
        Err(ClientError::Refused { source, .. }) => {
            println!("the target cannot run the guest: {}", source.desc);
            Ok(Exit::Refused)
        }
        Err(source) => Err(CliError::Monitor { socket: target.to_owned(), source }),
    }
}

/// What the machine at `socket` answers.
fn ask(
    socket: &Path,
    command: &Command,
) -> Result<Result<serde_json::Value, ClientError>, CliError> {
    let client: Client = connect(socket)?;
    Ok(client.with_timeout(TIMEOUT).execute(command))
}

/// What was looked at.
fn words(machine: &Configuration) -> String {
    let Configuration { memory, vcpus, guest, .. } = machine;
    let size = format!("{vcpus} vCPU, {memory}");
    match guest {
        Guest::Probe(_) => size,
        Guest::Kernel(guest) => {
            let (disks, cards) = (guest.disks.len(), guest.cards.len());
            let devices = format!("disks: {disks}, network cards: {cards}");
            format!("{size}, all that it has seen of its processor, {devices}")
        }
    }
}
