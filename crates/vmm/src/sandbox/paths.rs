//! The paths that a machine's process may open.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, make_bitflags,
};

use super::SandboxError;

/// The newest of which the meaning is known here; what an older kernel does not know it does not limit.
const KNOWN: ABI = ABI::V5;

/// KVM, taps, and what a process asks about itself.
const MACHINE: [&str; 3] = ["/dev/kvm", "/dev/net/tun", "/proc/self"];
/// What the names of other hosts are looked up with.
const NAMES: [&str; 12] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/lib",
    "/lib64",
    "/usr/lib",
];

/// What a process was given by other options than those of the sandbox.
#[derive(Debug, Default)]
pub(crate) struct Named<'a> {
    /// Files and folders that are read.
    pub(crate) read: Vec<&'a Path>,
    /// Files that are written to.
    pub(crate) written: Vec<&'a Path>,
    /// Sockets that it makes, and removes in the end.
    pub(crate) sockets: Vec<&'a Path>,
}

/// Limits the calling thread, and all that it starts, to `allowed` and what is `named`. Gives whether this kernel can.
pub(super) fn limit(allowed: &[PathBuf], named: &Named<'_>) -> Result<bool, SandboxError> {
    let rules = ruleset().map_err(SandboxError::Paths)?;
    let rules = given(rules, allowed, named)?;
    let status = rules.restrict_self().map_err(SandboxError::Paths)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Everything is refused but what machines of any kind need.
fn ruleset() -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?.create()?;
    for (paths, access) in [(&MACHINE[..], using()), (&NAMES, reading())] {
        for path in paths {
            add(&mut rules, path.as_ref(), access)?;
        }
    }
    Ok(rules)
}

fn given(
    mut rules: RulesetCreated,
    allowed: &[PathBuf],
    named: &Named<'_>,
) -> Result<RulesetCreated, SandboxError> {
    for path in allowed {
        path.metadata().map_err(|error| SandboxError::Path(path.clone(), error))?;
        add(&mut rules, path, keeping()).map_err(SandboxError::Paths)?;
    }
    let sockets = named.sockets.iter().map(|path| (folder(path), serving()));
    let read = named.read.iter().map(|path| (*path, reading()));
    let written = named.written.iter().map(|path| (*path, using()));
    for (path, access) in sockets.chain(read).chain(written) {
        add(&mut rules, path, access).map_err(SandboxError::Paths)?;
    }
    Ok(rules)
}

/// What is not there need not be allowed: whoever opens it says what is wrong.
fn add(
    rules: &mut RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<(), RulesetError> {
    if let Ok(found) = PathFd::new(path) {
        rules.add_rule(PathBeneath::new(found, access))?;
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn reading() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{ReadFile | ReadDir})
}

fn using() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate | IoctlDev})
}

/// A socket is made and removed, and who may use it is said.
fn serving() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{MakeSock | RemoveFile})
}

/// Files, under whatever names, but no programs, devices or folders.
fn keeping() -> BitFlags<AccessFs> {
    reading() | using() | serving() | make_bitflags!(AccessFs::{MakeReg | Refer})
}
