use super::*;

#[test]
fn what_was_not_asked_for_stays_as_the_machine_has_it() {
    let mut update = ParametersUpdate::default();
    SecurityArgs::default().add_to(&mut update, None);
    assert_eq!((update.tls_creds, update.insecure), (None, None));
    // The name is one destination's, and the next migration goes elsewhere.
    assert_eq!(update.tls_hostname.as_deref(), Some(""));
}

#[test]
fn an_identity_takes_the_place_of_whatever_was_there() {
    let mut update = ParametersUpdate::default();
    let tls_identity = Some(PathBuf::from("/etc/landfall/host-a"));
    SecurityArgs { tls_identity, insecure: false }.add_to(&mut update, Some("host-b"));
    assert_eq!(update.tls_creds.as_deref(), Some("/etc/landfall/host-a"));
    assert_eq!(update.insecure, Some(false));
    assert_eq!(update.tls_hostname.as_deref(), Some("host-b"));
}
