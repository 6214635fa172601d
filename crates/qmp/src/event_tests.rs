use super::*;

fn all() -> [EventKind; 6] {
    [
        EventKind::Stop,
        EventKind::Resume,
        EventKind::Shutdown { guest: false, reason: "host-qmp-quit".into() },
        EventKind::BalloonChange { actual: 1 << 40 },
        EventKind::Migration { status: MigrationStatus::Active },
        EventKind::MigrationPass { pass: 3 },
    ]
}

#[test]
fn every_kind_survives_the_wire() {
    for kind in all() {
        let text = serde_json::to_string(&Event::now(&kind)).unwrap();
        let read: Event = serde_json::from_str(&text).unwrap();
        assert_eq!(read.kind(), Some(kind));
        assert!(read.timestamp.seconds > 1_000_000_000);
    }
}

#[test]
fn the_names_are_those_of_qemu() {
    let names = all().map(|kind| Event::now(&kind).event);
    let qemus = ["STOP", "RESUME", "SHUTDOWN", "BALLOON_CHANGE", "MIGRATION", "MIGRATION_PASS"];
    assert_eq!(names, qemus);
}

#[test]
fn an_unknown_event_is_kept_as_it_is() {
    let text = r#"{"event":"NIC_RX","data":{"a":1},"timestamp":{"seconds":1,"microseconds":2}}"#;
    let event: Event = serde_json::from_str(text).unwrap();
    assert_eq!(event.kind(), None);
    assert_eq!(event.data.unwrap()["a"], 1);
}
