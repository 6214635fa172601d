use super::*;

#[derive(Default)]
struct Told {
    words: Vec<(u64, u64)>,
    by_vcpu: Vec<(usize, Pages)>,
}

impl DirtySink for Told {
    fn mark(&mut self, word: u64, bits: u64) {
        self.words.push((word, bits));
    }

    fn attribute(&mut self, vcpu: usize, pages: Pages) {
        self.by_vcpu.push((vcpu, pages));
    }
}

fn pending() -> Pending {
    Pending { bitmap: vec![0; 8], by_vcpu: vec![Pages(0); 2], ..Pending::default() }
}

#[test]
fn a_page_is_told_once_and_belongs_to_whom_wrote_it_first() {
    let mut pending = pending();
    for (vcpu, page) in [(0, 65), (1, 65), (0, 65), (1, 3), (0, 66)] {
        pending.note(vcpu, Some(page));
    }
    let mut told = Told::default();
    pending.hand_on(&mut told);
    assert_eq!(told.words, [(0, 1 << 3), (1, 0b110)]);
    assert_eq!(told.by_vcpu, [(0, Pages(2)), (1, Pages(1))]);
    let mut told = Told::default();
    pending.hand_on(&mut told);
    assert!(told.words.is_empty());
    assert_eq!(told.by_vcpu, [(0, Pages(0)), (1, Pages(0))], "silence is told, too");
}

#[test]
fn an_entry_for_a_page_that_is_not_there_is_counted_and_not_followed() {
    let mut pending = pending();
    pending.note(0, None);
    pending.note(0, Some(8 * 64));
    assert_eq!(pending.strays, 2);
    assert!(pending.words.is_empty());
}

#[test]
fn the_pages_of_a_slot_are_found_where_the_slot_lies() {
    let slot = |number, address, pages| Slot { number, address, pages, host_address: 0 };
    let slots = [slot(0, 0, 786_432), slot(1, 4 << 30, 1024)];
    assert_eq!(page_of(&slots, 0, 5), Some(5));
    assert_eq!(page_of(&slots, 1, 5), Some((1 << 20) + 5));
    assert_eq!(page_of(&slots, 1, 1024), None);
    assert_eq!(page_of(&slots, 2, 0), None);
}
