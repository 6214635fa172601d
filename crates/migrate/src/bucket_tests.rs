use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::*;

/// Sends frames of these sizes, each as soon as it may leave; gives when each left.
fn departures(balance: &mut Balance, frames: &[u64], start: Instant) -> Vec<Duration> {
    let mut now = start;
    let mut left = Vec::new();
    for frame in frames {
        while let Some(delay) = balance.delay(now) {
            // A timer never fires early, and a delay of nothing would never end.
            now += delay.max(Duration::from_nanos(100));
        }
        left.push(now - start);
        balance.spend(*frame, now);
    }
    left
}

proptest! {
    #[test]
    fn over_any_stretch_no_more_leaves_than_the_rate_a_burst_and_one_frame(
        frames in proptest::collection::vec(1..300_000_u64, 2..60),
        rate in 1e5..1e10_f64,
        from in 0..50_usize,
    ) {
        let start = Instant::now();
        let mut balance = Balance::new(Some(ByteRate::new(rate)), start);
        let left = departures(&mut balance, &frames, start);
        let from = from.min(frames.len() - 1);
        for to in from..frames.len() {
            let sent: u64 = frames[from..=to].iter().sum();
            let largest = frames[to] as f64;
            let allowed = (left[to] - left[from] + BURST).as_secs_f64() * rate + largest;
            prop_assert!(sent as f64 <= allowed * 1.001 + 1.0, "{} of {}", sent, allowed);
        }
    }

    #[test]
    fn the_rate_is_used_in_full(
        frames in proptest::collection::vec(1..300_000_u64, 2..60), rate in 1e5..1e10_f64,
    ) {
        let start = Instant::now();
        let mut balance = Balance::new(Some(ByteRate::new(rate)), start);
        let left = departures(&mut balance, &frames, start);
        let before_last: u64 = frames[..frames.len() - 1].iter().sum();
        let needed = before_last as f64 / rate + frames.len() as f64 * 2e-7;
        prop_assert!(left[frames.len() - 1].as_secs_f64() <= needed * 1.001);
    }
}

#[test]
fn what_was_not_used_is_not_saved_up_for_longer_than_a_burst() {
    let start = Instant::now();
    let mut balance = Balance::new(Some(ByteRate::new(1e6)), start);
    let later = start + Duration::from_secs(60);
    assert_eq!(balance.delay(later), None);
    balance.spend(5_000, later);
    assert_eq!(balance.delay(later), None);
    balance.spend(1_000, later);
    assert_eq!(balance.delay(later), Some(Duration::from_millis(1)));
}

#[test]
fn a_debt_made_at_a_high_rate_is_not_paid_at_a_low_one() {
    let start = Instant::now();
    let mut balance = Balance::new(Some(ByteRate::new(1e9)), start);
    balance.spend(10_000_000, start);
    balance.set_rate(Some(ByteRate::new(1e4)), start);
    assert_eq!(balance.delay(start), Some(BURST));
    balance.set_rate(None, start);
    assert_eq!(balance.delay(start), None);
}

#[test]
fn frames_are_small_where_the_rate_is_low() {
    let pages = |rate: f64| TokenBucket::new(Some(ByteRate::new(rate))).run_pages();
    assert_eq!([pages(1e3), pages(8e6), pages(125e6)], [1, 9, MAX_RUN_PAGES]);
    assert_eq!(TokenBucket::new(None).run_pages(), MAX_RUN_PAGES);
}

#[test]
fn who_waits_is_let_through_by_a_higher_rate_and_turned_away_by_a_stop() {
    let bucket = Arc::new(TokenBucket::new(Some(ByteRate::new(1.0))));
    bucket.spend(1_000_000);
    let waiting = {
        let bucket = Arc::clone(&bucket);
        thread::spawn(move || bucket.wait())
    };
    bucket.set_rate(None);
    assert_eq!(waiting.join().unwrap(), Ok(()));
    bucket.set_rate(Some(ByteRate::new(1.0)));
    bucket.spend(1_000_000);
    let waiting = {
        let bucket = Arc::clone(&bucket);
        thread::spawn(move || bucket.wait())
    };
    bucket.stop();
    assert_eq!(waiting.join().unwrap(), Err(Stopped));
}
