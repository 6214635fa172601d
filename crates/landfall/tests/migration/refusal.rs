//! A destination that cannot or will not take the guest says why, and the guest goes on.

use std::process::Output;

use landfall_migrate::report::Outcome;
use landfall_migrate::wire::{Hello, Message};

use crate::frame::{Frame, Tag};
use crate::machine::{How, NARROW, WIDE, landfall};
use crate::pair::{BUSY, Guest, Pair, assert_ended};
use crate::proxy::{Fault, Moment};

#[test]
fn for_want_of_memory() {
    let mut pair = Pair::of(Guest { memory: "1GiB", ..BUSY });
    let destination = pair.small_destination();
    pair.source.migrate(destination.uri(), &NARROW);
    let report = pair.source.report();
    assert_ended(&report, Outcome::Failed, "this host cannot run the guest");
    assert_ended(&report, Outcome::Failed, "choose less, or free some");
    let words = destination.machine.last_words();
    assert!(words.contains("this host cannot run the guest"), "{words}");
    pair.assert_unharmed();
}

#[test]
fn for_a_version_that_it_does_not_speak() {
    fn from_the_future(_: Frame) -> Frame {
        let hello =
            Hello { oldest_version: 7, newest_version: 9, channel: 0, channels: 1, migration: 1 };
        Frame::of(&Message::Hello(hello))
    }
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let fault = Fault::Replace(from_the_future);
    let proxy = pair.migrate_with(&destination, NARROW, Moment::first(Tag::Hello), fault);
    proxy.wait_until_struck();
    let report = pair.source.report();
    assert_ended(&report, Outcome::Failed, "the source speaks versions 7 to 9 of the protocol");
    pair.assert_unharmed();
}

/// A guest with something that a version yet to come might send.
fn from_a_newer_landfall(frame: Frame) -> Frame {
    frame.with_json(|told| {
        let inside = if told.get("memory").is_some() { told } else { &mut told["devices"] };
        inside["tpm"] = serde_json::json!({ "version": 2 });
    })
}

#[test]
fn for_a_part_of_the_guest_that_it_does_not_know() {
    for (tag, name) in
        [(Tag::Configuration, "would lose: tpm"), (Tag::State, "would lose: devices.tpm")]
    {
        let mut pair = Pair::of(BUSY);
        let destination = pair.destination();
        let fault = Fault::Replace(from_a_newer_landfall);
        // A comparison of the two ends would find the change before anybody reads it.
        let how = How { verify: false, ..WIDE };
        let proxy = pair.migrate_with(&destination, how, Moment::first(tag), fault);
        proxy.wait_until_struck();
        let report = pair.source.report();
        assert_ended(&report, Outcome::Failed, name);
        assert_ended(&report, Outcome::Failed, "choose a destination with a newer version");
        pair.assert_unharmed();
    }
}

#[test]
fn because_nobody_is_there() {
    let mut pair = Pair::of(BUSY);
    let nowhere = format!("unix:{}", pair.socket("nowhere").display());
    let Output { status, stderr, .. } =
        landfall().arg("migrate").arg(pair.source.monitor()).arg(nowhere).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("is a destination waiting there?"), "{stderr}");
    let report = pair.source.report();
    assert_ended(&report, Outcome::Failed, "cannot be reached");
    pair.assert_unharmed();
}
