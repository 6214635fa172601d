//! Whatever pages are said to be, the unpacker makes whole pages of it or refuses, and only a delta looks at what is there.

#![no_main]

use std::sync::Mutex;

use landfall_migrate::machine::{GuestMemory, MachineError, MemoryLayout, PageIndex};
use landfall_migrate::wire::{Encoding, MAX_RUN_PAGES, PageRun};
use landfall_migrate::{UnpackError, Unpacker};
use libfuzzer_sys::fuzz_target;

const PAGE: usize = 4096;
const ALL: [Encoding; 3] = [Encoding::Delta, Encoding::Lz4, Encoding::Zstd];

fuzz_target!(|input: &[u8]| {
    let Some(([kind, count, flips], bytes)) = input.split_first_chunk::<3>() else { return };
    let encoding = ALL[usize::from(kind % 3)];
    let count = 1 + u64::from(*count) % MAX_RUN_PAGES;
    let run = PageRun { first: PageIndex(0), count };
    if kind & 0x80 == 0 {
        unpack(run, encoding, bytes);
    } else {
        // Something that is nearly right, which random bytes never are.
        let length = usize::try_from(count).unwrap() * PAGE;
        let content: Vec<u8> = bytes.iter().copied().chain([0]).cycle().take(length).collect();
        let mut packed = packed(encoding, &content);
        if *flips == 0 {
            assert_eq!(unpack(run, encoding, &packed), Some(content));
        } else {
            for flip in bytes.chunks_exact(3).take(usize::from(flips % 8) + 1) {
                let at = usize::from(u16::from_le_bytes([flip[0], flip[1]])) % packed.len();
                packed[at] ^= flip[2];
            }
            unpack(run, encoding, &packed);
        }
    }
});

/// What a source would make of it.
fn packed(encoding: Encoding, content: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Lz4 => lz4_flex::block::compress(content),
        Encoding::Zstd => zstd::bulk::compress(content, 1).unwrap(),
        Encoding::Delta => content.chunks_exact(PAGE).flat_map(all_of_it).collect(),
    }
}

/// A page in which every block has changed.
fn all_of_it(page: &[u8]) -> impl Iterator<Item = u8> {
    [0xff; 4].into_iter().chain(page.iter().copied())
}

fn unpack(run: PageRun, encoding: Encoding, packed: &[u8]) -> Option<Vec<u8>> {
    let (memory, mut unpacker) = (Memory::new(), Unpacker::default());
    // As the one before has left it.
    let _ = unpacker.unpack(&memory, PageRun { count: 3, ..run }, Encoding::Lz4, b"nothing");
    match unpacker.unpack(&memory, run, encoding, packed) {
        Ok(content) => {
            assert_eq!(content.len() as u64, run.count * PAGE as u64);
            assert_eq!(memory.was_read(), encoding == Encoding::Delta);
            Some(content.to_vec())
        }
        Err(UnpackError::Wire(_)) => None,
        Err(UnpackError::Memory(error)) => panic!("{error}"),
    }
}

/// Memory that is full of the same byte.
struct Memory {
    layout: MemoryLayout,
    was_read: Mutex<bool>,
}

impl Memory {
    fn new() -> Self {
        let layout = MemoryLayout::new(vec![0..64, 64..128]).unwrap();
        Self { layout, was_read: Mutex::new(false) }
    }

    fn was_read(&self) -> bool {
        *self.was_read.lock().unwrap()
    }
}

impl GuestMemory for Memory {
    fn layout(&self) -> &MemoryLayout {
        &self.layout
    }

    fn read_pages(&self, _: PageIndex, buffer: &mut [u8]) -> Result<(), MachineError> {
        *self.was_read.lock().unwrap() = true;
        buffer.fill(0x5a);
        Ok(())
    }

    fn write_pages(&self, _: PageIndex, _: &[u8]) -> Result<(), MachineError> {
        panic!("unpacking writes nothing");
    }

    fn zero_pages(&self, _: PageIndex, _: u64) -> Result<(), MachineError> {
        panic!("unpacking writes nothing");
    }
}
