use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Costs after walks that were answered after so many milliseconds each.
fn after_answers(answers: &[u64]) -> Costs {
    let mut costs = Costs::new();
    let start = Instant::now();
    for (walk, answer) in (1..).zip(answers) {
        costs.asked(walk, start);
        costs.answered(walk, start + ms(*answer));
    }
    costs
}

#[test]
fn nothing_is_free_even_before_it_was_measured() {
    assert_eq!(Costs::new().fixed_downtime(Instant::now()), STOP + STATE);
}

#[test]
fn a_greeting_that_waited_for_its_turn_is_no_round_trip() {
    let mut costs = Costs::new();
    costs.answered_in(ms(900));
    let start = Instant::now();
    costs.asked(1, start);
    costs.answered(1, start + ms(1));
    assert_eq!(costs.fixed_downtime(Instant::now()), STOP + STATE + ms(2));
}

#[test]
fn what_lies_in_the_buffers_of_a_slow_link_is_counted() {
    let costs = after_answers(&[1, 40, 41, 44, 42]);
    assert_eq!(costs.fixed_downtime(Instant::now()), STOP + STATE + ms(2) + ms(39));
}

#[test]
fn one_late_answer_is_not_held_against_the_link() {
    let costs = after_answers(&[1, 2, 80, 2]);
    assert_eq!(costs.fixed_downtime(Instant::now()), STOP + STATE + ms(2));
}

#[test]
fn an_answer_to_an_older_walk_tells_nothing() {
    let mut costs = Costs::new();
    let start = Instant::now();
    costs.asked(2, start);
    costs.answered(1, start + ms(50));
    assert_eq!(costs.fixed_downtime(Instant::now()), STOP + STATE);
}

#[test]
fn what_was_measured_replaces_what_was_assumed() {
    let mut costs = Costs::new();
    let now = Instant::now();
    costs.stopped_in(ms(3), now);
    costs.synced_in(ms(2));
    costs.checks_in(ms(70), now);
    assert_eq!(costs.fixed_downtime(now), ms(75) + STATE);
}

#[test]
fn a_stop_that_met_a_busy_host_is_not_held_against_it_for_ever() {
    let mut costs = Costs::new();
    let now = Instant::now();
    costs.stopped_in(STOP + ms(368), now);
    assert_eq!(costs.fixed_downtime(now), STOP + ms(368) + STATE);
    assert_eq!(costs.fixed_downtime(now + FORGOTTEN), STOP + ms(184) + STATE);
    assert_eq!(costs.fixed_downtime(now + FORGOTTEN * 100), STOP + STATE);
}

#[test]
fn each_stop_that_was_taken_back_is_remembered_for_longer() {
    let mut costs = Costs::new();
    let now = Instant::now();
    for _ in 0..100 {
        costs.stopped_in(STOP + ms(300), now);
    }
    let longest = FORGOTTEN * (1 << MOST_DOUBLINGS);
    assert_eq!(costs.fixed_downtime(now + longest), STOP + ms(150) + STATE);
}

#[test]
fn one_slow_stop_after_many_quick_ones_is_forgotten_as_soon_as_the_first() {
    let mut costs = Costs::new();
    let now = Instant::now();
    for _ in 0..100 {
        // Taken back, for too much had been written.
        costs.stopped_in(ms(1), now);
    }
    costs.stopped_in(STOP + ms(300), now);
    assert_eq!(costs.fixed_downtime(now + FORGOTTEN), STOP + ms(150) + STATE);
}

#[test]
fn a_stop_that_was_quicker_than_assumed_stays_so() {
    let mut costs = Costs::new();
    let now = Instant::now();
    costs.stopped_in(STOP / 2, now);
    assert_eq!(costs.fixed_downtime(now + FORGOTTEN), STOP / 2 + STATE);
}

#[test]
fn a_check_that_is_believed_to_take_too_long_is_looked_at_again() {
    let (mut costs, now) = (Costs::new(), Instant::now());
    let later = now + DOUBTED;
    assert!(!costs.doubts_check(Duration::ZERO, later), "nothing is compared");
    costs.checks_in(ms(400), now);
    assert!(!costs.doubts_check(ms(300), now), "it was found out just now");
    assert!(!costs.doubts_check(ms(500), later), "it is not in the way");
    assert!(costs.doubts_check(ms(300), later));
    costs.checks_in(ms(20), later);
    assert!(!costs.doubts_check(ms(300), later + DOUBTED));
    assert_eq!(costs.fixed_downtime(later), STOP + STATE + ms(20));
}
