use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: SimulateArgs,
}

fn args(words: &str) -> SimulateArgs {
    let words = std::iter::once("simulate").chain(words.split_whitespace());
    Line::try_parse_from(words).expect("it can be parsed").args
}

fn simulated(words: &str) -> Vec<(Policy, SimulatedRun)> {
    let args = args(words);
    let list = args.policy.list().into_iter();
    list.map(|policy| (policy, run(&scenario(&args, policy).expect("it fits together")))).collect()
}

#[test]
fn without_flags_it_is_the_guest_of_the_demonstration_under_every_policy() {
    let args = args("");
    let scenario = scenario(&args, Policy::Adaptive).expect("it fits together");
    assert_eq!(scenario.guest.memory, Bytes(512 << 20));
    assert_eq!(scenario.guest.zero, Bytes(384 << 20));
    assert_eq!(scenario.guest.vcpus[0].workload, Workload::Sweep { set: Bytes(128 << 20) });
    assert_eq!(args.policy.list(), Policy::ALL);
}

#[test]
fn vcpus_share_the_working_set_and_the_rate() {
    let args = args("--cpus 4 --guest random --working-set 64MiB --rate 800MB/s");
    let guest = guest(&args).expect("it fits together");
    assert_eq!(guest.vcpus.len(), 4);
    for (index, vcpu) in guest.vcpus.iter().enumerate() {
        assert_eq!(vcpu.workload, Workload::Random { set: Bytes(16 << 20) });
        assert_eq!(vcpu.base, Bytes((16 << 20) * index as u64));
        assert_eq!(vcpu.rate, ByteRate::new(200e6));
    }
}

#[test]
fn a_working_set_that_does_not_fit_is_refused_with_both_sizes() {
    let problem = guest(&args("--memory 64MiB")).expect_err("it does not fit");
    assert_eq!(problem, "the working set of 128 MiB does not fit into 64 MiB of memory");
    assert!(guest(&args("--touched 1GiB")).is_err());
    assert!(guest(&args("--touched 1MiB")).is_err());
    assert!(guest(&args("--memory 10B --working-set 1B")).is_err());
}

#[test]
fn the_table_shows_one_column_a_policy() {
    let words = "--time-limit 3s";
    let text = report(&args(words), &simulated(words));
    for expected in
        ["off", "classic", "stepped", "adaptive", "gave up", "arrived", "guest time stolen"]
    {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}

#[test]
fn the_json_has_units_in_its_keys_and_points_only_when_asked_for() {
    let runs = simulated("--policy adaptive");
    let [(policy, run)] = runs.as_slice() else { panic!("one policy was asked for") };
    let short = json_of(*policy, run, false);
    assert_eq!(short["simulated"], true);
    assert_eq!(short["outcome"], "completed");
    assert!(short["downtime_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms <= 300.0));
    assert!(short.get("timeline").is_none());
    let full = json_of(*policy, run, true);
    assert!(full["timeline"][0]["remaining_bytes"].as_u64().is_some());
}

#[test]
fn a_run_that_gave_up_says_why() {
    let runs = simulated("--policy off --time-limit 2s");
    let value = json_of(runs[0].0, &runs[0].1, false);
    assert_eq!(value["outcome"], "gave_up");
    assert!(value["reason"].as_str().is_some_and(|reason| reason.contains("time limit")));
}

#[test]
fn every_kind_of_guest_can_be_simulated() {
    for guest in ["sweep", "random", "hot-cold", "bursts"] {
        let runs = simulated(&format!("--guest {guest} --policy adaptive"));
        assert_eq!(runs[0].1.outcome, SimulatedOutcome::Completed, "{guest}");
    }
}

#[test]
fn a_bare_number_is_no_size_rate_or_time() {
    for words in ["--memory 512", "--bandwidth 125", "--max-downtime 300", "--time-limit 60"] {
        let words = std::iter::once("simulate").chain(words.split_whitespace());
        assert!(Line::try_parse_from(words).is_err());
    }
}
