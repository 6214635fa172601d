//! Memory that two machines have, as if it were in files: all are in this process, and the files only tell which it is.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use landfall_migrate::machine::{GuestMemory as _, MachineError, MemoryFile, PageIndex};

use crate::memory::Memory;

fn known() -> MutexGuard<'static, HashMap<u64, Arc<Memory>>> {
    static KNOWN: OnceLock<Mutex<HashMap<u64, Arc<Memory>>>> = OnceLock::new();
    KNOWN.get_or_init(Mutex::default).lock().unwrap()
}

/// The files of `memory`, one a range.
pub(crate) fn files(memory: &Arc<Memory>) -> Result<Vec<MemoryFile>, MachineError> {
    let name = Arc::as_ptr(memory).addr() as u64;
    known().insert(name, Arc::clone(memory));
    let ranges = memory.layout().ranges().iter();
    let file = |range: &std::ops::Range<u64>| {
        let mut file = tempfile::tempfile()?;
        file.write_all(&name.to_le_bytes())?;
        let (first, count) = (PageIndex(range.start), range.end - range.start);
        Ok(MemoryFile { first, count, file: file.into() })
    };
    ranges.map(file).collect()
}

/// The memory that is in `files`, all of it.
pub(crate) fn memory(files: &[MemoryFile]) -> Result<Arc<Memory>, MachineError> {
    let mut names = files.iter().map(|file| {
        let mut name = [0; 8];
        File::from(file.file.try_clone()?).read_exact_at(&mut name, 0)?;
        Ok::<_, MachineError>(u64::from_le_bytes(name))
    });
    let name = names.next().ok_or("no files")??;
    for other in names {
        assert_eq!(other?, name, "the files come from different machines");
    }
    let memory = Arc::clone(known().get(&name).ok_or("no such memory")?);
    let given = files.iter().map(|file| file.first.0..file.first.0 + file.count);
    assert!(given.eq(memory.layout().ranges().iter().cloned()), "{files:?}");
    Ok(memory)
}
