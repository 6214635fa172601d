//! `landfall settle`: an operator decides over a guest in doubt.

use std::time::Duration;

use landfall_qmp::{Client, Command};

use crate::args::{SettleArgs, Settlement};
use crate::error::CliError;
use crate::exit::Exit;

const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn settle(args: &SettleArgs) -> Result<Exit, CliError> {
    let run = args.settlement == Settlement::Run;
    Client::connect(&args.socket, TIMEOUT)
        .and_then(|mut client| client.execute(&Command::Settle { run }))
        .map_err(|source| CliError::Monitor { socket: args.socket.clone(), source })?;
    println!("{}", if run { "the guest runs here" } else { "the guest was discarded here" });
    Ok(Exit::Done)
}
