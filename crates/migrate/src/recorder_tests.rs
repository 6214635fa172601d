use super::*;

const PARTS: [u64; 6] = [3, 5, 70, 11, 2, 1];

/// A switchover whose parts took so many milliseconds each.
fn timing(began: Instant) -> Timing {
    let mut at = began;
    let mut next = PARTS.iter().map(|part| {
        at += Duration::from_millis(*part);
        at
    });
    let mut moment = || next.next().unwrap();
    Timing {
        began,
        stopped: moment(),
        synced: moment(),
        pages_received: moment(),
        ready: moment(),
        committed: moment(),
        running: moment(),
        predicted: Duration::from_millis(90),
    }
}

fn report(recorder: &mut Recorder, outcome: Outcome) -> Report {
    recorder.report(outcome, None, MachineKind::Synthetic, Bytes(4096))
}

#[test]
fn the_parts_of_the_downtime_are_what_it_consists_of() {
    let mut recorder = Recorder::new(Instant::now());
    recorder.timing(&timing(Instant::now()));
    let report = report(&mut recorder, Outcome::Completed);
    let parts = report.downtime_parts_ms;
    let found = [
        parts.stop,
        parts.last_sync,
        parts.last_pages,
        parts.device_state,
        parts.commit,
        parts.resume,
    ];
    for (found, expected) in found.into_iter().zip(PARTS) {
        assert!((found - expected as f64).abs() < 1e-6, "{found} is not {expected}");
    }
    assert!((report.downtime_ms - 92.0).abs() < 1e-6);
    assert!((report.predicted_downtime_ms - 90.0).abs() < 1e-6);
}

#[test]
fn moments_noted_one_after_the_other_never_make_a_part_negative() {
    let now = Instant::now();
    let mut timing = Timing::stopped(now, now, now, Duration::ZERO);
    let assert_sound = |timing: &Timing| {
        let parts = timing.parts();
        for part in [parts.last_pages, parts.device_state, parts.commit, parts.resume] {
            assert!(part >= 0.0);
        }
    };
    assert_sound(&timing);
    timing.pages_received();
    assert_sound(&timing);
    timing.ready();
    // The answer may be read before the note that the word has left.
    timing.running();
    assert_sound(&timing);
    timing.committed();
    assert_sound(&timing);
}

#[test]
fn a_guest_that_never_left_had_no_downtime() {
    for outcome in [Outcome::Cancelled, Outcome::Failed, Outcome::GaveUp, Outcome::InDoubt] {
        let mut recorder = Recorder::new(Instant::now());
        recorder.timing(&timing(Instant::now()));
        let report = report(&mut recorder, outcome);
        assert_eq!(report.downtime_ms, 0.0);
        assert_eq!(report.predicted_downtime_ms, 0.0);
        assert_eq!(report.downtime_parts_ms, DowntimeParts::default());
    }
}

#[test]
fn a_long_time_line_is_thinned_evenly_and_keeps_its_end() {
    let mut recorder = Recorder::new(Instant::now());
    let seen = u32::try_from(MAX_POINTS * 5).unwrap();
    for pass in 1..=seen {
        recorder.point(&Progress { pass, ..Progress::default() }, ByteRate::new(1.0));
        assert!(recorder.points.len() <= MAX_POINTS);
    }
    let points = report(&mut recorder, Outcome::Completed).timeline;
    assert!(points.len() > MAX_POINTS / 2);
    assert!(points.windows(2).all(|two| two[1].pass - two[0].pass == 8), "unevenly thinned");
    assert!(seen - points.last().unwrap().pass < 8);
}

#[test]
fn stolen_time_is_the_mean_over_vcpus_and_the_longest_stall_that_of_any() {
    let mut recorder = Recorder::new(Instant::now());
    let vcpu = |total, longest| StolenTime {
        total: Duration::from_millis(total),
        longest_stall: Duration::from_millis(longest),
    };
    recorder.stolen(&[vcpu(100, 9), vcpu(0, 0), vcpu(50, 10)]);
    let report = report(&mut recorder, Outcome::Completed);
    assert!((report.stolen_ms - 50.0).abs() < 1e-6);
    assert!((report.max_stall_ms - 10.0).abs() < 1e-6);
}

#[test]
fn the_hardest_throttle_is_kept_although_it_was_let_go() {
    let mut recorder = Recorder::new(Instant::now());
    for share in [0.2, 0.9, 0.0] {
        recorder.throttle(Throttle::new(share), "because");
    }
    let report = report(&mut recorder, Outcome::Completed);
    assert!((report.max_throttle - 0.9).abs() < 1e-6);
    assert_eq!(report.events.len(), 3);
}
