use std::sync::{Arc, Barrier};
use std::thread;

use super::*;

fn both() -> (Deed, Deed) {
    let ours = Deed::new().unwrap();
    let theirs = Deed::received(ours.descriptor().try_clone_to_owned().unwrap());
    (ours, theirs)
}

#[test]
fn who_takes_it_first_has_it_for_good_and_the_other_never() {
    let (mut ours, mut theirs) = both();
    assert!(theirs.take());
    assert!(!ours.take());
    assert!(theirs.take(), "asked again");
    assert!(!ours.take(), "asked again");
}

#[test]
fn what_the_other_side_has_not_taken_before_it_ended_can_be_taken() {
    let (mut ours, theirs) = both();
    drop(theirs);
    assert!(ours.take());
    let (ours, mut theirs) = both();
    drop(ours);
    assert!(theirs.take());
}

#[test]
fn what_the_other_side_took_before_it_ended_stays_taken() {
    let (mut ours, mut theirs) = both();
    assert!(theirs.take());
    drop(theirs);
    assert!(!ours.take());
}

#[test]
fn of_two_who_reach_for_it_at_the_same_time_one_has_it() {
    for _ in 0..200 {
        let (ours, theirs) = both();
        let start = Arc::new(Barrier::new(2));
        let takers = [ours, theirs].map(|mut deed| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                deed.take()
            })
        });
        let taken = takers.map(|taker| taker.join().unwrap());
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1);
    }
}
