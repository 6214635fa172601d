use super::*;
use crate::summary::tests_report::{completed, gave_up};

#[test]
fn runs_stand_side_by_side() {
    let (off, on) = (gave_up(), completed());
    let shown = table(&[("off".into(), &off), ("on".into(), &on)]);
    let row = |name: &str| {
        let line = shown.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().skip(name.split(' ').count()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("outcome"), "gave up arrived");
    assert_eq!(row("downtime"), "– 212 ms");
    assert_eq!(row("hardest throttle"), "0 % 89 %");
    assert_eq!(row("of memory"), "0.56 × 0.56 ×");
    assert_eq!(row("pages sent"), "70000 raw, 61072 zero 70000 raw, 61072 zero");
}
