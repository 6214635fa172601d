//! A guest that is put into a file, and comes out of it as it was or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfall_migrate::machine::Source;
use landfall_migrate::snapshot::{SnapshotError, restore, write_snapshot};
use tempfile::TempDir;

use crate::guest::{Guest, Machine, Shape, TestHost};

/// A snapshot of a busy guest, and the guest.
fn taken() -> (TempDir, PathBuf, Arc<Guest>) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("snapshot");
    let guest = Guest::running(&Shape::busy());
    guest.wait_for_work();
    save(&guest, &file).unwrap();
    (folder, file, guest)
}

fn save(guest: &Arc<Guest>, file: &Path) -> Result<u64, SnapshotError> {
    let mut machine = Machine::of(guest);
    let ran = machine.pause().unwrap();
    let written = write_snapshot(&mut machine, file, ran);
    Source::resume(&mut machine).unwrap();
    written.map(|size| size.0)
}

/// Why the file gives no guest; a guest that was built for it must never have run.
fn refusal(file: &Path) -> SnapshotError {
    let mut host = TestHost::default();
    let error = restore(&mut host, file).unwrap_err();
    assert!(host.built.is_none_or(|guest| !guest.is_running()));
    error
}

#[test]
fn a_guest_goes_on_where_it_was_and_so_does_its_copy() {
    let (_folder, file, guest) = taken();
    guest.assert_goes_on();
    let mut host = TestHost::default();
    assert!(restore(&mut host, &file).unwrap());
    let copy = host.built.unwrap();
    copy.assert_goes_on();
    copy.assert_sound();
    guest.assert_sound();
}

#[test]
fn a_guest_that_was_paused_stays_so() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("snapshot");
    let guest = Guest::running(&Shape::busy());
    guest.wait_for_work();
    guest.pause();
    save(&guest, &file).unwrap();
    guest.assert_stands_still();
    let mut host = TestHost::default();
    assert!(!restore(&mut host, &file).unwrap());
    host.built.unwrap().assert_sound();
}

#[test]
fn zeros_take_no_room_and_nobody_else_may_read_it() {
    let (_folder, file, _guest) = taken();
    let found = fs::metadata(&file).unwrap();
    // Two vCPUs write half of 16 MiB.
    assert!(found.len() < (9 << 20), "{}", found.len());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let (_folder, file, guest) = taken();
    let before = fs::read(&file).unwrap();
    assert!(matches!(save(&guest, &file), Err(SnapshotError::Exists(_))));
    assert!(fs::read(&file).unwrap() == before);
    guest.assert_goes_on();
}

#[test]
fn a_file_that_was_cut_anywhere_gives_no_guest() {
    let (_folder, file, _guest) = taken();
    let whole = fs::read(&file).unwrap();
    let length = whole.len();
    for kept in [0, 1, 15, 28, 40, length / 3, length / 2, length - 25, length - 1] {
        fs::write(&file, &whole[..kept]).unwrap();
        assert!(matches!(refusal(&file), SnapshotError::Cut(_)), "{kept} bytes of {length}");
    }
}

#[test]
fn a_file_that_was_changed_anywhere_gives_no_guest() {
    let (_folder, file, _guest) = taken();
    let whole = fs::read(&file).unwrap();
    let lengths: Vec<_> =
        frames(&whole).iter().map(|frame| frame.start + 8..frame.start + 12).collect();
    for place in (0..whole.len()).step_by(whole.len() / 23) {
        let mut changed = whole.clone();
        changed[place] ^= 0x10;
        fs::write(&file, &changed).unwrap();
        let error = refusal(&file);
        let expected = match error {
            SnapshotError::Damaged { .. } | SnapshotError::NoSnapshot(_) => true,
            // A frame that says that it is longer than what is left.
            SnapshotError::Cut(_) => lengths.iter().any(|length| length.contains(&place)),
            _ => false,
        };
        assert!(expected, "byte {place}: {error:?}");
    }
}

/// Each frame is as it was written; one is missing, or there is more.
#[test]
fn frames_that_are_not_all_give_no_guest() {
    let (_folder, file, _guest) = taken();
    let whole = fs::read(&file).unwrap();
    let frames = frames(&whole);
    // Pages of the sweep lie in the middle.
    let middle = frames[frames.len() / 2].clone();
    let without = [&whole[..middle.start], &whole[middle.end..]].concat();
    fs::write(&file, without).unwrap();
    assert!(matches!(refusal(&file), SnapshotError::Digest(_)));
    fs::write(&file, [&whole[..], &whole[middle]].concat()).unwrap();
    assert!(matches!(refusal(&file), SnapshotError::Damaged { .. }));
}

/// Where each frame of `bytes` is.
fn frames(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        let end = at + 16 + usize::try_from(length).unwrap();
        frames.push(at..end);
        at = end;
    }
    frames
}

#[test]
fn something_else_is_no_snapshot() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("text");
    fs::write(&file, "something else that is long enough").unwrap();
    assert!(matches!(refusal(&file), SnapshotError::NoSnapshot(_)));
    assert!(matches!(refusal(&folder.path().join("none")), SnapshotError::Open { .. }));
}

#[test]
fn a_snapshot_that_cannot_be_made_leaves_the_guest_as_it_was() {
    let guest = Guest::running(&Shape::busy());
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("none/snapshot");
    assert!(matches!(save(&guest, &nowhere), Err(SnapshotError::Create { .. })));
    guest.assert_goes_on();
    guest.assert_sound();
}
