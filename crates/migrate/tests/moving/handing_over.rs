//! Guests whose memory itself is handed over, so that nothing is copied.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use landfall_converge::Limits;
use landfall_migrate::ReceiveError;
use landfall_migrate::machine::{PageIndex, Source as _};
use landfall_migrate::options::{Options, Uri};
use landfall_migrate::report::{Outcome, Report};
use landfall_migrate::wire::{Commit, Finish, Message, PageRun};

use crate::guest::{Guest, Machine, Shape, TestHost, Trouble};
use crate::place::{Folder, Waiting, migrate};
use crate::proxy::{At, Fate, Proxy};
use crate::speaking::Speaker;

fn hand_over(uri: &Uri) -> Options {
    Options { hand_over: true, verify: true, ..Options::to(uri.clone()) }
}

/// A busy guest, a destination for it, and a link between them in which something happens.
struct HandOver {
    folder: Folder,
    guest: Arc<Guest>,
    destination: Waiting,
}

impl HandOver {
    fn new() -> Self {
        Self::to(TestHost::default())
    }

    fn to(host: TestHost) -> Self {
        let folder = Folder::new();
        let destination = Waiting::with_host(&folder.socket("d"), host);
        Self { guest: Guest::running(&Shape::busy()), destination, folder }
    }

    fn begin(&self) -> Report {
        migrate(&self.guest, &hand_over(&self.destination.uri))
    }

    fn meets(&self, at: At, fate: Fate) -> (Report, Proxy) {
        let proxy = Proxy::new(&self.folder.socket("p"), &self.destination.uri, at, 1, fate);
        let late = fate == Fate::Hold;
        let peer_timeout = Duration::from_millis(if late { 1000 } else { 20_000 });
        (migrate(&self.guest, &Options { peer_timeout, ..hand_over(&proxy.uri) }), proxy)
    }

    /// The guest went on at the source, and nothing came in.
    fn assert_survived(self, report: &Report, words: &str) -> ReceiveError {
        let reason = report.reason.as_deref().unwrap_or_default();
        assert_eq!(report.outcome, Outcome::Failed, "{reason}");
        assert!(reason.contains(words), "'{words}' is not in: {reason}");
        self.guest.assert_goes_on();
        self.destination.handle.cancel();
        self.destination.assert_nothing()
    }
}

fn assert_handed_over(report: &Report) {
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    assert_eq!(report.integrity, "ok");
    assert!(report.hand_over);
    let pages = report.pages;
    assert_eq!(pages.zero + pages.raw + pages.delta + pages.compressed, 0);
    assert!(report.sent_bytes < 4096, "{}", report.sent_bytes);
    assert_eq!(report.passes, 0);
    assert_eq!(report.downtime_parts_ms.last_sync + report.downtime_parts_ms.last_pages, 0.0);
    assert!(report.downtime_ms > 0.0);
}

#[test]
fn a_busy_guest_is_handed_to_and_fro_in_the_same_memory() {
    let folder = Folder::new();
    let mut guest = Guest::running(&Shape::busy());
    for journey in 0..6 {
        let destination = Waiting::at(&folder.socket(&format!("d{journey}")));
        let report = migrate(&guest, &hand_over(&destination.uri));
        assert_handed_over(&report);
        assert!(!guest.is_running());
        guest = destination.arrived();
        guest.assert_goes_on();
    }
    // And page by page from there.
    let destination = Waiting::at(&folder.socket("elsewhere"));
    let report = migrate(&guest, &Options::to(destination.uri.clone()));
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    guest.assert_stands_still();
    destination.arrived().assert_goes_on();
}

#[test]
fn a_guest_that_was_paused_stays_paused() {
    let test = HandOver::new();
    test.guest.pause();
    assert_handed_over(&test.begin());
    let guest = test.destination.arrived();
    guest.assert_stands_still();
    guest.run();
    guest.assert_goes_on();
}

#[test]
fn nothing_is_handed_over_over_tcp_and_the_guest_goes_on() {
    let destination = Waiting::at(&Uri::Tcp("127.0.0.1:0".to_owned()));
    let guest = Guest::running(&Shape::busy());
    let report = migrate(&guest, &hand_over(&destination.uri));
    assert_eq!(report.outcome, Outcome::Failed);
    let reason = report.reason.unwrap();
    assert!(reason.contains("over a Unix socket; give unix:PATH"), "{reason}");
    guest.assert_goes_on();
    destination.handle.cancel();
    destination.assert_nothing();
}

#[test]
fn what_passes_on_bytes_alone_is_found_out_and_the_guest_goes_on() {
    let test = HandOver::new();
    let between = test.folder.socket("bytes");
    let (Uri::Unix(here), Uri::Unix(there)) = (&between, &test.destination.uri) else { panic!() };
    let (listener, there) = (UnixListener::bind(here).unwrap(), there.clone());
    thread::spawn(move || {
        let source = listener.accept().unwrap().0;
        let destination = UnixStream::connect(there).unwrap();
        for (from, to) in [(&source, &destination), (&destination, &source)] {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
    let report = migrate(&test.guest, &hand_over(&between));
    test.assert_survived(&report, "have them connect directly");
}

#[test]
fn a_destination_that_cannot_take_the_memory_over_says_why_and_the_guest_goes_on() {
    let host = TestHost { refusal: Some("the memory is not sealed"), ..TestHost::default() };
    let test = HandOver::to(host);
    let report = test.begin();
    test.assert_survived(&report, "the memory is not sealed");
}

#[test]
fn a_downtime_that_cannot_be_kept_is_not_begun() {
    let test = HandOver::new();
    let limits = Limits { max_downtime: Duration::from_millis(1), ..Limits::default() };
    let report = migrate(&test.guest, &Options { limits, ..hand_over(&test.destination.uri) });
    assert_eq!(report.outcome, Outcome::GaveUp, "{:?}", report.reason);
    assert!(report.reason.unwrap().contains("--max-downtime"));
    test.guest.assert_goes_on();
    test.destination.assert_nothing();
}

#[test]
fn whatever_happens_before_the_destination_is_ready_leaves_the_guest_at_the_source() {
    for fate in [Fate::Cut, Fate::Corrupt, Fate::Hold] {
        for at in At::HANDED_OVER_BEFORE_READY {
            let test = HandOver::new();
            let (report, proxy) = test.meets(at, fate);
            drop(proxy);
            test.assert_survived(&report, "");
        }
    }
}

#[test]
fn a_word_that_does_not_arrive_gives_nothing_away() {
    for fate in [Fate::Cut, Fate::Corrupt, Fate::Hold] {
        let test = HandOver::new();
        let (report, proxy) = test.meets(At::Commit, fate);
        assert_eq!(report.outcome, Outcome::Failed, "{fate:?}: {:?}", report.reason);
        test.guest.assert_goes_on();
        drop(proxy);
        let (arrival, guest) = test.destination.outcome();
        match arrival {
            // It does not know, and cannot run the guest, whoever wants it to.
            Ok(mut arrival) => {
                assert!(arrival.in_doubt && fate != Fate::Hold);
                assert!(!arrival.deed.as_mut().unwrap().take());
            }
            // The word was late.
            Err(error) => assert!(matches!(error, ReceiveError::CalledOff(_)), "{error:?}"),
        }
        assert!(!guest.unwrap().is_running());
        test.guest.assert_goes_on();
    }
}

#[test]
fn a_guest_that_runs_unheard_never_runs_at_the_source_again() {
    for fate in [Fate::Cut, Fate::Corrupt, Fate::Hold] {
        let test = HandOver::new();
        let (report, proxy) = test.meets(At::Running, fate);
        assert_eq!(report.outcome, Outcome::InDoubt, "{fate:?}: {:?}", report.reason);
        let reason = report.reason.unwrap();
        assert!(reason.contains("cannot run here again"), "{reason}");
        assert!(!test.guest.is_running());
        drop(proxy);
        test.destination.arrived().assert_goes_on();
        assert!(!test.guest.is_running());
    }
}

#[test]
fn a_destination_that_cannot_have_what_the_guest_needs_gives_it_back() {
    let trouble = Some(Trouble::Claiming);
    let test = HandOver::to(TestHost { trouble, ..TestHost::default() });
    let report = test.begin();
    let error = test.assert_survived(&report, "Claiming fails");
    assert!(matches!(error, ReceiveError::CalledOff(_)), "{error:?}");
}

#[test]
fn a_guest_that_does_not_start_where_it_was_taken_never_runs_at_the_source_again() {
    let trouble = Some(Trouble::Starting);
    let test = HandOver::to(TestHost { trouble, ..TestHost::default() });
    let report = test.begin();
    assert_eq!(report.outcome, Outcome::InDoubt, "{:?}", report.reason);
    assert!(report.reason.unwrap().contains("Starting fails"));
    assert!(!test.guest.is_running());
    let (arrival, guest) = test.destination.outcome();
    let mut arrival = arrival.unwrap();
    // An operator may try again there.
    assert!(arrival.in_doubt && arrival.deed.as_mut().unwrap().take());
    assert!(!guest.unwrap().is_running());
}

/// A source that speaks by itself: it has handed the memory of `guest` over, as far as *accepted*.
fn handed_over(destination: &Waiting, guest: &Arc<Guest>) -> Speaker {
    let mut speaker = Speaker::welcomed(destination);
    let source = Machine::of(guest);
    let files = source.memory_files().unwrap();
    let run = |file: &landfall_migrate::machine::MemoryFile| PageRun {
        first: file.first,
        count: file.count,
    };
    let runs = files.iter().map(run).collect();
    let mut descriptors: Vec<_> = files.into_iter().map(|file| file.file).collect();
    let (deed, mut writer) = io::pipe().unwrap();
    io::Write::write_all(&mut writer, &[1]).unwrap();
    descriptors.push(deed.into());
    speaker.pass(&Message::Memory(runs), &descriptors);
    speaker.say(&Message::Configuration(source.configuration()));
    assert_eq!(speaker.hear(), Message::Accepted);
    speaker
}

#[test]
fn no_page_is_written_to_memory_that_the_guest_runs_in() {
    let test = HandOver::new();
    let pages = [
        Message::Pages { first: PageIndex(0), data: vec![0xFF; 4096] },
        Message::ZeroPages(vec![PageRun { first: PageIndex(0), count: 1 }]),
    ];
    for (number, message) in pages.iter().enumerate() {
        let destination = Waiting::at(&test.folder.socket(&format!("d{number}")));
        let mut speaker = handed_over(&destination, &test.guest);
        speaker.say(message);
        let Message::Failed { reason } = speaker.hear() else { panic!() };
        assert!(reason.contains("something else than the state"), "{reason}");
        destination.assert_nothing();
        test.guest.assert_goes_on();
    }
}

#[test]
fn memory_without_its_files_is_refused() {
    let test = HandOver::new();
    let mut speaker = Speaker::welcomed(&test.destination);
    speaker.say(&Message::Memory(vec![PageRun { first: PageIndex(0), count: 64 }]));
    let Message::Failed { reason } = speaker.hear() else { panic!() };
    assert!(reason.contains("file descriptors did not come along"), "{reason}");
    let error = test.destination.assert_nothing();
    assert!(matches!(error, ReceiveError::NotHandedOver(_)), "{error:?}");
}

#[test]
fn a_guest_whose_source_ends_before_it_was_given_away_can_be_let_run_by_an_operator() {
    let test = HandOver::new();
    test.guest.pause();
    let mut speaker = handed_over(&test.destination, &test.guest);
    speaker.say(&Message::State(Machine::of(&test.guest).save().unwrap()));
    speaker.say(&Message::Finish(Finish { digest: None }));
    assert!(matches!(speaker.hear(), Message::Ready(_)));
    drop(speaker);
    let (arrival, guest) = test.destination.outcome();
    let mut arrival = arrival.unwrap();
    assert!(arrival.in_doubt && !guest.as_ref().unwrap().is_running());
    assert!(arrival.deed.as_mut().unwrap().take());
    guest.unwrap().run();
}

#[test]
fn a_commit_before_the_destination_is_ready_starts_nothing() {
    let test = HandOver::new();
    let mut speaker = handed_over(&test.destination, &test.guest);
    speaker.say(&Message::Commit(Commit { run: true }));
    assert!(matches!(speaker.hear(), Message::Failed { .. }));
    test.destination.assert_nothing();
    test.guest.assert_goes_on();
}
