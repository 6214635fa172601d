//! The initial RAM disks of lab machines and of their guests.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::modules::Modules;
use super::packages::Packages;
use crate::command::{cargo, output, program, run};
use crate::workspace::Workspace;

/// The first programs.
const HOST: &str = include_str!("host.sh");
const GUEST: &str = include_str!("guest.sh");
const WRITER: &str = include_str!("writer.sh");

/// KVM on the processor that QEMU emulates, and taps, with the options of each module.
const HOST_MODULES: &[(&str, &str)] = &[("kvm_amd", "nested=0"), ("tun", "")];
/// What a guest has of its own for its devices.
const GUEST_MODULES: &[(&str, &str)] =
    &[("virtio_mmio", ""), ("virtio_blk", ""), ("virtio_net", ""), ("virtio_rng", "")];

/// Builds the disk of a lab machine, with that of a guest in it; its path.
pub(super) fn host_disk(workspace: &Workspace, packages: &Packages) -> Result<PathBuf, String> {
    run(&mut cargo(workspace, ["build", "--package", "landfall"]))?;
    let mut disk = Archive::with_console();
    disk.program("init", HOST.as_bytes());
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
    add_modules(&mut disk, packages, HOST_MODULES)?;
    disk.copy(&packages.kernel()?, "boot/vmlinuz")?;
    disk.program("boot/guest", &guest_disk(packages)?);
    written(workspace, "host.cpio", disk)
}

/// Builds the disk of a guest that writes to its memory as fast as it can; its path.
pub(super) fn writer_disk(workspace: &Workspace, packages: &Packages) -> Result<PathBuf, String> {
    let mut disk = Archive::with_console();
    disk.program("init", WRITER.as_bytes());
    disk.copy(&packages.program("busybox")?, "bin/busybox")?;
    written(workspace, "writer.cpio", disk)
}

fn written(workspace: &Workspace, name: &str, disk: Archive) -> Result<PathBuf, String> {
    let path = workspace.target().join("lab").join(name);
    fs::write(&path, disk.finish()).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn guest_disk(packages: &Packages) -> Result<Vec<u8>, String> {
    let mut disk = Archive::with_console();
    disk.program("init", GUEST.as_bytes());
    disk.copy(&packages.program("busybox")?, "bin/busybox")?;
    let memtester = packages.program("memtester")?;
    disk.copy(&memtester, "bin/memtester")?;
    for library in libraries(&[memtester])? {
        disk.copy(&library, &inside(&library))?;
    }
    add_modules(&mut disk, packages, GUEST_MODULES)?;
    Ok(disk.finish())
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

/// The shared libraries of programs, and the program that loads them.
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
