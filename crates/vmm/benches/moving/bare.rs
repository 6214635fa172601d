//! The limits: who only writes the same bytes over the same kind of socket, and looks at none of them at the other end; and who keeps
//! them there, in memory that nobody has touched, as a guest's is where it arrives.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use landfall_converge::PAGE_SIZE;
use landfall_identity::name_in;
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

/// What becomes of what is read.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// Nobody looks at it.
    Forgotten,
    /// It is in memory that was never touched.
    Kept,
}

/// Who reads so many pieces.
enum Reader {
    Forgets(usize),
    Keeps(Untouched),
}

impl Reader {
    fn of(pieces: usize, then: Then) -> Self {
        match then {
            Then::Forgotten => Self::Forgets(pieces),
            Then::Kept => Self::Keeps(Untouched::new(pieces * PIECE)),
        }
    }

    fn read_all(&mut self, from: &mut impl Read) {
        match self {
            Self::Forgets(pieces) => {
                let mut piece = vec![0; PIECE];
                for _ in 0..*pieces {
                    from.read_exact(&mut piece).unwrap();
                }
            }
            Self::Keeps(memory) => memory.fill(from),
        }
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

/// Has what goes over each of `channels` connections moved by `connection`, at the same time.
fn over(
    source: &Source,
    channels: usize,
    then: Then,
    connection: impl Fn(&GuestRam, &[GuestAddress], &mut Reader) + Sync,
) -> Measured {
    let pieces = pieces(&source.memory);
    let parts = pieces.chunks(pieces.len().div_ceil(channels));
    // What is kept outlives what is measured: who has just got a guest does not give its memory back.
    let mut parts: Vec<_> = parts.map(|part| (part, Reader::of(part.len(), then))).collect();
    measure(|| {
        thread::scope(|scope| {
            for (part, reader) in &mut parts {
                let connection = &connection;
                scope.spawn(move || connection(&source.memory, part, reader));
            }
        });
        source.memory.size().0
    })
}

/// Over `channels` connections.
pub(crate) fn plain(source: &Source, channels: usize, then: Then) -> Measured {
    over(source, channels, then, |memory, pieces, reader| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| reader.read_all(&mut listener.accept().unwrap().0));
            scope.spawn(move || write_all(&mut to, memory, pieces));
        });
    })
}

/// Over `channels` connections of TLS.
pub(crate) fn tls(source: &Source, channels: usize, then: Then) -> Measured {
    let (_folder, identity) = identity();
    over(source, channels, then, |memory, pieces, reader| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (client, server) = (identity.client_config(), identity.server_config());
        thread::scope(|scope| {
            scope.spawn(|| {
                let session = ServerConnection::new(server).unwrap();
                reader.read_all(&mut StreamOwned::new(session, listener.accept().unwrap().0));
            });
            scope.spawn(move || {
                let session = ClientConnection::new(client, name_in("localhost").unwrap());
                let mut to = StreamOwned::new(session.unwrap(), to);
                write_all(&mut to, memory, pieces);
            });
        });
    })
}
