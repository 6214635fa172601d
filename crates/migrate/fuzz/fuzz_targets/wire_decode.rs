//! Whatever arrives, the decoder neither panics nor believes a length; and what it accepts means the same when written again.

#![no_main]

use landfall_migrate::wire::{Decoder, Encoder, HEADER_BYTES, Message, WireError};
use libfuzzer_sys::fuzz_target;

/// Longer than any message but the state of a machine.
const MOST_CONTENT: usize = 2 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % 4 {
        0 => decode_all(bytes, Decoder::default),
        // With a right checksum, or no random bytes would ever get past it.
        1 => decode_all(&framed(bytes), Decoder::over_tls),
        _ => decode_all(&framed(bytes), Decoder::default),
    }
});

/// Reads `bytes` as frames: two bytes of kind, two of length, and so much content.
fn framed(mut bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some(([tag_low, tag_high, length_low, length_high], rest)) = bytes.split_first_chunk()
    {
        let announced = usize::from(u16::from_le_bytes([*length_low, *length_high]));
        let (content, after) = rest.split_at(announced.min(rest.len()));
        // Few kinds are known, and few flags; most of the time one of them should come.
        let kind = u16::from_le_bytes([*tag_low % 19, 0]);
        let flags = if *tag_high >= 250 { u16::from(*tag_high) - 250 } else { 0 };
        // Every so often a whole page or two, which a fuzzer would not find by itself.
        let mut content = content.to_vec();
        if *tag_high % 8 == 1 {
            content.resize(8 + 4096 * (1 + announced % 66), *tag_high);
        }
        let start = stream.len();
        stream.extend(b"LNDF");
        stream.extend(kind.to_le_bytes());
        stream.extend(flags.to_le_bytes());
        stream.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&stream[start..]);
        // With the first flag it is over the header alone.
        if flags != 1 {
            checksum.update(&content);
        }
        stream.extend(checksum.finalize().to_le_bytes());
        stream.extend(content);
        bytes = after;
    }
    stream
}

fn decode_all(bytes: &[u8], decoder: fn() -> Decoder) {
    let (mut owning, mut borrowing) = (decoder(), decoder());
    let (mut rest, mut same) = (bytes, bytes);
    loop {
        let before = rest;
        let message = owning.read(&mut rest);
        let borrowed = borrowing.read_borrowed(&mut same);
        assert_eq!(message.is_ok(), borrowed.is_ok());
        match message {
            Ok(message) => accepted(&message, &before[..before.len() - rest.len()]),
            Err(WireError::Closed) => return assert!(before.is_empty()),
            Err(_) => return,
        }
    }
}

/// What was read can be written, as one frame of the same length, and read again.
fn accepted(message: &Message, frame: &[u8]) {
    assert!(frame.len() >= HEADER_BYTES && frame.len() <= HEADER_BYTES + MOST_CONTENT);
    // A reason is for people: one that is not quite text, or too long, is mended or cut.
    if matches!(message, Message::Failed { .. } | Message::Cancel { .. }) {
        return;
    }
    let mut written = Vec::new();
    let length =
        Encoder::default().write(&mut written, message).expect("what was read can be written");
    assert_eq!((length, written.len()), (frame.len() as u64, frame.len()));
    assert_eq!(
        &Decoder::default().read(&mut &written[..]).expect("what was written can be read"),
        message
    );
}
