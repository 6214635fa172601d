use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::Identity;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn request(name: &str) -> Request {
    Request { name: name.to_owned(), addresses: vec!["127.0.0.1".to_owned()], valid: YEAR }
}

#[test]
fn a_host_is_given_a_certificate_and_a_key_that_only_it_can_read() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), "lab", YEAR).unwrap();
    let at = folder.path().join("host-a");
    authority.issue(&request("host-a"), &at).unwrap();
    for key in [at.join(KEY_FILE), folder.path().join("ca").join(CA_KEY_FILE)] {
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{key:?}");
    }
    assert_eq!(at.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let identity = Identity::load(&at).unwrap();
    let certificate = identity.certificate();
    assert_eq!(certificate.names, ["host-a", "127.0.0.1"]);
    assert_eq!(certificate.issuer, "lab");
    let left = certificate.ends.duration_since(SystemTime::now()).unwrap();
    assert!(left <= YEAR && left > YEAR - Duration::from_secs(3600), "{left:?}");
    assert!(certificate.begins < SystemTime::now());
}

#[test]
fn an_authority_that_is_there_is_never_written_over() {
    let folder = TempDir::new().unwrap();
    Authority::create(folder.path(), "first", YEAR).unwrap();
    let before = files::read(&folder.path().join(CA_KEY_FILE)).unwrap();
    let again = Authority::create(folder.path(), "second", YEAR);
    assert!(matches!(again, Err(IdentityError::Exists { .. })), "{again:?}");
    assert_eq!(files::read(&folder.path().join(CA_KEY_FILE)).unwrap(), before);
}

#[test]
fn a_host_that_has_a_certificate_is_not_given_another_by_chance() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), "lab", YEAR).unwrap();
    let at = folder.path().join("host");
    authority.issue(&request("host"), &at).unwrap();
    let again = authority.issue(&request("host"), &at);
    assert!(matches!(again, Err(IdentityError::Exists { .. })), "{again:?}");
}

#[test]
fn a_renewed_certificate_is_for_the_same_key() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), "lab", YEAR).unwrap();
    let at = folder.path().join("host");
    authority.issue(&request("host"), &at).unwrap();
    let key = files::read(&at.join(KEY_FILE)).unwrap();
    let reopened = Authority::open(&folder.path().join("ca")).unwrap();
    let addresses = vec!["10.0.0.7".to_owned()];
    reopened.renew(&Request { addresses, ..request("host") }, &at).unwrap();
    assert_eq!(files::read(&at.join(KEY_FILE)).unwrap(), key);
    let names = &Identity::load(&at).unwrap().certificate().names.clone();
    assert_eq!(names, &["host", "10.0.0.7"]);
}

#[test]
fn what_no_host_is_called_is_refused_before_anything_is_written() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), "lab", YEAR).unwrap();
    for name in ["", "two words", "-", "a..b"] {
        let at = folder.path().join("host");
        let refused = authority.issue(&request(name), &at);
        assert!(matches!(refused, Err(IdentityError::Name { .. })), "'{name}': {refused:?}");
        assert!(!at.join(KEY_FILE).exists());
    }
}

#[test]
fn a_validity_without_end_is_refused() {
    let folder = TempDir::new().unwrap();
    let refused = Authority::create(folder.path(), "lab", Duration::MAX);
    assert!(matches!(refused, Err(IdentityError::Validity)), "{refused:?}");
    assert!(!folder.path().join(CA_KEY_FILE).exists());
}
