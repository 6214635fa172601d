//! Room for pages that are copied from guest memory.

use std::ops::{Deref, DerefMut};

use landfall_converge::PAGE_SIZE;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
const _: () = assert!(PAGE as u64 == PAGE_SIZE);

/// Room that begins where a page of the processor begins, as guest memory does.
///
/// An allocator gives such room with its own notes in front. To copy pages to a place a few bytes further than that where they lie in theirs
/// takes some processors five times as long.
#[derive(Debug, Default)]
pub(crate) struct PageBuffer {
    room: Vec<u8>,
    begin: usize,
    bytes: usize,
}

impl PageBuffer {
    /// For so many pages.
    pub(crate) fn new(pages: usize) -> Self {
        let room = vec![0; (pages + 1) * PAGE];
        let begin = room.as_ptr().align_offset(PAGE).min(PAGE);
        Self { room, begin, bytes: pages * PAGE }
    }
}

impl Deref for PageBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.room[self.begin..self.begin + self.bytes]
    }
}

impl DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.room[self.begin..self.begin + self.bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_page_and_has_as_many_as_were_asked_for() {
        for pages in [0, 1, 3, 64] {
            let mut buffer = PageBuffer::new(pages);
            assert_eq!(buffer.len(), pages * PAGE);
            assert!(buffer.as_ptr().addr().is_multiple_of(PAGE));
            buffer.fill(7);
            assert!(buffer.iter().all(|byte| *byte == 7));
        }
        assert!(PageBuffer::default().is_empty());
    }
}
