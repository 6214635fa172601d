//! Stock QEMU, steered by this program.

use std::process::Command;

use landfall_vmm::kvm;

use crate::command::{cargo, run, works};
use crate::step::Outcome;
use crate::tools;
use crate::workspace::Workspace;

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

pub(crate) fn steered(workspace: &Workspace) -> Outcome {
    if let Err(error) = kvm::is_available() {
        return Outcome::Skipped(format!("QEMU's guests need KVM here: {error}"));
    }
    let installed = || works(Command::new(PROGRAM).arg("--version"));
    if !installed()
        && let Err(missing) = tools::debian(workspace, &[PACKAGE])
    {
        return Outcome::Skipped(missing);
    }
    // One at a time: each has two machines, and a guest that keeps a core busy.
    let tests =
        ["test", "--package", "landfall", "--test", "qemu", "--", "--ignored", "--test-threads=1"];
    run(&mut cargo(workspace, tests)).into()
}
