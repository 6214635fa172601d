//! What a destination says to those who speak to it by themselves.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use landfall_migrate::ReceiveError;
use landfall_migrate::machine::PageIndex;
use landfall_migrate::options::{Options, Uri};
use landfall_migrate::report::Outcome;
use landfall_migrate::wire::{
    Decoder, Encoder, Finish, Hello, MAX_CHANNELS, Message, PageRun, VERSION,
};

use crate::guest::{Guest, Shape};
use crate::place::{Folder, Waiting, migrate};
use crate::rights;

pub(crate) struct Speaker {
    stream: UnixStream,
    encoder: Encoder,
    decoder: Decoder,
}

impl Speaker {
    fn to(destination: &Waiting) -> Self {
        let Uri::Unix(path) = &destination.uri else { panic!("unix only") };
        let stream = UnixStream::connect(path).unwrap();
        Self { stream, encoder: Encoder::default(), decoder: Decoder::default() }
    }

    pub(crate) fn say(&mut self, message: &Message) {
        self.encoder.write(&mut self.stream, message).unwrap();
    }

    /// Says something with which `descriptors` go along.
    pub(crate) fn pass(&mut self, message: &Message, descriptors: &[OwnedFd]) {
        let mut frame = Vec::new();
        self.encoder.write(&mut frame, message).unwrap();
        rights::write_all(&self.stream, &frame, descriptors).unwrap();
    }

    pub(crate) fn hear(&mut self) -> Message {
        self.decoder.read(&mut self.stream).unwrap()
    }

    fn greet(&mut self, oldest_version: u16, newest_version: u16) -> Message {
        self.say(&Message::Hello(Hello {
            oldest_version,
            newest_version,
            channel: 0,
            channels: 1,
            migration: 1,
        }));
        self.hear()
    }

    /// A source that was welcomed.
    pub(crate) fn welcomed(destination: &Waiting) -> Self {
        let mut speaker = Self::to(destination);
        assert!(matches!(speaker.greet(VERSION, VERSION), Message::Welcome(_)));
        speaker
    }

    /// A source that has come as far as the first pass.
    pub(crate) fn accepted(destination: &Waiting) -> Self {
        let mut speaker = Self::welcomed(destination);
        speaker.say(&Message::Configuration(serde_json::to_vec(&Shape::busy()).unwrap()));
        assert_eq!(speaker.hear(), Message::Accepted);
        speaker
    }
}

#[test]
fn a_source_from_the_future_is_met_at_the_version_that_both_speak() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let mut speaker = Speaker::to(&destination);
    let Message::Welcome(welcome) = speaker.greet(VERSION, VERSION + 1) else { panic!() };
    assert_eq!(welcome.version, VERSION);
    drop(speaker);
    destination.assert_nothing();
}

#[test]
fn a_source_that_is_too_new_or_too_old_is_told_so() {
    for (oldest, newest) in [(VERSION + 1, VERSION + 2), (0, 0)] {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        let mut speaker = Speaker::to(&destination);
        let Message::Failed { reason } = speaker.greet(oldest, newest) else { panic!() };
        assert!(reason.contains("same version"), "{reason}");
        assert!(matches!(destination.assert_nothing(), ReceiveError::Version(..)));
    }
}

#[test]
fn a_channel_of_no_migration_is_told_so_and_another_may_come() {
    for (channel, channels) in [(1, 4), (0, 0), (0, MAX_CHANNELS + 1), (4, 4)] {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        let mut speaker = Speaker::to(&destination);
        let (oldest_version, newest_version) = (VERSION, VERSION);
        let hello = Hello { oldest_version, newest_version, channel, channels, migration: 1 };
        speaker.say(&Message::Hello(hello));
        let Message::Failed { reason } = speaker.hear() else { panic!() };
        assert!(reason.contains("none of the migration's"), "{reason}");
        drop(speaker);
        drop(Speaker::accepted(&destination));
        destination.assert_nothing();
    }
}

#[test]
fn a_channel_of_another_migration_does_not_stand_for_one_that_is_awaited() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let mut speaker = Speaker::to(&destination);
    let (oldest_version, newest_version) = (VERSION, VERSION);
    let hello = |channel, migration| {
        let channels = 2;
        Message::Hello(Hello { oldest_version, newest_version, channel, channels, migration })
    };
    speaker.say(&hello(0, 1));
    assert!(matches!(speaker.hear(), Message::Welcome(_)));
    let mut stranger = Speaker::to(&destination);
    stranger.say(&hello(1, 2));
    assert!(matches!(stranger.hear(), Message::Failed { .. }));
    let mut further = Speaker::to(&destination);
    further.say(&hello(1, 1));
    assert!(matches!(further.hear(), Message::Welcome(_)));
    speaker.say(&Message::Configuration(serde_json::to_vec(&Shape::busy()).unwrap()));
    assert_eq!(speaker.hear(), Message::Accepted);
    // Only what every channel has come to the end of is received.
    speaker.say(&Message::PassEnd { pass: 1 });
    further.say(&Message::PassEnd { pass: 1 });
    assert_eq!(speaker.hear(), Message::PassReceived { pass: 1 });
    // Nothing but pages may come on it.
    further.say(&Message::State(vec![1]));
    assert!(matches!(speaker.hear(), Message::Failed { .. }));
    drop(speaker);
    destination.assert_nothing();
}

#[test]
fn strangers_do_not_keep_a_guest_from_coming_in() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let Uri::Unix(path) = &destination.uri else { panic!() };
    drop(UnixStream::connect(path).unwrap());
    let mut stranger = UnixStream::connect(path).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let _ = stranger.read(&mut [0; 1]);
    let guest = Guest::running(&Shape::calm());
    let report = migrate(&guest, &Options::to(destination.uri.clone()));
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    destination.arrived().assert_goes_on();
}

#[test]
fn a_destination_that_has_seen_a_stranger_can_still_be_told_to_stop_waiting() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let Uri::Unix(path) = &destination.uri else { panic!() };
    let mut stranger = UnixStream::connect(path).unwrap();
    stranger.write_all(&[0; 64]).unwrap();
    let _ = stranger.read(&mut [0; 1]);
    destination.handle.cancel();
    assert!(matches!(destination.assert_nothing(), ReceiveError::Cancelled));
}

#[test]
fn pages_outside_of_the_guests_memory_end_it_before_they_are_written() {
    let outside = [PageIndex(2048), PageIndex(6143), PageIndex(u64::MAX)];
    for first in outside {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        let mut speaker = Speaker::accepted(&destination);
        speaker.say(&Message::Pages { first, data: vec![1; 8192] });
        assert!(matches!(speaker.hear(), Message::Failed { .. }));
        assert!(matches!(destination.assert_nothing(), ReceiveError::Memory(_)));
        let destination = Waiting::at(&folder.socket("e"));
        let mut speaker = Speaker::accepted(&destination);
        speaker.say(&Message::ZeroPages(vec![PageRun { first, count: 2 }]));
        assert!(matches!(speaker.hear(), Message::Failed { .. }));
        assert!(matches!(destination.assert_nothing(), ReceiveError::Memory(_)));
    }
}

#[test]
fn an_end_without_a_state_is_none() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let mut speaker = Speaker::accepted(&destination);
    speaker.say(&Message::Finish(Finish { digest: None }));
    assert!(matches!(speaker.hear(), Message::Failed { .. }));
    destination.assert_nothing();
}

#[test]
fn a_commit_before_the_destination_is_ready_starts_nothing() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let mut speaker = Speaker::accepted(&destination);
    speaker.say(&Message::Commit(landfall_migrate::wire::Commit { run: true }));
    assert!(matches!(speaker.hear(), Message::Failed { .. }));
    destination.assert_nothing();
}
