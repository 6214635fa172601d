//! `landfall cert`, on real files.

use std::process::Output;

use tempfile::TempDir;

use crate::monitor::landfall;

fn cert(folder: &TempDir, arguments: &[&str]) -> Output {
    landfall().arg("cert").args(arguments).current_dir(folder.path()).output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn an_authority_gives_certificates_out_and_renews_them() {
    let folder = TempDir::new().unwrap();
    let made = cert(&folder, &["ca", "ca", "--name", "lab"]);
    assert!(made.status.success(), "{made:?}");
    assert!(said(&made).0.contains("ca-key.pem"), "{made:?}");
    let node = ["node", "host-a", "--ca", "ca", "--address", "10.0.0.7"];
    let given = cert(&folder, &node);
    assert!(given.status.success(), "{given:?}");
    let shown = said(&cert(&folder, &["show", "host-a"])).0;
    assert!(shown.contains("host     host-a, 10.0.0.7"), "{shown}");
    assert!(shown.contains("by       lab"), "{shown}");
    assert!(shown.contains("364 days from now"), "{shown}");
    let again = cert(&folder, &node);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).1.contains("--renew"), "{again:?}");
    let renewed = cert(&folder, &["node", "host-a", "--ca", "ca", "--renew", "--valid", "10days"]);
    assert!(said(&renewed).0.contains("9 days from now"), "{renewed:?}");
}

#[test]
fn an_authority_is_made_once() {
    let folder = TempDir::new().unwrap();
    assert!(cert(&folder, &["ca", "ca"]).status.success());
    let again = cert(&folder, &["ca", "ca"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).1.contains("is there already"), "{again:?}");
}

#[test]
fn where_there_is_no_authority_no_certificate_is_made() {
    let folder = TempDir::new().unwrap();
    let refused = cert(&folder, &["node", "host-a", "--ca", "nowhere"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).1.contains("nowhere/ca.pem cannot be read"), "{refused:?}");
    assert!(!folder.path().join("host-a").exists());
}
