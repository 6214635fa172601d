//! A destination that cannot or will not take the guest says why, and the guest goes on.

use std::process::Output;

use landfall_migrate::report::Outcome;
use landfall_migrate::wire::{Hello, Message};

use crate::frame::{Frame, Tag};
use crate::machine::{NARROW, landfall};
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
