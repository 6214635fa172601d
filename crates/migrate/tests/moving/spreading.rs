//! Guests that arrive, or do not, over several channels at once.

use std::time::Duration;

use landfall_converge::{ByteRate, Limits, Policy};
use landfall_migrate::ReceiveError;
use landfall_migrate::machine::MemoryLayout;
use landfall_migrate::options::{EncodingChoice, Options, Uri};
use landfall_migrate::progress::Phase;
use landfall_migrate::report::Outcome;

use crate::guest::{Guest, Shape};
use crate::place::{Folder, UnderWay, Waiting, migrate, narrow};
use crate::proxy::{At, Fate, Proxy, Strike};

const CHANNELS: u16 = 4;

/// What passes on a channel other than the first.
const ON_FURTHER: [At; 4] = [At::Hello, At::Welcome, At::Pages, At::PassEnd];

#[test]
fn a_guest_that_outruns_the_link_arrives_over_any_number_of_channels() {
    // As much fits into the downtime each time. So many channels take longer to come to a stop.
    for (channels, slower) in [(2, 1), (3, 1), (8, 1), (128, 5)] {
        let destination = Waiting::at(&Uri::Tcp("127.0.0.1:0".to_owned()));
        let guest = Guest::running(&Shape::busy());
        let mut options = Options { channels, ..narrow(&destination.uri, Policy::Adaptive) };
        options.limits.max_downtime *= slower;
        options.max_bandwidth = options.max_bandwidth.map(|rate| rate * f64::from(slower).recip());
        let report = migrate(&guest, &Options { verify: true, ..options });
        assert_eq!(report.outcome, Outcome::Completed, "{channels}: {:?}", report.reason);
        assert_eq!(report.integrity, "ok");
        assert!(report.passes >= 2);
        guest.assert_stands_still();
        destination.arrived().assert_goes_on();
    }
}

/// It has enough to send that several numbers of channels are tried, and writes to all of it meanwhile.
#[test]
fn a_guest_arrives_whole_over_as_many_channels_as_are_found_to_be_faster() {
    let layout = MemoryLayout::new(vec![0..32_768, 65_536..66_048]).unwrap();
    let shape = Shape { layout, vcpus: 2, pages_per_vcpu: 16_384, pace: 100_000 };
    for encoding in [EncodingChoice::None, EncodingChoice::Delta, EncodingChoice::Auto] {
        for max_bandwidth in [None, Some(ByteRate::new(400e6))] {
            let destination = Waiting::at(&Uri::Tcp("127.0.0.1:0".to_owned()));
            let guest = Guest::running(&shape);
            let options = narrow(&destination.uri, Policy::Adaptive);
            // Both digests of so much memory take longer than the others here allow.
            let limits = Limits { max_downtime: Duration::from_secs(2), ..options.limits };
            let options = Options {
                channels: CHANNELS,
                channels_by_speed: true,
                encoding,
                max_bandwidth,
                limits,
                verify: true,
                ..options
            };
            let report = migrate(&guest, &options);
            assert_eq!(report.outcome, Outcome::Completed, "{encoding:?}: {:?}", report.reason);
            assert_eq!(report.integrity, "ok");
            assert!((1..=CHANNELS).contains(&report.channels));
            guest.assert_stands_still();
            destination.arrived().assert_goes_on();
        }
    }
}

#[test]
fn a_channel_over_which_nothing_is_to_go_is_not_taken_for_a_dead_one() {
    let patience = Duration::from_secs(2);
    let calm = Shape { pace: 20, ..Shape::calm() };
    // Next to nothing of it is in the first stretch.
    let layout = MemoryLayout::new(vec![0..64, 512..4608]).unwrap();
    let beyond = Shape { layout, vcpus: 1, pages_per_vcpu: 64, ..calm.clone() };
    // All but the first, where one is enough; and the first.
    for (shape, channels, channels_by_speed) in [(calm, CHANNELS, true), (beyond, 16, false)] {
        let destination = Waiting::with_patience(&Uri::Tcp("127.0.0.1:0".to_owned()), patience);
        let guest = Guest::running(&shape);
        let options = Options {
            channels,
            channels_by_speed,
            max_bandwidth: Some(ByteRate::new(0.5e6)),
            ..narrow(&destination.uri, Policy::Adaptive)
        };
        let report = migrate(&guest, &options);
        assert_eq!(report.outcome, Outcome::Completed, "{channels}: {:?}", report.reason);
        assert_eq!(report.channels, if channels_by_speed { 1 } else { channels });
        assert!(report.total_ms > 2.0 * patience.as_secs_f64() * 1000.0, "{}", report.total_ms);
        destination.arrived().assert_goes_on();
    }
}

#[test]
fn a_guest_moves_to_and_fro_over_several_channels() {
    let folder = Folder::new();
    let mut guest = Guest::running(&Shape::busy());
    for journey in 0..4 {
        let destination = Waiting::at(&folder.socket(&format!("d{journey}")));
        let options = narrow(&destination.uri, Policy::Adaptive);
        let report = migrate(&guest, &Options { channels: CHANNELS, ..options });
        assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
        guest.assert_stands_still();
        guest = destination.arrived();
        guest.assert_goes_on();
    }
}

#[test]
fn one_channel_that_breaks_ends_it_with_the_guest_at_the_source() {
    for (fate, at) in
        [Fate::Cut, Fate::Corrupt].into_iter().flat_map(|fate| ON_FURTHER.map(|at| (fate, at)))
    {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        let strike = Strike { channels: CHANNELS, struck: Some(2), at, nth: 1, fate };
        let proxy = Proxy::between(&folder.socket("p"), &destination.uri, strike);
        let guest = Guest::running(&Shape::busy());
        let options = narrow(&proxy.uri, Policy::Adaptive);
        let report = migrate(&guest, &Options { channels: CHANNELS, ..options });
        assert_eq!(report.outcome, Outcome::Failed, "{fate:?} {at:?}: {:?}", report.reason);
        guest.assert_goes_on();
        drop(proxy);
        destination.handle.cancel();
        destination.assert_nothing();
    }
}

#[test]
fn the_source_hears_what_was_wrong_on_a_further_channel() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let (at, fate) = (At::Pages, Fate::Corrupt);
    let strike = Strike { channels: CHANNELS, struck: Some(1), at, nth: 3, fate };
    let proxy = Proxy::between(&folder.socket("p"), &destination.uri, strike);
    let guest = Guest::running(&Shape::busy());
    let options = narrow(&proxy.uri, Policy::Adaptive);
    let report = migrate(&guest, &Options { channels: CHANNELS, ..options });
    assert_eq!(report.outcome, Outcome::Failed);
    let reason = report.reason.unwrap();
    assert!(reason.contains("checksum mismatch"), "{reason}");
    guest.assert_goes_on();
    let error = destination.assert_nothing();
    assert!(matches!(error, ReceiveError::Wire(_)), "{error:?}");
}

#[test]
fn it_can_be_cancelled_while_a_further_channel_is_stuck() {
    for at in ON_FURTHER {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        let strike = Strike { channels: CHANNELS, struck: Some(3), at, nth: 1, fate: Fate::Hold };
        let proxy = Proxy::between(&folder.socket("p"), &destination.uri, strike);
        let guest = Guest::running(&Shape::busy());
        let options = narrow(&proxy.uri, Policy::Adaptive);
        let under_way = UnderWay::begin(&guest, Options { channels: CHANNELS, ..options });
        proxy.wait();
        under_way.handle.cancel();
        let report = under_way.report();
        assert_eq!(report.outcome, Outcome::Cancelled, "{at:?}: {:?}", report.reason);
        guest.assert_goes_on();
        drop(proxy);
        destination.handle.cancel();
        destination.assert_nothing();
    }
}

#[test]
fn a_destination_that_is_cancelled_lets_all_channels_go() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let guest = Guest::running(&Shape::busy());
    let options = narrow(&destination.uri, Policy::Off);
    let under_way = UnderWay::begin(&guest, Options { channels: CHANNELS, ..options });
    under_way.wait_for(Phase::Passes, 2);
    destination.handle.cancel();
    assert_eq!(under_way.report().outcome, Outcome::Failed);
    guest.assert_goes_on();
    assert!(matches!(destination.assert_nothing(), ReceiveError::Cancelled));
}

#[test]
fn a_channel_that_says_nothing_any_more_is_noticed() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let strike =
        Strike { channels: CHANNELS, struck: Some(1), at: At::PassEnd, nth: 1, fate: Fate::Hold };
    let proxy = Proxy::between(&folder.socket("p"), &destination.uri, strike);
    let guest = Guest::running(&Shape::calm());
    let peer_timeout = Duration::from_millis(300);
    let options = Options { channels: CHANNELS, peer_timeout, ..Options::to(proxy.uri.clone()) };
    let report = migrate(&guest, &options);
    assert_eq!(report.outcome, Outcome::Failed, "{:?}", report.reason);
    guest.assert_goes_on();
    drop(proxy);
    destination.assert_nothing();
}
