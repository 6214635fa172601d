use clap::Parser;
use landfall_qmp::{MeasuredBursts, MeasuredWindow};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: PlanArgs,
}

fn args(words: &str) -> PlanArgs {
    let words =
        ["plan", "socket", "--bandwidth", "125MB/s"].into_iter().chain(words.split_whitespace());
    Line::try_parse_from(words).expect("it can be parsed").args
}

/// What a machine tells of a guest of 512 MiB that sweeps 128 MiB at `rate` MB/s.
fn sweep(rate: f64) -> Told {
    let window = |ms: f64| MeasuredWindow {
        window_ms: ms,
        distinct_bytes: Bytes(128 << 20).part((ms * rate * 1e3 / f64::from(128 << 20)).min(1.0)).0,
    };
    Told {
        dirty_rate_bytes_per_second: rate * 1e6,
        working_set_bytes: 128 << 20,
        working_set_is_known: true,
        pattern: "sweep".to_owned(),
        windows: [5.0, 50.0, 100.0, 200.0, 400.0, 3000.0, 30000.0].map(window).to_vec(),
        memory_bytes: 512 << 20,
        non_zero_bytes: 130 << 20,
        sync_ms: 0.2,
        ..Told::default()
    }
}

fn planned(words: &str, told: Told) -> (PlanArgs, Plan) {
    let args = args(words);
    let plan = Plan::new(&args, DirtyRateInfo::default(), told, true);
    (args, plan)
}

#[test]
fn a_guest_that_outruns_the_link_arrives_only_with_help() {
    let (args, plan) = planned("", sweep(1000.0));
    assert!(plan.arrives(Policy::Adaptive));
    assert!(!plan.arrives(Policy::Off));
    let text = plan.text(&args);
    for part in [
        "rewrites 128 MiB page by page at 1 GB/s",
        "130 MiB of 512 MiB",
        "fixed part of 5.2 ms",
        "unaided   does not arrive; the guest dirties",
        "adaptive  arrives in",
        "guest time stolen",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn a_guest_that_the_link_can_follow_is_left_alone() {
    let (args, plan) = planned("", sweep(20.0));
    assert!(plan.arrives(Policy::Off));
    let text = plan.text(&args);
    assert!(text.contains("unaided   arrives in"), "{text}");
    assert!(text.contains("never throttled"), "{text}");
}

#[test]
fn a_throttle_that_is_not_allowed_to_be_hard_enough_is_not_enough() {
    let (_, plan) = planned("--max-throttle 50%", sweep(1000.0));
    assert!(!plan.arrives(Policy::Adaptive));
}

#[test]
fn a_comparison_shows_every_policy_once() {
    for (words, policies) in [
        ("--compare", &Policy::ALL[..]),
        ("--policy stepped", &[Policy::Off, Policy::Stepped]),
        ("--policy off", &[Policy::Off]),
    ] {
        let (_, plan) = planned(words, sweep(1000.0));
        let shown: Vec<_> = plan.runs.iter().map(|(policy, _)| *policy).collect();
        assert_eq!(shown, policies, "{words}");
    }
}

#[test]
fn the_json_has_the_answer_the_numbers_that_it_stands_on_and_their_units() {
    let (args, plan) = planned("--compare", sweep(1000.0));
    let json = plan.json(&args);
    assert_eq!(json["arrives"], true);
    assert_eq!(json["arrives_unaided"], false);
    assert_eq!(json["measured"]["working_set_bytes"], 128 << 20);
    assert_eq!(json["measured"]["pattern"], "sweep");
    assert_eq!(json["assumed"]["bandwidth_bytes_per_second"], 125e6);
    assert_eq!(json["assumed"]["downtime_limit_ms"], 300.0);
    let [.., adaptive] = json["plans"].as_array().expect("a list").as_slice() else {
        panic!("{json}")
    };
    assert_eq!(adaptive["policy"], "adaptive");
    assert!(adaptive["total_ms"].as_f64().is_some_and(|ms| ms < 3000.0), "{adaptive}");
    assert!(adaptive["max_throttle"].as_f64().is_some_and(|share| share > 0.8), "{adaptive}");
}

#[test]
fn vcpus_that_the_machine_tells_apart_are_told_apart_in_the_plan() {
    let told = Told { vcpu_bytes_per_second: vec![5e8, 0.0], ..sweep(500.0) };
    let (_, plan) = planned("", told);
    assert!(plan.scenario.log_knows_vcpus);
    let run = plan.run(Policy::Adaptive).expect("it was asked for");
    assert!(run.stolen_by_vcpu[0] > Duration::ZERO);
    assert_eq!(run.stolen_by_vcpu[1], Duration::ZERO, "one that writes nothing goes free");
}

#[test]
fn habits_are_told_in_a_sentence() {
    assert_eq!(habit(&Told { pattern: "idle".into(), ..sweep(0.0) }), "the guest writes nothing");
    let bursts = Some(MeasuredBursts { on_ms: 500.0, off_ms: 250.0 });
    assert_eq!(
        habit(&Told { bursts, ..sweep(800.0) }),
        "the guest rewrites 128 MiB page by page at 800 MB/s, for 500 ms at a time with 250 ms of rest"
    );
    let open = habit(&Told { working_set_is_known: false, ..sweep(800.0) });
    assert!(open.contains("no end of what it writes to was seen"), "{open}");
}

#[test]
fn a_guest_is_watched_for_fifty_milliseconds_to_a_minute() {
    for (time, accepted) in [("49ms", false), ("50ms", true), ("60s", true), ("61s", false)] {
        assert_eq!(watch(time).is_ok(), accepted, "{time}");
    }
    assert!(watch("3").is_err(), "a bare number has no unit");
}

#[test]
fn a_guest_of_qemus_that_may_hide_its_rate_is_not_promised_to_arrive_unaided() {
    let args = args("");
    let mut told = sweep(134.0);
    // All that QEMU before 8.2 counts in: whole seconds.
    told.windows = vec![told.windows[5], told.windows[6]];
    let plan = Plan::new(&args, DirtyRateInfo::default(), told, false);
    assert!(!plan.arrives(Policy::Off) && plan.arrives(Policy::Adaptive));
    assert!(plan.text(&args).contains("8 times that is planned for"), "{}", plan.text(&args));
    assert_eq!(plan.json(&args)["machine"], "qemu");
    assert_eq!(plan.json(&args)["measured"]["dirty_rate_is_at_least"], true);
}

#[test]
fn a_rate_by_samples_is_told_to_be_one() {
    let args = args("");
    let text = |mode| {
        let info = DirtyRateInfo { mode, ..DirtyRateInfo::default() };
        Plan::new(&args, info, sweep(134.0), false).text(&args)
    };
    assert!(text(DirtyRateMode::PageSampling).contains("by samples of pages"));
    assert!(!text(DirtyRateMode::DirtyBitmap).contains("by samples of pages"));
}
