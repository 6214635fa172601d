//! The initial RAM disks of lab machines and of their guests, and the disk that a guest has its files on.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::modules::Modules;
use super::packages::Packages;
use crate::command::{cargo, output, program, run, works};
use crate::tools;
use crate::workspace::Workspace;

/// The first programs.
const HOST: &str = include_str!("host.sh");
const START: &str = include_str!("start.sh");
const GUEST: &str = include_str!("guest.sh");
const WRITER: &str = include_str!("writer.sh");
/// Has a program run on the other lab machine.
const THERE: &str = include_str!("there.sh");
/// What a guest compiles.
const SOURCES: [(&str, &str); 3] = [
    ("system.h", include_str!("system.h")),
    ("program.c", include_str!("program.c")),
    ("sweep.c", include_str!("sweep.c")),
];

/// KVM on the processor that QEMU emulates, taps and what joins them with the wire, and the devices of a lab machine;
/// with the options of each module.
const HOST_MODULES: &[(&str, &str)] = &[
    ("kvm_amd", "nested=0"),
    ("tun", ""),
    ("bridge", ""),
    ("virtio_pci", ""),
    ("virtio_blk", ""),
    ("virtio_net", ""),
];
/// What a guest has of its own for its devices.
const GUEST_MODULES: &[(&str, &str)] = &[
    ("virtio_mmio", ""),
    ("virtio_blk", ""),
    ("virtio_net", ""),
    ("virtio_rng", ""),
    ("virtio_balloon", ""),
    ("virtio_console", ""),
];
/// What a guest runs that is not ours.
const PROGRAMS: [&str; 4] = ["busybox", "memtester", "tcc", "fio"];
/// Room for them, their libraries, and what the guest writes.
const DISK_SIZE: &str = "160M";

/// Builds the initial RAM disk of a lab machine, with that of a guest in it; its path.
pub(super) fn host_disk(workspace: &Workspace, packages: &Packages) -> Result<PathBuf, String> {
    run(&mut cargo(workspace, ["build", "--package", "landfall"]))?;
    let mut disk = Archive::with_console();
    disk.program("init", HOST.as_bytes());
    disk.program("bin/there", THERE.as_bytes());
    disk.copy(&packages.program("busybox")?, "bin/busybox")?;
    let landfall = workspace.target().join("debug/landfall");
    // By this name the program can still be read when a newer one has taken its place.
    let this = PathBuf::from("/proc/self/exe");
    let programs = [(&landfall, "landfall"), (&this, "xtask")]
        .map(|(from, name)| stripped(workspace, from, name));
    let programs = programs.into_iter().collect::<Result<Vec<_>, _>>()?;
    for program in &programs {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        disk.copy(program, &format!("bin/{name}"))?;
    }
    for library in libraries(&programs)? {
        disk.copy(&library, &inside(&library))?;
    }
    add_identities(&mut disk, workspace, &landfall)?;
    add_modules(&mut disk, packages, HOST_MODULES)?;
    disk.copy(&packages.kernel()?, "boot/vmlinuz")?;
    disk.program("boot/guest", &guest_start(packages)?);
    written(workspace, "host.cpio", disk)
}

/// Builds the disk of a guest that writes to its memory as fast as it can; its path.
pub(super) fn writer_disk(workspace: &Workspace, packages: &Packages) -> Result<PathBuf, String> {
    let mut disk = Archive::with_console();
    disk.program("init", WRITER.as_bytes());
    disk.copy(&packages.program("busybox")?, "bin/busybox")?;
    written(workspace, "writer.cpio", disk)
}

/// Builds the image of the disk that guests have their files on; its path.
pub(super) fn guest_disk(workspace: &Workspace, packages: &Packages) -> Result<PathBuf, String> {
    let folder = workspace.target().join("lab");
    let (files, image) = (folder.join("guest"), folder.join("guest.img"));
    let unwritable = |error| format!("{}: {error}", files.display());
    // Those of an earlier lab, if there was one.
    let _ = fs::remove_dir_all(&files);
    let _ = fs::remove_file(&image);
    for empty in ["dev", "proc", "sys", "tmp", "work"] {
        fs::create_dir_all(files.join(empty)).map_err(unwritable)?;
    }
    let add = |from: &Path, to: &str| {
        let to = files.join(to);
        let folder = to.parent().map_or(Ok(()), fs::create_dir_all);
        let added = folder.and_then(|()| fs::copy(from, &to));
        added.map(drop).map_err(|error| format!("{}: {error}", to.display()))
    };
    for name in PROGRAMS {
        let program = packages.program(name)?;
        add(&program, &format!("bin/{name}"))?;
        // A program without libraries has nobody that loads them.
        if name != "busybox" {
            for library in packages.libraries(&program)? {
                let name = library.file_name().unwrap_or_default().to_string_lossy();
                add(&library, &format!("lib/x86_64-linux-gnu/{name}"))?;
            }
        }
    }
    add(&packages.loader(), "lib64/ld-linux-x86-64.so.2")?;
    for (name, text) in std::iter::once(("init", GUEST)).chain(SOURCES) {
        fs::write(files.join(name), text).map_err(unwritable)?;
    }
    run(&mut program(workspace, "chmod", ["+x".as_ref(), files.join("init").as_os_str()]))?;
    let mut make =
        program(workspace, maker(workspace)?, ["-q", "-F", "-t", "ext4", "-b", "4096", "-E"]);
    // What is put off until the disk is in use would be written by the guest.
    make.arg("root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0");
    run(make.arg("-d").arg(&files).arg(&image).arg(DISK_SIZE))?;
    Ok(image)
}

/// The program that makes file systems; it is not in everybody's path.
fn maker(workspace: &Workspace) -> Result<&'static str, String> {
    let found = || {
        let places = ["mke2fs", "/sbin/mke2fs", "/usr/sbin/mke2fs"];
        places.into_iter().find(|place| works(std::process::Command::new(place).arg("-V")))
    };
    if let Some(maker) = found() {
        return Ok(maker);
    }
    tools::debian(workspace, &["e2fsprogs"])?;
    found().ok_or_else(|| "there is no mke2fs after e2fsprogs was installed".to_owned())
}

fn written(workspace: &Workspace, name: &str, disk: Archive) -> Result<PathBuf, String> {
    let path = workspace.target().join("lab").join(name);
    fs::write(&path, disk.finish()).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// The initial RAM disk of a guest.
fn guest_start(packages: &Packages) -> Result<Vec<u8>, String> {
    let mut disk = Archive::with_console();
    disk.program("init", START.as_bytes());
    disk.program("guest", GUEST.as_bytes());
    disk.folder("disk");
    disk.copy(&packages.program("busybox")?, "bin/busybox")?;
    add_modules(&mut disk, packages, GUEST_MODULES)?;
    Ok(disk.finish())
}

/// Adds what two hosts know each other by.
fn add_identities(
    disk: &mut Archive,
    workspace: &Workspace,
    landfall: &Path,
) -> Result<(), String> {
    let made = tempfile::tempdir_in(workspace.target().join("lab"));
    let made = made.map_err(|error| format!("there is no room for certificates: {error}"))?;
    let folder = |name: &str| made.path().join(name).to_string_lossy().into_owned();
    let authority = folder("authority");
    let cert = |words: &[&str]| {
        let mut command = program(workspace, landfall, ["cert"]);
        output(command.args(words)).map(drop)
    };
    cert(&["ca", &authority])?;
    for (number, address) in super::network::HOSTS {
        let (name, out) = (format!("host-{number}"), folder(&format!("identity-{number}")));
        cert(&["node", "--ca", &authority, "--address", address, "--out", &out, &name])?;
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            disk.copy(&Path::new(&out).join(file), &format!("etc/identity-{number}/{file}"))?;
        }
    }
    Ok(())
}

/// Adds modules with their options, and what they need, with a list of them in the right order.
fn add_modules(
    disk: &mut Archive,
    packages: &Packages,
    wanted: &[(&str, &str)],
) -> Result<(), String> {
    let modules = Modules::below(&packages.modules()?)?;
    let names: Vec<_> = wanted.iter().map(|(name, _)| *name).collect();
    let mut order = String::new();
    for path in modules.with_needs(&names)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.trim_end_matches(".ko").replace('-', "_");
        let options = wanted.iter().find(|(wanted, _)| *wanted == name);
        order += &format!("{file} {}\n", options.map_or("", |(_, options)| options));
        disk.copy(&path, &format!("modules/{file}"))?;
    }
    disk.program("modules/order", order.as_bytes());
    Ok(())
}

/// A copy of a program without what only a debugger reads: it is all kept in memory.
fn stripped(workspace: &Workspace, from: &Path, name: &str) -> Result<PathBuf, String> {
    let to = workspace.target().join("lab").join(name);
    fs::copy(from, &to).map_err(|error| format!("{}: {error}", to.display()))?;
    run(&mut program(workspace, "strip", [&to]))?;
    Ok(to)
}

/// The shared libraries of programs of this host, and the program that loads them.
fn libraries(programs: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut libraries = Vec::new();
    for program in programs {
        let listed = output(std::process::Command::new("ldd").arg(program))?;
        let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
        libraries.extend(paths.map(PathBuf::from));
    }
    libraries.sort();
    libraries.dedup();
    Ok(libraries)
}

/// Where a file of this host is inside the disk: at the same place, which is named without the leading slash.
fn inside(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}
