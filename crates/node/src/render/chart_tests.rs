use super::*;
use crate::render::samples;

fn drawn(report: &Report) -> Vec<String> {
    let widths = [Width::Wide, Width::Narrow];
    let svg = |chart: &Chart| widths.map(|width| chart.svg(width).expect("it can be drawn"));
    charts(report).iter().flat_map(svg).collect()
}

#[test]
fn every_chart_is_well_formed_and_says_what_it_shows() {
    for report in [samples::gave_up(), samples::arrived(), samples::empty()] {
        for svg in drawn(&report) {
            let document = roxmltree::Document::parse(&svg).expect("it is well-formed");
            let root = document.root_element();
            assert_eq!(root.attribute("role"), Some("img"));
            assert!(root.attribute("aria-label").is_some_and(|label| label.len() > 20));
        }
    }
}

#[test]
fn the_label_tells_the_rates_and_the_throttle() {
    let [rates, _, throttle] = charts(&samples::arrived());
    assert!(rates.label.contains("1.02 GB/s"), "{}", rates.label);
    assert!(throttle.label.contains("97 %") && throttle.label.contains("2.33 s"));
    let [_, _, never] = charts(&samples::gave_up());
    assert!(never.label.contains("never throttled"));
}

#[test]
fn a_chart_of_many_points_is_no_larger_than_its_width_can_show() {
    let mut report = samples::gave_up();
    let points = report.timeline.clone();
    for round in 1..200_u32 {
        report.timeline.extend(points.iter().map(|point| landfall_migrate::report::TimePoint {
            at_ms: point.at_ms + f64::from(round) * 12_000.0,
            ..*point
        }));
    }
    report.total_ms = 2_400_000.0;
    assert!(report.timeline.len() > 40_000);
    for svg in drawn(&report) {
        assert!(svg.len() < 60_000, "{} bytes", svg.len());
    }
}

#[test]
fn pass_marks_keep_apart_and_their_numbers_do_not_overlap() {
    let mut report = samples::gave_up();
    report.events = (2..=5000_u32)
        .map(|pass| landfall_migrate::report::TimeLineEvent {
            at_ms: f64::from(pass) * 2.0,
            kind: landfall_migrate::report::EventKind::Pass { pass },
        })
        .collect();
    let [rates, ..] = charts(&report);
    let panel = rates.panel.with_room_between_passes(620);
    let marks: Vec<(f64, bool)> = panel
        .layers
        .iter()
        .filter_map(|layer| match layer {
            Layer::Moment { at, name, bold: false, .. } => Some((*at, !name.is_empty())),
            _ => None,
        })
        .collect();
    assert!(marks.len() < 100, "{}", marks.len());
    let named: Vec<f64> = marks.iter().filter(|mark| mark.1).map(|mark| mark.0).collect();
    let apart = named.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    assert!(apart >= panel.seconds * 30.0 / 620.0, "{apart}");
}

#[test]
fn the_switchover_is_named_once_though_it_was_tried_twice() {
    let mut report = samples::arrived();
    let mut tried = report.events[6].clone();
    tried.at_ms = 2_000.0;
    report.events.push(tried);
    let [rates, ..] = charts(&report);
    let svg = rates.svg(Width::Wide).expect("it can be drawn");
    assert_eq!(svg.matches("switchover\n").count(), 1);
    assert_eq!(svg.matches("s-switchover").count(), 2);
}
