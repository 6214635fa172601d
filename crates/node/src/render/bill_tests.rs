use super::*;
use crate::render::samples;

fn figure(report: &Report, name: &str) -> String {
    let rows = GROUPS.iter().flat_map(|(_, rows)| rows.iter());
    let (_, figure) = rows.into_iter().find(|(row, _)| *row == name).expect("there is such a row");
    figure(report)
}

#[test]
fn a_guest_that_did_not_arrive_has_no_downtime() {
    assert_eq!(figure(&samples::gave_up(), "Downtime"), "–");
    assert_eq!(figure(&samples::arrived(), "Downtime"), "231\u{a0}ms");
}

#[test]
fn pages_are_told_by_kind_with_their_digits_in_groups() {
    assert_eq!(figure(&samples::arrived(), "Pages sent"), "94\u{202f}230 raw, 98\u{202f}304 zero");
    assert_eq!(figure(&samples::empty(), "Pages sent"), "none");
    assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    assert_eq!(grouped(0), "0");
}

#[test]
fn what_was_sent_is_set_against_the_memory_there_is() {
    assert_eq!(figure(&samples::arrived(), "Sent for each byte of memory"), "0.72");
    assert_eq!(figure(&samples::empty(), "Sent for each byte of memory"), "–");
}

#[test]
fn figures_that_are_no_numbers_are_shown_as_zero() {
    let mut report = samples::arrived();
    report.total_ms = f64::NAN;
    report.bandwidth_bytes_per_second = f64::INFINITY;
    assert_eq!(figure(&report, "Total time"), "0.0\u{a0}ms");
    assert_eq!(figure(&report, "Bandwidth"), "0 B/s");
}
