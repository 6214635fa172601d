//! What a hypervisor offers to a migration.

mod layout;
mod memory_file;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use landfall_converge::{PAGE_SIZE, Pages, VcpuThrottles};
use serde::{Deserialize, Serialize};

pub use self::layout::{LayoutError, MemoryLayout};
pub use self::memory_file::MemoryFile;

/// Why a hypervisor could not do what a migration asked for.
pub type MachineError = Box<dyn Error + Send + Sync>;

/// A guest frame number: the guest-physical address divided by the page size.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PageIndex(pub u64);

impl PageIndex {
    /// The guest-physical address at which the page begins.
    #[must_use]
    pub fn address(self) -> u64 {
        self.0 * PAGE_SIZE
    }

    /// The page `count` pages further on.
    #[must_use]
    pub fn offset(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

/// Guest memory, readable and writable while the guest runs.
///
/// A page may change while it is read: the reader gets some mixture of old and new bytes, and the dirty log gives the
/// page again.
pub trait GuestMemory: Send + Sync {
    /// Where there is memory.
    fn layout(&self) -> &MemoryLayout;

    /// Copies whole pages from `first` on into `buffer`, whose length is a multiple of the page size.
    ///
    /// # Errors
    /// When the run is not wholly inside one range of the layout.
    fn read_pages(&self, first: PageIndex, buffer: &mut [u8]) -> Result<(), MachineError>;

    /// Whether none of the `count` pages from `first` on was ever written, so that they are zeros and need not be read:
    /// reading would only make the kernel give memory for them. A wrong *no* costs time; a wrong *yes* would lose pages,
    /// but for those that are written after the question: the dirty log has them.
    fn is_untouched(&self, first: PageIndex, count: u64) -> bool {
        let _ = (first, count);
        false
    }

    /// Copies `data`, whose length is a multiple of the page size, into whole pages from `first` on.
    ///
    /// # Errors
    /// When the run is not wholly inside one range of the layout.
    fn write_pages(&self, first: PageIndex, data: &[u8]) -> Result<(), MachineError>;

    /// Makes `count` pages from `first` on read as zeros, without touching those that do already.
    ///
    /// # Errors
    /// When the run is not wholly inside one range of the layout.
    fn zero_pages(&self, first: PageIndex, count: u64) -> Result<(), MachineError>;
}

/// Where harvested dirty pages go: one call for every word of 64 pages in which a bit is set.
pub trait DirtySink {
    /// Pages `word * 64 + bit` for every `bit` set in `bits` were written.
    fn mark(&mut self, word: u64, bits: u64);

    /// `pages` of those just marked were written by vCPU `vcpu`. Logs that cannot tell vCPUs apart never call it.
    fn attribute(&mut self, vcpu: usize, pages: Pages) {
        let _ = (vcpu, pages);
    }
}

/// How a dirty log knows which pages were written; stands in reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirtyLogKind {
    /// One bit a page; it does not tell vCPUs apart.
    #[default]
    Bitmap,
    /// A ring a vCPU in the kernel.
    Ring,
    /// One bit a page and vCPU, kept by native threads themselves.
    Software,
}

impl DirtyLogKind {
    /// As it stands in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bitmap => "bitmap",
            Self::Ring => "ring",
            Self::Software => "software",
        }
    }
}

/// The record of pages written by the guest and by the monitor on the guest's behalf.
pub trait DirtyLog: Send {
    /// How it knows.
    fn kind(&self) -> DirtyLogKind {
        DirtyLogKind::Bitmap
    }

    /// Begins to record: every page written after this returns is given by a later harvest.
    ///
    /// # Errors
    /// When the hypervisor refuses.
    fn start(&mut self) -> Result<(), MachineError>;

    /// Gives every page written since the last harvest (or since the start) and goes on recording. Once the guest is
    /// paused a harvest is exact: nothing written before the pause is missing from it.
    ///
    /// # Errors
    /// When the hypervisor refuses. Pages may then be lost: the migration must fail.
    fn harvest(&mut self, sink: &mut dyn DirtySink) -> Result<(), MachineError>;

    /// Stops recording, so that the guest pays nothing for it any more.
    ///
    /// # Errors
    /// When the hypervisor refuses.
    fn stop(&mut self) -> Result<(), MachineError>;
}

/// How long one vCPU was held back by the throttle, since it was last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StolenTime {
    /// The sum of all stalls, including the one under way.
    pub total: Duration,
    /// The longest single stall.
    pub longest_stall: Duration,
}

/// The throttle of a machine's vCPUs.
pub trait VcpuThrottle: Send + Sync {
    /// Holds vCPUs back from now on as told, replacing what was told before; [`VcpuThrottles::Released`] ends every
    /// stall at once.
    fn set(&self, throttles: &VcpuThrottles);

    /// One entry a vCPU, in order.
    fn stolen(&self) -> Vec<StolenTime>;

    /// Starts [`VcpuThrottle::stolen`] again from zero.
    fn reset_stolen(&self);
}

/// Which machine runs the guest; stands in every report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineKind {
    /// A guest in KVM.
    Kvm,
    /// Native threads that behave as a guest.
    Synthetic,
    /// A QEMU process.
    Qemu,
}

/// A machine that can be moved away.
pub trait Source: Send {
    /// What runs the guest.
    fn kind(&self) -> MachineKind;

    /// Everything that a destination must know to build the same machine, in an encoding of the hypervisor's own.
    fn configuration(&self) -> Vec<u8>;

    /// The guest's memory.
    fn memory(&self) -> Arc<dyn GuestMemory>;

    /// The files that the guest's memory is in, in the order of its ranges, for a process of this host that takes it over
    /// as it is.
    ///
    /// # Errors
    /// When it is in none, or the system gives no descriptors.
    fn memory_files(&self) -> Result<Vec<MemoryFile>, MachineError> {
        Err("its memory is in no file that could be handed over".into())
    }

    /// The record of written pages.
    fn dirty_log(&mut self) -> &mut dyn DirtyLog;

    /// The throttle.
    fn throttle(&self) -> Arc<dyn VcpuThrottle>;

    /// Stops every vCPU and device; a throttled vCPU goes straight to paused. When this returns nothing of the guest
    /// runs any more and every write has reached memory and dirty log.
    ///
    /// Says whether the guest ran until then (throttled or not), rather than being paused already: that is what the
    /// destination does with it. It is one step with the stopping, so that a user's own wish falls on either side of it.
    ///
    /// # Errors
    /// When a vCPU does not stop.
    fn pause(&mut self) -> Result<bool, MachineError>;

    /// Undoes [`Source::pause`]: a guest that ran before it runs again, with the throttle that is set; one that was
    /// paused already stays so.
    ///
    /// # Errors
    /// When a vCPU does not start.
    fn resume(&mut self) -> Result<(), MachineError>;

    /// The state of vCPUs and devices of the paused guest, in an encoding of the hypervisor's own.
    ///
    /// # Errors
    /// When the hypervisor cannot read it.
    fn save(&mut self) -> Result<Vec<u8>, MachineError>;

    /// The same for another process of this host: nothing need be brought to where other hosts find it.
    ///
    /// # Errors
    /// When the hypervisor cannot read it.
    fn save_here(&mut self) -> Result<Vec<u8>, MachineError> {
        self.save()
    }

    /// Lets go of what only one machine may have, such as the locks of its disks. Called once, when the guest is given
    /// away, just before the destination gets the word. Until then every failure finds the guest with all that it has.
    fn let_go(&mut self) {}
}

/// A place that can take a machine in.
pub trait Host {
    /// Builds a paused machine as `configuration` (from [`Source::configuration`]) tells.
    ///
    /// # Errors
    /// When this host cannot run such a machine; the text travels back to the source and to its user.
    fn build(&mut self, configuration: &[u8]) -> Result<Box<dyn Destination>, MachineError>;

    /// The same around memory that another process of this host has, too, and in which its guest runs until it is given
    /// away: nothing may be written to it before [`Destination::resume`].
    ///
    /// # Errors
    /// When this host cannot run such a machine, or the files are not what its memory can be made from.
    fn take_over(
        &mut self,
        configuration: &[u8],
        memory: Vec<MemoryFile>,
    ) -> Result<Box<dyn Destination>, MachineError> {
        let _ = (configuration, memory);
        Err("it takes no memory over; migrate without a hand-over".into())
    }
}

/// A machine that is being moved in; paused until [`Destination::resume`].
pub trait Destination: Send {
    /// The guest's memory: all zeros at first, unless it was taken over.
    fn memory(&self) -> Arc<dyn GuestMemory>;

    /// Takes over vCPU and device state from [`Source::save`].
    ///
    /// # Errors
    /// When the state cannot be read, or the hypervisor refuses it.
    fn load(&mut self, state: &[u8]) -> Result<(), MachineError>;

    /// Takes what only one machine may have, and the source has let go of. Called once, after the commit, also for a guest
    /// that is not to run.
    ///
    /// # Errors
    /// When somebody else has it; the guest is in doubt then.
    fn claim(&mut self) -> Result<(), MachineError> {
        Ok(())
    }

    /// Lets go of what was claimed: the guest goes on at the source.
    fn let_go(&mut self) {}

    /// Runs the guest. Called once, after the commit.
    ///
    /// # Errors
    /// When a vCPU does not start.
    fn resume(&mut self) -> Result<(), MachineError>;
}
