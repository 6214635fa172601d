//! `landfall migration …` by a migration's ID: of a node.

use std::io::{self, Write};
use std::sync::Arc;

use landfall_migrate::report::{Outcome, Report};
use landfall_node::client::Client;
use landfall_node::model::{
    Decision, MigrationId, MigrationState, MigrationView, SettingsChange, Settlement,
};
use serde_json::json;

use super::follow::{Followed, Follower, Spectator};
use super::listing::{facts, or_dash, rows};
use super::migrate::Line;
use super::via::{Asked, Via};
use super::{HostError, settings};
use crate::args::{Output, OutputArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::migrate::{json_of, write_report};
use crate::migration::MigrationError;
use crate::progress::View;
use crate::quantities::milliseconds;
use crate::summary::{summary, was_settled};

/// Every migration from the node, the newest first.
pub(crate) fn list(asked: &Asked) -> Result<Exit, CliError> {
    let all: Vec<MigrationView> = asked.client()?.get("migrations").map_err(HostError::Client)?;
    asked.write(&all, || {
        let row = |it: &MigrationView| {
            let report = it.report.as_ref();
            let time = |time: fn(&Report) -> f64| or_dash(report.map(time).map(milliseconds));
            [
                it.id.to_string(),
                it.vm.to_string(),
                it.source.to_string(),
                it.target.to_string(),
                it.policy.to_string(),
                it.state.name().to_owned(),
                time(|report| report.total_ms),
                or_dash(
                    report
                        .filter(|report| report.outcome == Outcome::Completed)
                        .map(|report| milliseconds(report.downtime_ms)),
                ),
                time(|report| report.stolen_ms),
            ]
        };
        let titles = ["ID", "VM", "FROM", "TO", "POLICY", "STATE", "TIME", "DOWNTIME", "STOLEN"];
        rows(titles, all.iter().map(row))
    })?;
    Ok(Exit::Done)
}

fn get(client: &Client, id: &MigrationId) -> Result<MigrationView, HostError> {
    Ok(client.get(&format!("migrations/{id}"))?)
}

pub(crate) fn show(asked: &Asked, id: &MigrationId) -> Result<Exit, CliError> {
    let view = get(&asked.client()?, id)?;
    asked.write(&view, || text(&view))?;
    Ok(Exit::Done)
}

fn text(view: &MigrationView) -> String {
    let mut lines = vec![
        (
            "migration",
            format!("{} of '{}' from {} to {}", view.id, view.vm, view.source, view.target),
        ),
        ("state", state(view)),
        ("policy", view.policy.to_string()),
        ("limits", settings::text(&view.settings)),
    ];
    lines.extend(view.reason.iter().map(|reason| ("because", reason.clone())));
    lines.extend(view.settlement.iter().map(|settlement| ("decided", decided(settlement))));
    facts(&lines)
}

/// What an operator has decided, and what was known then.
pub(super) fn decided(settlement: &Settlement) -> String {
    let what = match settlement.decision {
        Decision::Run => "that it runs here",
        Decision::Discard => "that it is discarded here",
    };
    format!("by {}: {what}; known then: {}", settlement.whose(), settlement.known)
}

/// How far it has come, in a sentence.
pub(super) fn state(view: &MigrationView) -> String {
    match &view.report {
        _ if was_settled(view) => view.state.name().to_owned(),
        Some(report) if view.state.is_final() => summary(report),
        _ if view.progress.is_some() => View::of_node(view).to_string(),
        _ => view.state.name().to_owned(),
    }
}

/// Follows it to its end. Ctrl-C ends the looking alone.
pub(crate) fn watch(via: &Via, id: &MigrationId, ndjson: bool) -> Result<Exit, CliError> {
    let client = Arc::new(via.client()?);
    let mut spectator: Box<dyn Spectator> =
        if ndjson { Box::new(Ndjson) } else { Box::new(Line::new()) };
    let view = to_its_end(&client, id, spectator.as_mut())?;
    drop(spectator);
    if ndjson {
        if let Some(report) = &view.report {
            writeln!(io::stdout(), "{}", json!({ "report": json_of(report, false)? }))?;
        }
        return Ok(exit(view.state));
    }
    finish(&client, &view, OutputArgs { output: Output::Table, full: false })
}

pub(super) fn to_its_end(
    client: &Arc<Client>,
    id: &MigrationId,
    spectator: &mut dyn Spectator,
) -> Result<MigrationView, HostError> {
    let interrupts = &Interrupts::default();
    match (Follower { client, id, interrupts, spectator }).follow()? {
        Followed::Over(view) => Ok(*view),
        Followed::Detached => Err(HostError::Left(id.clone())),
    }
}

/// Calls it off, and waits until that is certain.
pub(crate) fn cancel(via: &Via, id: &MigrationId) -> Result<Exit, CliError> {
    let client = Arc::new(via.client()?);
    let _: MigrationView =
        client.post(&format!("migrations/{id}/cancel"), &()).map_err(HostError::Client)?;
    let view = to_its_end(&client, id, &mut Line::new())?;
    eprintln!("{}", state(&view));
    match view.state {
        MigrationState::Completed => {
            let why = format!("the guest has arrived at {}", view.target);
            Err(MigrationError::TooLate(why).into())
        }
        MigrationState::InDoubt => Ok(Exit::InDoubt),
        _ => Ok(Exit::Done),
    }
}

/// Has it switch over now, whatever the downtime.
pub(crate) fn complete(via: &Via, id: &MigrationId) -> Result<Exit, CliError> {
    let _: MigrationView =
        via.client()?.post(&format!("migrations/{id}/complete"), &()).map_err(HostError::Client)?;
    writeln!(io::stdout(), "switching over; see how it ends with `landfall migration watch {id}`")?;
    Ok(Exit::Done)
}

pub(crate) fn set(via: &Via, id: &MigrationId, change: &SettingsChange) -> Result<Exit, CliError> {
    let view: MigrationView =
        via.client()?.patch(&format!("migrations/{id}"), change).map_err(HostError::Client)?;
    writeln!(io::stdout(), "limits now  {}", settings::text(&view.settings))?;
    Ok(Exit::Done)
}

pub(crate) fn report(via: &Via, id: &MigrationId, output: OutputArgs) -> Result<Exit, CliError> {
    let report: Option<Report> =
        via.client()?.get(&format!("migrations/{id}/report")).map_err(HostError::Client)?;
    let report = report.ok_or_else(|| HostError::NotOver(id.clone()))?;
    write_report(&report, output)?;
    Ok(Exit::Done)
}

/// Writes how a migration ended, and says it by the exit code.
pub(super) fn finish(
    client: &Client,
    view: &MigrationView,
    output: OutputArgs,
) -> Result<Exit, CliError> {
    let whole = match &view.report {
        Some(_) if output.full => {
            client.get(&format!("migrations/{}/report", view.id)).map_err(HostError::Client)?
        }
        report => report.clone(),
    };
    match whole {
        Some(report) => write_report(&report, output)?,
        // It ended before the guest began to move.
        None => {
            if output.output == Output::Json {
                let ended = json!({ "outcome": view.state, "reason": view.reason });
                writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&ended)?)?;
            }
            eprintln!("{}", view.state.name());
            if let Some(reason) = &view.reason {
                eprintln!("  because: {reason}");
            }
        }
    }
    if was_settled(view) {
        eprintln!(
            "  settled: {}{}",
            view.state.name(),
            view.reason.as_ref().map(|it| format!("; {it}")).unwrap_or_default()
        );
    }
    if view.state == MigrationState::InDoubt {
        let target = &view.target;
        eprintln!(
            "  what to do: see that node {target} and its daemon run; the two find out who has the guest once they reach each other. If \
             it never comes back: `landfall vm settle {} run --node {}`",
            view.vm, view.source
        );
    }
    Ok(exit(view.state))
}

fn exit(state: MigrationState) -> Exit {
    match state {
        MigrationState::Completed => Exit::Done,
        MigrationState::GaveUp => Exit::GaveUp,
        MigrationState::Cancelled => Exit::Cancelled,
        MigrationState::Failed => Exit::Failed,
        MigrationState::InDoubt => Exit::InDoubt,
        // Nobody waits for these any more.
        MigrationState::Queued
        | MigrationState::Preparing
        | MigrationState::Moving
        | MigrationState::Settling => Exit::Error,
    }
}

/// A line an update. A reader that has gone away ends the writing, not the migration.
struct Ndjson;

impl Spectator for Ndjson {
    fn see(&mut self, migration: &MigrationView) {
        let _ = writeln!(io::stdout(), "{}", json!({ "migration": migration }));
    }

    fn note(&mut self, text: &str) {
        eprintln!("{text}");
    }
}
