//! The monitor, spoken to by the client that QEMU's own tools use, and the API, asked by what looks for holes in one.

use std::path::{Path, PathBuf};

use crate::command::{cargo, program, run, works};
use crate::step::Outcome;
use crate::tools;
use crate::workspace::Workspace;

/// Where the test programs are.
const PROGRAMS: &str = "tests/python";

/// What they need from PyPI.
const PACKAGES: [&str; 2] = ["qemu.qmp", "schemathesis"];

/// The tests could not be run on this machine, which is no fault of the code.
struct Missing(String);

pub(crate) fn interoperate(workspace: &Workspace) -> Outcome {
    let programs = test_programs(&workspace.path(PROGRAMS));
    if programs.is_empty() {
        return Outcome::Failed(format!("there is no test program in {PROGRAMS}"));
    }
    let python = match environment(workspace) {
        Ok(python) => python,
        Err(Missing(what)) => return Outcome::Skipped(what),
    };
    // With the profile of the other tests: it is built already.
    if let Err(error) = run(&mut cargo(workspace, ["build", "--package", "landfall"])) {
        return Outcome::Failed(error);
    }
    let landfall = workspace.target().join("debug/landfall");
    let run_one =
        |test: &PathBuf| run(program(workspace, &python, [test]).env("LANDFALL", &landfall)).err();
    let failed: Vec<String> = programs.iter().filter_map(run_one).collect();
    if failed.is_empty() { Outcome::Passed } else { Outcome::Failed(failed.join("; ")) }
}

fn test_programs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .collect();
    programs.sort();
    programs
}

/// A Python of our own that has the packages; made on first use.
fn environment(workspace: &Workspace) -> Result<PathBuf, Missing> {
    let folder = workspace.target().join("python");
    let python = folder.join("bin/python");
    let import = ["-c", "import qemu.qmp, schemathesis"];
    if works(&mut program(workspace, &python, import)) {
        return Ok(python);
    }
    let make = || {
        let arguments = ["-m".as_ref(), "venv".as_ref(), "--clear".as_ref(), folder.as_os_str()];
        run(&mut program(workspace, "python3", arguments))
    };
    // Debian keeps what makes such environments in a package of its own.
    make()
        .or_else(|_| tools::debian(workspace, &["python3", "python3-venv"]).and_then(|()| make()))
        .map_err(|error| Missing(format!("no Python environment could be made: {error}")))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(program(workspace, &python, install).args(PACKAGES)).map_err(|error| {
        Missing(format!("{} could not be installed: {error}", PACKAGES.join(", ")))
    })?;
    Ok(python)
}

#[cfg(test)]
#[path = "python_tests.rs"]
mod tests;
