use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn page_of(fill: u8) -> Vec<u8> {
    vec![fill; PAGE]
}

#[test]
fn what_has_not_changed_costs_four_bytes() {
    let mut delta = Delta::new(1);
    delta.note(PageIndex(7), &page_of(1), false);
    assert_eq!(delta.alike(PageIndex(7), 1), (1, true));
    let mut packed = Vec::new();
    delta.encode(PageIndex(7), &page_of(1), &mut packed);
    assert_eq!(packed, [0; 4]);
}

#[test]
fn one_word_that_has_changed_costs_one_block() {
    let mut delta = Delta::new(1);
    delta.note(PageIndex(7), &page_of(1), false);
    let mut page = page_of(1);
    page[4095] = 2;
    let mut packed = Vec::new();
    delta.encode(PageIndex(7), &page, &mut packed);
    assert_eq!(packed.len(), 4 + BLOCK);
    assert_eq!(packed[..4], (1_u32 << 31).to_le_bytes());
}

#[test]
fn a_run_is_split_where_what_is_known_ends() {
    let mut delta = Delta::new(1);
    delta.note(PageIndex(2), &[page_of(1), page_of(2)].concat(), false);
    assert_eq!(delta.alike(PageIndex(0), 6), (2, false));
    assert_eq!(delta.alike(PageIndex(2), 4), (2, true));
    assert_eq!(delta.alike(PageIndex(4), 2), (2, false));
    delta.forget(PageRun { first: PageIndex(2), count: 1 });
    assert_eq!(delta.alike(PageIndex(2), 2), (1, false));
}

#[test]
fn what_is_kept_is_bounded_and_what_is_sent_again_drives_out_what_never_was() {
    // As many as this has room for a few pages only.
    let mut delta = Delta::new(u16::MAX);
    let places = delta.sets * WAYS;
    for page in 0..10_000 {
        delta.note(PageIndex(page), &page_of(1), false);
    }
    assert_eq!(delta.pages.len(), places);
    assert!(delta.place_of(0).is_some(), "the first found room");
    assert!(delta.place_of(9_999).is_none(), "the last did not");
    delta.note(PageIndex(9_999), &page_of(1), true);
    assert!(delta.place_of(9_999).is_some(), "now it is worth more than one of the others");
    // Ten pages that are all sent again and again: some stay, rather than each driving out the one before.
    let mut known = 0;
    for round in 0..20 {
        for page in 0..10 {
            let page = PageIndex(page * delta.sets as u64);
            if delta.alike(page, 1).1 {
                known += usize::from(round >= 10);
                delta.encode(page, &page_of(round), &mut Vec::new());
            } else {
                delta.note(page, &page_of(round), true);
            }
        }
    }
    assert!(known >= 40, "{known} of 100");
}

#[test]
fn differences_that_are_none_are_refused() {
    let wrong: [&[u8]; 3] = [&[], &[1, 0, 0], &[1, 0, 0, 0, 9]];
    for mut differences in wrong {
        assert!(patch(&mut differences, &mut page_of(0)).is_err(), "{differences:?}");
    }
}

proptest! {
    /// The destination, which has only what it was sent, always has what the source sent last.
    #[test]
    fn however_pages_change_the_other_side_follows(
        steps in vec((0_u64..6, vec((0..PAGE, any::<u8>()), 0..8), any::<bool>()), 1..60),
    ) {
        let mut delta = Delta::new(1);
        let (mut here, mut there) = (vec![page_of(0); 6], vec![page_of(0); 6]);
        for (page, writes, forgotten) in steps {
            let number = usize::try_from(page).unwrap();
            for (at, byte) in writes {
                here[number][at] = byte;
            }
            if forgotten {
                // Sent as it is, without being noted.
                delta.forget(PageRun { first: PageIndex(page), count: 1 });
                there[number].clone_from(&here[number]);
            } else if delta.alike(PageIndex(page), 1).1 {
                let mut packed = Vec::new();
                delta.encode(PageIndex(page), &here[number], &mut packed);
                let mut differences = &packed[..];
                patch(&mut differences, &mut there[number]).unwrap();
                prop_assert!(differences.is_empty());
            } else {
                delta.note(PageIndex(page), &here[number], true);
                there[number].clone_from(&here[number]);
            }
            prop_assert!(there[number] == here[number]);
        }
    }

    #[test]
    fn arbitrary_differences_never_reach_beyond_their_page(bytes in vec(any::<u8>(), 0..5000)) {
        let mut rest = &bytes[..];
        while patch(&mut rest, &mut page_of(0)).is_ok() {}
    }
}
