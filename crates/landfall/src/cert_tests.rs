use super::*;

#[test]
fn what_is_left_of_a_validity_is_told_in_days_and_at_last_in_hours() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(DAY * 20_000);
    for (ends, words) in [
        (now + Duration::from_secs(DAY * 90), "90 days from now"),
        (now + Duration::from_secs(DAY), "24 hours from now"),
        (now - Duration::from_secs(1), "no more"),
    ] {
        let told = validity(ends, now);
        assert!(told.contains(words), "{told}");
    }
}
