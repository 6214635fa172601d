use std::io::Read as _;
use std::os::fd::OwnedFd;

use super::*;

#[test]
fn what_nobody_reads_is_lost_and_what_somebody_reads_later_is_not() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut output = Patient::of(File::from(OwnedFd::from(writer)));
    // More than a pipe takes; the writer gives up once, and then waits no more.
    output.write_all(&vec![b'x'; 1 << 20]).unwrap();
    let mut taken = vec![0; 64 << 10];
    let count = reader.read(&mut taken).unwrap();
    assert!(count > 0 && taken[..count].iter().all(|byte| *byte == b'x'));
    output.write_all(b"end").unwrap();
    drop(output);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"end") && rest.len() < 1 << 20);
}

#[test]
fn a_reader_that_is_only_slow_gets_everything() {
    let (mut reader, writer) = io::pipe().unwrap();
    let written: Vec<u8> = (0..300_000_u32).map(|index| index.to_le_bytes()[1]).collect();
    let expected = written.clone();
    let writing = std::thread::spawn(move || {
        Patient::of(File::from(OwnedFd::from(writer))).write_all(&written).unwrap();
    });
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    writing.join().unwrap();
    assert!(read == expected);
}
