//! Whether this machine is virtual, and the host under it takes back memory that nobody uses.

use std::path::Path;

const ORDER: &str = "/sys/module/page_reporting/parameters/page_reporting_order";
/// The largest piece of memory that a kernel on x86 keeps as one, as a power of two of pages.
const LARGEST_ORDER: u32 = 10;

/// What to know of it before one believes a figure.
pub(super) fn note() -> Option<String> {
    let order = std::fs::read_to_string(Path::new(ORDER)).ok()?;
    is_reported(&order).then(|| {
        format!(
            "the host under this machine takes back memory that nobody uses, and gives it again slowly, so that every figure is the \
             host's as well; for others write {} to {ORDER} and touch all memory once",
            LARGEST_ORDER + 1
        )
    })
}

/// Pieces of that order and above are reported as free. Nobody has asked for that where it is none that there is.
fn is_reported(order: &str) -> bool {
    order.trim().parse::<u32>().is_ok_and(|order| order <= LARGEST_ORDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_there_are_can_be_reported() {
        assert!(is_reported("9\n"));
        for none in ["11\n", "4294967295\n", "-1\n", ""] {
            assert!(!is_reported(none), "{none:?}");
        }
    }
}
