use super::*;

/// Tries channels on a link that carries so many pages a second over each number of them; gives how many are kept to.
fn tried(most: u16, zeros: u64, rate: impl Fn(u64) -> u64) -> u16 {
    assert_eq!(TRIAL, Duration::from_millis(100));
    let mut spread = Spread::up_to(most);
    let (mut now, mut left) = (Instant::now(), Left::default());
    for walk in 1..100 {
        let Some(until) = spread.begins(walk, now, left) else { return spread.channels() };
        let took = until - now;
        left.others += rate(spread.channels().into()) / 10;
        left.zeros += zeros;
        now += took;
        assert!(spread.walk_left(true));
        assert!(spread.waits());
        assert!(spread.arrived(walk, now, left));
        assert!(!spread.waits());
    }
    panic!("it never comes to an end");
}

#[test]
fn there_are_as_many_as_make_it_faster() {
    let processors = |channels: u64| channels.min(4) * 300_000;
    assert_eq!(tried(8, 0, processors), 4);
    assert_eq!(tried(3, 0, processors), 3);
    assert_eq!(tried(1, 0, processors), 1);
    assert_eq!(tried(8, 0, |_| 30_000), 1);
    // Little more is not worth it.
    assert_eq!(tried(2, 0, |channels| 300_000 + channels * 30_000), 1);
}

#[test]
fn what_says_nothing_is_not_believed() {
    // More zeros than others, and hardly anything.
    assert_eq!(tried(8, 100_000, |channels| channels * 300_000), 1);
    assert_eq!(tried(8, 0, |channels| channels * 1000), 1);
}

#[test]
fn a_walk_that_comes_to_its_end_is_the_last_that_tells() {
    let mut spread = Spread::up_to(8);
    let now = Instant::now();
    assert!(spread.begins(1, now, Left::default()).is_some());
    assert!(!spread.walk_left(false));
    assert!(!spread.waits());
    // The answer comes all the same.
    assert!(!spread.arrived(1, now, Left { zeros: 0, others: 1 << 20 }));
    assert_eq!((spread.begins(2, now, Left::default()), spread.channels()), (None, 1));
}

#[test]
fn only_what_was_sent_last_is_waited_for() {
    let mut spread = Spread::up_to(2);
    let now = Instant::now();
    spread.begins(7, now, Left::default());
    // The end of an earlier walk.
    assert!(!spread.arrived(6, now, Left::default()));
    assert!(spread.walk_left(true));
    assert!(!spread.goes_on());
    assert!(!spread.arrived(6, now, Left::default()));
    assert!(spread.arrived(7, now + TRIAL, Left { zeros: 0, others: FEWEST }));
    assert!(!spread.goes_on(), "once");
    assert_eq!(spread.channels(), 2);
}

#[test]
fn a_walk_may_have_arrived_before_it_is_heard_that_it_was_left() {
    let mut spread = Spread::up_to(2);
    let now = Instant::now();
    spread.begins(7, now, Left::default());
    assert!(!spread.arrived(7, now + TRIAL, Left { zeros: 0, others: FEWEST }));
    assert!(spread.walk_left(true));
    assert!(spread.goes_on());
    assert!(!spread.waits());
    assert_eq!(spread.channels(), 2);
}
