//! Makes pages of what the source made of them.

use zstd::bulk::Decompressor;

use super::{PAGE, delta};
use crate::machine::{GuestMemory, MachineError};
use crate::wire::{Encoding, PageRun, WireError};

/// The unpacker of one channel. Its buffer is used again from run to run.
#[derive(Default)]
pub struct Unpacker {
    content: Vec<u8>,
    zstd: Option<Decompressor<'static>>,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

/// Why pages could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// What came is nothing that pages are written down as.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// What is there already could not be read.
    #[error("the pages that were to be changed could not be read")]
    Memory(#[source] MachineError),
}

impl Unpacker {
    /// The content of `run`, which lies in `memory`, from `packed` and what is there already.
    ///
    /// # Errors
    /// When `packed` does not become exactly these pages, or what is there cannot be read.
    pub fn unpack(
        &mut self,
        memory: &dyn GuestMemory,
        run: PageRun,
        encoding: Encoding,
        packed: &[u8],
    ) -> Result<&[u8], UnpackError> {
        let length = usize::try_from(run.count).map_or(0, |count| count * PAGE);
        self.content.resize(length, 0);
        match encoding {
            Encoding::Delta => {
                memory.read_pages(run.first, &mut self.content).map_err(UnpackError::Memory)?;
                let mut differences = packed;
                for page in self.content.chunks_exact_mut(PAGE) {
                    delta::patch(&mut differences, page)?;
                }
                if !differences.is_empty() {
                    return Err(WireError::Malformed("more differences than pages").into());
                }
            }
            Encoding::Lz4 => {
                whole(lz4_flex::block::decompress_into(packed, &mut self.content).ok(), length)?;
            }
            Encoding::Zstd => {
                if self.zstd.is_none() {
                    self.zstd = Some(Decompressor::new().map_err(WireError::from)?);
                }
                let decompressor = self.zstd.as_mut();
                let unpacked = decompressor
                    .and_then(|it| it.decompress_to_buffer(packed, &mut self.content[..]).ok());
                whole(unpacked, length)?;
            }
        }
        Ok(&self.content)
    }
}

fn whole(unpacked: Option<usize>, length: usize) -> Result<(), WireError> {
    if unpacked == Some(length) {
        Ok(())
    } else {
        Err(WireError::Malformed("compressed pages that are not whole"))
    }
}
