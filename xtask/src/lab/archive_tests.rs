use super::*;

#[test]
fn every_entry_begins_at_a_multiple_of_four_with_the_lengths_of_what_follows() {
    let mut archive = Archive::default();
    archive.program("init", b"#!/bin/sh\n");
    archive.program("a/b/c", b"c");
    archive.program("a/b/d", b"");
    let bytes = archive.finish();
    let number = |at: usize| {
        usize::from_str_radix(std::str::from_utf8(&bytes[at..at + 8]).unwrap(), 16).unwrap()
    };
    let (mut at, mut names) = (0, Vec::new());
    while at < bytes.len() {
        assert_eq!((at % 4, &bytes[at..at + 6]), (0, &b"070701"[..]));
        let (size, name) = (number(at + 54), number(at + 94));
        let name_at = at + 110;
        names.push(String::from_utf8_lossy(&bytes[name_at..name_at + name - 1]).into_owned());
        let file_at = (name_at + name).next_multiple_of(4);
        if names.len() == 1 {
            assert_eq!(&bytes[file_at..file_at + size], b"#!/bin/sh\n");
            assert_eq!(number(at + 14), 0o100_755);
        }
        at = (file_at + size).next_multiple_of(4);
    }
    assert_eq!(names, ["init", "a", "a/b", "a/b/c", "a/b/d", "TRAILER!!!"]);
}
