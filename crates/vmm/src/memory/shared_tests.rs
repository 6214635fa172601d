use std::os::fd::FromRawFd;

use landfall_migrate::machine::GuestMemory as _;

use super::*;

fn memory_file(first: u64, pages: u64, seals: i32) -> MemoryFile {
    // SAFETY: the name is a valid C string and the flags are known to the kernel.
    let descriptor = unsafe { libc::memfd_create(c"test".as_ptr(), libc::MFD_ALLOW_SEALING) };
    assert!(descriptor >= 0);
    // SAFETY: the descriptor was just made and nothing else owns it.
    let file = unsafe { File::from_raw_fd(descriptor) };
    file.set_len(pages * 4096).unwrap();
    // SAFETY: a plain call on a descriptor that `file` owns.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
    MemoryFile { first: PageIndex(first), count: pages, file: file.into() }
}

const FIXED: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
const SIZE: Bytes = Bytes(4 << 20);

fn refusal(size: Bytes, file: MemoryFile) -> SharedMemoryError {
    match GuestRam::in_files(size, vec![file]) {
        Err(MemoryError::Shared(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn memory_on_both_sides_of_the_hole_is_the_same_in_both() {
    let ram = GuestRam::new(Bytes(5 << 30)).unwrap();
    let both = GuestRam::in_files(ram.size(), ram.files().unwrap()).unwrap();
    assert_eq!(both.layout(), ram.layout());
    for address in [0, (3 << 30) - 8, 4 << 30, (6 << 30) - 8] {
        ram.store(address, address + 1).unwrap();
        assert_eq!(both.load(address).unwrap(), address + 1);
        both.store(address, address + 2).unwrap();
        assert_eq!(ram.load(address).unwrap(), address + 2);
    }
    // And the next process has it from this one.
    let third = GuestRam::in_files(both.size(), both.files().unwrap()).unwrap();
    drop((ram, both));
    assert_eq!(third.load(4 << 30).unwrap(), (4 << 30) + 2);
}

#[test]
fn what_nobody_has_touched_stays_untouched() {
    let ram = GuestRam::new(SIZE).unwrap();
    ram.store(0x5000, 7).unwrap();
    let both = GuestRam::in_files(SIZE, ram.files().unwrap()).unwrap();
    assert!(both.is_untouched(PageIndex(6), 1018));
    assert!(ram.is_untouched(PageIndex(6), 1018));
    assert!(!both.is_untouched(PageIndex(5), 1));
}

#[test]
fn files_that_are_laid_out_otherwise_are_refused() {
    let large = GuestRam::new(Bytes(5 << 30)).unwrap();
    for size in [SIZE, Bytes(6 << 30)] {
        let error = GuestRam::in_files(size, large.files().unwrap()).unwrap_err();
        assert!(matches!(error, MemoryError::Shared(SharedMemoryError::Layout(_))), "{error}");
    }
    for (first, pages) in [(64, 1024), (0, 512), (0, u64::MAX)] {
        let file = MemoryFile { count: pages, ..memory_file(first, 1024, FIXED) };
        assert!(matches!(refusal(SIZE, file), SharedMemoryError::Layout(_)));
    }
    assert!(GuestRam::in_files(SIZE, Vec::new()).is_err());
}

#[test]
fn a_file_that_could_be_cut_short_or_not_be_written_to_is_refused() {
    for seals in [
        0,
        libc::F_SEAL_SHRINK,
        libc::F_SEAL_GROW,
        FIXED | libc::F_SEAL_WRITE,
        FIXED | libc::F_SEAL_FUTURE_WRITE,
    ] {
        let error = refusal(SIZE, memory_file(0, 1024, seals));
        assert!(matches!(error, SharedMemoryError::Seals(found) if found == seals), "{error}");
        assert!(error.to_string().contains("must be sealed"), "{error}");
    }
}

#[test]
fn a_file_of_another_length_is_refused() {
    for pages in [0, 1023, 1025] {
        let file = MemoryFile { count: 1024, ..memory_file(0, pages, FIXED) };
        let error = refusal(SIZE, file);
        assert!(matches!(error, SharedMemoryError::Length { .. }), "{error}");
    }
}

#[test]
fn something_else_than_a_memory_file_is_refused() {
    // Not even on a file system in memory.
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("disk")).unwrap();
    file.set_len(SIZE.0).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    for file in [file.into(), OwnedFd::from(reader)] {
        let error = refusal(SIZE, MemoryFile { first: PageIndex(0), count: 1024, file });
        let refused = matches!(error, SharedMemoryError::NoMemory(_) | SharedMemoryError::Seals(_));
        assert!(refused, "{error}");
    }
}
