use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::*;
use crate::files::Readers;
use crate::{Authority, CA_KEY_FILE, Request, describe, trusting};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Hosts of one authority.
struct Lab {
    folder: TempDir,
    authority: Authority,
}

impl Lab {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::create(&folder.path().join("ca"), "lab", YEAR).unwrap();
        Self { folder, authority }
    }

    fn host(&self, name: &str, valid: Duration) -> Identity {
        let at = self.folder.path().join(name);
        let request = Request { name: name.to_owned(), addresses: vec![], valid };
        self.authority.issue(&request, &at).unwrap();
        Identity::load(&at).unwrap()
    }

    fn authority_file(&self) -> PathBuf {
        self.folder.path().join("ca").join(CA_FILE)
    }

    fn host_of_last_year(&self, name: &str) -> Identity {
        self.host(name, YEAR);
        let (at, ca) = (self.folder.path().join(name), self.folder.path().join("ca"));
        let read = |path: PathBuf| files::read(&path).unwrap();
        let key = KeyPair::from_pem(&read(at.join(KEY_FILE))).unwrap();
        let ca_key = KeyPair::from_pem(&read(ca.join(CA_KEY_FILE))).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read(ca.join(CA_FILE)), ca_key).unwrap();
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.not_after = (SystemTime::now() - YEAR).into();
        let certificate = parameters.signed_by(&key, &issuer).unwrap().pem();
        files::replace(&at.join(CERTIFICATE_FILE), &certificate, Readers::All).unwrap();
        Identity::load(&at).unwrap()
    }
}

/// Says one word from a client to a server and gives it back: what each side made of it.
fn meet(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: &str,
) -> (Result<String, String>, Result<String, String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let socket = listener.accept().unwrap().0;
        let mut stream = StreamOwned::new(ServerConnection::new(server).unwrap(), socket);
        let mut word = [0; 5];
        stream.read_exact(&mut word).and_then(|()| stream.write_all(&word))?;
        Ok(String::from_utf8_lossy(&word).into_owned())
    });
    let said = (|| {
        let name = name_in(name).unwrap();
        let connection = ClientConnection::new(client, name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
        stream.write_all(b"hello")?;
        let mut word = [0; 5];
        stream.read_exact(&mut word)?;
        Ok(String::from_utf8_lossy(&word).into_owned())
    })();
    (said.map_err(told), serving.join().unwrap().map_err(told))
}

fn told(error: std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    inner.map_or_else(|| error.to_string(), describe)
}

#[test]
fn hosts_of_one_authority_speak_to_each_other() {
    let lab = Lab::new();
    let (a, b) = (lab.host("host-a", YEAR), lab.host("host-b", YEAR));
    let (client, server) = meet(a.client_config(), b.server_config(), "host-b:4444");
    assert_eq!((client.unwrap().as_str(), server.unwrap().as_str()), ("hello", "hello"));
}

#[test]
fn a_host_under_another_name_is_not_believed() {
    let lab = Lab::new();
    let (a, b) = (lab.host("host-a", YEAR), lab.host("host-b", YEAR));
    let (client, _) = meet(a.client_config(), b.server_config(), "host-c");
    let told = client.unwrap_err();
    assert!(told.contains("not for host-c, but for host-b"), "{told}");
}

#[test]
fn a_host_is_expected_by_its_name_whatever_its_address_is() {
    let lab = Lab::new();
    let (a, b) = (lab.host("host-a", YEAR), lab.host("host-b", YEAR));
    let client = a.client_config_for("host-b").unwrap();
    let (client, server) = meet(client, b.server_config(), "127.0.0.1");
    assert_eq!((client.unwrap().as_str(), server.unwrap().as_str()), ("hello", "hello"));
    let client = a.client_config_for("host-c").unwrap();
    let (client, _) = meet(client, b.server_config(), "host-b");
    let told = client.unwrap_err();
    assert!(told.contains("not for host-c, but for host-b"), "{told}");
}

#[test]
fn one_who_shows_nothing_is_let_in_where_others_than_hosts_may_come() {
    let (lab, other) = (Lab::new(), Lab::new());
    let server = lab.host("host-b", YEAR).open_server_config().unwrap();
    let stranger = trusting(&lab.authority_file(), Some("host-b")).unwrap();
    let (client, _) = meet(stranger, Arc::clone(&server), "127.0.0.1");
    assert_eq!(client.unwrap(), "hello");
    // Who shows something must show the right thing.
    let own = other.host("host-b", YEAR);
    let roots = Arc::new(authorities(&lab.authority_file()).unwrap());
    let wrong = ordinary(&roots, Some((own.chain, own.key.clone_key()))).unwrap();
    let (_, server) = meet(wrong, server, "host-b");
    assert!(server.unwrap_err().contains("another authority"));
}

#[test]
fn a_host_of_another_authority_is_believed_by_neither_side() {
    let (here, there) = (Lab::new(), Lab::new());
    let (a, b) = (here.host("host-a", YEAR), there.host("host-b", YEAR));
    let (client, _) = meet(a.client_config(), b.server_config(), "host-b");
    let told = client.unwrap_err();
    assert!(told.contains("another authority"), "{told}");
    // A client that trusts both, and a server that does not know the client's authority.
    let roots = authorities(&there.authority_file()).unwrap();
    let at = here.folder.path().join("host-a");
    let chain = certificates(&at.join(CERTIFICATE_FILE)).unwrap();
    let own = (chain, key(&at.join(KEY_FILE)).unwrap());
    let trusting = ordinary(&Arc::new(roots), Some(own));
    let (client, server) = meet(trusting.unwrap(), b.server_config(), "host-b");
    let told = server.unwrap_err();
    assert!(told.contains("another authority"), "{told}");
    assert!(client.is_err());
}

#[test]
fn a_stranger_without_a_certificate_is_turned_away() {
    let lab = Lab::new();
    let server = lab.host("host-b", YEAR);
    let stranger = trusting(&lab.authority_file(), None).unwrap();
    let (client, server) = meet(stranger, server.server_config(), "host-b");
    let told = server.unwrap_err();
    assert!(told.contains("no certificate"), "{told}");
    assert!(client.is_err());
}

#[test]
fn a_certificate_that_has_expired_is_worth_nothing() {
    let lab = Lab::new();
    let (fresh, stale) = (lab.host("host-a", YEAR), lab.host_of_last_year("host-b"));
    let (client, _) = meet(fresh.client_config(), stale.server_config(), "host-b");
    let told = client.unwrap_err();
    assert!(told.contains("expired"), "{told}");
    let (client, server) = meet(stale.client_config(), fresh.server_config(), "host-a");
    let told = server.unwrap_err();
    assert!(told.contains("expired"), "{told}");
    let told = client.unwrap_err();
    assert!(told.contains("this side's certificate has expired"), "{told}");
}

#[test]
fn one_who_does_not_speak_tls_is_told_apart() {
    let lab = Lab::new();
    let server = lab.host("host", YEAR).server_config();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plain = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    plain.write_all(b"LNDF, and more than a header is long").unwrap();
    let socket = listener.accept().unwrap().0;
    let mut stream = StreamOwned::new(ServerConnection::new(server).unwrap(), socket);
    let told = told(stream.read(&mut [0; 1]).unwrap_err());
    assert!(told.contains("does not speak TLS"), "{told}");
}

#[test]
fn what_does_not_belong_together_is_no_identity() {
    let lab = Lab::new();
    lab.host("a", YEAR);
    lab.host("b", YEAR);
    let (a, b) = (lab.folder.path().join("a"), lab.folder.path().join("b"));
    std::fs::copy(a.join(KEY_FILE), b.join(KEY_FILE)).unwrap();
    let refused = Identity::load(&b);
    assert!(matches!(refused, Err(IdentityError::Set { .. })), "{refused:?}");
    std::fs::remove_file(a.join(KEY_FILE)).unwrap();
    let refused = Identity::load(&a);
    assert!(matches!(refused, Err(IdentityError::Read { .. })), "{refused:?}");
    std::fs::write(a.join(KEY_FILE), "something else").unwrap();
    let refused = Identity::load(&a);
    assert!(matches!(refused, Err(IdentityError::Content { .. })), "{refused:?}");
}

#[test]
fn the_name_in_an_address_is_that_of_its_host() {
    for (address, name) in [
        ("host-b:4444", "host-b"),
        ("host-b", "host-b"),
        ("10.0.0.7:4444", "10.0.0.7"),
        ("[fd00::1]:4444", "fd00::1"),
        ("fd00::1", "fd00::1"),
    ] {
        assert_eq!(name_in(address).unwrap().to_str(), name, "{address}");
    }
    assert!(name_in(":4444").is_err());
}
