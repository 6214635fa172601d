use std::io::Cursor;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::MAX_MEMORY_FILES;
use crate::wire::tag::Tag;

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = Encoder::default().write(&mut bytes, message).unwrap();
    assert_eq!(written, bytes.len() as u64, "what was written is what was counted");
    bytes
}

fn decoded(bytes: &[u8]) -> Result<Message, WireError> {
    Decoder::default().read(&mut &bytes[..])
}

/// Pages as they go over TLS.
fn over_tls(message: &Message) -> Vec<u8> {
    let (mut bytes, mut encoder) = (Vec::new(), Encoder::over_tls());
    let written = match message {
        Message::Pages { first, data } => encoder.write_pages(&mut bytes, *first, data),
        Message::EncodedPages { run, encoding, data } => {
            encoder.write_encoded(&mut bytes, *run, *encoding, data)
        }
        _ => unreachable!("no pages"),
    };
    assert_eq!(written.unwrap(), bytes.len() as u64, "what was written is what was counted");
    bytes
}

/// A frame with a right checksum around anything.
fn frame(tag: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(tag.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes);
    checksum.update(payload);
    bytes.extend(checksum.finalize().to_le_bytes());
    bytes.extend(payload);
    bytes
}

fn pages() -> impl Strategy<Value = Message> {
    (any::<u64>(), 1..=3_usize, any::<u8>()).prop_map(|(first, count, fill)| Message::Pages {
        first: PageIndex(first),
        data: vec![fill; count * 4096],
    })
}

fn encoded_pages() -> impl Strategy<Value = Message> {
    let encoding = prop_oneof![Just(Encoding::Delta), Just(Encoding::Lz4), Just(Encoding::Zstd)];
    (any::<u64>(), 1..=MAX_RUN_PAGES, encoding, vec(any::<u8>(), 1..4000)).prop_map(
        |(first, count, encoding, data)| Message::EncodedPages {
            run: PageRun { first: PageIndex(first), count },
            encoding,
            data,
        },
    )
}

fn messages() -> impl Strategy<Value = Message> {
    let version = any::<u16>;
    let hello = (version(), version(), version(), version(), any::<u64>()).prop_map(
        |(oldest_version, newest_version, channel, channels, migration)| {
            Message::Hello(Hello { oldest_version, newest_version, channel, channels, migration })
        },
    );
    let run = (any::<u64>(), 1..=u64::MAX)
        .prop_map(|(first, count)| PageRun { first: PageIndex(first), count });
    let time = || any::<u64>().prop_map(Duration::from_nanos);
    // As long as a reason may be: four bytes are the most that a character takes.
    let reason = || vec(any::<char>(), 0..1024).prop_map(String::from_iter);
    prop_oneof![
        hello,
        version().prop_map(|version| Message::Welcome(Welcome { version })),
        vec(any::<u8>(), 0..5000).prop_map(Message::Configuration),
        Just(Message::Accepted),
        pages(),
        encoded_pages(),
        vec(run.clone(), 0..100).prop_map(Message::ZeroPages),
        vec(run, 0..=MAX_MEMORY_FILES).prop_map(Message::Memory),
        any::<u32>().prop_map(|pass| Message::PassEnd { pass }),
        any::<u32>().prop_map(|pass| Message::PassReceived { pass }),
        vec(any::<u8>(), 0..5000).prop_map(Message::State),
        any::<Option<u32>>().prop_map(|digest| Message::Finish(Finish { digest })),
        time().prop_map(|load| Message::Ready(Ready { load })),
        any::<bool>().prop_map(|run| Message::Commit(Commit { run })),
        time().prop_map(|resume| Message::Running(Running { resume })),
        reason().prop_map(|reason| Message::Failed { reason }),
        reason().prop_map(|reason| Message::Cancel { reason }),
    ]
}

proptest! {
    #[test]
    fn every_message_arrives_as_it_was_sent(message in messages()) {
        prop_assert_eq!(decoded(&encoded(&message)).unwrap(), message);
    }

    #[test]
    fn messages_follow_one_another_on_a_stream(sent in vec(messages(), 0..12)) {
        let stream: Vec<u8> = sent.iter().flat_map(encoded).collect();
        let (mut from, mut decoder) = (&stream[..], Decoder::default());
        for message in &sent {
            prop_assert_eq!(&decoder.read(&mut from).unwrap(), message);
        }
        prop_assert!(matches!(decoder.read(&mut from), Err(WireError::Closed)));
    }

    #[test]
    fn one_flipped_bit_anywhere_is_refused(message in messages(), at in any::<prop::sample::Index>()) {
        let mut bytes = encoded(&message);
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(decoded(&bytes).is_err(), "bit {} of byte {}", bit % 8, bit / 8);
    }

    #[test]
    fn a_message_cut_off_anywhere_is_refused(message in messages(), at in any::<prop::sample::Index>()) {
        let bytes = encoded(&message);
        let end = at.index(bytes.len());
        let error = decoded(&bytes[..end]).unwrap_err();
        if end == 0 {
            prop_assert!(matches!(error, WireError::Closed), "{error:?}");
        } else {
            prop_assert!(matches!(error, WireError::Io(_)), "{error:?}");
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_and_cost_no_memory(bytes in vec(any::<u8>(), 0..2000)) {
        let mut decoder = Decoder::default();
        prop_assert!(decoder.read(&mut &bytes[..]).is_err());
        prop_assert!(decoder.buffer.capacity() <= ROOM_STEP);
    }

    #[test]
    fn whatever_a_frame_announces_no_more_room_is_made_than_one_step_ahead(
        tag in 0..20_u16,
        length in any::<u32>(),
        brought in vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = frame(tag, 0, &[]);
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes.extend(brought);
        let mut decoder = Decoder::default();
        let _ = decoder.read(&mut &bytes[..]);
        prop_assert!(decoder.buffer.capacity() <= ROOM_STEP);
    }

    #[test]
    fn what_is_read_from_a_sound_frame_is_written_as_the_same_frame(
        tag in 1..=15_u16,
        payload in prop_oneof![vec(any::<u8>(), 0..40), vec(0..2_u8, 0..40)],
    ) {
        let bytes = frame(tag, 0, &payload);
        if let Ok(message) = decoded(&bytes) {
            prop_assert_eq!(encoded(&message), bytes);
        }
    }

    #[test]
    fn over_tls_pages_go_without_a_checksum_which_nobody_else_takes(
        message in prop_oneof![pages(), encoded_pages()],
        at in any::<prop::sample::Index>(),
    ) {
        let bytes = over_tls(&message);
        let read = |bytes: &[u8]| Decoder::over_tls().read(&mut &bytes[..]);
        prop_assert_eq!(read(&bytes).unwrap(), message.clone());
        prop_assert_eq!(read(&encoded(&message)).unwrap(), message, "with one they are as good");
        prop_assert!(matches!(decoded(&bytes), Err(WireError::Malformed(_))));
        let mut changed = bytes;
        let bit = at.index(HEADER_BYTES * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(read(&changed).is_err(), "bit {} of byte {}", bit % 8, bit / 8);
    }

    #[test]
    fn pages_are_written_alike_from_guest_memory_and_from_a_message(message in pages()) {
        let Message::Pages { first, data } = &message else { unreachable!() };
        let mut bytes = Vec::new();
        let written = Encoder::default().write_pages(&mut bytes, *first, data).unwrap();
        prop_assert_eq!(written, bytes.len() as u64);
        prop_assert_eq!(bytes, encoded(&message));
    }
}

/// Gives its bytes and then fails the test.
struct AndNoFurther<'a>(&'a [u8]);

impl Read for AndNoFurther<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!self.0.is_empty(), "read beyond a header that should have been refused");
        self.0.read(buffer)
    }
}

#[test]
fn a_length_beyond_the_limit_of_its_kind_is_refused_before_room_is_made_for_it() {
    for tag in (0..=u16::MAX).filter_map(Tag::from_number) {
        for length in [tag.max_payload() + 1, u32::MAX] {
            let mut header = frame(tag.number(), 0, &[]);
            header[8..12].copy_from_slice(&length.to_le_bytes());
            let mut decoder = Decoder::default();
            let error = decoder.read(&mut AndNoFurther(&header)).unwrap_err();
            let limit = tag.max_payload();
            assert!(
                matches!(error, WireError::TooLong { length: l, limit: m } if (l, m) == (length, limit)),
                "{tag:?}: {error:?}"
            );
            assert_eq!(decoder.buffer.capacity(), 0);
        }
    }
}

#[test]
fn the_longest_state_arrives_and_takes_no_more_room_than_it_needs() {
    let state = Message::State(vec![7; 64 << 20]);
    let bytes = encoded(&state);
    let mut decoder = Decoder::default();
    assert_eq!(decoder.read(&mut &bytes[..]).unwrap(), state);
    assert!(decoder.buffer.capacity() <= 64 << 20);
    let too_long = Message::State(vec![7; (64 << 20) + 1]);
    let mut nowhere = Vec::new();
    let error = Encoder::default().write(&mut nowhere, &too_long).unwrap_err();
    assert!(matches!(error, WireError::TooLong { .. }));
    assert!(nowhere.is_empty(), "nothing of a message that is too long may leave");
}

#[test]
fn a_run_of_pages_is_whole_and_not_too_long() {
    for bytes in [0, 1, 4095, 4097, 65 * 4096] {
        let payload = vec![0; 8 + bytes];
        assert!(decoded(&frame(5, 0, &payload)).is_err(), "{bytes} bytes of pages");
    }
    let most = Message::Pages { first: PageIndex(9), data: vec![1; 64 * 4096] };
    assert_eq!(decoded(&encoded(&most)).unwrap(), most);
    let mut nowhere = Vec::new();
    let more = vec![1; 65 * 4096];
    assert!(Encoder::default().write_pages(&mut nowhere, PageIndex(9), &more).is_err());
    assert!(nowhere.is_empty());
}

#[test]
fn contents_that_cannot_be_are_refused_although_the_checksum_is_right() {
    let malformed: [(u16, &[u8]); 11] = [
        (1, &[0; 15]),
        (1, &[0; 17]),
        (2, &[1]),
        (4, &[0]),
        (6, &[0; 16]),
        (6, &[1; 17]),
        (10, &[0, 1, 0, 0, 0]),
        (10, &[2, 0, 0, 0, 0]),
        (12, &[2]),
        (12, &[]),
        (14, &[0xff, 0xfe]),
    ];
    for (tag, payload) in malformed {
        let error = decoded(&frame(tag, 0, payload)).unwrap_err();
        assert!(matches!(error, WireError::Malformed(_)), "tag {tag}: {error:?}");
    }
}

#[test]
fn a_frame_of_another_protocol_or_of_a_later_version_is_refused() {
    assert!(matches!(decoded(b"GET / HTTP/1.1\r\n\r\n"), Err(WireError::Magic)));
    assert!(matches!(decoded(b"220 hello\r\n"), Err(WireError::Magic)));
    assert!(matches!(decoded(&[21, 3, 3, 0, 2, 2, 40]), Err(WireError::WantsTls)));
    assert!(matches!(decoded(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), Err(WireError::WantsTls)));
    assert!(matches!(decoded(b"LNDF"), Err(WireError::Io(_))));
    assert!(matches!(decoded(&frame(18, 0, &[])), Err(WireError::Tag(18))));
    assert!(matches!(decoded(&frame(0, 0, &[])), Err(WireError::Tag(0))));
    assert!(matches!(decoded(&frame(4, 1, &[])), Err(WireError::Malformed(_))));
    assert_eq!(decoded(&frame(4, 0, &[])).unwrap(), Message::Accepted);
}

#[test]
fn over_tls_only_pages_go_without_a_checksum() {
    for tag in (0..=u16::MAX).filter_map(Tag::from_number) {
        let is_pages = matches!(tag, Tag::Pages | Tag::EncodedPages);
        let mut bytes = frame(tag.number(), HEADER_ONLY, &[]);
        bytes[8..12].copy_from_slice(&64_u32.to_le_bytes());
        let checksum = Checked::Header.checksum(&bytes, []);
        bytes[CHECKED_HEADER_BYTES..HEADER_BYTES].copy_from_slice(&checksum);
        // Its payload would be missed, if anybody came as far as that.
        let error = Decoder::over_tls().read(&mut &bytes[..]).unwrap_err();
        assert_eq!(matches!(error, WireError::Io(_)), is_pages, "{tag:?}: {error:?}");
        assert_eq!(matches!(error, WireError::Malformed(_)), !is_pages, "{tag:?}: {error:?}");
    }
}

#[test]
fn a_reason_that_is_too_long_is_cut_between_characters() {
    let reason = "ä".repeat(4096);
    let Message::Failed { reason: arrived } =
        decoded(&encoded(&Message::Failed { reason })).unwrap()
    else {
        panic!("something else arrived")
    };
    assert_eq!(arrived, "ä".repeat(2048));
    let odd = format!("x{}", "ä".repeat(4096));
    let Message::Cancel { reason: arrived } =
        decoded(&encoded(&Message::Cancel { reason: odd })).unwrap()
    else {
        panic!("something else arrived")
    };
    assert_eq!(arrived.len(), 4095);
}

/// Reads or writes one byte at a time, interrupted before each.
struct Dribble {
    bytes: Cursor<Vec<u8>>,
    interrupted: bool,
}

impl Dribble {
    fn interrupt(&mut self) -> io::Result<()> {
        self.interrupted = !self.interrupted;
        if self.interrupted { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt()?;
        let end = buffer.len().min(1);
        self.bytes.read(&mut buffer[..end])
    }
}

impl Write for Dribble {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt()?;
        self.bytes.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_that_takes_and_gives_single_bytes_changes_nothing() {
    let message = Message::Pages { first: PageIndex(3), data: vec![5; 4096] };
    let mut stream = Dribble { bytes: Cursor::new(Vec::new()), interrupted: false };
    Encoder::default().write(&mut stream, &message).unwrap();
    stream.bytes.set_position(0);
    assert_eq!(Decoder::default().read(&mut stream).unwrap(), message);
}

#[test]
fn a_wait_that_was_too_long_is_told_from_a_broken_connection() {
    struct Silent(io::ErrorKind);
    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
    }
    let read = |kind| Decoder::default().read(&mut Silent(kind)).unwrap_err();
    assert!(matches!(read(io::ErrorKind::WouldBlock), WireError::Timeout));
    assert!(matches!(read(io::ErrorKind::TimedOut), WireError::Timeout));
    assert!(matches!(read(io::ErrorKind::ConnectionReset), WireError::Io(_)));
}
