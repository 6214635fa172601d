//! Moving a guest from process to process, and from one lab machine to the other.

use std::thread;
use std::time::Duration;

use landfall_qmp::{Client, Command, ParametersUpdate};
use serde_json::Value;

use super::host::{Host, Process};
use super::place::Place;
use super::watch::{is_in_pass, wait_for, watch};
use crate::lab::machine::NEWS;

/// What each host is known by where the other one must know.
const IDENTITY: [&str; 2] = ["--tls-identity", "/etc/identity"];
const FIRST_PORT: u16 = 4444;
/// Nothing here depends on the speed of the host, which is an emulated one.
const PATIENCE: [&str; 2] = ["--peer-timeout", "120s"];
/// The digest that is compared at both ends takes long there, and out of the downtime. A host that has more to do than this
/// carries next to nothing; the guest is moved all the same.
pub(super) const FAST_LINK: [&str; 9] = [
    "--verify",
    "--bandwidth",
    "20MB/s",
    "--max-downtime",
    "4s",
    "--time-limit",
    "10s",
    "--on-limit",
    "switchover",
];

/// Where the destination of the migration with this number waits: on the same machine over a plain connection, on the
/// other one for those whom it knows.
pub(super) fn address(from: Place, to: Place, number: u16) -> String {
    let port = FIRST_PORT + number;
    if from == to {
        format!("tcp:127.0.0.1:{port}")
    } else {
        format!("tls:{}:{port}", to.address())
    }
}

fn identity(uri: &str) -> &'static [&'static str] {
    if uri.starts_with("tls:") { &IDENTITY } else { &[] }
}

/// Starts a process that waits for a guest.
pub(super) fn wait_for_guest(host: &mut Host, to: Place, uri: &str) -> Result<Process, String> {
    let identity = identity(uri);
    host.start(to, &[&["--incoming", uri][..], identity].concat())
}

/// Moves the guest in `from` with the migration of this number to a new process, which must have it then; the process.
pub(super) fn move_on(
    host: &mut Host,
    from: &Process,
    to: Place,
    number: u16,
    options: &[&str],
) -> Result<Process, String> {
    let uri = address(from.place, to, number);
    let destination = wait_for_guest(host, to, &uri)?;
    let report = migrate(from, &uri, options).map_err(|error| host.telling(error))?;
    tell(number, &report);
    // A digest takes long here, and out of the downtime.
    let as_promised = if options.contains(&"--verify") {
        report["integrity"] == "ok"
    } else {
        figure(&report, "downtime_ms") <= figure(&report, "downtime_limit_ms")
    };
    if report["outcome"] == "completed" && as_promised {
        return Ok(destination);
    }
    Err(host.telling(format!("migration {number} did not go as it should\n{report:#}")))
}

/// Moves the guest in `from` without auto-converge, which must not arrive: it is given up after so many passes.
pub(super) fn does_not_arrive(
    host: &mut Host,
    from: &Process,
    to: Place,
    number: u16,
    options: &[&str],
    passes: u64,
) -> Result<(), String> {
    let uri = address(from.place, to, number);
    let destination = wait_for_guest(host, to, &uri)?;
    let options = [options, &["--auto-converge", "off", "--time-limit", "none"]].concat();
    let report = while_migrating(from, &uri, &options, |watch| {
        for pass in 2..=passes {
            wait_for(watch, |event| is_in_pass(event, pass))?;
            // Nobody shall take it for standing still where a pass takes long.
            println!("{NEWS}migration {number}: pass {pass}");
        }
        // Only now, since nobody knows how long this takes here.
        let time_limit = Some(Duration::from_millis(1));
        let update = ParametersUpdate { time_limit, ..ParametersUpdate::default() };
        let set = watch.execute(&Command::MigrateSetParameters(update));
        set.map(drop).map_err(|error| error.to_string())
    });
    let report = report.map_err(|error| host.telling(error))?;
    tell(number, &report);
    if report["outcome"] != "gave_up" || report["verdict"]["state"] != "needs_throttle" {
        let wrong = format!("migration {number} did not go as it should\n{report:#}");
        return Err(host.telling(wrong));
    }
    // What waited for the guest has heard that it does not come, or still waits.
    drop(destination);
    Ok(())
}

fn figure(report: &Value, key: &str) -> f64 {
    report[key].as_f64().unwrap_or(f64::NAN)
}

fn tell(number: u16, report: &Value) {
    println!(
        "{NEWS}migration {number}: {} after {:.1} s, {:.0} ms of downtime ({:.0} foretold), {} passes, throttle {:.2}",
        report["outcome"].as_str().unwrap_or("?"),
        figure(report, "total_ms") / 1000.0,
        figure(report, "downtime_ms"),
        figure(report, "predicted_downtime_ms"),
        report["passes"],
        figure(report, "max_throttle"),
    );
}

/// Moves the guest that is in `source`, which runs here, and does something meanwhile, with a client that hears how it goes;
/// the report, whatever the outcome.
pub(super) fn while_migrating(
    source: &Process,
    uri: &str,
    options: &[&str],
    meanwhile: impl FnOnce(&mut Client) -> Result<(), String>,
) -> Result<Value, String> {
    let mut watch = watch(source)?;
    thread::scope(|scope| {
        let migration = scope.spawn(|| migrate(source, uri, options));
        let done = meanwhile(&mut watch);
        let report = migration.join().map_err(|_| "the migration panicked".to_owned())??;
        done.map(|()| report.clone()).map_err(|error| format!("{error}\n{report:#}"))
    })
}

/// Moves the guest that is in `source`; the report, whatever the outcome.
pub(super) fn migrate(source: &Process, uri: &str, options: &[&str]) -> Result<Value, String> {
    source.ask("migrate", &[&[uri][..], &PATIENCE, identity(uri), options].concat())
}
