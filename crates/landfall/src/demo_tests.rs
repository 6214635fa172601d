use clap::Parser;

use super::*;
use crate::args::{Cli, Command};
use crate::summary::tests_report::{completed, gave_up};

fn args(line: &str) -> DemoArgs {
    match Cli::parse_from(line.split(' ')).command {
        Command::Demo(args) => args,
        other => panic!("{other:?}"),
    }
}

fn broken() -> Report {
    Report { outcome: Outcome::Failed, ..gave_up() }
}

#[test]
fn the_defaults_are_the_case_that_qemu_takes_half_a_minute_for() {
    let args = args("landfall demo");
    assert_eq!(args.auto_converge, Runs::Both);
    assert_eq!(args.guest.memory, Bytes(512 << 20));
    assert_eq!(args.guest.working_set, Bytes(128 << 20));
    assert_eq!(args.bandwidth, ByteRate::new(125e6));
    assert_eq!(args.limits.max_downtime, Duration::from_millis(300));
}

#[test]
fn the_time_limit_is_for_the_run_that_cannot_arrive() {
    let both = args("landfall demo --time-limit 3s");
    assert_eq!(time_limit(&both, false), Duration::from_secs(3));
    assert_eq!(time_limit(&both, true), TIME_LIMIT_ON);
    let on = args("landfall demo --time-limit 3s --auto-converge on");
    assert_eq!(time_limit(&on, true), Duration::from_secs(3));
    assert_eq!(time_limit(&args("landfall demo"), false), TIME_LIMIT_OFF);
}

#[test]
fn that_the_run_without_auto_converge_does_not_arrive_is_no_failure() {
    assert_eq!(exit([gave_up(), completed()].iter()), Exit::Done);
    assert_eq!(exit([gave_up()].iter()), Exit::GaveUp);
    assert_eq!(exit([completed(), gave_up()].iter()), Exit::GaveUp);
}

#[test]
fn a_harmed_guest_or_a_broken_run_is_a_failure_in_either() {
    let harmed = Report { integrity: "3 pages are stale".into(), ..gave_up() };
    assert_eq!(exit([harmed, completed()].iter()), Exit::Error);
    assert_eq!(exit([broken(), completed()].iter()), Exit::Failed);
    let cancelled = Report { outcome: Outcome::Cancelled, ..gave_up() };
    assert_eq!(exit([cancelled].iter()), Exit::Cancelled);
}
