//! General compressors, over a run of pages at a time.

use zstd::bulk::Compressor;

/// The fastest level of zstd that is not a mere copy of LZ4.
const ZSTD_LEVEL: i32 = 1;

/// Turns a run of pages into fewer bytes.
pub(crate) trait BlockEncoder: Send {
    /// Puts `content` into `packed` in the place of what was there; `false` where that is not shorter by an eighth at
    /// least, for then it is not worth the other side's time.
    fn encode(&mut self, content: &[u8], packed: &mut Vec<u8>) -> bool;
}

/// The most that is worth sending in the place of `content`.
pub(super) fn most_for(content: &[u8]) -> usize {
    content.len() / 8 * 7
}

/// LZ4, one block a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lz4;

impl BlockEncoder for Lz4 {
    fn encode(&mut self, content: &[u8], packed: &mut Vec<u8>) -> bool {
        packed.resize(lz4_flex::block::get_maximum_output_size(content.len()), 0);
        let length = lz4_flex::block::compress_into(content, packed).unwrap_or(usize::MAX);
        packed.truncate(length);
        length <= most_for(content)
    }
}

/// Zstandard, one frame a run.
#[derive(Default)]
pub(crate) struct Zstd {
    compressor: Option<Compressor<'static>>,
}

impl BlockEncoder for Zstd {
    fn encode(&mut self, content: &[u8], packed: &mut Vec<u8>) -> bool {
        if self.compressor.is_none() {
            self.compressor = Compressor::new(ZSTD_LEVEL).ok();
        }
        // No room for one: pages go as they are.
        let Some(compressor) = &mut self.compressor else { return false };
        packed.resize(most_for(content), 0);
        // What does not fit is not worth it.
        let length = compressor.compress_to_buffer(content, &mut packed[..]).ok();
        packed.truncate(length.unwrap_or(content.len()));
        length.is_some()
    }
}
