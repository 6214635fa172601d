//! Guests that go from one host to another, where others could look on.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use landfall_converge::Policy;
use landfall_identity::{Authority, Request};
use landfall_migrate::options::{Options, Security, Uri};
use landfall_migrate::report::{Outcome, Report};
use landfall_migrate::{Listener, ReceiveError};
use tempfile::TempDir;

use crate::guest::{Guest, Shape, TestHost};
use crate::place::{UnderWay, Waiting, migrate, narrow};

/// Hosts of one authority; all of them are called localhost unless told otherwise.
struct Lab {
    folder: TempDir,
    authority: Authority,
}

impl Lab {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let valid = Duration::from_secs(86_400);
        let authority = Authority::create(&folder.path().join("ca"), "lab", valid).unwrap();
        Self { folder, authority }
    }

    fn identity(&self, name: &str) -> PathBuf {
        let at = self.folder.path().join(name);
        let valid = Duration::from_secs(86_400);
        let request = Request { name: name.to_owned(), addresses: vec![], valid };
        self.authority.issue(&request, &at).unwrap();
        at
    }

    fn host(&self, name: &str) -> Security {
        Security { identity: Some(self.identity(name)), ..Security::default() }
    }

    fn destination(&self, name: &str) -> Waiting {
        let anywhere = Uri::Tls("localhost:0".to_owned());
        Waiting::secured(&anywhere, &self.host(name), TestHost::default())
    }
}

fn migrate_as(destination: &Waiting, security: Security) -> Report {
    let guest = Guest::running(&Shape::busy());
    let report = migrate(&guest, &Options { security, ..Options::to(destination.uri.clone()) });
    assert_eq!(report.outcome, Outcome::Failed, "{:?}", report.reason);
    guest.assert_goes_on();
    report
}

/// A guest still arrives at `destination`, whoever was there before.
fn assert_arrives(lab: &Lab, destination: Waiting) {
    let guest = Guest::running(&Shape::calm());
    let security = lab.host("source");
    let options = Options { security, verify: true, ..Options::to(destination.uri.clone()) };
    let report = migrate(&guest, &options);
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    assert_eq!(report.integrity, "ok");
    guest.assert_stands_still();
    destination.arrived().assert_goes_on();
}

fn assert_told(report: &Report, words: &str) {
    let reason = report.reason.as_deref().unwrap();
    assert!(reason.contains(words), "{reason}");
}

#[test]
fn a_guest_that_outruns_the_link_arrives_over_tls() {
    for channels in [1, 5] {
        let lab = Lab::new();
        let destination = lab.destination("localhost");
        let guest = Guest::running(&Shape::busy());
        let options = Options { channels, ..narrow(&destination.uri, Policy::Adaptive) };
        let report = migrate(&guest, &Options { security: lab.host("a"), verify: true, ..options });
        assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
        assert_eq!(report.integrity, "ok");
        guest.assert_stands_still();
        destination.arrived().assert_goes_on();
    }
}

#[test]
fn one_without_an_identity_is_turned_away_and_another_may_come() {
    let lab = Lab::new();
    let destination = lab.destination("localhost");
    let Uri::Tls(address) = destination.uri.clone() else { panic!() };
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(b"LNDF, and more than the header of a record").unwrap();
    let guest = Guest::running(&Shape::busy());
    let options =
        Options { peer_timeout: Duration::from_secs(2), ..Options::to(Uri::Tcp(address)) };
    let report = migrate(&guest, &options);
    assert_eq!(report.outcome, Outcome::Failed, "{:?}", report.reason);
    guest.assert_goes_on();
    assert_told(&migrate_as(&destination, Security::default()), "needs an identity");
    assert_arrives(&lab, destination);
}

#[test]
fn a_destination_that_does_not_speak_tls_is_told_from_one_that_broke() {
    let lab = Lab::new();
    let listening = Uri::Tcp("localhost:0".to_owned());
    let destination = Waiting::secured(&listening, &Security::default(), TestHost::default());
    let Uri::Tcp(address) = &destination.uri else { panic!("it listens over TCP") };
    let guest = Guest::running(&Shape::busy());
    let security = lab.host("source");
    let options = Options { security, ..Options::to(Uri::Tls(address.clone())) };
    let report = migrate(&guest, &options);
    assert_eq!(report.outcome, Outcome::Failed, "{:?}", report.reason);
    assert_told(&report, "give it an identity, too");
    guest.assert_goes_on();
    // It waits for another as before.
    let guest = Guest::running(&Shape::calm());
    let report = migrate(&guest, &Options::to(destination.uri.clone()));
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    destination.arrived().assert_goes_on();
}

#[test]
fn one_of_another_authority_is_turned_away_and_another_may_come() {
    let (lab, elsewhere) = (Lab::new(), Lab::new());
    let destination = lab.destination("localhost");
    let report = migrate_as(&destination, elsewhere.host("stranger"));
    assert_told(&report, "another authority");
    // One that believes the destination, but that it does not know.
    let mixed = elsewhere.identity("mixed");
    std::fs::copy(lab.folder.path().join("ca/ca.pem"), mixed.join("ca.pem")).unwrap();
    let security = Security { identity: Some(mixed), ..Security::default() };
    assert_told(&migrate_as(&destination, security), "does not know the authority");
    assert_arrives(&lab, destination);
}

#[test]
fn a_destination_of_another_name_is_not_believed_unless_that_name_was_meant() {
    let lab = Lab::new();
    let destination = lab.destination("elsewhere");
    let report = migrate_as(&destination, lab.host("a"));
    assert_told(&report, "is not for localhost, but for elsewhere");
    let guest = Guest::running(&Shape::calm());
    let security = Security { peer_name: Some("elsewhere".to_owned()), ..lab.host("b") };
    let report = migrate(&guest, &Options { security, ..Options::to(destination.uri.clone()) });
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    destination.arrived().assert_goes_on();
}

#[test]
fn it_can_be_cancelled_at_either_end() {
    let lab = Lab::new();
    for at_source in [true, false] {
        let destination = lab.destination(if at_source { "localhost" } else { "127.0.0.1" });
        let guest = Guest::running(&Shape::busy());
        let security = Security {
            peer_name: (!at_source).then(|| "127.0.0.1".to_owned()),
            ..lab.host(if at_source { "a" } else { "b" })
        };
        let options = narrow(&destination.uri, Policy::Off);
        let under_way = UnderWay::begin(&guest, Options { security, ..options });
        under_way.wait_for(landfall_migrate::progress::Phase::Passes, 2);
        if at_source { &under_way.handle } else { &destination.handle }.cancel();
        let outcome = under_way.report().outcome;
        assert_eq!(outcome, if at_source { Outcome::Cancelled } else { Outcome::Failed });
        guest.assert_goes_on();
        destination.assert_nothing();
    }
}

#[test]
fn a_plain_connection_to_another_host_must_be_asked_for() {
    let guest = Guest::running(&Shape::busy());
    // An address of documentation: nobody is there, and nobody is asked.
    let options = Options::to(Uri::Tcp("192.0.2.1:4444".to_owned()));
    let report = migrate(&guest, &options);
    assert_eq!(report.outcome, Outcome::Failed);
    assert_told(&report, "--insecure");
    guest.assert_goes_on();
    let everywhere = Uri::Tcp("0.0.0.0:0".to_owned());
    let refused = Listener::bind(&everywhere, &Security::default());
    assert!(matches!(refused, Err(ReceiveError::Security(_))), "{refused:?}");
    let asked_for = Security { allow_plain: true, ..Security::default() };
    Listener::bind(&everywhere, &asked_for).unwrap();
}

#[test]
fn a_destination_without_an_identity_does_not_listen_for_tls() {
    let refused = Listener::bind(&Uri::Tls("127.0.0.1:0".to_owned()), &Security::default());
    assert!(matches!(refused, Err(ReceiveError::Security(_))), "{refused:?}");
}
