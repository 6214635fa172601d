//! What may wait in the kernel for its turn to be sent.

use std::time::Duration;

use landfall_converge::ByteRate;

use super::run::LinkChannel;

/// The last pages of a guest, which stands still then, wait behind what was handed to the kernel before. Of itself the kernel
/// takes several megabytes, which is a tenth of a second on a link of 40 MB/s.
const MOST: Duration = Duration::from_millis(5);
/// Less would keep no link busy while a sender looks for what to send next.
const LEAST_BYTES: u32 = 128 << 10;
/// More than the kernel ever takes.
const MOST_BYTES: u32 = 16 << 20;

/// The bound of each channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unsent {
    /// And how many have it. `None`: as the kernel has it.
    bound: Option<(u32, usize)>,
}

impl Unsent {
    /// Bounds it by what leaves at `bandwidth` over all `channels`.
    pub(super) fn follow(&mut self, bandwidth: ByteRate, channels: &[LinkChannel]) {
        let bound = bound(bandwidth, channels.len());
        let bounded = Some((bound, channels.len()));
        if std::mem::replace(&mut self.bound, bounded) == bounded {
            return;
        }
        for channel in channels {
            if let Err(error) = channel.stream.bound_unsent(bound) {
                // The downtime is then as much longer as the kernel keeps back.
                tracing::debug!("what waits in a socket cannot be bounded: {error}");
            }
        }
    }
}

/// In powers of two, so that it does not change with every breath of the link.
fn bound(bandwidth: ByteRate, channels: usize) -> u32 {
    let bytes = bandwidth.over(MOST).0 / (channels.max(1) as u64);
    let bytes = u32::try_from(bytes).unwrap_or(MOST_BYTES).clamp(LEAST_BYTES, MOST_BYTES);
    bytes.next_power_of_two()
}

#[cfg(test)]
#[path = "unsent_tests.rs"]
mod tests;
