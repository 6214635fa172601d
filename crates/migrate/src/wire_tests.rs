use super::*;

#[test]
fn the_newest_version_that_both_understand_is_chosen() {
    assert_eq!(common_version(OLDEST_VERSION..=VERSION), Some(VERSION));
    assert_eq!(common_version(VERSION..=VERSION), Some(VERSION));
    assert_eq!(common_version(1..=u16::MAX), Some(VERSION), "a newer side speaks ours too");
    assert_eq!(common_version(OLDEST_VERSION..=OLDEST_VERSION), Some(OLDEST_VERSION));
}

#[test]
fn without_a_version_in_common_there_is_none() {
    assert_eq!(common_version(VERSION + 1..=VERSION + 5), None, "they have dropped ours");
    assert_eq!(common_version(0..=OLDEST_VERSION - 1), None, "we have dropped theirs");
    #[expect(clippy::reversed_empty_ranges, reason = "nothing keeps a peer from saying so")]
    let reversed = VERSION + 1..=VERSION;
    assert_eq!(common_version(reversed), None);
}
