use std::sync::Mutex;

use super::*;
use crate::machine::{GuestMemory, MachineError, MemoryLayout};

const CHOICES: [EncodingChoice; 5] = [
    EncodingChoice::None,
    EncodingChoice::Auto,
    EncodingChoice::Delta,
    EncodingChoice::Lz4,
    EncodingChoice::Zstd,
];

/// The memory of a destination.
struct Ram(MemoryLayout, Mutex<Vec<u8>>);

impl Ram {
    fn new() -> Self {
        let layout = MemoryLayout::new(std::iter::once(0..64).collect()).unwrap();
        Self(layout, Mutex::new(vec![0; 64 * PAGE]))
    }

    fn at(first: PageIndex) -> usize {
        usize::try_from(first.address()).unwrap()
    }
}

impl GuestMemory for Ram {
    fn layout(&self) -> &MemoryLayout {
        &self.0
    }

    fn read_pages(&self, first: PageIndex, buffer: &mut [u8]) -> Result<(), MachineError> {
        let at = Self::at(first);
        buffer.copy_from_slice(&self.1.lock().unwrap()[at..at + buffer.len()]);
        Ok(())
    }

    fn write_pages(&self, first: PageIndex, data: &[u8]) -> Result<(), MachineError> {
        let at = Self::at(first);
        self.1.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn zero_pages(&self, first: PageIndex, count: u64) -> Result<(), MachineError> {
        let zeros = vec![0; usize::try_from(count).unwrap() * PAGE];
        self.write_pages(first, &zeros)
    }
}

/// Half of it text, half of it noise, and nothing the same from page to page.
fn content(round: u64) -> Vec<u8> {
    let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::new();
    for page in 0..64_u64 {
        for word in 0..512_u64 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let is_noise = page % 8 >= 4 && word > 100;
            bytes.extend(if is_noise { state } else { page << 8 | round }.to_le_bytes());
        }
    }
    bytes
}

fn send(encodings: &mut Encodings, unpacker: &mut Unpacker, all: &[u8], ram: &Ram) -> usize {
    let (mut rest, mut first, mut sent) = (all, PageIndex(0), 0);
    while !rest.is_empty() {
        let piece = encodings.next_piece(first, rest);
        let run = PageRun { first, count: piece.pages as u64 };
        let (content, after) = rest.split_at(piece.pages * PAGE);
        match piece.encoding {
            None => {
                sent += content.len();
                ram.write_pages(first, content).unwrap();
            }
            Some(encoding) => {
                sent += encodings.packed().len();
                let unpacked = unpacker.unpack(ram, run, encoding, encodings.packed()).unwrap();
                ram.write_pages(first, unpacked).unwrap();
            }
        }
        first = first.offset(run.count);
        rest = after;
    }
    sent
}

#[test]
fn what_arrives_is_what_was_sent_by_every_encoding_and_again_and_again() {
    for choice in CHOICES {
        for rate in [None, Some(ByteRate::new(50e6))] {
            let mut encodings = Encodings::new(choice, rate);
            let (mut unpacker, ram) = (Unpacker::default(), Ram::new());
            for round in 0..40 {
                encodings.walk_begins(round > 0);
                // One in three rounds changes a little only.
                let mut all = content(round / 3);
                all[usize::try_from(round).unwrap() * 4099] ^= 0xff;
                let sent = send(&mut encodings, &mut unpacker, &all, &ram);
                assert!(*ram.1.lock().unwrap() == all, "{choice:?} at {rate:?}, round {round}");
                match (choice, rate) {
                    (EncodingChoice::None, _) | (EncodingChoice::Auto, None) => {
                        assert_eq!(sent, all.len());
                    }
                    (EncodingChoice::Lz4 | EncodingChoice::Zstd, _) => assert!(sent < all.len()),
                    (_, _) => assert!(round % 3 == 0 || sent < all.len() / 20, "{sent}"),
                }
            }
        }
    }
}

#[test]
fn zeros_in_between_are_not_mistaken_for_what_was_there_before() {
    let mut encodings = Encodings::new(EncodingChoice::Delta, None);
    let (mut unpacker, ram) = (Unpacker::default(), Ram::new());
    send(&mut encodings, &mut unpacker, &content(1), &ram);
    encodings.zeros(PageRun { first: PageIndex(0), count: 64 });
    ram.zero_pages(PageIndex(0), 64).unwrap();
    send(&mut encodings, &mut unpacker, &content(1), &ram);
    assert!(*ram.1.lock().unwrap() == content(1));
}

#[test]
fn a_limit_that_is_lifted_and_set_again_leaves_no_stale_knowledge() {
    let slow = Some(ByteRate::new(50e6));
    let mut encodings = Encodings::new(EncodingChoice::Auto, slow);
    let (mut unpacker, ram) = (Unpacker::default(), Ram::new());
    for (round, rate) in [(1, slow), (2, None), (1, slow), (1, None), (3, None), (1, slow)] {
        encodings.spread_over(1, rate);
        encodings.walk_begins(true);
        send(&mut encodings, &mut unpacker, &content(round), &ram);
        assert!(*ram.1.lock().unwrap() == content(round));
    }
}

#[test]
fn what_is_no_encoding_of_whole_pages_is_refused() {
    let (mut unpacker, ram) = (Unpacker::default(), Ram::new());
    let run = PageRun { first: PageIndex(0), count: 2 };
    let mut one_page = Vec::new();
    for encoding in [Encoding::Delta, Encoding::Lz4, Encoding::Zstd] {
        let half: &[u8] = match encoding {
            Encoding::Delta => &[0; 4],
            Encoding::Lz4 => {
                assert!(Lz4.encode(&[1; PAGE], &mut one_page));
                &one_page
            }
            Encoding::Zstd => {
                assert!(Zstd::default().encode(&[1; PAGE], &mut one_page));
                &one_page
            }
        };
        for packed in [half, &[0xff; 40]] {
            let unpacked = unpacker.unpack(&ram, run, encoding, packed);
            assert!(matches!(unpacked, Err(UnpackError::Wire(_))), "{encoding:?}");
        }
    }
}
