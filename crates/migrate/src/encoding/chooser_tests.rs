use super::*;

fn text(pages: usize) -> Vec<u8> {
    b"the quick brown fox jumps over the lazy dog; "
        .iter()
        .copied()
        .cycle()
        .take(pages * PAGE)
        .collect()
}

fn noise(pages: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..pages * PAGE / 8).flat_map(|_| next()).collect()
}

const RUN: Piece = Piece { pages: 64, encoding: None };

#[test]
fn nothing_is_compressed_for_a_link_that_is_faster_than_compressing() {
    let mut chooser = Chooser::new(None);
    for _ in 0..100 {
        chooser.left(RUN, 256 << 10, Duration::ZERO, Duration::from_micros(60));
        assert_eq!(chooser.choose(&text(64)), None);
    }
    assert!(!chooser.link_is_slow());
}

#[test]
fn a_limit_is_known_before_anything_was_measured() {
    let mut chooser = Chooser::new(Some(ByteRate::new(125e6)));
    assert!(chooser.link_is_slow());
    assert!(chooser.choose(&text(64)).is_some());
    // Ten channels that share 5 GB/s have half of one each.
    let mut one_of_ten = Chooser::new(None);
    one_of_ten.share(10, Some(ByteRate::new(5e9)));
    assert!(one_of_ten.link_is_slow());
}

#[test]
fn a_link_that_becomes_slow_is_noticed() {
    let mut chooser = Chooser::new(None);
    for _ in 0..50 {
        chooser.left(RUN, 256 << 10, Duration::ZERO, Duration::from_millis(3));
    }
    assert!(chooser.link_is_slow());
    assert!(chooser.choose(&text(64)).is_some());
}

#[test]
fn what_does_not_get_shorter_is_left_as_it_is() {
    let mut chooser = Chooser::new(Some(ByteRate::new(10e6)));
    assert_eq!(chooser.choose(&noise(64)), None);
    assert_eq!(chooser.choose(&noise(1)), None);
}

#[test]
fn the_one_that_costs_less_in_all_is_taken_and_the_other_tried_now_and_then() {
    let mut chooser = Chooser::new(Some(ByteRate::new(20e6)));
    // At 50 ns a byte the link is what takes longest by either.
    for _ in 0..200 {
        chooser.took(Encoding::Lz4, 1000, 600, Duration::from_nanos(1500));
        chooser.took(Encoding::Zstd, 1000, 450, Duration::from_nanos(4000));
    }
    let chosen: Vec<_> = (0..320).map(|_| chooser.choose(&text(64)).unwrap()).collect();
    let lz4 = chosen.iter().filter(|encoding| **encoding == Encoding::Lz4).count();
    assert_eq!(lz4, 10);
    // A processor that is much slower at it.
    for _ in 0..200 {
        chooser.took(Encoding::Zstd, 1000, 450, Duration::from_nanos(40_000));
    }
    let zstd = (0..320).filter(|_| chooser.choose(&text(64)) == Some(Encoding::Zstd)).count();
    assert_eq!(zstd, 10);
}

/// Sends text until 512 MiB have left over what takes `busy` ns a byte whatever it carries, and `link` for one that is carried.
fn sent_over(chooser: &mut Chooser, busy: u64, link: u64) -> (u32, u32) {
    let (content, mut packed) = (text(64), 0);
    let bytes = content.len() as u64;
    for _ in 0..2048 {
        let encoding = chooser.choose(&content);
        let carried = if encoding.is_some() { bytes / 2 } else { bytes };
        let packing = Duration::from_nanos(2 * bytes);
        if let Some(encoding) = encoding {
            chooser.took(encoding, content.len(), content.len() / 2, packing);
        }
        let waits = Duration::from_nanos(busy * bytes + link * carried);
        let packing = encoding.map_or(Duration::ZERO, |_| packing);
        chooser.left(Piece { encoding, ..RUN }, carried, packing, waits);
        packed += u32::from(encoding.is_some());
    }
    (packed, 2048)
}

#[test]
fn what_waits_for_a_busy_destination_is_not_taken_for_a_slow_link() {
    let mut chooser = Chooser::new(None);
    let (packed, runs) = sent_over(&mut chooser, 4, 0);
    assert!(packed > 0, "it looks like a slow link at first");
    assert!(packed < runs / 16, "{packed} of {runs}");
}

#[test]
fn over_a_slow_link_text_is_compressed() {
    let mut chooser = Chooser::new(None);
    let (packed, runs) = sent_over(&mut chooser, 0, 8);
    assert!(packed > runs / 8 * 7, "{packed} of {runs}");
}

#[test]
fn a_compressor_that_is_all_that_is_waited_for_does_not_make_the_link_fast() {
    let mut chooser = Chooser::new(None);
    let (content, mut packed) = (text(64), 0);
    for _ in 0..2048 {
        // Whatever leaves compressed is taken at once, and what leaves as it is waits for long.
        match chooser.choose(&content) {
            None => chooser.left(RUN, 256 << 10, Duration::ZERO, Duration::from_millis(2)),
            encoding => {
                packed += 1;
                let piece = Piece { encoding, ..RUN };
                chooser.left(piece, 100, Duration::from_micros(500), Duration::from_nanos(10));
            }
        }
        assert!(packed == 0 || chooser.link_is_slow());
    }
    assert!(packed > 1792, "{packed}");
}
