//! The pages, in Debian's Chromium.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::command::{cargo, program, run, works};
use crate::qemu::kvm_and_qemu;
use crate::step::Outcome;
use crate::tools;
use crate::workspace::Workspace;

/// What looks for what keeps people out of a page.
const AXE: &str = "axe-core@4";

pub(crate) fn pages(workspace: &Workspace) -> Outcome {
    match chromium(workspace) {
        Ok(()) => run(&mut tests(workspace)).into(),
        Err(missing) => Outcome::Skipped(missing),
    }
}

/// Has the same tests take pictures.
pub(crate) fn screenshots(workspace: &Workspace) -> ExitCode {
    let taken = chromium(workspace)
        .and_then(|()| run(tests(workspace).env("SCREENSHOTS", workspace.path("docs/pages"))));
    if let Err(error) = taken {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn tests(workspace: &Workspace) -> Command {
    // One at a time: each has two nodes, a guest that keeps a core busy, and a browser.
    let tests = [
        "test",
        "--package",
        "landfall",
        "--test",
        "browser",
        "--",
        "--ignored",
        "--test-threads=1",
        // How long pages and updates took is told, not asserted.
        "--show-output",
    ];
    let mut command = cargo(workspace, tests);
    if let Err(missing) = kvm_and_qemu(workspace) {
        println!("no QEMU is moved from the form: {missing}");
        command.args(["--skip", "qemu::"]);
    }
    match axe(workspace) {
        Ok(axe) => {
            command.env("AXE", axe);
        }
        Err(error) => println!("nobody looks for what keeps people out of the pages: {error}"),
    }
    command
}

fn chromium(workspace: &Workspace) -> Result<(), String> {
    if works(Command::new("chromedriver").arg("--version"))
        && works(Command::new("chromium").arg("--version"))
    {
        return Ok(());
    }
    tools::debian(workspace, &["chromium", "chromium-driver", "fonts-dejavu-core"])
}

/// Fetches axe-core into a folder of our own; gives its file.
fn axe(workspace: &Workspace) -> Result<PathBuf, String> {
    let folder = workspace.target().join("axe");
    let file = folder.join("node_modules/axe-core/axe.min.js");
    if file.exists() {
        return Ok(file);
    }
    let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    run(program(workspace, "npm", install).arg(&folder).arg(AXE))?;
    Ok(file)
}
