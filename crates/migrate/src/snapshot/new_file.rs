//! A file that has its name once all of it is there.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};
use rustix::io::Errno;
use tempfile::{Builder, NamedTempFile};

/// A new file of a folder, for its owner alone. What is not [given its name](NewFile::name) is gone when it is dropped.
#[derive(Debug)]
pub(super) enum NewFile {
    /// Without a name, as Linux can: gone also when the process is killed.
    Nameless(File),
    /// Under a hidden name, where the file system has no files without one (NFS has none).
    Hidden(NamedTempFile),
}

impl NewFile {
    pub(super) fn create_in(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        match openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(Self::Nameless(file.into())),
            // An old kernel takes the flag for the wish to write a folder.
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => Self::hidden_in(folder),
            Err(error) => Err(error.into()),
        }
    }

    fn hidden_in(folder: &Path) -> io::Result<Self> {
        Builder::new().prefix(".snapshot-").tempfile_in(folder).map(Self::Hidden)
    }

    pub(super) fn file(&mut self) -> &mut File {
        match self {
            Self::Nameless(file) => file,
            Self::Hidden(file) => file.as_file_mut(),
        }
    }

    /// Names it, unless there is a file of this name already.
    pub(super) fn name(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Nameless(file) => {
                let open = format!("/proc/self/fd/{}", file.as_raw_fd());
                Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
            }
            Self::Hidden(file) => {
                file.persist_noclobber(path).map(drop).map_err(|error| error.error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{read, read_dir};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type Create = fn(&Path) -> io::Result<NewFile>;
    const WAYS: [Create; 2] = [NewFile::create_in, NewFile::hidden_in];

    #[test]
    fn has_its_name_when_it_is_whole_and_is_its_owners() {
        for create in WAYS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("guest");
            let mut file = create(folder.path()).unwrap();
            file.file().write_all(b"pages").unwrap();
            assert!(!path.exists());
            file.name(&path).unwrap();
            assert_eq!(read(&path).unwrap(), b"pages");
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn takes_no_name_that_is_taken_and_is_gone_then() {
        for create in WAYS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("guest");
            std::fs::write(&path, "another").unwrap();
            let error = create(folder.path()).unwrap().name(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(read(&path).unwrap(), b"another");
            assert_eq!(read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn one_without_a_name_is_in_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = NewFile::create_in(folder.path()).unwrap();
        if matches!(file, NewFile::Nameless(_)) {
            assert_eq!(read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
