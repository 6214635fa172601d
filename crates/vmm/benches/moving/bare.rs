//! The limits: who only writes the same bytes over the same kind of socket, and looks at none of them at the other end; and who keeps
//! them there, in memory that nobody has touched, as a guest's is where it arrives.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use landfall_converge::PAGE_SIZE;
use landfall_identity::{Identity, name_in};
use landfall_migrate::machine::GuestMemory;
use landfall_vmm::memory::GuestRam;
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use vm_memory::mmap::MmapRegion;
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

/// Memory that was never touched, in huge pages: nothing is had sooner.
struct Untouched(MmapRegion<()>);

impl Untouched {
    fn new(bytes: usize) -> Self {
        let region = MmapRegion::new(bytes).unwrap();
        // SAFETY: the mapping is `region`'s, as long as it says. What the call changes is which pages the kernel takes for it.
        let result = unsafe { libc::madvise(region.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        Self(region)
    }

    /// Reads all of it.
    fn fill(&mut self, from: &mut impl Read) {
        // SAFETY: the mapping is this one's alone, and as long as it says.
        let all = unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), self.0.size()) };
        for piece in all.chunks_mut(PIECE) {
            from.read_exact(piece).unwrap();
        }
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
pub(crate) fn kept(source: &Source, channels: usize) -> Measured {
    let mut parts = kept_parts(source, channels);
    measure(|| {
        thread::scope(|scope| {
            for (part, memory) in &mut parts {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let mut to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                scope.spawn(move || memory.fill(&mut listener.accept().unwrap().0));
                scope.spawn(move || write_all(&mut to, &source.memory, part));
            }
        });
        source.memory.size().0
    })
}

/// What goes over each of `channels` connections, and where it is kept. That outlives what is measured: who has just got a guest does
/// not give its memory back.
fn kept_parts(source: &Source, channels: usize) -> Vec<(Vec<GuestAddress>, Untouched)> {
    let pieces = pieces(&source.memory);
    let parts = pieces.chunks(pieces.len().div_ceil(channels));
    parts.map(|part| (part.to_vec(), Untouched::new(part.len() * PIECE))).collect()
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

/// Over `channels` connections of TLS, each into memory of its own that was never touched.
pub(crate) fn kept_tls(source: &Source, channels: usize) -> Measured {
    let (_folder, identity) = identity();
    let mut parts = kept_parts(source, channels);
    measure(|| {
        thread::scope(|scope| {
            for (part, memory) in &mut parts {
                let identity = &identity;
                scope.spawn(move || {
                    encrypted(&source.memory, part, identity, |from| memory.fill(from));
                });
            }
        });
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
