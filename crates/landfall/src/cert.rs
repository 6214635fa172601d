//! `landfall cert`: makes the certificates by which hosts know each other.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use landfall_identity::{Authority, CA_KEY_FILE, Identity, IdentityError, Request};

use crate::error::CliError;
use crate::exit::Exit;
use crate::quantities::duration;

const DAY: u64 = 86_400;

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Makes an authority: the one that all hosts trust. Its directory stays where certificates are given out.
    Ca(CaArgs),
    /// Gives a host a certificate: writes ca.pem, cert.pem and key.pem, which go to that host.
    Node(NodeArgs),
    /// Tells what a host's certificate says, and how long it is valid.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CaArgs {
    /// Where the authority's certificate and key are written.
    directory: PathBuf,
    /// What the authority is called.
    #[arg(long, default_value = "landfall")]
    name: String,
    /// For how long it is valid, as in 10years.
    #[arg(long, value_name = "DURATION", default_value = "10years", value_parser = duration)]
    valid: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The host's name, as others write it in tls:HOST:PORT.
    name: String,
    /// The directory of the authority.
    #[arg(long, value_name = "DIRECTORY")]
    ca: PathBuf,
    /// Another name or IP address under which the host is reached; may be given more than once.
    #[arg(long = "address", value_name = "HOST")]
    addresses: Vec<String>,
    /// Where the files are written; a directory of the host's name if not given.
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// For how long it is valid, as in 90days.
    #[arg(long, value_name = "DURATION", default_value = "365days", value_parser = duration)]
    valid: Duration,
    /// Give a new certificate for the key that is there, in one step.
    #[arg(long)]
    renew: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The directory with ca.pem, cert.pem and key.pem.
    directory: PathBuf,
}

pub(crate) fn cert(command: &CertCommand) -> Result<Exit, CliError> {
    match command {
        CertCommand::Ca(args) => ca(args),
        CertCommand::Node(args) => node(args),
        CertCommand::Show(args) => show(args),
    }
}

fn ca(args: &CaArgs) -> Result<Exit, CliError> {
    Authority::create(&args.directory, &args.name, args.valid)?;
    let key = args.directory.join(CA_KEY_FILE);
    writeln!(io::stdout(), "authority  {} in {}", args.name, args.directory.display())?;
    writeln!(io::stdout(), "keep       {}: whoever has it can name himself a host", key.display())?;
    Ok(Exit::Done)
}

fn node(args: &NodeArgs) -> Result<Exit, CliError> {
    let authority = Authority::open(&args.ca)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let (name, addresses) = (args.name.clone(), args.addresses.clone());
    let request = Request { name, addresses, valid: args.valid };
    if args.renew {
        authority.renew(&request, &out)?;
    } else {
        authority.issue(&request, &out)?;
    }
    show(&ShowArgs { directory: out })
}

fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let identity = Identity::load(&args.directory)?;
    let certificate = identity.certificate();
    writeln!(io::stdout(), "host     {}", certificate.names.join(", "))?;
    writeln!(io::stdout(), "by       {}", certificate.issuer)?;
    writeln!(io::stdout(), "valid    {}", validity(certificate.ends, SystemTime::now()))?;
    writeln!(io::stdout(), "files    {}", args.directory.display())?;
    Ok(Exit::Done)
}

fn validity(ends: SystemTime, now: SystemTime) -> String {
    let date = humantime::format_rfc3339_seconds(ends);
    match ends.duration_since(now) {
        Ok(left) if left.as_secs() >= 2 * DAY => {
            format!("until {date}, {} days from now", left.as_secs() / DAY)
        }
        Ok(left) => format!("until {date}, {} hours from now", left.as_secs() / 3600),
        Err(_) => format!("no more: until {date}; renew it with --renew"),
    }
}

/// What to do, where the text of the error does not say it.
pub(crate) fn advice(error: &IdentityError) -> Option<String> {
    let text = match error {
        IdentityError::Exists { .. } => "to give a host a new certificate for its key, use --renew",
        IdentityError::Name { .. } => "write it as others write it in tls:HOST:PORT",
        IdentityError::Set { .. } => {
            "copy all three files of one `landfall cert node`, or renew it with --renew"
        }
        IdentityError::Make(_) => "check ca.pem and ca-key.pem in the authority's directory",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
#[path = "cert_tests.rs"]
mod tests;
