//! Taking a place beside a QEMU.

use landfall_qmp::{Capability, Command, MigrationInfo, MigrationStatus};

use super::{Pilot, is_under_way};
use crate::found::Found;
use crate::memo::Memo;
use crate::monitor::{Monitor, query};
use crate::options::{AtLimit, Observer, Options, PilotError};

impl Pilot {
    /// Looks at what is there, and switches auto-converge on where it may be. What a pilot that was killed left behind,
    /// by what stands in `memo`, is put back: at once, or when the migration under way is over.
    ///
    /// # Errors
    /// When QEMU does not answer, or cannot do what the options ask for.
    pub fn attach(
        mut monitor: Box<dyn Monitor>,
        options: Options,
        memo: Memo,
        observer: &mut dyn Observer,
    ) -> Result<Self, PilotError> {
        let found = Found::of(monitor.as_mut(), memo)?;
        let mut this = Self {
            monitor,
            options,
            found,
            begun: false,
            status: MigrationStatus::None,
            gave_up: false,
            at_limit_done: false,
            arrived: false,
            set: None,
        };
        let info: MigrationInfo = query(this.monitor.as_mut(), &Command::QueryMigrate)?;
        this.status = info.status;
        if this.found.is_changed() {
            observer
                .note("a pilot before this one was killed: what it changed in QEMU is put back");
            if !is_under_way(this.status) {
                this.found.put_back(this.monitor.as_mut(), false)?;
            }
        }
        this.switch_on(observer)?;
        for name in this.found.lacking() {
            observer.note(&format!("this QEMU has no {name}: its throttle is moved without it"));
        }
        Ok(this)
    }

    /// Puts back what a pilot that was killed left behind, by what stands in `memo`; whether there was anything.
    ///
    /// # Errors
    /// When QEMU does not answer, or does not take it.
    pub fn restore(monitor: &mut dyn Monitor, memo: Memo) -> Result<bool, PilotError> {
        let mut found = Found::of(monitor, memo)?;
        let changed = found.is_changed();
        let info: MigrationInfo = query(monitor, &Command::QueryMigrate)?;
        found.put_back(monitor, is_under_way(info.status))?;
        Ok(changed)
    }

    fn switch_on(&mut self, observer: &mut dyn Observer) -> Result<(), PilotError> {
        if self.options.at_limit == AtLimit::Postcopy {
            let postcopy = Capability::PostcopyRam;
            self.found
                .switch(self.monitor.as_mut(), postcopy, true)
                .map_err(|error| PilotError::Capability(postcopy.name(), error.reason()))?;
        }
        let auto_converge = Capability::AutoConverge;
        let wanted = self.options.auto_converge;
        if !wanted && !is_under_way(self.status) {
            self.found.switch(self.monitor.as_mut(), auto_converge, false)?;
        }
        if !wanted || self.found.capability(auto_converge) == Some(true) {
            return Ok(());
        }
        match self.found.switch(self.monitor.as_mut(), auto_converge, true) {
            Ok(()) => Ok(()),
            Err(error) if error.is_refusal() => {
                observer.note(&format!(
                    "auto-converge is off, and QEMU does not take it now ({}): the migration is only watched. To have \
                     it steered, cancel it and begin it with auto-converge",
                    error.reason()
                ));
                self.options.auto_converge = false;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
