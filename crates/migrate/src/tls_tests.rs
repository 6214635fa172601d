use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landfall_identity::{Authority, Identity, Request, name_in};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn pair() -> (Tls, Tls) {
    let folder = TempDir::new().unwrap();
    let valid = Duration::from_secs(86_400);
    let authority = Authority::create(&folder.path().join("ca"), "lab", valid).unwrap();
    let request = Request { name: "localhost".to_owned(), addresses: vec![], valid };
    authority.issue(&request, &folder.path().join("host")).unwrap();
    let identity = Identity::load(&folder.path().join("host")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = identity.server_config();
    let accepting = thread::spawn(move || Tls::accept(listener.accept().unwrap().0, server));
    let client = Client { config: identity.client_config(), name: name_in("localhost").unwrap() };
    let connected = Tls::connect(TcpStream::connect(address).unwrap(), client).unwrap();
    (connected, accepting.join().unwrap().unwrap())
}

fn read_exactly(tls: &Tls, length: usize) -> Vec<u8> {
    let (mut read, mut at) = (vec![0; length], 0);
    while at < length {
        let count = tls.read(&mut read[at..]).unwrap();
        assert!(count > 0, "it ended after {at} of {length} bytes");
        at += count;
    }
    read
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

#[test]
fn pieces_of_every_length_arrive_in_their_order() {
    let (here, there) = pair();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(40));
    let lengths = prop::collection::vec(
        prop_oneof![0_usize..40, 16_350_usize..16_420, 32_700_usize..32_800, 1_usize..300_000],
        1..6,
    );
    runner
        .run(&lengths, |lengths| {
            let pieces: Vec<_> = lengths.into_iter().map(content).collect();
            let all = pieces.concat();
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let read = thread::scope(|scope| {
                let reading = scope.spawn(|| read_exactly(&there, all.len()));
                assert_eq!(here.write_vectored(&slices).unwrap(), all.len());
                reading.join().unwrap()
            });
            prop_assert!(read == all);
            Ok(())
        })
        .unwrap();
}

#[test]
fn both_directions_are_used_at_once_by_threads_that_do_not_wait_for_each_other() {
    let (here, there) = pair();
    let much = content(3_000_000);
    thread::scope(|scope| {
        for tls in [&here, &there] {
            let much = &much;
            scope.spawn(move || {
                for part in much.chunks(100_000) {
                    tls.write_vectored(&[IoSlice::new(part)]).unwrap();
                }
            });
        }
        let heard_here = scope.spawn(|| read_exactly(&here, much.len()));
        assert!(read_exactly(&there, much.len()) == much);
        assert!(heard_here.join().unwrap() == much);
    });
}

#[test]
fn an_end_is_seen() {
    let (here, there) = pair();
    here.write_vectored(&[IoSlice::new(b"last")]).unwrap();
    here.socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_exactly(&there, 4), b"last");
    assert_eq!(there.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(there.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn what_was_changed_on_its_way_is_never_given_out() {
    let (here, there) = pair();
    // As somebody on the way would: a record of the right form whose content was not made by the other side.
    let mut forged = vec![23, 3, 3, 0, 64];
    forged.extend([7; 64]);
    (&here.socket).write_all(&forged).unwrap();
    let error = there.read(&mut [0; 64]).unwrap_err();
    assert!(found_in(&error).is_some(), "{error:?}");
}
