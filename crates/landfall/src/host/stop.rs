//! `landfall vm stop`: a guest is asked to end, and ended where that is wanted.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use landfall_node::client::Client;
use landfall_node::model::{VmName, VmState, VmView};
use serde_json::json;

use super::HostError;
use super::via::Via;
use super::vm::at;
use crate::quantities::{duration, milliseconds};

/// How often the node is asked whether the guest has ended.
const AGAIN: Duration = Duration::from_millis(200);
/// How long a guest is waited for, if nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// What the machine is called.
    name: VmName,
    /// How long the guest may take to end, as in 5min; a minute if not given.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// End the machine as if its power were cut: at once, or after --timeout where that is given.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    via: Via,
}

/// Stops a machine, and gives it as it is then.
pub(super) fn stop(args: &StopArgs) -> Result<VmView, HostError> {
    let client = args.via.client()?;
    if args.force && args.timeout.is_none() {
        return ask(&client, &args.name, true);
    }
    let patience = args.timeout.unwrap_or(PATIENCE);
    match (asked(&client, &args.name, patience)?, args.force) {
        (Some(stopped), _) => Ok(stopped),
        (None, true) => ask(&client, &args.name, true),
        (None, false) => {
            let waited = milliseconds(patience.as_secs_f64() * 1e3);
            Err(HostError::Runs(args.name.clone(), waited))
        }
    }
}

fn ask(client: &Client, name: &VmName, force: bool) -> Result<VmView, HostError> {
    Ok(client.post(&format!("{}/stop", at(name)), &json!({ "force": force }))?)
}

/// Asks the guest to end, and gives the machine once it has; `None` for one that has not in time.
fn asked(client: &Client, name: &VmName, patience: Duration) -> Result<Option<VmView>, HostError> {
    let deadline = Instant::now() + patience;
    let mut vm = ask(client, name, false)?;
    while vm.state != VmState::Stopped {
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(AGAIN);
        vm = client.get(&at(name))?;
    }
    Ok(Some(vm))
}
