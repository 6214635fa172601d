use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const PAGES: usize = 9_000;

fn drained(writes: &OwnWrites) -> BTreeSet<u64> {
    let mut pages = BTreeSet::new();
    writes.drain(|word, bits| pages.extend(ones(bits).map(|bit| word * 64 + bit)));
    pages
}

proptest! {
    #[test]
    fn what_was_written_is_given_once(
        spans in prop::collection::vec((0..PAGES * PAGE, 0..300 * PAGE), 0..20),
    ) {
        let writes = OwnWrites::with_len(PAGES * PAGE);
        let mut expected = BTreeSet::new();
        for (offset, len) in spans {
            let len = len.min(PAGES * PAGE - offset);
            writes.mark_dirty(offset, len);
            if len > 0 {
                expected.extend((offset / PAGE) as u64..=((offset + len - 1) / PAGE) as u64);
            }
        }
        for page in 0..PAGES {
            prop_assert_eq!(writes.dirty_at(page * PAGE), expected.contains(&(page as u64)));
        }
        prop_assert_eq!(drained(&writes), expected);
        prop_assert_eq!(drained(&writes), BTreeSet::new());
    }
}

#[test]
fn beyond_the_region_nothing_is_noted_and_nothing_breaks() {
    let writes = OwnWrites::with_len(64 * PAGE);
    writes.mark_dirty(63 * PAGE, usize::MAX);
    writes.mark_dirty(64 * PAGE, 1);
    writes.mark_dirty(usize::MAX, 1);
    assert_eq!(drained(&writes), BTreeSet::from([63]));
    OwnWrites::default().mark_dirty(0, 1);
}

#[test]
fn none_is_lost_that_is_written_while_they_are_taken() {
    let writes = OwnWrites::with_len(PAGES * PAGE);
    let mut found = BTreeSet::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for page in 0..PAGES {
                // All over the region, and each page once.
                writes.mark_dirty((page * 7_001) % PAGES * PAGE, 1);
            }
        });
        while !writer.is_finished() {
            for page in drained(&writes) {
                assert!(found.insert(page), "page {page} came twice");
            }
        }
    });
    found.extend(drained(&writes));
    assert_eq!(found.len(), PAGES);
}
