//! What lies between the two ends.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use landfall_converge::ByteRate;
use serde::Serialize;

use crate::command::output;

/// Where a destination listens within a namespace of its own.
const ADDRESS: &str = "tcp:127.0.0.1:7100";
/// What may leave at once: more than one tick of a slow timer needs, and than the largest packet of a loopback.
const BURST_SECONDS: f64 = 0.005;
const LEAST_BURST: f64 = 256.0 * 1024.0;
/// How long bytes may wait in the link before they are dropped.
const LATENCY: &str = "20ms";

/// What keeps bytes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LinkKind {
    /// Each engine's own limit, over a Unix socket that would carry far more
    #[default]
    Limit,
    /// A link that carries no more: the loopback of a network namespace, shaped by the kernel. Needs root and iproute2
    Shaped,
}

impl LinkKind {
    /// What a reader of figures should know of it.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Limit => "The link is each engine's own limit on bandwidth.",
            Self::Shaped => {
                "The link is a real one that carries no more; the engines know no limit."
            }
        }
    }
}

/// What the two ends of one run talk over.
#[derive(Debug)]
pub(super) enum Link {
    /// Sockets in the folder of the run.
    Limit,
    /// A network namespace that is theirs alone.
    Shaped(Namespace),
}

impl Link {
    pub(super) fn new(kind: LinkKind, bandwidth: ByteRate) -> Result<Self, String> {
        match kind {
            LinkKind::Limit => Ok(Self::Limit),
            LinkKind::Shaped => Namespace::shaped(bandwidth).map(Self::Shaped),
        }
    }

    /// Where the destination listens.
    pub(super) fn uri(&self, folder: &Path) -> String {
        match self {
            Self::Limit => format!("unix:{}", folder.join("migration").display()),
            Self::Shaped(_) => ADDRESS.to_owned(),
        }
    }

    /// The command that runs `program` where it can reach the link.
    pub(super) fn command(&self, program: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = match self {
            Self::Limit => Vec::new(),
            Self::Shaped(Namespace(name)) => ["ip", "netns", "exec", name].map(Into::into).into(),
        };
        words.push(program.into());
        words
    }

    /// The limit that the engines are given; `None` for none.
    pub(super) fn limit(&self, bandwidth: ByteRate) -> Option<ByteRate> {
        matches!(self, Self::Limit).then_some(bandwidth)
    }
}

/// A network namespace; gone when dropped, once nobody is in it any more.
#[derive(Debug)]
pub(super) struct Namespace(String);

impl Namespace {
    fn shaped(bandwidth: ByteRate) -> Result<Self, String> {
        let name = format!("landfall-compare-{}", std::process::id());
        ip(&["netns", "add", &name]).map_err(|error| {
            format!("no link of its own (that takes root and iproute2; --link limit takes neither): {error}")
        })?;
        let this = Self(name);
        let rate = format!("{:.0}bps", bandwidth.bytes_per_second());
        let burst = (bandwidth.bytes_per_second() * BURST_SECONDS).max(LEAST_BURST);
        ip(&["-n", &this.0, "link", "set", "lo", "up"])?;
        let mut tc = Command::new("tc");
        tc.args(["-n", &this.0, "qdisc", "add", "dev", "lo", "root", "tbf", "rate", &rate]);
        tc.args(["burst", &format!("{burst:.0}b"), "latency", LATENCY]);
        output(&mut tc)?;
        Ok(this)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.0]) {
            eprintln!("a network namespace is left: {error}");
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    output(Command::new("ip").args(arguments)).map(drop)
}
