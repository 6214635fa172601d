use super::*;
use crate::render::samples;

/// The page as XML: maud closes all but the elements that HTML never closes.
fn parsed(page: &str) -> Result<(), roxmltree::Error> {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("it begins as a page");
    let mut closed = String::new();
    for (index, piece) in body.split("<meta ").enumerate() {
        if index > 0 {
            closed += "<meta ";
            closed += &piece.replacen('>', "/>", 1);
        } else {
            closed += piece;
        }
    }
    roxmltree::Document::parse(&closed).map(drop)
}

#[test]
fn a_page_is_well_formed_however_many_runs_it_tells_of() {
    let (off, on) = (samples::gave_up(), samples::arrived());
    let four = vec![off.clone(), on.clone(), samples::empty(), on.clone()];
    for reports in [vec![], vec![on.clone()], vec![off, on], vec![samples::empty()], four] {
        parsed(&html("A title", &reports)).expect("it is well-formed");
    }
}

#[test]
fn the_figures_of_a_report_stand_on_its_page() {
    let page = html("Two runs", &[samples::gave_up(), samples::arrived()]);
    for words in [
        "Did not arrive: gave up after 12.0\u{a0}s. The guest was never throttled.",
        "Arrived in 3.09\u{a0}s. The guest stood still for 231\u{a0}ms of the 300\u{a0}ms allowed.",
        "The throttle took 2.33\u{a0}s of guest time, never more than 10\u{a0}ms at a stretch.",
        "The time limit of 12.0 s has passed",
        "The guest dirties 1.02 GB/s, the link carries 125 MB/s",
        "last pages <b>215\u{a0}ms</b>",
        "checked: nothing lost",
        "a throttle of 97 % costs the guest least",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn a_verdict_that_the_reason_names_already_is_not_said_twice() {
    let mut report = samples::gave_up();
    let text = "the guest dirties more than the link carries";
    report.reason = Some(format!("the time limit has passed; {text}"));
    if let Some(verdict) = &mut report.verdict {
        verdict.text = text.to_owned();
    }
    report.events.clear();
    assert_eq!(html("One run", &[report]).matches(text).count(), 1);
}

#[test]
fn nothing_on_a_page_is_fetched_or_run() {
    let page = html("Two runs", &[samples::gave_up(), samples::arrived()]);
    for forbidden in ["<script", "href=", "src=", "url(", "@import", "onload"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn what_a_machine_says_cannot_become_part_of_the_page() {
    let mut report = samples::gave_up();
    let hostile = "</style><script>alert(\"1\")</script><b a='&amp;'>";
    report.reason = Some(hostile.to_owned());
    report.integrity = hostile.to_owned();
    if let Some(verdict) = &mut report.verdict {
        verdict.text = hostile.to_owned();
    }
    report.events = vec![TimeLineEvent {
        at_ms: 1.0,
        kind: EventKind::Throttle { throttle: 0.5, reason: hostile.to_owned() },
    }];
    let page = html(hostile, &[report.clone(), report]);
    assert!(!page.contains("<script") && !page.contains("<b a="));
    parsed(&page).expect("it is well-formed");
}

#[test]
fn figures_out_of_all_bounds_still_give_a_page() {
    for wild in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300, 1e-300] {
        let mut report = samples::arrived();
        report.total_ms = wild;
        report.downtime_ms = wild;
        report.downtime_limit_ms = wild;
        report.downtime_parts_ms.stop = wild;
        report.bandwidth_bytes_per_second = wild;
        report.guest_time_share_stolen = wild;
        report.timeline[3].dirty_rate_bytes_per_second = wild;
        report.timeline[4].throttle = wild;
        report.timeline[5].at_ms = wild;
        report.events[6].at_ms = wild;
        report.timeline[6].remaining_bytes = u64::MAX;
        let page = html("Wild", &[report.clone(), report]);
        parsed(&page).unwrap_or_else(|error| panic!("{wild}: {error}"));
        assert!(!page.contains("NaN") && !page.contains("width:inf"), "{wild}");
    }
}

#[test]
fn a_long_list_of_decisions_is_cut_and_says_so() {
    let mut report = samples::arrived();
    let event = |at: u32| TimeLineEvent {
        at_ms: f64::from(at),
        kind: EventKind::SwitchoverAbandoned { predicted_downtime_ms: 400.0 },
    };
    report.events = (0..1000).map(event).collect();
    let page = html("Long", &[report]);
    assert_eq!(page.matches("switchover abandoned").count(), MOST_DECISIONS);
    assert!(page.contains("800 more are left out here"));
}

#[test]
fn every_row_and_column_of_the_bill_has_a_header() {
    let page = html("Two runs", &[samples::gave_up(), samples::arrived()]);
    assert!(page.contains("<th scope=\"col\">Without auto-converge</th>"));
    assert!(page.contains("<th scope=\"row\">Guest time stolen</th>"));
}
