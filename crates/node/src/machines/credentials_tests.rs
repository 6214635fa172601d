use tempfile::TempDir;

use super::*;

#[test]
fn a_qemu_finds_the_identity_as_it_is_now_under_its_own_names() {
    let folder = TempDir::new().unwrap();
    let (identity, own) = (folder.path().join("identity"), folder.path().join("web1"));
    fs::create_dir(&identity).unwrap();
    for file in [CA_FILE, CERTIFICATE_FILE, KEY_FILE] {
        fs::write(identity.join(file), file).unwrap();
    }
    let credentials = Credentials::new(&identity, &own);
    // What an earlier identity has left leads elsewhere.
    fs::create_dir_all(own.join("tls")).unwrap();
    symlink("/elsewhere/key.pem", own.join("tls/client-key.pem")).unwrap();
    for _ in 0..2 {
        credentials.lay_out().unwrap();
        for (name, file) in NAMES {
            assert_eq!(fs::read_to_string(own.join("tls").join(name)).unwrap(), file, "{name}");
        }
    }
    fs::write(identity.join(CERTIFICATE_FILE), "renewed").unwrap();
    for name in ["server-cert.pem", "client-cert.pem"] {
        assert_eq!(fs::read_to_string(own.join("tls").join(name)).unwrap(), "renewed");
    }
    let numbers = fs::read_to_string(own.join("tls/dh-params.pem")).unwrap();
    assert!(numbers.starts_with("-----BEGIN DH PARAMETERS-----"), "{numbers}");
}
