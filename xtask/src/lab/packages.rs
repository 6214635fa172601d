//! The Debian packages that the lab is made of, fetched and unpacked, and not installed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{output, program, run};
use crate::tools;
use crate::workspace::Workspace;

/// Depends on the kernel of the day.
const KERNEL: &str = "linux-image-cloud-amd64";
const OTHERS: [&str; 2] = ["busybox-static", "memtester"];

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
        if packages.kernel().is_ok() {
            return Ok(packages);
        }
        let fetched = folder.join("packages");
        let unwritable = |error| format!("{} cannot be written: {error}", folder.display());
        fs::create_dir_all(&fetched).map_err(unwritable)?;
        // Half of an earlier try would be taken for the whole.
        let unpacked = folder.join("unpacked");
        let _ = fs::remove_dir_all(&unpacked);
        if download(workspace, &fetched, KERNEL).is_err() {
            // A new machine has no list of packages.
            run(&mut program(workspace, "apt-get", ["update"]))?;
            download(workspace, &fetched, KERNEL)?;
        }
        let image = depends(&newest(&fetched, KERNEL)?)?;
        download(workspace, &fetched, &image)?;
        for package in OTHERS {
            download(workspace, &fetched, package)?;
        }
        for package in OTHERS.into_iter().chain([&image[..]]) {
            tools::unpack(workspace, &newest(&fetched, package)?, &unpacked)?;
        }
        fs::rename(&unpacked, &packages.root).map_err(unwritable)?;
        packages.kernel()?;
        Ok(packages)
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
}

fn download(workspace: &Workspace, folder: &Path, package: &str) -> Result<(), String> {
    run(program(workspace, "apt-get", ["download", "--quiet", package]).current_dir(folder))
}

/// What a package that only stands for another one stands for.
fn depends(package: &Path) -> Result<String, String> {
    let mut command = std::process::Command::new("dpkg-deb");
    let text = output(command.arg("--field").arg(package).arg("Depends"))?;
    let name = text.split([' ', ',']).next().unwrap_or_default().trim();
    if name.is_empty() { Err(format!("{KERNEL} names no kernel")) } else { Ok(name.to_owned()) }
}

/// The package's file; one that was fetched later has the greater version.
fn newest(folder: &Path, package: &str) -> Result<PathBuf, String> {
    let mut files = beginning_with(folder, &format!("{package}_"))?;
    files.sort();
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
