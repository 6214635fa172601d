//! The numbers of messages on the wire, and how long each may be.

use super::message::{MAX_MEMORY_FILES, MAX_RUN_PAGES, Message};
use landfall_converge::PAGE_SIZE;

/// What kind of message a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Hello,
    Welcome,
    Configuration,
    Accepted,
    Pages,
    ZeroPages,
    PassEnd,
    PassReceived,
    State,
    Finish,
    Ready,
    Commit,
    Running,
    Failed,
    Cancel,
    EncodedPages,
    Memory,
}

/// The longest reason that is told; what goes beyond is cut off.
pub(super) const MAX_REASON_BYTES: usize = 4096;

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

impl Tag {
    const ALL: [Self; 17] = [
        Self::Hello,
        Self::Welcome,
        Self::Configuration,
        Self::Accepted,
        Self::Pages,
        Self::ZeroPages,
        Self::PassEnd,
        Self::PassReceived,
        Self::State,
        Self::Finish,
        Self::Ready,
        Self::Commit,
        Self::Running,
        Self::Failed,
        Self::Cancel,
        Self::EncodedPages,
        Self::Memory,
    ];

    pub(super) fn number(self) -> u16 {
        match self {
            Self::Hello => 1,
            Self::Welcome => 2,
            Self::Configuration => 3,
            Self::Accepted => 4,
            Self::Pages => 5,
            Self::ZeroPages => 6,
            Self::PassEnd => 7,
            Self::PassReceived => 8,
            Self::State => 9,
            Self::Finish => 10,
            Self::Ready => 11,
            Self::Commit => 12,
            Self::Running => 13,
            Self::Failed => 14,
            Self::Cancel => 15,
            Self::EncodedPages => 16,
            Self::Memory => 17,
        }
    }

    pub(super) fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.number() == number)
    }

    /// The longest payload, checked before a byte of it is read or room made for it.
    pub(super) fn max_payload(self) -> u32 {
        match self {
            Self::Hello | Self::Welcome | Self::Accepted | Self::PassEnd | Self::PassReceived => 64,
            Self::Finish | Self::Ready | Self::Commit | Self::Running => 64,
            Self::Configuration => MIB,
            #[expect(clippy::cast_possible_truncation, reason = "64 pages are 256 KiB")]
            Self::Pages => 8 + (MAX_RUN_PAGES * PAGE_SIZE) as u32,
            #[expect(clippy::cast_possible_truncation, reason = "64 pages are 256 KiB")]
            Self::EncodedPages => 11 + (MAX_RUN_PAGES * PAGE_SIZE) as u32,
            Self::ZeroPages => 64 * KIB,
            #[expect(clippy::cast_possible_truncation, reason = "16 files of 16 bytes each")]
            Self::Memory => 16 * MAX_MEMORY_FILES as u32,
            Self::State => 64 * MIB,
            Self::Failed | Self::Cancel => 4 * KIB,
        }
    }
}

impl Message {
    /// Exhaustive on purpose: a new message cannot be forgotten.
    pub(super) fn tag(&self) -> Tag {
        match self {
            Self::Hello(_) => Tag::Hello,
            Self::Welcome(_) => Tag::Welcome,
            Self::Memory(_) => Tag::Memory,
            Self::Configuration(_) => Tag::Configuration,
            Self::Accepted => Tag::Accepted,
            Self::Pages { .. } => Tag::Pages,
            Self::ZeroPages(_) => Tag::ZeroPages,
            Self::PassEnd { .. } => Tag::PassEnd,
            Self::PassReceived { .. } => Tag::PassReceived,
            Self::State(_) => Tag::State,
            Self::Finish(_) => Tag::Finish,
            Self::Ready(_) => Tag::Ready,
            Self::Commit(_) => Tag::Commit,
            Self::Running(_) => Tag::Running,
            Self::Failed { .. } => Tag::Failed,
            Self::Cancel { .. } => Tag::Cancel,
            Self::EncodedPages { .. } => Tag::EncodedPages,
        }
    }
}
