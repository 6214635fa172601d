//! How connections between hosts are protected, as flags.

use std::path::PathBuf;

use clap::Args;
use landfall_migrate::options::Security;
use landfall_qmp::ParametersUpdate;

/// The flags that `migrate` and `vm run` share.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Security")]
pub(crate) struct SecurityArgs {
    /// The directory of this host's identity (ca.pem, cert.pem, key.pem; see `landfall cert`): connections over TCP are of
    /// TLS 1.3 then, and both sides show who they are.
    #[arg(long, value_name = "DIRECTORY", value_parser = absolute)]
    pub(crate) tls_identity: Option<PathBuf>,
    /// Let a connection to another host be plain: whoever is on the way can read and change the guest.
    #[arg(long, conflicts_with = "tls_identity")]
    pub(crate) insecure: bool,
}

impl SecurityArgs {
    /// Whether anything was asked for.
    pub(crate) fn is_given(&self) -> bool {
        self.tls_identity.is_some() || self.insecure
    }

    pub(crate) fn security(&self) -> Security {
        let identity = self.tls_identity.clone();
        Security { identity, peer_name: None, allow_plain: self.insecure }
    }

    /// For a machine that is to give its guest away; what is not given stays as it was when the machine was started.
    pub(crate) fn add_to(&self, update: &mut ParametersUpdate, peer_name: Option<&str>) {
        if self.is_given() {
            let identity = self.tls_identity.as_ref();
            update.tls_creds =
                Some(identity.map_or(String::new(), |path| path.display().to_string()));
            update.insecure = Some(self.insecure);
        }
        update.tls_hostname = Some(peer_name.unwrap_or_default().to_owned());
    }
}

/// The machine that reads the files may have been started in another directory.
fn absolute(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
