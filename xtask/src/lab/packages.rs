//! The Debian packages that the lab is made of, fetched and unpacked, and not installed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{output, program, run};
use crate::workspace::Workspace;

/// Depends on the kernel of the day.
const KERNEL: &str = "linux-image-cloud-amd64";
/// What guests run, each with the program by which it is known.
const OTHERS: [(&str, &str); 4] =
    [("busybox-static", "busybox"), ("memtester", "memtester"), ("tcc", "tcc"), ("fio", "fio")];
/// Where their libraries are; the last is one that only other libraries look into.
const LIBRARIES: [&str; 3] =
    ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/ceph"];
/// The program that loads libraries.
const LOADER: &str = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

/// Where the packages' files are.
#[derive(Debug)]
pub(super) struct Packages {
    root: PathBuf,
}

impl Packages {
    /// Fetches what is not there yet.
    pub(super) fn fetch(workspace: &Workspace) -> Result<Self, String> {
        let folder = workspace.target().join("lab");
        let packages = Self { root: folder.join("root") };
        if packages.are_here() {
            return Ok(packages);
        }
        let fetched = folder.join("packages");
        let unwritable = |error| format!("{} cannot be written: {error}", folder.display());
        // Half of an earlier try would be taken for the whole, and an older version for the newest.
        let unpacked = folder.join("unpacked");
        for stale in [&unpacked, &fetched, &packages.root] {
            let _ = fs::remove_dir_all(stale);
        }
        fs::create_dir_all(fetched.join("partial")).map_err(unwritable)?;
        if download(workspace, &fetched, KERNEL).is_err() {
            // A new machine has no list of packages.
            run(&mut program(workspace, "apt-get", ["update"]))?;
            download(workspace, &fetched, KERNEL)?;
        }
        download(workspace, &fetched, &depends(&the_package(&fetched, KERNEL)?)?)?;
        download_with_needs(workspace, &fetched)?;
        fs::create_dir_all(&unpacked).map_err(unwritable)?;
        for package in beginning_with(&fetched, "")?.iter().filter(|path| !path.is_dir()) {
            let mut unpack = std::process::Command::new("dpkg-deb");
            output(unpack.arg("--extract").arg(package).arg(&unpacked))?;
        }
        fs::rename(&unpacked, &packages.root).map_err(unwritable)?;
        packages.kernel()?;
        Ok(packages)
    }

    fn are_here(&self) -> bool {
        self.kernel().is_ok() && OTHERS.iter().all(|(_, program)| self.program(program).is_ok())
    }

    /// The kernel, as Debian ships it.
    pub(super) fn kernel(&self) -> Result<PathBuf, String> {
        only(&self.root.join("boot"), "vmlinuz-")
    }

    /// The folder of the kernel's modules.
    pub(super) fn modules(&self) -> Result<PathBuf, String> {
        only(&self.root.join("lib/modules"), "")
    }

    /// A program of one of the packages.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf, String> {
        let places = ["bin", "usr/bin", "usr/sbin"].map(|place| self.root.join(place).join(name));
        places.into_iter().find(|path| path.exists()).ok_or_else(|| format!("{name} is missing"))
    }

    /// The program that loads libraries.
    pub(super) fn loader(&self) -> PathBuf {
        self.root.join(LOADER)
    }

    /// The shared libraries that a program of the packages needs, from the packages: those of this host may be others.
    pub(super) fn libraries(&self, program: &Path) -> Result<Vec<PathBuf>, String> {
        let root = self.root.to_string_lossy();
        let places = LIBRARIES.map(|place| format!("{root}/{place}")).join(":");
        let mut list = std::process::Command::new(self.loader());
        let listed = output(list.arg("--library-path").arg(places).arg("--list").arg(program))?;
        if listed.contains("not found") {
            return Err(format!("{} lacks libraries:\n{listed}", program.display()));
        }
        let paths = listed.split_whitespace().filter(|word| word.starts_with(&*root));
        Ok(paths.map(PathBuf::from).collect())
    }
}

fn download(workspace: &Workspace, folder: &Path, package: &str) -> Result<(), String> {
    run(program(workspace, "apt-get", ["download", "--quiet", package]).current_dir(folder))
}

/// With all that they need, as if nothing were installed here: what a guest has does not depend on this host.
fn download_with_needs(workspace: &Workspace, folder: &Path) -> Result<(), String> {
    let mut apt = program(workspace, "apt-get", ["install", "--download-only", "--yes"]);
    apt.args(["--quiet=2", "--no-install-recommends", "-o", "Dir::State::status=/dev/null"]);
    apt.args(["-o", "Debug::NoLocking=1", "-o", "Dir::Cache::pkgcache="]);
    apt.args(["-o", &format!("Dir::Cache::archives={}", folder.display())]);
    run(apt.args(OTHERS.map(|(package, _)| package)))
}

/// What a package that only stands for another one stands for.
fn depends(package: &Path) -> Result<String, String> {
    let mut command = std::process::Command::new("dpkg-deb");
    let text = output(command.arg("--field").arg(package).arg("Depends"))?;
    let name = text.split([' ', ',']).next().unwrap_or_default().trim();
    if name.is_empty() { Err(format!("{KERNEL} names no kernel")) } else { Ok(name.to_owned()) }
}

/// The package's file.
fn the_package(folder: &Path, package: &str) -> Result<PathBuf, String> {
    let mut files = beginning_with(folder, &format!("{package}_"))?;
    files.pop().ok_or_else(|| format!("{package} was not fetched"))
}

fn only(folder: &Path, prefix: &str) -> Result<PathBuf, String> {
    let mut files = beginning_with(folder, prefix)?;
    files.sort();
    files.pop().ok_or_else(|| format!("there is no {prefix}… in {}", folder.display()))
}

fn beginning_with(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let fits = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    Ok(entries.flatten().map(|entry| entry.path()).filter(fits).collect())
}
