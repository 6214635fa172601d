use serde_json::json;

use super::*;

#[test]
fn before_any_migration_the_answer_is_empty() {
    assert_eq!(serde_json::to_value(MigrationInfo::default()).unwrap(), json!({}));
    let read: MigrationInfo = serde_json::from_value(json!({"blocked": false})).unwrap();
    assert_eq!(read.status, MigrationStatus::None);
}

#[test]
fn what_qemu_answers_is_read() {
    // As QEMU 7.2 gives it.
    let info: MigrationInfo = serde_json::from_value(json!({
        "status": "active", "setup-time": 1, "total-time": 4200, "expected-downtime": 300,
        "cpu-throttle-percentage": 80,
        "ram": {"total": 554_508_288, "postcopy-requests": 0, "dirty-sync-count": 4,
            "multifd-bytes": 0, "pages-per-second": 30_000, "downtime-bytes": 0, "page-size": 4096,
            "remaining": 1000, "postcopy-bytes": 0, "mbps": 1000.5, "transferred": 5, "duplicate": 6,
            "dirty-pages-rate": 250_000, "skipped": 0, "normal-bytes": 7, "normal": 8}
    }))
    .unwrap();
    assert_eq!(info.status, MigrationStatus::Active);
    assert_eq!(info.cpu_throttle_percentage, Some(80));
    assert_eq!(info.ram.unwrap().dirty_sync_count, 4);
}

#[test]
fn a_status_of_a_later_qemu_is_no_error() {
    let info: MigrationInfo = serde_json::from_value(json!({"status": "teleporting"})).unwrap();
    assert_eq!(info.status, MigrationStatus::Other);
    assert!(!info.status.is_final());
}

#[test]
fn names_on_the_wire_are_those_of_qemu() {
    let info = MigrationInfo {
        status: MigrationStatus::PreSwitchover,
        total_time: Some(1),
        error_desc: Some("e".into()),
        ram: Some(RamStats::default()),
        landfall: Some(LandfallMigration::default()),
        ..MigrationInfo::default()
    };
    let shown = serde_json::to_value(info).unwrap();
    assert_eq!(shown["status"], "pre-switchover");
    assert_eq!(shown["total-time"], 1);
    assert_eq!(shown["error-desc"], "e");
    assert_eq!(shown["ram"]["dirty-pages-rate"], 0);
    assert_eq!(shown["x-landfall"]["dirty_rate_bytes_per_second"], 0.0);
    assert!(shown.get("cpu-throttle-percentage").is_none());
}
