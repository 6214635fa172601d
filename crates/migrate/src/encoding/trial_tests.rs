use super::*;

const RUN: u64 = 64 * PAGE as u64;

/// What a run takes that leaves in so many ns a byte, and is made in no time.
fn left_in(a_byte: u64) -> Took {
    Took { made_in: Duration::ZERO, left_in: Duration::from_nanos(a_byte * RUN) }
}

/// Sends `runs` runs, each taking as many ns a byte as its way does; gives how many were packed.
fn send(trial: &mut Trial, runs: u32, plain: u64, packed: u64) -> u32 {
    let mut count = 0;
    for _ in 0..runs {
        let way = trial.way();
        let a_byte = if way == Way::Packed { packed } else { plain };
        trial.left(way, RUN, left_in(a_byte), true);
        count += u32::from(way == Way::Packed);
    }
    count
}

const WINDOW_RUNS: u32 = 16;

#[test]
fn what_makes_it_slower_is_tried_ever_more_seldom() {
    let mut trial = Trial::new();
    assert_eq!(send(&mut trial, WINDOW_RUNS, 1, 3), 0);
    // Once, to see, and not to the end: it has taken too long before.
    assert_eq!(send(&mut trial, WINDOW_RUNS, 1, 3), 11);
    assert_eq!(send(&mut trial, 15 * WINDOW_RUNS, 1, 3), 0);
    // 1 GiB, in which it is tried four times more at most.
    assert!(send(&mut trial, 4096, 1, 3) <= 4 * 11);
}

#[test]
fn what_is_hopeless_is_given_up_at_once() {
    let mut trial = Trial::new();
    send(&mut trial, WINDOW_RUNS, 1, 40);
    assert_eq!(send(&mut trial, WINDOW_RUNS, 1, 40), 1);
}

#[test]
fn what_takes_longer_to_make_than_to_send_as_it_is_needs_no_more_than_a_glance() {
    let packed = |made: u64| {
        let mut trial = Trial::new();
        send(&mut trial, WINDOW_RUNS, 4, 1);
        let made_in = Duration::from_nanos(made * RUN);
        for runs in 0..WINDOW_RUNS {
            if trial.way() == Way::Plain {
                return runs;
            }
            let took = Took { made_in, left_in: Duration::ZERO };
            trial.left(Way::Packed, RUN, took, true);
        }
        WINDOW_RUNS
    };
    assert_eq!(packed(3), WINDOW_RUNS, "it is faster");
    assert_eq!(packed(5), 2);
    // One run may have waited for a processor.
    let mut trial = Trial::new();
    send(&mut trial, WINDOW_RUNS, 4, 1);
    let waited = Took { made_in: Duration::from_nanos(6 * RUN), left_in: Duration::ZERO };
    trial.left(Way::Packed, RUN, waited, true);
    trial.left(Way::Packed, RUN, left_in(1), true);
    assert_eq!(trial.way(), Way::Packed);
}

#[test]
fn what_waits_for_what_was_sent_before_it_is_not_hopeless() {
    let mut trial = Trial::new();
    send(&mut trial, WINDOW_RUNS, 8, 5);
    // As much as a window was under way.
    trial.left(Way::Packed, RUN, left_in(8 * u64::from(WINDOW_RUNS)), true);
    assert_eq!(trial.way(), Way::Packed);
    send(&mut trial, WINDOW_RUNS - 1, 8, 5);
    assert_eq!((trial.way(), trial.on_trial), (Way::Packed, false));
}

#[test]
fn what_makes_it_faster_is_kept() {
    let mut trial = Trial::new();
    send(&mut trial, WINDOW_RUNS, 8, 5);
    assert!(send(&mut trial, 4096, 8, 5) >= 4096 - 16 * WINDOW_RUNS);
    assert_eq!(trial.way(), Way::Packed);
}

#[test]
fn a_link_that_becomes_faster_is_noticed_and_one_that_becomes_slow_again_too() {
    let mut trial = Trial::new();
    send(&mut trial, 640, 8, 5);
    assert_eq!(trial.way(), Way::Packed);
    send(&mut trial, 8192, 1, 3);
    assert!(send(&mut trial, 1024, 1, 3) < 128);
    send(&mut trial, 8192, 8, 5);
    assert!(send(&mut trial, 1024, 8, 5) > 896);
}

#[test]
fn what_is_hardly_better_is_not_worth_the_other_sides_time() {
    let mut trial = Trial::new();
    assert!(send(&mut trial, 4096, 100, 97) < 6 * WINDOW_RUNS);
}

#[test]
fn what_gets_no_shorter_says_nothing_of_packing() {
    let mut trial = Trial::new();
    send(&mut trial, WINDOW_RUNS, 8, 5);
    assert_eq!(trial.way(), Way::Packed);
    for _ in 0..1000 {
        trial.left(Way::Plain, RUN, left_in(8), true);
    }
    assert!(trial.on_trial, "it goes on until something was packed");
}

#[test]
fn what_nobody_believes_in_is_not_tried() {
    let mut trial = Trial::new();
    for _ in 0..1000 {
        trial.left(Way::Plain, RUN, left_in(1), false);
        assert_eq!(trial.way(), Way::Plain);
    }
}
