//! A disk, as the guest's driver for virtio disks knows it.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use virtio_queue::DescriptorChain;

use super::disk::{Disk, SECTOR};
use super::{Configuration, DeviceMemory, Malformed, Model};

/// The device's number in the standard.
const BLOCK: u32 = 2;

/// Its features.
const READ_ONLY: u64 = 1 << 5;
const FLUSH_FEATURE: u64 = 1 << 9;

/// What a request asks for.
const READ: u32 = 0;
const WRITE: u32 = 1;
const FLUSH: u32 = 4;
const IDENTITY: u32 = 8;

/// How a request ended.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const UNKNOWN: u8 = 2;

const IDENTITY_LENGTH: usize = 20;
/// What a request begins with: what it asks for, nothing, and the first sector.
const HEADER: usize = 16;
/// So much is moved at a time.
const PIECE: usize = 64 << 10;

/// A disk.
#[derive(Debug)]
pub(crate) struct Block {
    disk: Arc<Disk>,
    /// By which a guest tells its disks apart.
    identity: String,
    piece: Vec<u8>,
}

impl Block {
    /// `disk` as number `number` of a machine.
    pub(crate) fn new(disk: Arc<Disk>, number: usize) -> Self {
        Self { disk, identity: format!("landfall-disk-{number}"), piece: vec![0; PIECE] }
    }

    /// Where a request of `length` bytes from `sector` on begins, if all of it is on the disk.
    fn place(&self, sector: u64, length: usize) -> io::Result<u64> {
        let length = length as u64;
        let end = sector.checked_add(length / SECTOR).filter(|end| *end <= self.disk.sectors());
        if length.is_multiple_of(SECTOR) && end.is_some() {
            Ok(sector * SECTOR)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the guest asks for what the disk has not",
            ))
        }
    }

    fn read(&mut self, sector: u64, to: &mut impl io::Write, length: usize) -> io::Result<()> {
        let begin = self.place(sector, length)?;
        let mut done = 0;
        while done < length {
            let piece = &mut self.piece[..(length - done).min(PIECE)];
            self.disk.read(begin + done as u64, piece)?;
            to.write_all(piece)?;
            done += piece.len();
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, from: &mut impl io::Read, length: usize) -> io::Result<()> {
        let begin = self.place(sector, length)?;
        if self.disk.is_read_only() {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let mut done = 0;
        while done < length {
            let piece = &mut self.piece[..(length - done).min(PIECE)];
            from.read_exact(piece)?;
            self.disk.write(begin + done as u64, piece)?;
            done += piece.len();
        }
        Ok(())
    }
}

impl Model for Block {
    fn kind(&self) -> u32 {
        BLOCK
    }

    fn features(&self) -> u64 {
        FLUSH_FEATURE | if self.disk.is_read_only() { READ_ONLY } else { 0 }
    }

    /// Only the size; all else belongs to features that are not offered.
    fn configuration(&self) -> Arc<dyn Configuration> {
        Arc::new(self.disk.sectors().to_le_bytes().to_vec())
    }

    fn serve(
        &mut self,
        memory: &DeviceMemory,
        _queue: usize,
        request: &DescriptorChain<&DeviceMemory>,
        features: u64,
    ) -> Result<u32, Malformed> {
        let mut from = request.clone().reader(memory)?;
        let mut to = request.clone().writer(memory)?;
        let mut header = [0; HEADER];
        from.read_exact(&mut header)?;
        let [asked, _, low, high] = words(header);
        let sector = u64::from(low) | u64::from(high) << 32;
        // The last byte that the guest gives is for how it ended.
        let room = to.available_bytes().checked_sub(1).ok_or(io::ErrorKind::UnexpectedEof);
        let room = room.map_err(io::Error::from)?;
        let mut end = to.split_at(room)?;
        let ended = match asked {
            READ => self.read(sector, &mut to, room),
            WRITE => {
                let length = from.available_bytes();
                let written = self.write(sector, &mut from, length);
                // A guest that cannot ask for it takes for safe what is written.
                written.and_then(|()| {
                    if features & FLUSH_FEATURE == 0 { self.disk.sync() } else { Ok(()) }
                })
            }
            FLUSH => self.disk.sync(),
            IDENTITY => {
                let zeros = std::iter::repeat_n(0, IDENTITY_LENGTH);
                let identity = self.identity.bytes().chain(zeros).take(room.min(IDENTITY_LENGTH));
                to.write_all(&identity.collect::<Vec<_>>())
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        };
        let status = match ended {
            Ok(()) => DONE,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => UNKNOWN,
            Err(error) => {
                tracing::warn!("a request to a disk failed, and the guest is told: {error}");
                FAILED
            }
        };
        end.write_all(&[status])?;
        Ok(u32::try_from(to.bytes_written() + 1).unwrap_or(u32::MAX))
    }
}

fn words(header: [u8; HEADER]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(header.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}
