use super::*;

/// A guest that is held back from the third second on.
fn prediction(arrives: bool) -> Prediction {
    let at = |second: u32| f64::from(second) * 1000.0;
    Prediction {
        dirty_rate_bytes_per_second: 4e8,
        working_set_bytes: 128 << 20,
        bandwidth_bytes_per_second: 6e7,
        arrives_unaided: false,
        arrives,
        total_ms: 5000.0,
        downtime_ms: 280.0,
        max_throttle: 0.97,
        stolen_ms: 1900.0,
        sentence: String::new(),
        remaining: (0..5)
            .map(|second| (at(second), (256 - 60 * u64::from(second)) << 20))
            .collect(),
        throttle: (0..5).map(|second| (at(second), if second > 2 { 0.97 } else { 0.0 })).collect(),
    }
}

#[test]
fn what_is_expected_is_drawn_with_its_throttle_and_said_in_words() {
    let drawn = foretold(&prediction(true), &Settings::default()).into_string();
    let svg = &drawn[drawn.find("<svg").unwrap()..=drawn.find("</svg>").unwrap() + 5];
    let document = roxmltree::Document::parse(svg).expect("it is well-formed");
    let label = document.root_element().attribute("aria-label").unwrap();
    assert!(label.contains("expected") && label.contains("5.00 s"), "{label}");
    assert!(label.contains("97 %") && label.contains("1.90 s"), "{label}");
    assert!(drawn.contains("throttle") && !drawn.contains("could not be drawn"), "{drawn}");
}

#[test]
fn one_that_will_not_arrive_is_drawn_too() {
    let without = Settings { auto_converge: false, ..Settings::default() };
    let drawn = foretold(&prediction(false), &without).into_string();
    assert!(drawn.contains("not expected to arrive"), "{drawn}");
    let nothing = Prediction { remaining: vec![], throttle: vec![], ..prediction(false) };
    let drawn = foretold(&nothing, &without).into_string();
    assert!(drawn.contains("<svg") && !drawn.contains("could not be drawn"), "{drawn}");
}

#[test]
fn what_was_seen_so_far_keeps_every_point() {
    let point = |at_ms, throttle| Point { at_ms, throttle, ..Point::default() };
    let report = so_far(&Settings::default(), &[point(100.0, 0.5), point(200.0, 0.2)]);
    assert_eq!((report.total_ms, report.max_throttle), (200.0, 0.5));
    assert_eq!(report.timeline.len(), 2);
}
