//! A process that waits for no guest, to see what would become of one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::model::VmName;
use crate::process::ProcessId;

/// Told apart by their numbers.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A process of its own, with its folder; both are gone when this is dropped, and the process ends with this one.
#[derive(Debug)]
pub(super) struct Trial {
    folder: PathBuf,
    child: Option<Child>,
}

impl Trial {
    /// A folder for one, below `machines`; no machine is called so.
    pub(super) fn of(name: &VmName, machines: &Path) -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = machines.join(format!("{name}~{number}"));
        // What a daemon that was killed has left of an earlier one.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&folder)?,
        }
        Ok(Self { folder, child: None })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn monitor(&self) -> PathBuf {
        self.folder.join("qmp")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Starts the process, which waits for a guest that does not come.
    pub(super) fn start(&mut self, mut command: Command) -> io::Result<ProcessId> {
        let log = File::create(self.log())?;
        command.arg(format!("--incoming=unix:{}", self.folder.join("guest").display()));
        // The system closes its standard input stream however this process ends.
        command.arg("--with-parent").stdin(Stdio::piped());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let process = ProcessId::of(child.id());
        self.child = Some(child);
        process.ok_or_else(|| io::Error::other("it ended at once"))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail only when it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
