//! Frames: a fixed header with a checksum over everything, then the payload.
//!
//! ```text
//!  0        4     6     8         12         16
//!  ┌────────┬─────┬─────┬─────────┬──────────┬─────────────┐
//!  │ "LNDF" │ tag │flags│ length  │ checksum │ payload …   │   little-endian
//!  └────────┴─────┴─────┴─────────┴──────────┴─────────────┘
//! ```
//!
//! The checksum is CRC-32 over bytes 0 to 12 and the payload. Nothing of a frame is used before it was verified, so that
//! corrupted bytes never reach guest memory. Over TLS, which sees to that by itself, pages are left out of it, and a flag says so.

use std::io::{self, IoSlice, Read, Write};
use std::time::Duration;

use landfall_converge::PAGE_SIZE;

use super::message::{
    Commit, Encoding, Finish, Hello, MAX_RUN_PAGES, Message, PageRun, Ready, Running, Welcome,
};
use super::tag::{MAX_REASON_BYTES, Tag};
use crate::machine::PageIndex;

const MAGIC: [u8; 4] = *b"LNDF";
/// How one who expects TLS begins: with a hand-shake, or by complaining that there was none.
const TLS: [[u8; 2]; 2] = [[22, 3], [21, 3]];
/// Bytes of a frame before its payload.
pub const HEADER_BYTES: usize = 16;
const CHECKED_HEADER_BYTES: usize = 12;
/// The flag of a frame whose checksum is over its header alone.
const HEADER_ONLY: u16 = 1;
/// Room that is made at once for a payload. A frame of pages fits, so that only long states come in steps.
const ROOM_STEP: usize = 1 << 20;

/// Why a message could not be sent or read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection ended between two messages.
    #[error("the other side closed the connection")]
    Closed,
    /// The connection failed, or ended inside of a message.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// One side does not take the other for what it says to be, or the data was changed on its way.
    #[error("{}", landfall_identity::describe(.0))]
    Tls(rustls::Error),
    /// The other side has not moved for too long.
    #[error("the other side has not answered in time")]
    Timeout,
    /// It does not speak this protocol.
    #[error("the other side does not speak Landfall's migration protocol")]
    Magic,
    /// It wants to be spoken to over TLS.
    #[error("the other side wants TLS; give this side an identity, too")]
    WantsTls,
    /// A message that this version does not know.
    #[error("a message of unknown kind {0} arrived")]
    Tag(u16),
    /// A message longer than any of its kind may be.
    #[error("a message of {length} bytes arrived where {limit} are the most")]
    TooLong {
        /// What its header says.
        length: u32,
        /// The most for its kind.
        limit: u32,
    },
    /// The bytes are not those that were sent.
    #[error("the data was corrupted on its way (checksum mismatch)")]
    Checksum,
    /// A message whose content is impossible.
    #[error("a malformed message arrived: {0}")]
    Malformed(&'static str),
    /// A message that may not come now.
    #[error("a message arrived out of order: {0}")]
    Unexpected(&'static str),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        if let Some(found) = crate::tls::found_in(&error) {
            return Self::Tls(found.clone());
        }
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Io(error),
        }
    }
}

/// Writes messages as frames.
#[derive(Debug, Default)]
pub struct Encoder {
    payload: Vec<u8>,
    is_over_tls: bool,
}

impl Encoder {
    /// For a channel over TLS, where nothing can be changed unnoticed: pages go without a checksum of their own.
    #[must_use]
    pub fn over_tls() -> Self {
        Self { is_over_tls: true, ..Self::default() }
    }

    /// Writes one message; gives the bytes that it took.
    ///
    /// # Errors
    /// When the message is longer than its kind may be, or writing fails.
    pub fn write(&mut self, to: &mut impl Write, message: &Message) -> Result<u64, WireError> {
        self.payload.clear();
        put_payload(&mut self.payload, message);
        write_frame(to, message.tag(), Checked::Whole, &[&self.payload])
    }

    /// Writes `data`, whole pages from `first` on, without copying them.
    ///
    /// # Errors
    /// When there are too many of them, or writing fails.
    pub fn write_pages(
        &mut self,
        to: &mut impl Write,
        first: PageIndex,
        data: &[u8],
    ) -> Result<u64, WireError> {
        write_frame(to, Tag::Pages, self.pages_checked(), &[&first.0.to_le_bytes(), data])
    }

    /// Writes what was made of the pages of `run`, without copying it.
    ///
    /// # Errors
    /// When there is too much of it, or writing fails.
    pub fn write_encoded(
        &mut self,
        to: &mut impl Write,
        run: PageRun,
        encoding: Encoding,
        data: &[u8],
    ) -> Result<u64, WireError> {
        let header = encoded_header(run, encoding);
        write_frame(to, Tag::EncodedPages, self.pages_checked(), &[&header, data])
    }

    fn pages_checked(&self) -> Checked {
        if self.is_over_tls { Checked::Header } else { Checked::Whole }
    }
}

/// What the checksum of a frame is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    Whole,
    Header,
}

impl Checked {
    fn flags(self) -> u16 {
        match self {
            Self::Whole => 0,
            Self::Header => HEADER_ONLY,
        }
    }

    /// That of a frame that begins with `header` and has `payload` in parts.
    fn checksum<'a>(self, header: &[u8], payload: impl IntoIterator<Item = &'a [u8]>) -> [u8; 4] {
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&header[..CHECKED_HEADER_BYTES]);
        if self == Self::Whole {
            payload.into_iter().for_each(|part| checksum.update(part));
        }
        checksum.finalize().to_le_bytes()
    }
}

fn write_frame(
    to: &mut impl Write,
    tag: Tag,
    checked: Checked,
    parts: &[&[u8]],
) -> Result<u64, WireError> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let limit = tag.max_payload();
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if length > limit {
        return Err(WireError::TooLong { length, limit });
    }
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&tag.number().to_le_bytes());
    header[6..8].copy_from_slice(&checked.flags().to_le_bytes());
    header[8..12].copy_from_slice(&length.to_le_bytes());
    let checksum = checked.checksum(&header, parts.iter().copied());
    header[CHECKED_HEADER_BYTES..].copy_from_slice(&checksum);
    let mut slices = vec![IoSlice::new(&header)];
    slices.extend(parts.iter().map(|part| IoSlice::new(part)));
    write_all_vectored(to, &mut slices)?;
    Ok(HEADER_BYTES as u64 + u64::from(length))
}

fn write_all_vectored(to: &mut impl Write, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match to.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads messages from frames. Its buffer is used again from message to message.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    is_over_tls: bool,
}

/// A message as it was read: pages stay in the decoder's buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Pages from `first` on.
    Pages {
        /// The first page.
        first: PageIndex,
        /// Their content: whole pages.
        data: &'a [u8],
    },
    /// What was made of the pages of `run`.
    Encoded {
        /// The pages.
        run: PageRun,
        /// What was made of them.
        encoding: Encoding,
        /// The bytes.
        data: &'a [u8],
    },
    /// Any other message.
    Message(Message),
}

impl Decoder {
    /// For a channel over TLS, where pages may come without a checksum of their own.
    #[must_use]
    pub fn over_tls() -> Self {
        Self { is_over_tls: true, ..Self::default() }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// When the connection ends, or what arrives is no message.
    pub fn read(&mut self, from: &mut impl Read) -> Result<Message, WireError> {
        Ok(match self.read_borrowed(from)? {
            Received::Pages { first, data } => Message::Pages { first, data: data.to_vec() },
            Received::Encoded { run, encoding, data } => {
                Message::EncodedPages { run, encoding, data: data.to_vec() }
            }
            Received::Message(message) => message,
        })
    }

    /// Reads one message, and leaves pages in this decoder's buffer.
    ///
    /// # Errors
    /// When the connection ends, or what arrives is no message.
    pub fn read_borrowed(&mut self, from: &mut impl Read) -> Result<Received<'_>, WireError> {
        let mut header = [0; HEADER_BYTES];
        read_header(from, &mut header)?;
        if header[..4] != MAGIC {
            return Err(WireError::Magic);
        }
        let number = u16::from_le_bytes([header[4], header[5]]);
        let tag = Tag::from_number(number).ok_or(WireError::Tag(number))?;
        let checked = self.checked(tag, u16::from_le_bytes([header[6], header[7]]))?;
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let limit = tag.max_payload();
        if length > limit {
            return Err(WireError::TooLong { length, limit });
        }
        let length = usize::try_from(length).map_err(|_| WireError::TooLong { length, limit })?;
        // Step by step: who announces much must have brought some before room is made for more.
        let mut read = 0;
        while read < length {
            let end = length.min(read + ROOM_STEP);
            if self.buffer.len() < end {
                self.buffer.resize(end, 0);
            }
            from.read_exact(&mut self.buffer[read..end])?;
            read = end;
        }
        let payload = &self.buffer[..length];
        if checked.checksum(&header, [payload]) != header[CHECKED_HEADER_BYTES..] {
            return Err(WireError::Checksum);
        }
        parse(tag, payload)
    }

    fn checked(&self, tag: Tag, flags: u16) -> Result<Checked, WireError> {
        match (tag, flags) {
            (_, 0) => Ok(Checked::Whole),
            (Tag::Pages | Tag::EncodedPages, HEADER_ONLY) if self.is_over_tls => {
                Ok(Checked::Header)
            }
            (_, HEADER_ONLY) => {
                Err(WireError::Malformed("a message without the checksum that it needs"))
            }
            // A later version may give them a meaning that must not be passed over.
            _ => Err(WireError::Malformed("flags that this version does not know")),
        }
    }
}

/// Like `read_exact`, but an end before the first byte is an orderly one.
fn read_header(from: &mut impl Read, header: &mut [u8; HEADER_BYTES]) -> Result<(), WireError> {
    let first = loop {
        match from.read(header) {
            Ok(0) => return Err(WireError::Closed),
            Ok(count) => break count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    };
    // Looked at before the rest is waited for: a few words of something else need not be as many bytes.
    let begin = &header[..first.min(MAGIC.len())];
    if TLS.iter().any(|tls| begin.starts_with(tls)) {
        return Err(WireError::WantsTls);
    }
    if !MAGIC.starts_with(begin) {
        return Err(WireError::Magic);
    }
    Ok(from.read_exact(&mut header[first..])?)
}

fn put_payload(to: &mut Vec<u8>, message: &Message) {
    match message {
        Message::Hello(hello) => {
            for value in [hello.oldest_version, hello.newest_version, hello.channel, hello.channels]
            {
                to.extend(value.to_le_bytes());
            }
            to.extend(hello.migration.to_le_bytes());
        }
        Message::Welcome(welcome) => to.extend(welcome.version.to_le_bytes()),
        Message::Configuration(bytes) | Message::State(bytes) => to.extend(bytes),
        Message::Accepted => {}
        Message::Pages { first, data } => {
            to.extend(first.0.to_le_bytes());
            to.extend(data);
        }
        Message::EncodedPages { run, encoding, data } => {
            to.extend(encoded_header(*run, *encoding));
            to.extend(data);
        }
        Message::ZeroPages(runs) | Message::Memory(runs) => {
            for run in runs {
                to.extend(run.first.0.to_le_bytes());
                to.extend(run.count.to_le_bytes());
            }
        }
        Message::PassEnd { pass } | Message::PassReceived { pass } => to.extend(pass.to_le_bytes()),
        Message::Finish(finish) => {
            to.push(u8::from(finish.digest.is_some()));
            to.extend(finish.digest.unwrap_or_default().to_le_bytes());
        }
        Message::Ready(ready) => put_duration(to, ready.load),
        Message::Commit(commit) => to.push(u8::from(commit.run)),
        Message::Running(running) => put_duration(to, running.resume),
        Message::Failed { reason } | Message::Cancel { reason } => {
            let mut end = reason.len().min(MAX_REASON_BYTES);
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            to.extend(&reason.as_bytes()[..end]);
        }
    }
}

/// First page, number of pages, encoding.
fn encoded_header(run: PageRun, encoding: Encoding) -> [u8; 11] {
    let mut header = [0; 11];
    header[..8].copy_from_slice(&run.first.0.to_le_bytes());
    // One that does not fit is no number that a reader takes.
    let count = u16::try_from(run.count).unwrap_or(0);
    header[8..10].copy_from_slice(&count.to_le_bytes());
    header[10] = encoding.number();
    header
}

fn put_duration(to: &mut Vec<u8>, time: Duration) {
    to.extend(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
}

fn parse(tag: Tag, payload: &[u8]) -> Result<Received<'_>, WireError> {
    let mut fields = Fields(payload);
    let message = match tag {
        Tag::Pages => {
            let first = PageIndex(fields.u64()?);
            let data = fields.rest();
            let bytes = data.len() as u64;
            if bytes == 0 || !bytes.is_multiple_of(PAGE_SIZE) || bytes / PAGE_SIZE > MAX_RUN_PAGES {
                return Err(WireError::Malformed("pages that are not whole"));
            }
            return Ok(Received::Pages { first, data });
        }
        Tag::EncodedPages => {
            let run = PageRun { first: PageIndex(fields.u64()?), count: fields.u16()?.into() };
            let encoding = Encoding::from_number(fields.byte()?)
                .ok_or(WireError::Malformed("pages in an encoding that is not known"))?;
            let data = fields.rest();
            let fits = (1..=MAX_RUN_PAGES).contains(&run.count)
                && (1..run.count * PAGE_SIZE).contains(&(data.len() as u64));
            if !fits {
                return Err(WireError::Malformed("encoded pages that are not fewer bytes"));
            }
            return Ok(Received::Encoded { run, encoding, data });
        }
        Tag::Hello => Message::Hello(Hello {
            oldest_version: fields.u16()?,
            newest_version: fields.u16()?,
            channel: fields.u16()?,
            channels: fields.u16()?,
            migration: fields.u64()?,
        }),
        Tag::Welcome => Message::Welcome(Welcome { version: fields.u16()? }),
        Tag::Configuration => Message::Configuration(fields.rest().to_vec()),
        Tag::Accepted => Message::Accepted,
        Tag::ZeroPages => Message::ZeroPages(fields.runs()?),
        Tag::Memory => Message::Memory(fields.runs()?),
        Tag::PassEnd => Message::PassEnd { pass: fields.u32()? },
        Tag::PassReceived => Message::PassReceived { pass: fields.u32()? },
        Tag::State => Message::State(fields.rest().to_vec()),
        Tag::Finish => {
            let digest = match (fields.flag()?, fields.u32()?) {
                (true, digest) => Some(digest),
                (false, 0) => None,
                (false, _) => return Err(WireError::Malformed("a digest that is none")),
            };
            Message::Finish(Finish { digest })
        }
        Tag::Ready => Message::Ready(Ready { load: fields.duration()? }),
        Tag::Commit => Message::Commit(Commit { run: fields.flag()? }),
        Tag::Running => Message::Running(Running { resume: fields.duration()? }),
        Tag::Failed => Message::Failed { reason: fields.text()? },
        Tag::Cancel => Message::Cancel { reason: fields.text()? },
    };
    if fields.0.is_empty() {
        Ok(Received::Message(message))
    } else {
        Err(WireError::Malformed("more in a message than belongs there"))
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .ok_or(WireError::Malformed("less in a message than belongs there"))?;
        self.0 = rest;
        Ok(*field)
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Result<bool, WireError> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(WireError::Malformed("a flag that is neither 0 nor 1")),
        }
    }

    fn duration(&mut self) -> Result<Duration, WireError> {
        self.u64().map(Duration::from_nanos)
    }

    fn runs(&mut self) -> Result<Vec<PageRun>, WireError> {
        let mut runs = Vec::with_capacity(self.0.len() / 16);
        while !self.0.is_empty() {
            let run = PageRun { first: PageIndex(self.u64()?), count: self.u64()? };
            if run.count == 0 {
                return Err(WireError::Malformed("a run of no pages"));
            }
            runs.push(run);
        }
        Ok(runs)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn text(&mut self) -> Result<String, WireError> {
        let text = std::str::from_utf8(self.rest());
        text.map(str::to_owned).map_err(|_| WireError::Malformed("a text that is not UTF-8"))
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
