//! What is said between source and destination.

use std::time::Duration;

use crate::machine::PageIndex;

/// The most pages in one frame: they fit into a processor's second cache, where the checksum finds them again.
pub const MAX_RUN_PAGES: u64 = 64;

/// The most channels of one migration.
pub const MAX_CHANNELS: u16 = 128;

/// The most files that guest memory is handed over in.
pub const MAX_MEMORY_FILES: usize = 16;

/// A message, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Source: who I am. The first message of every channel.
    Hello(Hello),
    /// Destination: the version that we speak.
    Welcome(Welcome),
    /// Source: the guest's memory itself, before the configuration, in a hand-over on one host. Along with it come the
    /// descriptors of the files that hold these runs of pages, one each and each from its beginning, and then the deed.
    Memory(Vec<PageRun>),
    /// Source: what machine to build, in an encoding of the hypervisor's own.
    Configuration(Vec<u8>),
    /// Destination: it is built.
    Accepted,
    /// Source: pages from `first` on, as they are.
    Pages {
        /// The first page.
        first: PageIndex,
        /// Their content: whole pages.
        data: Vec<u8>,
    },
    /// Source: a run of pages as fewer bytes than it has.
    EncodedPages {
        /// The pages.
        run: PageRun,
        /// What was made of them.
        encoding: Encoding,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Source: runs of pages that are all zeros.
    ZeroPages(Vec<PageRun>),
    /// Source: pass `pass` has been sent.
    PassEnd {
        /// Its number.
        pass: u32,
    },
    /// Destination: everything up to the end of pass `pass` is in guest memory.
    PassReceived {
        /// Its number.
        pass: u32,
    },
    /// Source: vCPU and device state, in an encoding of the hypervisor's own.
    State(Vec<u8>),
    /// Source: nothing more follows; check what you have.
    Finish(Finish),
    /// Destination: I have everything and have checked it. From here on the source may give the guest away.
    Ready(Ready),
    /// Source: the guest is yours. It never runs here again.
    Commit(Commit),
    /// Destination: it runs.
    Running(Running),
    /// Destination: I cannot go on, and why.
    Failed {
        /// For the source's user to read.
        reason: String,
    },
    /// Source: it is called off, and why.
    Cancel {
        /// For the destination's log.
        reason: String,
    },
}

/// How pages were made fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As what has changed in each since it was sent last.
    Delta,
    /// As one block of LZ4.
    Lz4,
    /// As one frame of Zstandard.
    Zstd,
}

impl Encoding {
    const ALL: [Self; 3] = [Self::Delta, Self::Lz4, Self::Zstd];

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Delta => 1,
            Self::Lz4 => 2,
            Self::Zstd => 3,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.number() == number)
    }
}

/// The first message of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest version that the source understands.
    pub oldest_version: u16,
    /// The newest version that it understands.
    pub newest_version: u16,
    /// Which of its channels this is, from 0.
    pub channel: u16,
    /// How many channels there are.
    pub channels: u16,
    /// The same on every channel of a migration.
    pub migration: u64,
}

/// The answer to [`Hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both sides speak from now on.
    pub version: u16,
}

/// A run of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRun {
    /// The first.
    pub first: PageIndex,
    /// How many.
    pub count: u64,
}

/// The end of what the source sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The digest of the source's memory and state, where they are to be compared.
    pub digest: Option<u32>,
}

/// The destination has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// How long loading the state took.
    pub load: Duration,
}

/// The guest is given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Whether it ran at the source, and so shall run; otherwise it stays paused.
    pub run: bool,
}

/// The guest was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// How long starting the vCPUs took.
    pub resume: Duration,
}
