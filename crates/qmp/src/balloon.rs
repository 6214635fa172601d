//! How much memory a guest keeps.

use serde::{Deserialize, Serialize};

/// The answer to `query-balloon`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalloonInfo {
    /// Bytes that the guest has now: its memory without what it has given up.
    pub actual: u64,
}

macro_rules! statistics {
    ($($kind:literal $field:ident: $what:literal,)*) => {
        /// The answer to `x-landfall-query-balloon-stats`: what the guest says of its memory, by the names that QEMU has for it. A guest does
        /// not say everything.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct BalloonStatistics {
            $(
                #[doc = $what]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<u64>,
            )*
        }

        impl BalloonStatistics {
            /// Takes a figure by the number that it has in the standard. Others than those above are left out.
            pub fn set(&mut self, kind: u16, figure: u64) {
                match kind {
                    $($kind => self.$field = Some(figure),)*
                    _ => {}
                }
            }
        }
    };
}

statistics! {
    0 stat_swap_in: "Bytes that were brought back from swap since the guest began.",
    1 stat_swap_out: "Bytes that were moved to swap since the guest began.",
    2 stat_major_faults: "Pages that had to be read from a disk since the guest began.",
    3 stat_minor_faults: "Pages that had not to be read for it since the guest began.",
    4 stat_free_memory: "Bytes in which there is nothing.",
    5 stat_total_memory: "Bytes that the guest manages, without those given up.",
    6 stat_available_memory: "Bytes that programs could get without swapping.",
    7 stat_disk_caches: "Bytes with copies of what is on disks.",
    8 stat_htlb_pgalloc: "Huge pages given to programs since the guest began.",
    9 stat_htlb_pgfail: "Huge pages that programs did not get since the guest began.",
}
