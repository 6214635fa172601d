//! Tools that tests need, installed where this is possible.

use std::path::Path;
use std::process::Command;

use crate::command::{cargo, output, run, works};
use crate::workspace::Workspace;

/// Installs Debian packages.
///
/// # Errors
/// When this is no Debian, or not for this user to do: what to install by hand.
pub(crate) fn debian(workspace: &Workspace, packages: &[&str]) -> Result<(), String> {
    let by_hand = || format!("install {} and try again", packages.join(" "));
    let root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root || !works(Command::new("apt-get").arg("--version")) {
        return Err(by_hand());
    }
    let apt = |arguments: &[&str]| {
        let mut command = crate::command::program(workspace, "apt-get", arguments);
        run(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install: Vec<&str> = ["install", "--yes", "--no-install-recommends"]
        .into_iter()
        .chain(packages.iter().copied())
        .collect();
    // Without a fresh list of packages the first try fails on a new machine, and is quick on any other.
    apt(&install)
        .or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
        .map_err(|error| format!("{error}; {}", by_hand()))
}

/// Makes sure that there is a QEMU, by installing it; gives its program.
///
/// # Errors
/// As [`debian`].
pub(crate) fn qemu(workspace: &Workspace) -> Result<&'static str, String> {
    const QEMU: &str = "qemu-system-x86_64";
    if !works(Command::new(QEMU).arg("--version")) {
        debian(workspace, &["qemu-system-x86"])?;
    }
    Ok(QEMU)
}

/// Unpacks a Debian package without installing it.
///
/// # Errors
/// When it is none, or the folder cannot be written.
pub(crate) fn unpack(workspace: &Workspace, package: &Path, to: &Path) -> Result<(), String> {
    let arguments = ["--extract".as_ref(), package.as_os_str(), to.as_os_str()];
    run(&mut crate::command::program(workspace, "dpkg-deb", arguments))
}

/// Makes sure that there is a cargo command, by installing its package.
///
/// # Errors
/// When it is not there and cannot be installed.
pub(crate) fn cargo_command(
    workspace: &Workspace,
    command: &str,
    package: &str,
) -> Result<(), String> {
    if works(&mut cargo(workspace, [command, "--version"])) {
        return Ok(());
    }
    run(&mut cargo(workspace, ["install", package, "--locked"]))
        .map_err(|error| format!("{package} could not be installed: {error}"))
}
