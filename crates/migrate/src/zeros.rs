//! Pages of zeros, which are sent as their numbers.

use crate::wire::PageRun;

/// Runs of zero pages in one message.
pub(crate) const MAX_ZERO_RUNS: usize = 1024;

/// Neighbouring runs made one: an empty guest is a single run.
pub(crate) fn joined(runs: Vec<PageRun>) -> Vec<PageRun> {
    let mut joined: Vec<PageRun> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if last.first.offset(last.count) == run.first => last.count += run.count,
            _ => joined.push(run),
        }
    }
    joined
}

/// Whether a page is all zeros. Blocks of 64 bytes are folded without a branch, which compilers turn into wide loads.
pub(crate) fn is_zero(page: &[u8]) -> bool {
    page.chunks_exact(64).all(|block| block.iter().fold(0, |any, byte| any | byte) == 0)
}
