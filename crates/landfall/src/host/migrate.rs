//! `landfall migrate VM NODE`: a guest moves from one node to another.

use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use landfall_node::client::Client;
use landfall_node::model::{
    Check, MigrationRequest, MigrationView, NameError, NodeName, Severity, VmName,
};

use super::follow::{Followed, Follower, Spectator};
use super::listing::rows;
use super::migration::finish;
use super::via::Asked;
use super::{HostError, listing};
use crate::args::{MigrateArgs, Output};
use crate::error::CliError;
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::progress::{View, Watch, on_stderr};

pub(crate) fn migrate(args: &MigrateArgs, target: &NodeName) -> Result<Exit, CliError> {
    args.refuse_flags_of_sockets()?;
    let vm: VmName = named(&args.machine)?;
    let request = args.request(target)?;
    let client = Arc::new(args.via.client()?);
    if args.check {
        return check(&client, &vm, &request, args.output.output);
    }
    let interrupts = Interrupts::install()?;
    let begun: MigrationView = client
        .post_once(&format!("vms/{vm}/migrations"), &request, args.idempotency_key.as_ref())
        .inspect_err(tell_check)
        .map_err(HostError::Client)?;
    if args.detach {
        listing::write(args.output.output, &begun, || begun.id.to_string())?;
        eprintln!(
            "'{vm}' is on its way to {target}; see it with `landfall migration watch {}`",
            begun.id
        );
        return Ok(Exit::Done);
    }
    let followed = {
        let mut line = Line::new();
        line.note(&format!("{}: '{vm}' from {} to {target}", begun.id, begun.source));
        let (id, spectator) = (&begun.id, &mut line);
        Follower { client: &client, id, interrupts: &interrupts, spectator }.follow()?
    };
    match followed {
        Followed::Over(view) => finish(&client, &view, args.output),
        Followed::Detached => {
            eprintln!("it goes on; see it with `landfall migration watch {}`", begun.id);
            Ok(Exit::Done)
        }
    }
}

/// What a word on the command line names.
fn named<T: FromStr<Err = NameError>>(word: &Path) -> Result<T, HostError> {
    let word = word.to_string_lossy();
    word.parse().map_err(|error: NameError| HostError::NoName(word.into_owned(), error.to_string()))
}

/// Whether another node could have a machine, without a look at what the migration would do.
pub(crate) fn check_host(vm: &Path, target: &Path, asked: &Asked) -> Result<Exit, CliError> {
    let (vm, target): (VmName, NodeName) = (named(vm)?, named(target)?);
    let query = [("target", target.to_string()), ("predict", false.to_string())];
    let path = format!("vms/{vm}/migration-check");
    let check: Check = asked.client()?.query(&path, &query).map_err(HostError::Client)?;
    asked.write(&check, || text(&check))?;
    Ok(if check.allowed { Exit::Done } else { Exit::Refused })
}

/// What is known beforehand, without moving anything.
fn check(
    client: &Client,
    vm: &VmName,
    request: &MigrationRequest,
    output: Output,
) -> Result<Exit, CliError> {
    let mut query = vec![("target", request.target.to_string())];
    query.extend(request.policy.iter().map(|policy| ("policy", policy.to_string())));
    let change = serde_json::to_value(request.settings)?;
    for key in SETTINGS {
        if let Some(value) = change.get(key) {
            query.push((key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
    }
    let path = format!("vms/{vm}/migration-check");
    let check: Check = client.query(&path, &query).map_err(HostError::Client)?;
    listing::write(output, &check, || text(&check))?;
    let arrives = check.prediction.as_ref().is_none_or(|prediction| prediction.arrives);
    Ok(if check.allowed && arrives { Exit::Done } else { Exit::Refused })
}

/// What may be said otherwise than the policy does.
const SETTINGS: [&str; 6] = [
    "auto_converge",
    "max_throttle_percent",
    "max_downtime_ms",
    "time_limit_ms",
    "on_limit",
    "bandwidth_bytes_per_second",
];

fn text(check: &Check) -> String {
    let row = |item: &landfall_node::model::CheckItem| {
        [severity(item.severity).to_owned(), item.code.clone(), item.message.clone()]
    };
    rows(["", "CHECK", "FOUND"], check.items.iter().map(row))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// All that was found, where something was found that forbids it.
fn tell_check(error: &landfall_node::client::ClientError) {
    if let landfall_node::client::ClientError::Refused { check: Some(check), .. } = error {
        // Should it not be written, the error that follows still is.
        let _ = writeln!(io::stderr(), "{}", text(check));
    }
}

/// A line on the standard error stream.
pub(super) struct Line(Box<dyn Watch>);

impl Line {
    pub(super) fn new() -> Self {
        Self(on_stderr(""))
    }
}

impl Spectator for Line {
    fn see(&mut self, migration: &MigrationView) {
        if !migration.state.is_final() {
            self.0.update(&View::of_node(migration));
        }
    }

    fn note(&mut self, text: &str) {
        self.0.note(text);
    }
}
