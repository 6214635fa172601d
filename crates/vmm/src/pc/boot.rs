//! Puts a kernel into a new machine's memory.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::DirtySink;
use linux_loader::loader::bootparam::setup_header;
use linux_loader::loader::elf::PvhBootCapability;
use linux_loader::loader::{BzImage, Elf, KernelLoader, KernelLoaderResult};
use vm_memory::{Bytes as _, GuestAddress};

use super::acpi::{AcpiError, write_tables};
use super::map::{COMMAND_LINE, COMMAND_LINE_ROOM, HIGH_MEMORY};
use super::memory_map::low_end;
use super::restart::write_restart;
use super::start::Start;
use crate::kvm::FlatEntry;
use crate::memory::GuestRam;

/// What a new guest is booted from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFiles {
    /// A Linux kernel as distributions ship it (bzImage), or any ELF file with a PVH entry.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub command_line: String,
}

/// Why a kernel cannot be booted.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file cannot be read.
    #[error("{0} cannot be read; give the path of a file")]
    File(PathBuf, #[source] io::Error),
    /// The kernel is of no known form.
    #[error(
        "{0} is no kernel that can be booted; give a bzImage (/boot/vmlinuz-…) or an ELF file with a PVH entry"
    )]
    Unknown(PathBuf),
    /// The kernel cannot be loaded.
    #[error("{0} cannot be loaded; choose more memory, or another kernel")]
    Load(PathBuf, #[source] linux_loader::loader::Error),
    /// The kernel is older than the interface.
    #[error("{0} is too old to be booted without firmware; choose Linux 3.3 or newer")]
    TooOld(PathBuf),
    /// The ELF file has no PVH entry.
    #[error(
        "{0} is an ELF file without a PVH entry; build it with CONFIG_PVH, or give its bzImage"
    )]
    NoEntry(PathBuf),
    /// The kernel lies where the machine's own tables are.
    #[error("{0} wants to lie below 1 MiB, where the machine's own tables are; link it higher")]
    TooLow(PathBuf),
    /// The initial RAM disk does not fit.
    #[error("{0} does not fit into the guest's memory beside its kernel; choose more memory")]
    TooLarge(PathBuf),
    /// The command line does not fit.
    #[error("a command line of {0} bytes is too long for this kernel; {1} fit")]
    CommandLine(usize, usize),
    /// A command line ends at its first zero.
    #[error("the command line has a zero byte in it; leave it out")]
    ZeroByte,
    /// The machine's tables.
    #[error(transparent)]
    Acpi(#[from] AcpiError),
    /// Guest memory could not be written.
    #[error("the kernel's start information cannot be written into guest memory")]
    Write(#[from] vm_memory::GuestMemoryError),
}

/// Puts a kernel and all that it is told into `ram`, which must be fresh; where the first vCPU begins.
///
/// # Errors
/// When a file cannot be read, is no kernel, or does not fit.
pub fn boot(
    files: &BootFiles,
    ram: &GuestRam,
    vcpus: usize,
    devices: usize,
) -> Result<FlatEntry, BootError> {
    let kernel = Kernel::load(&files.kernel, ram)?;
    let initrd = match &files.initrd {
        Some(path) => Some(load_initrd(path, &kernel, ram)?),
        None => None,
    };
    write_command_line(&files.command_line, &kernel, ram)?;
    let tables = write_tables(ram, vcpus, devices)?;
    write_restart(ram)?;
    let start = Start { ram, tables, initrd };
    match kernel.form {
        Form::Pvh { entry } => start.pvh(entry),
        Form::Linux { header, begin } => start.linux(&header, begin),
    }
}

/// A kernel that lies in memory.
struct Kernel {
    form: Form,
    /// Where it ends.
    end: u64,
    /// The last byte that its initial RAM disk may take.
    initrd_last: u64,
    /// The most that its command line may have.
    command_line_room: usize,
}

enum Form {
    Pvh { entry: u64 },
    Linux { header: Box<setup_header>, begin: u64 },
}

impl Kernel {
    fn load(path: &Path, ram: &GuestRam) -> Result<Self, BootError> {
        let unreadable = |error| BootError::File(path.to_owned(), error);
        let mut file = File::open(path).map_err(unreadable)?;
        let mut magic = [0; 4];
        file.read_exact(&mut magic).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        if magic == *b"\x7fELF" {
            return Self::load_elf(path, &mut file, ram);
        }
        let mut loaded = BzImage::load(ram.map(), None, &mut file, Some(GuestAddress(HIGH_MEMORY)))
            .map_err(|error| match error {
                linux_loader::loader::Error::Bzimage(
                    linux_loader::loader::bzimage::Error::InvalidBzImage
                    | linux_loader::loader::bzimage::Error::ReadBzImageHeader,
                ) => BootError::Unknown(path.to_owned()),
                error => BootError::Load(path.to_owned(), error),
            })?;
        let header = loaded.setup_header.take();
        let header = header.ok_or_else(|| BootError::Unknown(path.to_owned()))?;
        // Since 2.12 (Linux 3.8) all that is used here is there.
        if header.version < 0x20C {
            return Err(BootError::TooOld(path.to_owned()));
        }
        Ok(Self {
            end: end_in_use(&loaded, &header),
            initrd_last: u64::from(header.initrd_addr_max),
            command_line_room: header.cmdline_size as usize,
            form: Form::Linux { header: Box::new(header), begin: loaded.kernel_load.0 },
        })
    }

    fn load_elf(path: &Path, file: &mut File, ram: &GuestRam) -> Result<Self, BootError> {
        ram.drain_own_writes(&mut LowWrites::default());
        let loaded = Elf::load(ram.map(), None, file, None)
            .map_err(|error| BootError::Load(path.to_owned(), error))?;
        let mut writes = LowWrites::default();
        ram.drain_own_writes(&mut writes);
        if writes.0 {
            return Err(BootError::TooLow(path.to_owned()));
        }
        let PvhBootCapability::PvhEntryPresent(entry) = loaded.pvh_boot_cap else {
            return Err(BootError::NoEntry(path.to_owned()));
        };
        Ok(Self {
            end: loaded.kernel_end,
            initrd_last: u64::MAX,
            command_line_room: COMMAND_LINE_ROOM,
            form: Form::Pvh { entry: entry.0 },
        })
    }
}

/// Whether anything below [`HIGH_MEMORY`] was written.
#[derive(Default)]
struct LowWrites(bool);

impl DirtySink for LowWrites {
    fn mark(&mut self, word: u64, _bits: u64) {
        self.0 |= word * 64 * PAGE_SIZE < HIGH_MEMORY;
    }
}

/// Linux unpacks itself: where that ends, it says in its header.
fn end_in_use(loaded: &KernelLoaderResult, header: &setup_header) -> u64 {
    let unpacked = header.pref_address + u64::from(header.init_size);
    loaded.kernel_end.max(unpacked)
}

/// Reads the initial RAM disk to as high as it may lie; where it is, and its length.
fn load_initrd(path: &Path, kernel: &Kernel, ram: &GuestRam) -> Result<(u64, u64), BootError> {
    let unreadable = |error| BootError::File(path.to_owned(), error);
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let too_large = || BootError::TooLarge(path.to_owned());
    let last = low_end(ram).min(kernel.initrd_last.saturating_add(1));
    let address = last.checked_sub(length).ok_or_else(too_large)? / PAGE_SIZE * PAGE_SIZE;
    if address < kernel.end {
        return Err(too_large());
    }
    let size = usize::try_from(length).map_err(|_| too_large())?;
    ram.map().read_exact_volatile_from(GuestAddress(address), &mut file, size)?;
    Ok((address, length))
}

fn write_command_line(text: &str, kernel: &Kernel, ram: &GuestRam) -> Result<(), BootError> {
    let room = kernel.command_line_room.min(COMMAND_LINE_ROOM - 1);
    if text.len() > room {
        return Err(BootError::CommandLine(text.len(), room));
    }
    if text.contains('\0') {
        return Err(BootError::ZeroByte);
    }
    let bytes = [text.as_bytes(), b"\0"].concat();
    ram.map().write_slice(&bytes, GuestAddress(COMMAND_LINE))?;
    Ok(())
}

#[cfg(test)]
#[path = "boot_tests.rs"]
mod tests;
