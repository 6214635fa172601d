//! The limits: who only writes the same bytes over the same kind of socket, and looks at none of them at the other end; and who reads
//! them into memory that nobody has touched, as a guest's is where it arrives.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use landfall_converge::{Bytes, PAGE_SIZE};
use landfall_identity::{Identity, name_in};
use landfall_migrate::machine::GuestMemory;
use landfall_vmm::memory::GuestRam;
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use vm_memory::{GuestAddress, GuestMemoryBackend as _};

use crate::engine::identity;
use crate::measured::{Measured, measure};
use crate::source::Source;

const PIECE: usize = 256 * 1024;

/// The pieces of guest memory, in its order; a guest's is a multiple of them.
fn pieces(memory: &GuestRam) -> Vec<GuestAddress> {
    let ranges = memory.layout().ranges().iter();
    let addresses =
        ranges.flat_map(|range| (range.start * PAGE_SIZE..range.end * PAGE_SIZE).step_by(PIECE));
    addresses.map(GuestAddress).collect()
}

/// Writes these pieces of `memory`.
fn write_all(to: &mut impl Write, memory: &GuestRam, pieces: &[GuestAddress]) {
    for piece in pieces {
        let piece = memory.map().get_host_address(*piece).unwrap();
        // SAFETY: a piece lies within one region of the memory, which is borrowed meanwhile and which nobody writes to.
        to.write_all(unsafe { std::slice::from_raw_parts(piece, PIECE) }).unwrap();
    }
    to.flush().unwrap();
}

/// Reads what is looked at by nobody.
fn read_all(from: &mut impl Read, bytes: u64) {
    let mut piece = vec![0; PIECE];
    for _ in 0..bytes / PIECE as u64 {
        from.read_exact(&mut piece).unwrap();
    }
}

/// Reads all of `memory`.
fn fill(memory: &GuestRam, from: &mut impl Read) {
    for piece in pieces(memory) {
        let piece = memory.map().get_host_address(piece).unwrap();
        // SAFETY: a piece lies within one region of the memory, which is borrowed meanwhile and which nobody else touches.
        let piece = unsafe { std::slice::from_raw_parts_mut(piece, PIECE) };
        from.read_exact(piece).unwrap();
    }
}

/// Over `channels` connections.
pub(crate) fn plain(source: &Source, channels: usize) -> Measured {
    let pieces = pieces(&source.memory);
    measure(|| {
        thread::scope(|scope| {
            for pieces in pieces.chunks(pieces.len().div_ceil(channels)) {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let bytes = pieces.len() as u64 * PIECE as u64;
                scope.spawn(move || read_all(&mut listener.accept().unwrap().0, bytes));
                scope.spawn(move || write_all(&mut to, &source.memory, pieces));
            }
        });
        source.memory.size().0
    })
}

/// Over `channels` connections, each into memory of its own that was never touched.
pub(crate) fn fresh(source: &Source, channels: usize) -> Measured {
    let pieces = pieces(&source.memory);
    let parts = pieces.chunks(pieces.len().div_ceil(channels));
    let memory_for = |part: &[GuestAddress]| GuestRam::new(Bytes(part.len() as u64 * PIECE as u64));
    // The memory outlives what is measured: who has just got a guest does not give its memory back.
    let parts: Vec<_> = parts.map(|part| (part, memory_for(part).unwrap())).collect();
    measure(|| {
        thread::scope(|scope| {
            for (part, memory) in &parts {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                scope.spawn(move || fill(memory, &mut listener.accept().unwrap().0));
                scope.spawn(move || write_all(&mut to, &source.memory, part));
            }
        });
        source.memory.size().0
    })
}

/// Over `channels` connections of TLS.
pub(crate) fn tls(source: &Source, channels: usize) -> Measured {
    let (_folder, identity) = identity();
    let pieces = pieces(&source.memory);
    measure(|| {
        thread::scope(|scope| {
            for pieces in pieces.chunks(pieces.len().div_ceil(channels)) {
                let bytes = pieces.len() as u64 * PIECE as u64;
                let identity = &identity;
                scope.spawn(move || {
                    encrypted(&source.memory, pieces, identity, |from| read_all(from, bytes));
                });
            }
        });
        source.memory.size().0
    })
}

/// Over one connection of TLS, into memory that was never touched.
pub(crate) fn fresh_tls(source: &Source) -> Measured {
    let (_folder, identity) = identity();
    let memory = GuestRam::new(source.memory.size()).unwrap();
    let pieces = pieces(&source.memory);
    measure(|| {
        encrypted(&source.memory, &pieces, &identity, |from| fill(&memory, from));
        source.memory.size().0
    })
}

type Encrypted = StreamOwned<ServerConnection, TcpStream>;

/// Writes these pieces of `memory` over one connection, at whose other end is who reads them.
fn encrypted(
    memory: &GuestRam,
    pieces: &[GuestAddress],
    identity: &Identity,
    read: impl FnOnce(&mut Encrypted) + Send,
) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (client, server) = (identity.client_config(), identity.server_config());
    thread::scope(|scope| {
        scope.spawn(move || {
            let session = ServerConnection::new(server).unwrap();
            read(&mut StreamOwned::new(session, listener.accept().unwrap().0));
        });
        scope.spawn(move || {
            let session = ClientConnection::new(client, name_in("localhost").unwrap());
            let mut to = StreamOwned::new(session.unwrap(), to);
            write_all(&mut to, memory, pieces);
        });
    });
}
