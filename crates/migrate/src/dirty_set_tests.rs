use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

/// Two ranges with a hole between them.
fn layout() -> MemoryLayout {
    MemoryLayout::new(vec![0..640, 1024..1664]).unwrap()
}

fn has_page(page: u64) -> bool {
    layout().contains_run(PageIndex(page), 1)
}

#[derive(Clone, Debug)]
enum Step {
    Merge {
        word: u64,
        bits: u64,
    },
    /// `wanted`: the pages of each word that may be taken.
    Take {
        from: u64,
        most: u64,
        channel: u16,
        wanted: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Dense and sparse words: runs, and holes in them.
    let bits = prop_oneof![any::<u64>(), Just(u64::MAX), (0..64_u32).prop_map(|bit| 1 << bit)];
    let merge = (0..28_u64, bits).prop_map(|(word, bits)| Step::Merge { word, bits });
    let wanted = prop_oneof![any::<u64>(), Just(u64::MAX)];
    let take = (0..1800_u64, 1..80_u64, 0..3_u16, wanted)
        .prop_map(|(from, most, channel, wanted)| Step::Take { from, most, channel, wanted });
    proptest::collection::vec(prop_oneof![merge, take], 0..60)
}

/// The first run at or after `from`, by looking at every page.
fn naive_run(
    oracle: &BTreeSet<u64>,
    from: u64,
    most: u64,
    channel: u16,
    channels: u16,
) -> Option<(u64, u64)> {
    let ours = |page: &u64| channel_of(PageIndex(*page), channels) == channel;
    let first = *oracle.range(from..).find(|page| ours(page))?;
    let in_word = first + (64 - first % 64);
    let end = (first..in_word.min(first + most)).find(|page| !oracle.contains(page));
    Some((first, end.unwrap_or(in_word.min(first + most)) - first))
}

proptest! {
    #[test]
    fn it_holds_what_a_plain_set_of_pages_would(steps in steps(), channels in 1..4_u16) {
        let (set, mut oracle) = (DirtySet::empty(&layout()), BTreeSet::new());
        for step in steps {
            match step {
                Step::Merge { word, bits } => {
                    let pages = (0..64).filter(|bit| bits & (1 << bit) != 0);
                    let pages = pages.map(|bit| word * 64 + bit).filter(|page| has_page(*page));
                    let newly = pages.filter(|page| oracle.insert(*page)).count();
                    prop_assert_eq!(set.merge(word, bits), Pages(newly as u64));
                }
                Step::Take { from, most, channel, wanted } => {
                    let channel = channel % channels;
                    let run = set.take_run(PageIndex(from), most, channel, channels, |_| wanted);
                    let taken = run.map(|run| (run.first.0, run.count));
                    let choice = oracle.iter().copied().filter(|page| wanted >> (page % 64) & 1 == 1);
                    let choice = choice.collect();
                    prop_assert_eq!(taken, naive_run(&choice, from, most, channel, channels));
                    if let Some((first, count)) = taken {
                        for page in first..first + count {
                            oracle.remove(&page);
                        }
                    }
                }
            }
            prop_assert_eq!(set.pages(), Pages(oracle.len() as u64));
            prop_assert!(set.iter().map(|page| page.0).eq(oracle.iter().copied()));
        }
    }

    #[test]
    fn a_page_uses_the_same_channel_as_its_neighbours_in_two_mebibytes(
        page in 0..u64::MAX / 2, channels in 1..=128_u16,
    ) {
        let channel = channel_of(PageIndex(page), channels);
        prop_assert!(channel < channels);
        prop_assert_eq!(channel, channel_of(PageIndex(page / 512 * 512), channels));
    }

    #[test]
    fn a_window_counts_a_page_once(harvests in proptest::collection::vec((0..28_u64, any::<u64>()), 1..20)) {
        let (mut union, mut oracle) = (WindowUnion::new(&layout()), BTreeSet::new());
        let step = Duration::from_millis(10);
        for (number, (word, bits)) in (1..).zip(harvests) {
            union.add(word, bits);
            let within = |word: u64| word * 64 < layout().end();
            oracle.extend((0..64).filter(|bit| within(word) && bits & (1 << bit) != 0).map(|bit| word * 64 + bit));
            let window = union.harvested(step, step / 2);
            prop_assert_eq!(window.distinct, Pages(oracle.len() as u64));
            prop_assert_eq!(window.guest_ran, step / 2 * number);
        }
    }
}

#[test]
fn the_whole_of_memory_leaves_in_whole_words() {
    let set = DirtySet::full(&layout());
    assert_eq!(set.pages(), layout().pages());
    let mut cursor = PageIndex(0);
    while let Some(run) = set.take_run(cursor, 64, 0, 1, |_| u64::MAX) {
        assert_eq!((run.first.0 % 64, run.count), (0, 64));
        cursor = run.first.offset(run.count);
    }
    assert_eq!(set.pages(), Pages(0));
}

#[test]
fn a_window_begins_anew_after_a_second() {
    let mut union = WindowUnion::new(&layout());
    union.add(0, 0b11);
    assert_eq!(union.harvested(WINDOW, WINDOW).distinct, Pages(2));
    union.add(0, 0b1);
    assert_eq!(union.harvested(WINDOW / 20, WINDOW / 20).distinct, Pages(1));
}

/// Every page that is ever added is taken afterwards, however many take and add at once.
#[test]
fn no_page_is_lost_between_those_who_add_and_those_who_take() {
    const CHANNELS: u16 = 3;
    let set = DirtySet::full(&layout());
    let start = Barrier::new(usize::from(CHANNELS) + 1);
    let (taken, added) = thread::scope(|scope| {
        let senders: Vec<_> = (0..CHANNELS)
            .map(|channel| {
                let (set, start) = (&set, &start);
                scope.spawn(move || {
                    start.wait();
                    let (mut taken, mut cursor) = (0, PageIndex(0));
                    for _ in 0..20_000 {
                        match set.take_run(cursor, 17, channel, CHANNELS, |_| u64::MAX) {
                            Some(run) => {
                                taken += run.count;
                                cursor = run.first.offset(run.count);
                            }
                            None => cursor = PageIndex(0),
                        }
                    }
                    taken
                })
            })
            .collect();
        start.wait();
        let added: u64 = (0..20_000_u64).map(|round| set.merge(round % 26, u64::MAX / 7).0).sum();
        (senders.into_iter().map(|sender| sender.join().unwrap()).sum::<u64>(), added)
    });
    assert_eq!(layout().pages().0 + added - taken, set.pages().0);
    let left = (0..CHANNELS).map(|channel| {
        let mut left = 0;
        while let Some(run) = set.take_run(PageIndex(0), 64, channel, CHANNELS, |_| u64::MAX) {
            left += run.count;
        }
        left
    });
    assert_eq!(left.sum::<u64>(), layout().pages().0 + added - taken);
    assert_eq!(set.pages(), Pages(0));
}
