//! Guests whose pages are written down as fewer bytes than they have.

use std::time::Duration;

use landfall_converge::{ByteRate, Policy};
use landfall_migrate::ReceiveError;
use landfall_migrate::machine::PageIndex;
use landfall_migrate::options::{EncodingChoice, Options, Uri};
use landfall_migrate::report::{Outcome, PageCounts, Report};
use landfall_migrate::wire::{Encoding, Message, PageRun};

use crate::guest::{Guest, Shape};
use crate::place::{Folder, UnderWay, Waiting, migrate, narrow};
use crate::proxy::{At, Fate, Proxy, Strike};
use crate::speaking::Speaker;

const CHOICES: [EncodingChoice; 4] =
    [EncodingChoice::Auto, EncodingChoice::Delta, EncodingChoice::Lz4, EncodingChoice::Zstd];

/// How many channels, and which of them is struck: the first carries what is said, too. Of eight some have no stretch of the
/// guest's memory, in whatever order they come.
const PLACES: [(u16, Option<u16>); 5] =
    [(1, Some(0)), (2, Some(1)), (4, Some(0)), (4, Some(3)), (8, None)];
/// More than the guest has stretches of 2 MiB, so that many have nothing to send.
const MANY: u16 = 128;

fn assert_arrived(report: &Report) {
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    assert_eq!(report.integrity, "ok");
}

/// By one encoding over one channel and several; `expects` looks at how pages were sent.
fn a_busy_guest_arrives(encoding: EncodingChoice, expects: fn(PageCounts) -> bool) {
    for channels in [1, 2, 3, 4, 8, 128] {
        let destination = Waiting::at(&Uri::Tcp("127.0.0.1:0".to_owned()));
        let guest = Guest::running(&Shape::busy());
        let options = narrow(&destination.uri, Policy::Adaptive);
        // So slow that it takes some passes whatever is made of the pages.
        let max_bandwidth = Some(ByteRate::new(15e6));
        let options = Options { channels, encoding, max_bandwidth, verify: true, ..options };
        let report = migrate(&guest, &options);
        assert_arrived(&report);
        assert!(expects(report.pages), "{channels}: {:?}", report.pages);
        guest.assert_stands_still();
        destination.arrived().assert_goes_on();
    }
}

#[test]
fn a_busy_guest_arrives_whole_by_auto_over_one_channel_and_several() {
    a_busy_guest_arrives(EncodingChoice::Auto, |pages| pages.delta > 0);
}

#[test]
fn a_busy_guest_arrives_whole_by_deltas_over_one_channel_and_several() {
    a_busy_guest_arrives(EncodingChoice::Delta, |pages| pages.delta > 0 && pages.compressed == 0);
}

#[test]
fn a_busy_guest_arrives_whole_by_lz4_over_one_channel_and_several() {
    a_busy_guest_arrives(EncodingChoice::Lz4, |pages| pages.compressed > 0 && pages.delta == 0);
}

#[test]
fn a_busy_guest_arrives_whole_by_zstd_over_one_channel_and_several() {
    a_busy_guest_arrives(EncodingChoice::Zstd, |pages| pages.compressed > 0 && pages.delta == 0);
}

#[test]
fn a_busy_guest_arrives_whole_as_it_is_over_one_channel_and_several() {
    a_busy_guest_arrives(EncodingChoice::None, |pages| {
        pages.raw > 0 && pages.delta == 0 && pages.compressed == 0
    });
}

/// Every encoding at every place, and one of them over so many channels that it takes longest to connect. Deltas come late, and
/// not on every channel: they are struck wherever the first is met.
fn cases() -> impl Iterator<Item = (EncodingChoice, (u16, Option<u16>))> {
    let late = |encoding| matches!(encoding, EncodingChoice::Auto | EncodingChoice::Delta);
    let places = move |encoding| {
        PLACES.map(|(channels, struck)| (encoding, (channels, struck.filter(|_| !late(encoding)))))
    };
    CHOICES.into_iter().flat_map(places).chain([(EncodingChoice::Auto, (MANY, None))])
}

#[test]
fn a_guest_moves_to_and_fro_by_deltas_and_never_finds_a_wrong_page() {
    let folder = Folder::new();
    let mut guest = Guest::running(&Shape::busy());
    for (journey, encoding) in CHOICES.into_iter().cycle().take(8).enumerate() {
        let destination = Waiting::at(&folder.socket(&format!("d{journey}")));
        let options = narrow(&destination.uri, Policy::Adaptive);
        let max_bandwidth = Some(ByteRate::new(20e6));
        let report = migrate(&guest, &Options { encoding, max_bandwidth, verify: true, ..options });
        assert_arrived(&report);
        guest.assert_stands_still();
        guest = destination.arrived();
        guest.assert_goes_on();
    }
}

#[test]
fn a_delta_that_works_is_less_to_send_and_less_to_throttle_for() {
    // It writes three words of each page, some 80 MB of pages a second.
    let plain = arrive(EncodingChoice::None);
    assert!(plain.stolen_ms > 0.0);
    let auto = arrive(EncodingChoice::Auto);
    assert!(auto.stolen_ms < plain.stolen_ms, "{} {}", auto.stolen_ms, plain.stolen_ms);
    assert!(auto.sent_bytes < plain.sent_bytes);
}

fn arrive(encoding: EncodingChoice) -> Report {
    let destination = Waiting::at(&Uri::Tcp("127.0.0.1:0".to_owned()));
    let guest = Guest::running(&Shape { pace: 10_000, ..Shape::busy() });
    let options = narrow(&destination.uri, Policy::Adaptive);
    let max_bandwidth = Some(ByteRate::new(30e6));
    let mut options = Options { encoding, max_bandwidth, verify: true, ..options };
    options.limits.max_downtime = Duration::from_millis(60);
    let report = migrate(&guest, &options);
    assert_arrived(&report);
    destination.arrived().assert_goes_on();
    report
}

#[test]
fn encoded_pages_that_were_changed_on_their_way_are_never_believed() {
    for (encoding, (channels, struck)) in cases() {
        for fate in [Fate::Corrupt, Fate::Cut] {
            let folder = Folder::new();
            let destination = Waiting::at(&folder.socket("d"));
            let strike = Strike { channels, struck, at: At::EncodedPages, nth: 1, fate };
            let proxy = Proxy::between(&folder.socket("p"), &destination.uri, strike);
            let guest = Guest::running(&Shape::busy());
            let options = narrow(&proxy.uri, Policy::Adaptive);
            let max_bandwidth = Some(ByteRate::new(15e6));
            let report = migrate(&guest, &Options { channels, encoding, max_bandwidth, ..options });
            let case = (fate, encoding, channels, struck);
            assert_eq!(report.outcome, Outcome::Failed, "{case:?}: {:?}", report.reason);
            guest.assert_goes_on();
            drop(proxy);
            destination.handle.cancel();
            destination.assert_nothing();
        }
    }
}

#[test]
fn it_can_be_cancelled_in_the_middle_of_an_encoded_run() {
    for (encoding, (channels, struck)) in cases() {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        let strike = Strike { channels, struck, at: At::EncodedPages, nth: 1, fate: Fate::Hold };
        let proxy = Proxy::between(&folder.socket("p"), &destination.uri, strike);
        let guest = Guest::running(&Shape::busy());
        let options = narrow(&proxy.uri, Policy::Adaptive);
        let max_bandwidth = Some(ByteRate::new(15e6));
        let options = Options { channels, encoding, max_bandwidth, ..options };
        let under_way = UnderWay::begin(&guest, options);
        proxy.wait();
        under_way.handle.cancel();
        let report = under_way.report();
        assert_eq!(report.outcome, Outcome::Cancelled, "{encoding:?} {channels} {struck:?}");
        guest.assert_goes_on();
        drop(proxy);
        destination.handle.cancel();
        destination.assert_nothing();
    }
}

#[test]
fn what_is_no_encoding_ends_it_before_a_page_is_written() {
    for encoding in [Encoding::Delta, Encoding::Lz4, Encoding::Zstd] {
        for (first, data) in [(0, vec![0xff; 100]), (2047, vec![0; 8]), (u64::MAX, vec![0; 8])] {
            let folder = Folder::new();
            let destination = Waiting::at(&folder.socket("d"));
            let mut speaker = Speaker::accepted(&destination);
            let run = PageRun { first: PageIndex(first), count: 2 };
            speaker.say(&Message::EncodedPages { run, encoding, data });
            assert!(matches!(speaker.hear(), Message::Failed { .. }));
            let error = destination.assert_nothing();
            assert!(matches!(error, ReceiveError::Wire(_) | ReceiveError::Memory(_)), "{error:?}");
        }
    }
}
