//! Stock QEMU, steered by this program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use landfall_vmm::kvm;

use crate::command::{cargo, program, run, works};
use crate::lab;
use crate::step::Outcome;
use crate::tools;
use crate::workspace::Workspace;

const PROGRAM: &str = "qemu-system-x86_64";
/// What the newest one is made of, beside libraries that the older one has brought.
const PACKAGES: [&str; 4] =
    ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"];
/// What the names of the tests begin with that have a Linux.
const LINUX: &str = "linux::";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// With the QEMU that the distribution has.
pub(crate) fn steered(workspace: &Workspace) -> Outcome {
    match kvm_and_qemu(workspace) {
        Ok(qemu) => tests(workspace, Path::new(qemu)).into(),
        Err(missing) => Outcome::Skipped(missing),
    }
}

/// With the newest one among the distribution's backports.
pub(crate) fn newest_steered(workspace: &Workspace) -> Outcome {
    match kvm_and_qemu(workspace).and_then(|_| newest(workspace)) {
        Ok(qemu) => tests(workspace, &qemu).into(),
        Err(missing) => Outcome::Skipped(missing),
    }
}

/// With a Linux in a processor that QEMU emulates, which needs no KVM. Before 9.0 QEMU loses writes of such a guest while it
/// is migrated.
pub(crate) fn linux_steered(workspace: &Workspace) -> Outcome {
    let found = tools::qemu(workspace)
        .and_then(|_| newest(workspace))
        .and_then(|qemu| lab::writing_linux(workspace).map(|linux| (qemu, linux)));
    match found {
        Ok((qemu, (kernel, disk))) => {
            let mut command = test_command(workspace, &qemu, &[LINUX]);
            run(command.env("LINUX_KERNEL", kernel).env("LINUX_DISK", disk)).into()
        }
        Err(missing) => Outcome::Skipped(missing),
    }
}

/// Makes sure that there is a QEMU and what its guests run in; gives its program.
///
/// # Errors
/// With what is missing.
pub(crate) fn kvm_and_qemu(workspace: &Workspace) -> Result<&'static str, String> {
    kvm::is_available().map_err(|error| format!("QEMU's guests need KVM here: {error}"))?;
    tools::qemu(workspace)
}

fn tests(workspace: &Workspace, qemu: &Path) -> Result<(), String> {
    run(&mut test_command(workspace, qemu, &["--skip", LINUX]))
}

fn test_command(workspace: &Workspace, qemu: &Path, which: &[&str]) -> Command {
    // One at a time: each has two machines, and a guest that keeps a core busy.
    let tests =
        ["test", "--package", "landfall", "--test", "qemu", "--", "--ignored", "--test-threads=1"];
    let mut command = cargo(workspace, tests);
    command.args(which).env("QEMU", qemu);
    command
}

/// Fetches the newest QEMU into a folder of our own, beside the one that is installed.
fn newest(workspace: &Workspace) -> Result<PathBuf, String> {
    let folder = workspace.target().join("qemu-newest");
    let start = folder.join("qemu");
    if works(Command::new(&start).arg("--version")) {
        return Ok(start);
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .filter(|_| Path::new(KEYRING).exists())
        .ok_or("backports of QEMU are taken from Debian, which this is not")?;
    fetch(workspace, &folder, codename)
        .map_err(|error| format!("no newer QEMU among the backports of {codename}: {error}"))?;
    let data = folder.join("root/usr");
    let script = format!(
        "#!/bin/sh\nexec '{0}/bin/{PROGRAM}' -L '{0}/share/qemu' -L '{0}/share/seabios' \"$@\"\n",
        data.display()
    );
    let written = fs::write(&start, script)
        .and_then(|()| fs::set_permissions(&start, fs::Permissions::from_mode(0o755)));
    written.map_err(|error| format!("{}: {error}", start.display()))?;
    if works(Command::new(&start).arg("--version")) {
        Ok(start)
    } else {
        Err("the newest QEMU needs libraries that this release does not have".to_owned())
    }
}

fn fetch(workspace: &Workspace, folder: &Path, codename: &str) -> Result<(), String> {
    let sources = folder.join("sources.list");
    let line = format!(
        "deb [signed-by={KEYRING}] http://deb.debian.org/debian {codename}-backports main\n"
    );
    let written =
        fs::create_dir_all(folder.join("lists/partial")).and_then(|()| fs::write(&sources, line));
    written.map_err(|error| format!("{}: {error}", folder.display()))?;
    // With a list of sources of its own, so that the system's stays as it is.
    let apt = |arguments: &[&str]| {
        let mut command = program(workspace, "apt-get", arguments);
        command.current_dir(folder);
        command.args(["-o", &format!("Dir::Etc::sourcelist={}", sources.display())]);
        command.args(["-o", "Dir::Etc::sourceparts=-"]);
        command.args(["-o", &format!("Dir::State::lists={}", folder.join("lists").display())]);
        run(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["download"], PACKAGES.as_slice()].concat())?;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            tools::unpack(workspace, &path, &folder.join("root"))?;
        }
    }
    Ok(())
}
