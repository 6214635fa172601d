//! Huge pages of guests: those of the host's pool, which a guest is to have, and those that the kernel gives to whoever asks.

use super::boot::MEMORY_MIB;
use super::place::Place;
use crate::lab::machine::NEWS;

/// What a guest's memory is made of. `host.sh` has the host ready for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    /// Huge pages of the pool.
    Pooled,
    /// Whatever the kernel gives, which is huge pages, too.
    Given,
}

impl Pages {
    /// What a guest of such pages is started with.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Pooled => &["--hugepages", "2MiB"],
            Self::Given => &[],
        }
    }

    /// The guest at `place`, which is the only one there, is made of such pages.
    pub(super) fn has(self, place: Place) -> Result<(), String> {
        let memory_kib = MEMORY_MIB * 1024;
        let (is_so, kib) = match self {
            Self::Pooled => {
                let [total, free, size] =
                    ["HugePages_Total", "HugePages_Free", "Hugepagesize"].map(|it| read(place, it));
                let (total, free, size) = (total?, free?, size?);
                println!("{NEWS}huge pages at {}: {free} of {total} free", place.address());
                let taken = (total - free) * size;
                (taken == memory_kib, taken)
            }
            Self::Given => {
                let given = read(place, "ShmemHugePages")?;
                println!("{NEWS}huge pages at {}: {given} KiB given", place.address());
                // Where a guest has written to nothing it has none, and not every stretch has memory of its own.
                (given >= memory_kib / 4, given)
            }
        };
        if is_so {
            return Ok(());
        }
        Err(format!("{kib} KiB are in huge pages, of {memory_kib} that the guest has"))
    }
}

/// A number of what the host says of its memory.
fn read(place: Place, key: &str) -> Result<u64, String> {
    let output = place.command("/bin/cat").arg("/proc/meminfo").output();
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("there is no {key} in what the host says of its memory"))
}
