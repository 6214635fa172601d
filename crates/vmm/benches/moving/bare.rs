//! The limits: who only writes and reads as many bytes over the same kind of socket, and looks at none of them; and who reads
//! them into memory that nobody has touched, as a guest's is where it arrives.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use landfall_converge::{Bytes, PAGE_SIZE};
use landfall_identity::name_in;
use landfall_migrate::machine::GuestMemory;
use landfall_vmm::memory::GuestRam;
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use vm_memory::{Bytes as _, GuestAddress};

use crate::engine::identity;
use crate::measured::{Measured, measure};
use crate::source::Source;

const PIECE: usize = 256 * 1024;

fn write_all(to: &mut impl Write, bytes: u64) {
    let piece = vec![7; PIECE];
    for _ in 0..bytes / PIECE as u64 {
        to.write_all(&piece).unwrap();
    }
    to.flush().unwrap();
}

fn read_all(from: &mut impl Read, bytes: u64) {
    let mut piece = vec![0; PIECE];
    for _ in 0..bytes / PIECE as u64 {
        from.read_exact(&mut piece).unwrap();
    }
}

/// Over `channels` connections.
pub(crate) fn plain(source: &Source, channels: u64) -> Measured {
    let bytes = source.memory.size().0 / channels;
    measure(|| {
        thread::scope(|scope| {
            for _ in 0..channels {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                scope.spawn(move || read_all(&mut listener.accept().unwrap().0, bytes));
                scope.spawn(move || write_all(&mut to, bytes));
            }
        });
        bytes * channels
    })
}

/// Over `channels` connections, each into memory of its own that was never touched.
pub(crate) fn fresh(source: &Source, channels: u64) -> Measured {
    let bytes = source.memory.size().0 / channels;
    let memory: Vec<_> = (0..channels).map(|_| GuestRam::new(Bytes(bytes)).unwrap()).collect();
    // The memory outlives what is measured: who has just got a guest does not give its memory back.
    measure(|| {
        thread::scope(|scope| {
            for memory in &memory {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                scope.spawn(move || fill(memory, &mut listener.accept().unwrap().0));
                scope.spawn(move || write_all(&mut to, bytes));
            }
        });
        bytes * channels
    })
}

/// Reads all of `memory` straight from the socket.
fn fill(memory: &GuestRam, from: &mut TcpStream) {
    for range in memory.layout().ranges() {
        let (mut at, end) = (range.start * PAGE_SIZE, range.end * PAGE_SIZE);
        while at < end {
            let most = usize::try_from(end - at).unwrap().min(PIECE);
            let read = memory.map().read_volatile_from(GuestAddress(at), from, most).unwrap();
            assert_ne!(read, 0, "the other end has sent all that it was to send");
            at += read as u64;
        }
    }
}

/// Over one connection of TLS.
pub(crate) fn tls(source: &Source) -> Measured {
    let bytes = source.memory.size().0;
    let (_folder, identity) = identity();
    measure(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (client, server) = (identity.client_config(), identity.server_config());
        thread::scope(|scope| {
            scope.spawn(move || {
                let session = ServerConnection::new(server).unwrap();
                read_all(&mut StreamOwned::new(session, listener.accept().unwrap().0), bytes);
            });
            scope.spawn(move || {
                let session = ClientConnection::new(client, name_in("localhost").unwrap());
                write_all(&mut StreamOwned::new(session.unwrap(), to), bytes);
            });
        });
        bytes
    })
}
