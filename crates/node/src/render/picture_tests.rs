use super::*;
use crate::render::samples;

fn picture(reports: &[Report]) -> String {
    standalone(reports).expect("it can be drawn")
}

#[test]
fn the_picture_is_well_formed_and_stands_alone() {
    let svg = picture(&[samples::gave_up(), samples::arrived()]);
    let document = roxmltree::Document::parse(&svg).expect("it is well-formed");
    let style = document.descendants().find(|node| node.has_tag_name("style"));
    assert!(
        style.and_then(|node| node.text()).is_some_and(|css| css.contains("prefers-color-scheme"))
    );
    assert!(!svg.contains("href") && !svg.contains("url("));
}

#[test]
fn the_picture_tells_what_became_of_every_run() {
    let svg = picture(&[samples::gave_up(), samples::arrived()]);
    for words in [
        "Without auto-converge: gave up after 12.0\u{a0}s",
        "Auto-converge, adaptive: arrived in 3.09\u{a0}s",
    ] {
        assert!(svg.contains(words), "{words}");
    }
}

#[test]
fn a_run_without_end_does_not_squeeze_one_that_arrives() {
    let mut endless = samples::gave_up();
    endless.total_ms = 3_600_000.0;
    assert!((axis(&[endless.clone(), samples::arrived()]) - 3.094 * 2.5).abs() < 1e-9);
    assert_eq!(axis(&[endless]), 3600.0);
}

#[test]
fn runs_without_a_single_point_are_drawn_too() {
    for reports in [vec![], vec![samples::empty()], vec![samples::empty(), samples::arrived()]] {
        assert!(roxmltree::Document::parse(&picture(&reports)).is_ok());
    }
}

#[test]
fn a_run_is_named_by_whether_it_was_throttled_and_by_whom() {
    assert_eq!(run_name(&samples::gave_up()), "Without auto-converge");
    assert_eq!(run_name(&samples::arrived()), "Auto-converge, adaptive");
}
