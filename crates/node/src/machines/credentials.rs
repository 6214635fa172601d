//! A node's identity, as a QEMU is given it: then its pages go over TLS, and both sides show who they are.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use landfall_identity::{CA_FILE, CERTIFICATE_FILE, KEY_FILE};
use landfall_qmp::{Client, ClientError, Command, ParametersUpdate};
use serde_json::{Map, Value, json};

use super::{MachineError, chain};

/// The kind of object that QEMU has for it.
const KIND: &str = "tls-creds-x509";
/// The names by which QEMU looks for the files of an identity.
const NAMES: [(&str, &str); 5] = [
    ("ca-cert.pem", CA_FILE),
    ("server-cert.pem", CERTIFICATE_FILE),
    ("server-key.pem", KEY_FILE),
    ("client-cert.pem", CERTIFICATE_FILE),
    ("client-key.pem", KEY_FILE),
];

/// Without these numbers QEMU searches for some of its own whenever it is to be connected to, and answers nobody for many
/// seconds. They are those of RFC 7919; over TLS 1.3 neither are used.
const NUMBERS: (&str, &str) = ("dh-params.pem", include_str!("ffdhe2048.pem"));

/// Which end of a migration a QEMU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

impl End {
    /// What the object is called.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Source => "landfall-source",
            Self::Destination => "landfall-destination",
        }
    }

    /// As QEMU has it: whoever connects is the client.
    fn endpoint(self) -> &'static str {
        match self {
            Self::Source => "client",
            Self::Destination => "server",
        }
    }
}

/// An identity, and the folder in which a QEMU finds it.
#[derive(Debug)]
pub(super) struct Credentials {
    identity: PathBuf,
    folder: PathBuf,
}

impl Credentials {
    /// The identity in `identity`, found below the folder `own` of a machine.
    pub(super) fn new(identity: &Path, own: &Path) -> Self {
        Self { identity: identity.to_owned(), folder: own.join("tls") }
    }

    /// Gives a QEMU the identity as it is now, for this end.
    pub(super) fn give(&self, client: &mut Client, end: End) -> Result<(), MachineError> {
        self.lay_out().map_err(|error| {
            MachineError::Unsupported(format!("{}: {error}", self.folder.display()))
        })?;
        // One that is there already may be of a certificate that was renewed since.
        take_away(client, end);
        let arguments = [
            ("qom-type", json!(KIND)),
            ("id", json!(end.id())),
            ("dir", json!(self.folder)),
            ("endpoint", json!(end.endpoint())),
            ("verify-peer", json!(true)),
            // QEMU asks of a certificate that it lets keys be enciphered, as RSA once needed. What counts is looked at when
            // hands are shaken: that it is of the authority, valid today, and for the name of the host.
            ("sanity-check", json!(false)),
        ];
        let arguments: Map<String, Value> =
            arguments.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        client.execute_raw("object-add", arguments).map(drop).map_err(|error| self.lacking(&error))
    }

    /// Gives a QEMU that was told to wait the identity, and has it listen at `uri` for a guest over TLS.
    pub(super) fn open(&self, client: &mut Client, uri: String) -> Result<(), MachineError> {
        self.give(client, End::Destination)?;
        let creds = Some(End::Destination.id().to_owned());
        let protect = ParametersUpdate { tls_creds: creds, ..ParametersUpdate::default() };
        for command in [Command::MigrateSetParameters(protect), Command::MigrateIncoming { uri }] {
            client.execute(&command).map_err(|error| self.lacking(&error))?;
        }
        Ok(())
    }

    /// Under the names that QEMU looks for. They lead to the identity itself, so that a key is in one place alone.
    fn lay_out(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let (name, numbers) = NUMBERS;
        fs::write(self.folder.join(name), numbers)?;
        for (name, file) in NAMES {
            let (at, to) = (self.folder.join(name), self.identity.join(file));
            if fs::read_link(&at).is_ok_and(|led| led == to) {
                continue;
            }
            match fs::remove_file(&at) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => symlink(to, at)?,
            }
        }
        Ok(())
    }

    fn lacking(&self, error: &ClientError) -> MachineError {
        let ClientError::Refused { source, .. } = error else {
            return MachineError::monitor(error);
        };
        MachineError::Unsupported(format!(
            "this QEMU cannot send its pages over TLS: {}; it must be of version 6.0 or later, built with GnuTLS, and its user must \
             be able to read {}. In the open, `landfall migrate SOCKET tcp:HOST:PORT` moves it",
            source.desc,
            self.identity.display()
        ))
    }
}

/// Takes the identity away from a QEMU; nothing happens where it has none.
pub(super) fn take_away(client: &mut Client, end: End) {
    let arguments = Map::from_iter([("id".to_owned(), json!(end.id()))]);
    match client.execute_raw("object-del", arguments) {
        Ok(_) | Err(ClientError::Refused { .. }) => {}
        Err(error) => tracing::debug!("QEMU keeps its credentials: {}", chain(&error)),
    }
}

/// Has a QEMU into which a guest has come speak as it did before, should it be moved by hand one day.
pub(super) fn close(client: &mut Client) {
    let plain = ParametersUpdate { tls_creds: Some(String::new()), ..ParametersUpdate::default() };
    match client.execute(&Command::MigrateSetParameters(plain)) {
        Ok(_) => take_away(client, End::Destination),
        Err(error) => tracing::debug!("QEMU keeps its credentials: {}", chain(&error)),
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
