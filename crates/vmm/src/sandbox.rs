//! What the process of a machine may still do once it runs: the calls into the system that its threads need, each kind its own,
//! and the paths that it was given.
//!
//! A guest that breaks out of its machine finds itself in a thread of the first two kinds, which cannot open, connect to or
//! start anything.

mod calls;
mod paths;

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use seccompiler::{BpfProgram, apply_filter};

pub(crate) use self::paths::Named;
use crate::memory::huge_pages;

/// What a machine's process may still do once it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Whatever its user may.
    #[default]
    Off,
    /// What a machine needs.
    On {
        /// The files and folders that it may open later on; any if there are none.
        paths: Vec<PathBuf>,
    },
}

/// Why a process could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A path that is to be allowed.
    #[error("{0} cannot be allowed; name a file or folder of this host")]
    Path(PathBuf, #[source] io::Error),
    /// Landlock.
    #[error("the kernel does not limit this process to its paths; leave --allow out")]
    Paths(#[source] landlock::RulesetError),
    /// Seccomp.
    #[error("the kernel does not limit the calls of this process; --no-sandbox goes on without")]
    Calls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SandboxError {
    fn calls(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Calls(Box::new(error))
    }
}

/// A kind of thread that needs less than the process as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThreadKind {
    /// Runs a guest, and answers what it does.
    Vcpu,
    /// Carries out what a guest asks of a device, or works for it on the side.
    Device,
}

#[derive(Debug)]
struct Filters {
    vcpu: BpfProgram,
    device: BpfProgram,
}

/// Set once the process is confined. Threads of a process that is not, as in tests, are not either.
static FILTERS: OnceLock<Filters> = OnceLock::new();

/// Confines the calling thread, and all that it starts from here on; nothing takes this back. `say` is told what a person should know.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn enter(
    sandbox: &Sandbox,
    named: &Named<'_>,
    say: &mut impl FnMut(&str),
) -> Result<(), SandboxError> {
    let Sandbox::On { paths } = sandbox else { return Ok(()) };
    // Known from here on, where it can be read.
    huge_pages::are_given_where_asked_for();
    if !paths.is_empty() {
        say(if paths::limit(paths, named)? {
            "the process opens only what --allow and other options name"
        } else {
            "this kernel has no Landlock: the process is not limited to the paths that it was given"
        });
    }
    let filters = Filters { vcpu: calls::of_vcpus()?, device: calls::of_devices()? };
    apply_filter(&calls::without_new_clone()?).map_err(SandboxError::calls)?;
    apply_filter(&calls::of_process()?).map_err(SandboxError::calls)?;
    // Entered twice, what was set first is as good.
    let _ = FILTERS.set(filters);
    Ok(())
}

/// Confines the calling thread to what its kind needs, where the process is confined at all.
pub(crate) fn confine(kind: ThreadKind) {
    let Some(filters) = FILTERS.get() else { return };
    let filter = match kind {
        ThreadKind::Vcpu => &filters.vcpu,
        ThreadKind::Device => &filters.device,
    };
    if let Err(error) = apply_filter(filter) {
        // What the whole process is confined to still holds.
        tracing::error!("a thread of the kind {kind:?} is not confined: {error}");
    }
}

#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;
