use super::*;

const CHEAP: f64 = 0.2e-6;
const DEAR: f64 = 9e-6;
const SMALL: f64 = 2e-6;

/// How many of the next `places` are huge pages, each of which takes `huge`, while the others take what small ones do.
fn huge_of(costs: &mut Costs, places: u32, huge: f64) -> u32 {
    let mut chosen = 0;
    for _ in 0..places {
        if costs.choose() {
            costs.huge_took(huge);
            chosen += 1;
        } else {
            costs.small_took(SMALL);
        }
    }
    chosen
}

#[test]
fn huge_pages_that_are_cheap_are_all_that_is_used() {
    assert_eq!(huge_of(&mut Costs::default(), 1000, CHEAP), 1000);
}

#[test]
fn huge_pages_that_are_dear_are_tried_seldom_and_ever_more_seldom() {
    let mut costs = Costs::default();
    let first = huge_of(&mut costs, 200, DEAR);
    assert!((2..=8).contains(&first), "{first}");
    let then = huge_of(&mut costs, 2000, DEAR);
    assert!((4..=12).contains(&then), "{then}");
}

#[test]
fn huge_pages_that_have_become_cheap_are_used_again() {
    let mut costs = Costs::default();
    huge_of(&mut costs, 100, DEAR);
    assert!(huge_of(&mut costs, 1000, CHEAP) > 800);
}

#[test]
fn huge_pages_that_have_become_dear_are_left() {
    let mut costs = Costs::default();
    huge_of(&mut costs, 100, CHEAP);
    let then = huge_of(&mut costs, 100, DEAR);
    assert!(then < 10, "{then}");
}

#[test]
fn where_the_host_has_none_it_is_asked_seldom() {
    let then = huge_of(&mut Costs::default(), 1000, f64::INFINITY);
    assert!((2..=12).contains(&then), "{then}");
}

#[test]
fn small_pages_that_are_dearer_still_are_left_after_they_were_seen() {
    let mut costs = Costs::default();
    let then = huge_of(&mut costs, 1000, SMALL / 2.0);
    assert!(then > 950, "{then}");
}

#[test]
fn a_thread_that_works_takes_processor_time() {
    let before = processor_time();
    let sum: u64 = (0..10_000_000).map(std::hint::black_box).sum();
    assert!(processor_time() > before, "{sum}");
}
