use super::*;

#[test]
fn durations_are_read_with_their_unit() {
    for (text, ms) in
        [("300ms", 300), ("10s", 10_000), ("1.5s", 1500), ("2min", 120_000), ("1min 30s", 90_000)]
    {
        assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
}

#[test]
fn a_bare_number_is_refused_with_what_to_write_instead() {
    assert_eq!(duration("300"), Err("'300' has no unit; write 300ms or 300s".into()));
    assert!(duration("0").is_err());
}

#[test]
fn what_is_no_duration_is_refused() {
    for text in ["", "fast", "10 parsecs", "1.2.3s", "-5s"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn milliseconds_are_shown_at_a_readable_scale() {
    for (ms, text) in [
        (0.84, "0.8 ms"),
        (212.4, "212 ms"),
        (999.6, "1.00 s"),
        (2_310.0, "2.31 s"),
        (12_340.0, "12.3 s"),
        (65_000.0, "1 min 5 s"),
        (900_000.0, "15 min"),
        (7_200_000.0, "2 h"),
        (9_029_000.0, "2 h 30 min"),
    ] {
        assert_eq!(milliseconds(ms), text);
    }
}
