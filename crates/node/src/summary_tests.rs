use super::tests_report::{completed, gave_up};
use super::*;

#[test]
fn an_arrival_is_told_with_its_price() {
    assert_eq!(
        summary(&completed()),
        "arrived in 2.31 s with 212 ms of downtime (limit 300 ms); 914 ms of guest time stolen (40 %), no stall \
         longer than 9.9 ms; 288 MiB sent for 512 MiB of memory; integrity: ok"
    );
}

#[test]
fn a_guest_that_was_never_throttled_is_told_so() {
    let free = Report { stolen_ms: 0.0, ..completed() };
    assert!(summary(&free).contains("the guest was never throttled"));
}

#[test]
fn giving_up_names_both_rates_and_the_throttle_needed() {
    assert_eq!(
        summary(&gave_up()),
        "did not arrive: gave up after 10.0 s; the guest dirties 1.04 GB/s, the link carries 125 MB/s; needs at \
         least 89 % throttle"
    );
}

#[test]
fn whatever_did_not_arrive_comes_with_what_to_do() {
    assert_eq!(advice(&completed()), None);
    assert!(advice(&gave_up()).is_some_and(|text| text.contains("--auto-converge on")));
    let in_doubt = Report { outcome: Outcome::InDoubt, ..gave_up() };
    assert!(advice(&in_doubt).is_some_and(|text| text.contains("landfall settle")));
}

#[test]
fn a_hand_over_is_told_without_what_it_does_not_do() {
    let handed_over = Report { hand_over: true, downtime_ms: 4.1, total_ms: 31.0, ..completed() };
    assert_eq!(
        summary(&handed_over),
        "handed over in 31 ms with 4.1 ms of downtime (limit 300 ms); none of 512 MiB of memory copied; \
         integrity: ok"
    );
    // Nobody can settle what two processes have settled between themselves.
    let in_doubt = Report { outcome: Outcome::InDoubt, ..handed_over };
    assert!(summary(&in_doubt).contains("the destination has the guest"));
    assert!(advice(&in_doubt).is_some_and(|text| !text.contains("settle")));
}
