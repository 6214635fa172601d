use super::*;

fn moments(begin: Instant, counts: &[(u64, u64)]) -> Vec<Moment> {
    let moment = |(ms, count): &(u64, u64)| Moment {
        at: begin + Duration::from_millis(*ms),
        vcpus: vec![Count { heartbeat: *count, work: *count * 32 }],
    };
    counts.iter().map(moment).collect()
}

#[test]
fn a_guest_runs_at_the_destination_only_once_it_is_further_than_the_source_came() {
    let begin = Instant::now();
    let at = |ms| Some(begin + Duration::from_millis(ms));
    let seen = Seen {
        source: moments(begin, &[(0, 5), (1, 6), (2, 8), (3, 8), (20, 8)]),
        // Pages that come in bring counters with them.
        destination: moments(begin, &[(1, 0), (2, 4), (3, 8), (9, 8), (10, 9), (11, 12)]),
        destination_memory: None,
    };
    assert_eq!(seen.last_beat_at_source(0), at(2));
    assert_eq!(seen.first_beat_at_destination(0), at(10));
    assert_eq!(seen.work_at(0, begin + Duration::from_millis(10)), 9 * 32);
    assert_eq!(seen.work_at(0, begin + Duration::from_millis(1)), 6 * 32);
}

#[test]
fn a_guest_that_stayed_does_not_run_at_the_destination() {
    let begin = Instant::now();
    let seen = Seen {
        source: moments(begin, &[(0, 5), (9, 80)]),
        destination: moments(begin, &[(1, 0), (9, 70)]),
        destination_memory: None,
    };
    assert_eq!(seen.first_beat_at_destination(0), None);
    assert_eq!(seen.work_at(0, begin + Duration::from_millis(9)), 80 * 32);
}
