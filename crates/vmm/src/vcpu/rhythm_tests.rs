use landfall_converge::Throttle;
use proptest::prelude::*;

use super::*;

const STALL: Duration = Duration::from_millis(10);

fn micros(us: u64) -> Duration {
    Duration::from_micros(us)
}

/// Runs `periods` periods in which every kick comes `kick` late and every wake-up `wake` late; gives the time run and
/// the stalls.
fn play(duty: DutyCycle, kick: &[u64], wake: &[u64]) -> (Duration, Vec<Duration>) {
    let mut now = Duration::from_secs(5);
    let mut rhythm = Rhythm::begin(duty, now, Duration::ZERO);
    let (mut ran, mut stalls) = (Duration::ZERO, Vec::new());
    for (kick, wake) in kick.iter().zip(wake) {
        let until = rhythm.stall(now);
        assert!(until - now <= duty.stall(), "a stall is planned longer than allowed");
        let woke = until + micros(*wake);
        stalls.push(woke - now);
        let until = rhythm.run(woke);
        assert!(until > woke, "a stall must be followed by running");
        now = until + micros(*kick);
        ran += now - woke;
    }
    (ran, stalls)
}

#[test]
fn waking_and_kicking_late_does_not_change_the_share() {
    let duty = DutyCycle::bounded(Throttle::new(0.9), STALL).unwrap();
    let (ran, stalls) = play(duty, &[60; 1000], &[120; 1000]);
    let stolen: Duration = stalls.iter().sum();
    let share = stolen.as_secs_f64() / (ran + stolen).as_secs_f64();
    assert!((share - 0.9).abs() < 0.002, "share {share}");
}

#[test]
fn changing_the_duty_all_the_time_gives_no_free_run_time() {
    let duty = DutyCycle::bounded(Throttle::MAX, STALL).unwrap();
    let now = Duration::from_secs(1);
    let mut rhythm = Rhythm::begin(duty, now, Duration::ZERO);
    let until = rhythm.run(rhythm.clone().stall(now));
    for _ in 0..100 {
        rhythm.change(DutyCycle::bounded(Throttle::new(0.98), STALL).unwrap());
        rhythm.change(duty);
    }
    assert!(rhythm.run_until() <= until);
}

proptest! {
    #[test]
    fn no_stall_is_longer_than_its_bound_however_late_kicks_and_wake_ups_are(
        share in 0.01f64..0.99,
        kick in prop::collection::vec(0u64..50_000, 50),
        wake in prop::collection::vec(0u64..30_000, 50),
    ) {
        let duty = DutyCycle::bounded(Throttle::new(share), STALL).unwrap();
        let (_, stalls) = play(duty, &kick, &wake);
        for (stall, late) in stalls.iter().zip(&wake) {
            prop_assert!(*stall <= duty.stall() + micros(*late));
        }
    }
}
