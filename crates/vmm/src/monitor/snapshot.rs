//! Puts the guest into a file, and gets it out again.

use std::path::Path;
use std::sync::Arc;

use landfall_migrate::snapshot::{SnapshotError, restore, write_snapshot};
use landfall_qmp::{EventKind, QmpError};
use serde_json::{Value, json};

use super::{Guest, Monitor, failed};
use crate::machine::{IncomingHost, Movable, Vm};

impl Monitor {
    /// Stops the guest, puts it into a new file, and lets it go on unless it is to `stop` and the file is whole.
    pub(super) fn snapshot(&self, file: &Path, stop: bool) -> Result<Value, QmpError> {
        let vm = self.vm()?;
        if !stop && vm.configuration().has_writable_disk() {
            return Err(QmpError::generic(
                "the guest writes to disks, which are no part of a snapshot and would be ahead of it; take it with --stop, and copy the disks before the guest goes on",
            ));
        }
        self.begin_saving()?;
        let saved = self.save(&vm, file, stop);
        self.state().is_saving = false;
        saved
    }

    /// From here on nobody else stops or moves the guest.
    fn begin_saving(&self) -> Result<(), QmpError> {
        let mut state = self.state();
        if state.migration.is_under_way() {
            return Err(QmpError::generic(
                "there's a migration process in progress; wait for it or cancel it with migrate_cancel",
            ));
        }
        if state.is_saving {
            return Err(QmpError::generic(
                "another snapshot of the guest is being written; ask again when it is",
            ));
        }
        state.is_saving = true;
        Ok(())
    }

    fn save(&self, vm: &Arc<Vm>, file: &Path, stop: bool) -> Result<Value, QmpError> {
        let ran = vm.hold().map_err(failed)?;
        let mut machine = Movable::new(Arc::clone(vm));
        let written = write_snapshot(&mut machine, file, ran).map_err(failed);
        let stopped = if stop && written.is_ok() { vm.pause().map_err(failed) } else { Ok(()) };
        vm.release().map_err(failed)?;
        let size = written?;
        stopped?;
        if stop && ran {
            self.emit(&EventKind::Stop);
        }
        Ok(json!({ "size-bytes": size.0, "running": vm.is_running() }))
    }

    /// Takes the guest of the snapshot at `file`; gives whether it runs.
    ///
    /// # Errors
    /// When the file gives no guest, or this host cannot run it.
    pub fn restore(&self, file: &Path) -> Result<bool, SnapshotError> {
        let mut host = IncomingHost::on(self.0.host.clone(), self.0.vm_events.clone());
        let runs = restore(&mut host, file)?;
        if let Some(vm) = host.machine() {
            self.state().guest = Guest::Here(vm);
        }
        Ok(runs)
    }
}
