use super::*;
use crate::tests_report::{completed, gave_up};

#[test]
fn runs_stand_side_by_side() {
    let (off, on) = (gave_up(), completed());
    let shown = table(&[("off".into(), &off), ("on".into(), &on)]);
    let row = |name: &str| {
        let mut rows = shown.lines().map(|line| line.split(['│', '┆']).map(str::trim));
        let row = rows.find_map(|mut cells| (cells.nth(1) == Some(name)).then_some(cells));
        row.unwrap().filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(row("outcome"), ["gave up", "arrived"]);
    assert_eq!(row("downtime"), ["–", "212 ms"]);
    assert_eq!(row("hardest throttle"), ["0 %", "89 %"]);
    assert_eq!(row("of memory"), ["0.56 ×", "0.56 ×"]);
    assert_eq!(row("pages sent"), ["70000 raw, 61072 zero", "70000 raw, 61072 zero"]);
}

#[test]
fn a_single_report_needs_no_title() {
    let report = completed();
    let shown = table(&[(String::new(), &report)]);
    assert!(shown.lines().nth(1).unwrap().contains("outcome"), "{shown}");
}
