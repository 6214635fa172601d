use clap::Parser;

use super::*;
use crate::args::{Cli, Command};
use crate::tests_report::{completed, gave_up};

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
    assert_eq!(args.guest.workload().parse(), Ok(Workload::default()));
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

#[test]
fn flags_of_the_workload_count_more_than_its_options() {
    let args = args(
        "landfall demo --workload bursts,working-set=1MiB,on=1s --working-set 2MiB --rate 5MB/s",
    );
    let workload: Workload = args.guest.workload().parse().unwrap();
    assert_eq!(workload.working_set, Bytes(2 << 20));
    assert_eq!(workload.rate, Some(ByteRate::new(5e6)));
    assert!(workload.burst.is_some());
    assert!(heading(&args).contains("bursts over 2 MiB at 5 MB/s"), "{}", heading(&args));
}

#[test]
fn a_workload_that_is_none_is_wrong_usage() {
    let line = ["landfall", "demo", "--workload", "dance"];
    assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2);
}
