//! `landfall vm snapshot`: a guest into a file.

use std::path::{PathBuf, absolute};
use std::time::Duration;

use clap::Args;
use landfall_converge::Bytes;
use landfall_qmp::{Client, Command};

use crate::error::CliError;
use crate::exit::Exit;

/// A monitor that is there answers at once.
const TIMEOUT: Duration = Duration::from_secs(10);
/// As long as the slowest disk takes for the largest guest; who does not want to wait ends this command.
const WRITING_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Args)]
#[command(
    after_help = "The guest stands still while the file is written, and then goes on. Its disks are no part of the file: a guest that writes to \
                  disks needs --stop, so that they can be copied before it goes on. Only one of the two, the guest and \
                  the one that is restored, should run where others see them."
)]
pub(crate) struct SnapshotArgs {
    /// The QMP socket of the process that runs the guest.
    socket: PathBuf,
    /// The file to make. It holds all of the guest's memory, its secrets with it; only its owner may read it.
    file: PathBuf,
    /// Leave the guest stopped when the file is written.
    #[arg(long)]
    stop: bool,
}

pub(crate) fn snapshot(args: &SnapshotArgs) -> Result<Exit, CliError> {
    // The machine may have another working directory.
    let file = absolute(&args.file).unwrap_or_else(|_| args.file.clone());
    let command = Command::Snapshot { file: file.display().to_string(), stop: args.stop };
    let answer = Client::connect(&args.socket, TIMEOUT)
        .map(|client| client.with_timeout(WRITING_TIMEOUT))
        .and_then(|mut client| client.execute(&command))
        .map_err(|source| CliError::Monitor { socket: args.socket.clone(), source })?;
    let size = Bytes(answer["size-bytes"].as_u64().unwrap_or_default());
    let guest =
        if answer["running"] == true { "the guest goes on" } else { "the guest is stopped" };
    println!("{}  {size}, {guest}", args.file.display());
    Ok(Exit::Done)
}
