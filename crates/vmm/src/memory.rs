//! Guest memory: memfd-backed regions, with a bitmap of what the monitor itself writes.

mod collapsing;
mod filling;
pub(crate) mod huge_pages;
mod mapping;
mod own_writes;
mod pooled;
mod shared;

use std::ffi::CStr;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use landfall_converge::{Bytes, PAGE_SIZE};
use landfall_migrate::machine::{
    DirtySink, GuestMemory, LayoutError, MachineError, MemoryLayout, PageIndex,
};
use vm_memory::bitmap::Bitmap as _;
use vm_memory::mmap::{MmapRegion, MmapRegionBuilder, MmapRegionError};
use vm_memory::{
    Bytes as _, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
    GuestRegionMmap,
};

use self::filling::Filling;
use self::mapping::Mapping;
pub use self::own_writes::OwnWrites;
pub use self::pooled::HugePageSize;
pub use self::shared::SharedMemoryError;

/// Where the hole for devices begins on a PC; memory beyond it continues at 4 GiB.
const HOLE_START: u64 = 3 << 30;
const HOLE_END: u64 = 4 << 30;
const PAGE: usize = 4096;
const _: () = assert!(PAGE as u64 == PAGE_SIZE);
/// A page that is empty.
const ZEROS: [u8; PAGE] = [0; PAGE];
/// The grain of a memory size: a huge page, so that layouts align with words of bitmaps and with page tables.
const GRAIN: u64 = mapping::HUGE_PAGE as u64;

/// Why guest memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The size is no multiple of 2 MiB, or zero.
    #[error("a guest of {0} cannot be made; choose a multiple of 2 MiB, at least {1}")]
    Size(Bytes, Bytes),
    /// The size is no multiple of that of its pages.
    #[error("a guest of {0} cannot be made of huge pages of {1}; choose a multiple of {1}")]
    HugePageSize(Bytes, HugePageSize),
    /// The host's pool of huge pages has too few.
    #[error(
        "this host does not have {count} huge pages of {size} to give; free some or have more (sysctl vm.nr_hugepages), choose \
         another host, or do without --hugepages"
    )]
    HugePages {
        /// How many were asked for.
        count: u64,
        /// How large they are.
        size: HugePageSize,
        /// What the kernel says.
        #[source]
        error: std::io::Error,
    },
    /// The kernel gave no memory.
    #[error("the kernel gives no {0} of guest memory; choose less, or free some")]
    Allocate(Bytes, #[source] std::io::Error),
    /// The memory could not be mapped.
    #[error("guest memory could not be mapped; choose less, or free some")]
    Map(#[source] MmapRegionError),
    /// The layout is impossible.
    #[error("guest memory cannot be laid out")]
    Layout(#[from] LayoutError),
    /// The mapped regions do not fit beside each other.
    #[error("guest memory cannot be put together")]
    Regions(#[source] vm_memory::GuestRegionCollectionError),
    /// An access went outside of guest memory.
    #[error("{count} pages from page {first} on are not inside the guest's memory")]
    Outside {
        /// The first page asked for.
        first: u64,
        /// How many were asked for.
        count: u64,
    },
    /// A copy failed.
    #[error("guest memory could not be accessed")]
    Access(#[from] vm_memory::GuestMemoryError),
    /// What another process has handed over is no memory for the guest.
    #[error(transparent)]
    Shared(#[from] SharedMemoryError),
    /// There is no memory left for pages that came in.
    #[error("the kernel has no memory for the guest's pages; free some, or choose another host")]
    Fill(#[source] std::io::Error),
    /// Pages could not be given back.
    #[error("pages of guest memory could not be made empty")]
    Punch(#[source] std::io::Error),
}

/// A guest's memory.
#[derive(Debug)]
pub struct GuestRam {
    map: GuestMemoryMmap<OwnWrites>,
    layout: MemoryLayout,
    size: Bytes,
    filling: Filling,
    /// Its pages are of the host's pool, and kept whatever is in them.
    is_pooled: bool,
}

impl GuestRam {
    /// `size` bytes of zeros, below and above the hole for devices.
    ///
    /// # Errors
    /// When the size is odd, or the kernel has no memory to give.
    pub fn new(size: Bytes) -> Result<Self, MemoryError> {
        Self::with_pages(size, None)
    }

    /// The same in huge pages of the host's pool, if there are to be some.
    ///
    /// # Errors
    /// When the size is odd, or the kernel has no memory to give.
    pub fn with_pages(size: Bytes, pages: Option<HugePageSize>) -> Result<Self, MemoryError> {
        let (ranges, layout) = laid_out(size)?;
        if let Some(pages) = pages {
            pages.check(size)?;
        }
        let region = |range| region(range, pages);
        let regions = ranges.iter().map(region).collect::<Result<Vec<_>, _>>()?;
        Self::of(regions, layout, size)
    }

    fn of(
        regions: Vec<GuestRegionMmap<OwnWrites>>,
        layout: MemoryLayout,
        size: Bytes,
    ) -> Result<Self, MemoryError> {
        let files = regions.iter().filter_map(|region| region.file_offset());
        let is_pooled = files.map(FileOffset::file).any(pooled::is_pooled);
        let filling = Filling::of(regions.iter().map(|region| region.size()), is_pooled);
        let map = GuestMemoryMmap::from_regions(regions).map_err(MemoryError::Regions)?;
        Ok(Self { map, layout, size, filling, is_pooled })
    }

    /// The memory of a guest in another process, by the file behind it: for looking on from outside. All of it must lie
    /// below the hole for devices.
    ///
    /// # Errors
    /// When the file is empty, of an odd size or too large, or cannot be mapped.
    pub fn of_file(file: File) -> Result<Self, MemoryError> {
        let size = Bytes(file.metadata().map_err(|e| MemoryError::Allocate(Bytes(0), e))?.len());
        if size.0 < GRAIN || !size.0.is_multiple_of(GRAIN) || size.0 > HOLE_START {
            return Err(MemoryError::Size(size, Bytes(GRAIN)));
        }
        let all = 0..size.0;
        let layout = MemoryLayout::new(std::iter::once(0..size.0 / PAGE_SIZE).collect())?;
        Self::of(vec![mapped(&all, file)?], layout, size)
    }

    /// How much there is.
    #[must_use]
    pub fn size(&self) -> Bytes {
        self.size
    }

    /// The memory as the rust-vmm crates know it. Writes through it are in the monitor's bitmap.
    #[must_use]
    pub fn map(&self) -> &GuestMemoryMmap<OwnWrites> {
        &self.map
    }

    /// The 64-bit word at guest-physical `address`, read in one piece.
    ///
    /// # Errors
    /// When there is no memory at that address, or it is not aligned to 8 bytes.
    pub fn load(&self, address: u64) -> Result<u64, MemoryError> {
        Ok(self.map.load(GuestAddress(address), Ordering::Acquire)?)
    }

    /// Writes the 64-bit word at guest-physical `address` in one piece, noted in the monitor's bitmap.
    ///
    /// # Errors
    /// When there is no memory at that address, or it is not aligned to 8 bytes.
    pub fn store(&self, address: u64, value: u64) -> Result<(), MemoryError> {
        Ok(self.map.store(value, GuestAddress(address), Ordering::Release)?)
    }

    /// The word at `address` as an atomic that lives as long as the memory, for guests that are threads of ours. What
    /// is written through it is in no bitmap.
    ///
    /// # Errors
    /// When there is no memory at that address, or it is not aligned to 8 bytes.
    pub fn atomic(&self, address: u64) -> Result<&AtomicU64, MemoryError> {
        let host = self.map.get_host_address(GuestAddress(address))?.cast::<u64>();
        if !host.is_aligned() {
            return Err(MemoryError::Outside { first: address / PAGE_SIZE, count: 1 });
        }
        // SAFETY: vm-memory has checked that the address lies inside a region, regions begin and end at page
        // boundaries, and the pointer is aligned, so all eight bytes are mapped for as long as `self` lives. All
        // accesses to such words, from here and from the guest, are machine-atomic.
        Ok(unsafe { AtomicU64::from_ptr(host) })
    }

    /// Gives the pages that the monitor wrote since the last call, and forgets them.
    pub fn drain_own_writes(&self, sink: &mut dyn DirtySink) {
        for region in self.map.iter() {
            let first_word = region.start_addr().0 / PAGE_SIZE / 64;
            let region: &MmapRegion<OwnWrites> = region;
            region.bitmap().drain(|word, bits| sink.mark(first_word + word, bits));
        }
    }

    fn checked(&self, first: PageIndex, bytes: usize) -> Result<GuestAddress, MemoryError> {
        let count = bytes as u64 / PAGE_SIZE;
        if (bytes as u64).is_multiple_of(PAGE_SIZE) && self.layout.contains_run(first, count) {
            Ok(GuestAddress(first.address()))
        } else {
            Err(MemoryError::Outside { first: first.0, count })
        }
    }

    /// Where `count` pages from `first` on lie: the file behind them, the offset in it and the length, in bytes.
    fn behind(&self, first: PageIndex, count: u64) -> Result<(&FileOffset, i64, i64), MemoryError> {
        let outside = || MemoryError::Outside { first: first.0, count };
        if !self.layout.contains_run(first, count) {
            return Err(outside());
        }
        let address = GuestAddress(first.address());
        let region = self.map.find_region(address).ok_or_else(outside)?;
        let file = region.file_offset().ok_or_else(outside)?;
        let offset = file.start() + (address.0 - region.start_addr().0);
        Ok((file, signed(offset)?, signed(count * PAGE_SIZE)?))
    }

    /// Gives pages back to this host: they read as zeros from now on, which the monitor's bitmap notes as writes.
    ///
    /// # Errors
    /// When the run is not wholly inside one range of the layout, or the kernel does not take them.
    pub(crate) fn give_back(&self, first: PageIndex, count: u64) -> Result<(), MemoryError> {
        if self.is_pooled {
            return self.write_zeros(first, count);
        }
        self.punch(first, count)?;
        // Only now: who reads a page that is noted finds what it has become.
        if let Some((_, region, inside)) = self.place_of(first) {
            region.bitmap().mark_dirty(inside, size(count * PAGE_SIZE));
        }
        Ok(())
    }

    /// The region in which the page lies, its number, and the byte at which it has the page.
    fn place_of(&self, page: PageIndex) -> Option<(usize, &MmapRegion<OwnWrites>, usize)> {
        let address = GuestAddress(page.address());
        let mut regions = self.map.iter().enumerate();
        let (number, region) = regions
            .find(|(_, region)| (region.start_addr()..=region.last_addr()).contains(&address))?;
        Some((number, region, size(address.0 - region.start_addr().0)))
    }

    /// Where nothing was written there are zeros already.
    fn zero_written(&self, first: PageIndex, count: u64) -> Result<(), MemoryError> {
        for page in first.0..first.0 + count {
            let page = PageIndex(page);
            let (_, region, inside) =
                self.place_of(page).ok_or(MemoryError::Outside { first: page.0, count: 1 })?;
            if region.bitmap().has_any(inside, PAGE) {
                self.write_zeros(page, 1)?;
            }
        }
        Ok(())
    }

    fn write_zeros(&self, first: PageIndex, count: u64) -> Result<(), MemoryError> {
        for page in first.0..first.0 + count {
            self.map.write_slice(&ZEROS, self.checked(PageIndex(page), PAGE)?)?;
        }
        Ok(())
    }

    fn punch_up_to(&self, first: PageIndex, end: PageIndex) -> Result<(), MemoryError> {
        let count = end.0.saturating_sub(first.0);
        if count == 0 { Ok(()) } else { self.punch(first, count) }
    }

    fn punch(&self, first: PageIndex, count: u64) -> Result<(), MemoryError> {
        let (file, offset, length) = self.behind(first, count)?;
        // SAFETY: a plain call on a descriptor that the region owns; it changes file contents, not memory safety:
        // the mapping stays as long and reads as zeros afterwards.
        let result = unsafe {
            libc::fallocate(
                file.file().as_raw_fd(),
                libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
                offset,
                length,
            )
        };
        if result == 0 { Ok(()) } else { Err(MemoryError::Punch(std::io::Error::last_os_error())) }
    }
}

/// Pages that lie in the place of one huge page.
#[derive(Clone, Copy, Debug)]
struct Part {
    first: PageIndex,
    count: u64,
}

impl Part {
    fn bytes(self) -> usize {
        size(self.count * PAGE_SIZE)
    }

    fn end(self) -> PageIndex {
        self.first.offset(self.count)
    }

    fn is_whole(self) -> bool {
        self.count == collapsing::PAGES
    }
}

/// `count` pages from `first` on, by the huge page in whose place they lie.
fn parts(first: PageIndex, count: u64) -> impl Iterator<Item = Part> {
    let end = first.0 + count;
    let mut at = first.0;
    std::iter::from_fn(move || {
        let place_ends = (at / collapsing::PAGES + 1) * collapsing::PAGES;
        let first = std::mem::replace(&mut at, place_ends);
        (first < end).then(|| Part { first: PageIndex(first), count: place_ends.min(end) - first })
    })
}

/// Where the memory of a guest of `size` lies, in bytes and in pages: below and above the hole for devices.
fn laid_out(size: Bytes) -> Result<(Vec<Range<u64>>, MemoryLayout), MemoryError> {
    if size.0 < GRAIN || !size.0.is_multiple_of(GRAIN) {
        return Err(MemoryError::Size(size, Bytes(GRAIN)));
    }
    let below = 0..size.0.min(HOLE_START);
    let above = HOLE_END..HOLE_END + size.0.saturating_sub(HOLE_START);
    let ranges: Vec<Range<u64>> =
        [below, above].into_iter().filter(|range| !range.is_empty()).collect();
    let layout = MemoryLayout::new(
        ranges.iter().map(|range| range.start / PAGE_SIZE..range.end / PAGE_SIZE).collect(),
    )?;
    Ok((ranges, layout))
}

/// Bytes of a guest's memory, which the processor can count.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn signed(value: u64) -> Result<i64, MemoryError> {
    i64::try_from(value).map_err(|_| MemoryError::Outside { first: value / PAGE_SIZE, count: 0 })
}

fn region(
    range: &Range<u64>,
    pages: Option<HugePageSize>,
) -> Result<GuestRegionMmap<OwnWrites>, MemoryError> {
    let bytes = range.end - range.start;
    let flags = pages.map_or(0, HugePageSize::flags);
    let file = memfd(c"landfall-guest", bytes, flags).map_err(|error| match pages {
        Some(pages) => pages.missing(bytes, error),
        None => MemoryError::Allocate(Bytes(bytes), error),
    })?;
    if let Some(pages) = pages {
        pages.take(&file, bytes)?;
    }
    mapped(range, file)
}

fn mapped(range: &Range<u64>, file: File) -> Result<GuestRegionMmap<OwnWrites>, MemoryError> {
    let bytes = range.end - range.start;
    let size = usize::try_from(bytes).map_err(|_| MemoryError::Size(Bytes(bytes), Bytes(GRAIN)))?;
    let region = if pooled::is_pooled(&file) {
        MmapRegion::from_file(FileOffset::new(file, 0), size).map_err(MemoryError::Map)?
    } else {
        let mapping = Mapping::of(&file, size)
            .map_err(|error| MemoryError::Map(MmapRegionError::Mmap(error)))?;
        let region = mapped_as(mapping, file, size)?;
        huge_pages::ask_for(&region);
        region
    };
    GuestRegionMmap::new(region, GuestAddress(range.start))
        .ok_or(MemoryError::Size(Bytes(bytes), Bytes(GRAIN)))
}

fn mapped_as(
    mapping: Mapping,
    file: File,
    size: usize,
) -> Result<MmapRegion<OwnWrites>, MemoryError> {
    let address = mapping.address();
    let builder = MmapRegionBuilder::new_with_bitmap(size, OwnWrites::in_mapping(size, mapping));
    let builder = builder
        .with_file_offset(FileOffset::new(file, 0))
        .with_mmap_prot(Mapping::PROTECTION)
        .with_mmap_flags(Mapping::FLAGS);
    // SAFETY: it is a mapping of that size, which goes with the region's bitmap, and so not before the region.
    unsafe { builder.with_raw_mmap_pointer(address) }.build().map_err(MemoryError::Map)
}

fn memfd(name: &CStr, size: u64, flags: libc::c_uint) -> std::io::Result<File> {
    let flags = flags | libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a valid C string and the flags are known to the kernel.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and nothing else owns it.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(size)?;
    sealed(&file)?;
    Ok(file)
}

/// Fixes the length of `file` for good, whoever else may have it open: one page that is cut off would end this process,
/// and the guest in it, with SIGBUS. The last seal keeps others from adding one that forbids writing.
fn sealed(file: &File) -> std::io::Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: a plain call on a descriptor that `file` owns; seals concern the file, no memory of ours.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

impl GuestMemory for GuestRam {
    fn layout(&self) -> &MemoryLayout {
        &self.layout
    }

    fn read_pages(&self, first: PageIndex, buffer: &mut [u8]) -> Result<(), MachineError> {
        let address = self.checked(first, buffer.len())?;
        Ok(self.map.read_slice(buffer, address)?)
    }

    /// Asks the memfd for the next offset that holds data: a page that nobody has written is a hole in it.
    fn is_untouched(&self, first: PageIndex, count: u64) -> bool {
        let Ok((file, offset, length)) = self.behind(first, count) else { return false };
        // SAFETY: a plain call on a descriptor that the region owns. It moves the file's position, which nothing uses.
        let data = unsafe { libc::lseek(file.file().as_raw_fd(), offset, libc::SEEK_DATA) };
        // No data behind the offset at all is an error of its own.
        let none = data < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENXIO);
        none || data >= offset + length
    }

    fn write_pages(&self, first: PageIndex, data: &[u8]) -> Result<(), MachineError> {
        self.checked(first, data.len())?;
        let mut rest = data;
        for part in parts(first, data.len() as u64 / PAGE_SIZE) {
            let (data, after) = rest.split_at(part.bytes());
            if !self.fill(part.first, data)? {
                self.map.write_slice(data, GuestAddress(part.first.address()))?;
            }
            rest = after;
        }
        Ok(())
    }

    /// Punches a hole into the memfd: pages that were never written are not even touched, others are given back. A huge page that is
    /// not zeros as a whole is kept.
    fn zero_pages(&self, first: PageIndex, count: u64) -> Result<(), MachineError> {
        self.checked(first, size(count * PAGE_SIZE))?;
        if self.is_pooled {
            return Ok(self.zero_written(first, count)?);
        }
        let mut from = first;
        for part in parts(first, count) {
            if !part.is_whole() && self.is_huge(part.first) {
                self.punch_up_to(from, part.first)?;
                self.zero_written(part.first, part.count)?;
                from = part.end();
            } else if part.is_whole() {
                self.is_not_huge(part.first);
            }
        }
        Ok(self.punch_up_to(from, first.offset(count))?)
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
