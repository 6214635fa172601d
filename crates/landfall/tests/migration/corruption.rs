//! Bytes that change on their way never reach the guest.

use landfall_migrate::report::Outcome;

use crate::frame::{Frame, Tag};
use crate::machine::NARROW;
use crate::pair::{BUSY, Pair, assert_ended};
use crate::proxy::{Fault, Moment};

const BIT_IN_PAYLOAD: Fault = Fault::Replace(Frame::with_payload_bit_flipped);

fn corrupted_at(moment: Moment, fault: Fault, words: &str) {
    let mut pair = Pair::of(BUSY);
    corrupted_in(&mut pair, moment, fault, words);
    pair.assert_unharmed();
}

fn corrupted_in(pair: &mut Pair, moment: Moment, fault: Fault, words: &str) {
    let destination = pair.destination();
    let how = NARROW.impatient();
    let proxy = pair.migrate_with(&destination, how, moment, fault);
    proxy.wait_until_struck();
    let report = pair.source.report();
    assert_ended(&report, Outcome::Failed, words);
}

#[test]
fn in_the_first_pages() {
    corrupted_at(Moment::first(Tag::Pages), BIT_IN_PAYLOAD, "corrupted on its way");
}

#[test]
fn in_pages_of_the_last_pass() {
    let mut pair = Pair::of(BUSY);
    let moment = Moment::in_switchover(Tag::Pages, pair.source.monitor());
    corrupted_in(&mut pair, moment, BIT_IN_PAYLOAD, "corrupted on its way");
    pair.assert_unharmed();
}

#[test]
fn in_the_state() {
    corrupted_at(Moment::first(Tag::State), BIT_IN_PAYLOAD, "corrupted on its way");
}

#[test]
fn in_the_configuration() {
    corrupted_at(Moment::first(Tag::Configuration), BIT_IN_PAYLOAD, "corrupted on its way");
}

#[test]
fn in_what_the_destination_answers() {
    corrupted_at(Moment::first(Tag::Ready), BIT_IN_PAYLOAD, "corrupted on its way");
}

#[test]
fn in_the_greeting() {
    corrupted_at(
        Moment::first(Tag::Hello),
        BIT_IN_PAYLOAD,
        "the connection to the destination was lost",
    );
}

#[test]
fn in_any_field_of_a_header() {
    let mut pair = Pair::of(BUSY);
    for (index, words) in [
        (0, "does not speak Landfall's migration protocol"),
        (4, "a message of unknown kind 21"),
        (6, "flags that this version does not know"),
        // Sixteen bytes more or less: what follows is taken for a part of it, or the other way round.
        (8, "corrupted on its way"),
        (11, "a message of 268"),
        (12, "corrupted on its way"),
    ] {
        let moment = Moment::nth(Tag::Pages, 2);
        corrupted_in(&mut pair, moment, Fault::CorruptHeader(index), words);
        pair.source.assert_runs();
    }
    pair.assert_unharmed();
}

#[test]
fn in_the_length_of_the_last_message_so_that_more_is_waited_for() {
    let words = "the destination has not answered within 1.5s";
    corrupted_at(Moment::first(Tag::Finish), Fault::CorruptHeader(8), words);
}
