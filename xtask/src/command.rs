//! Other programs, run where everybody can see what they print.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::workspace::Workspace;

/// What Cargo tells a program of the package that it is of. A Cargo that hears this of another one would build anew all that looks
/// at it, as the crate `ring` does.
const OF_THIS_PACKAGE: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"];

/// A cargo command in the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(
    workspace: &Workspace,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = program(workspace, "cargo", arguments);
    for (name, _) in std::env::vars_os() {
        if OF_THIS_PACKAGE.iter().any(|of| name.to_string_lossy().starts_with(of)) {
            command.env_remove(name);
        }
    }
    command
}

/// A command in the workspace.
pub(crate) fn program<S: AsRef<OsStr>>(
    workspace: &Workspace,
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace.root()).stdin(Stdio::null());
    command
}

/// Runs it; what it prints goes where this program's output goes, untouched.
///
/// # Errors
/// When it cannot be started or does not end well: what is to be told.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", shown(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` ended with {status}", shown(command))),
        Err(error) => Err(format!("`{}` could not be started: {error}", shown(command))),
    }
}

/// Runs it and gives what it printed on the standard output stream.
///
/// # Errors
/// When it cannot be started or does not end well: what is to be told, with what it printed on the standard error
/// stream.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("`{}` could not be started: {error}", shown(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{}` ended with {}: {}", shown(command), output.status, said.trim()))
}

/// Whether it can be started and ends well; what it prints is thrown away.
pub(crate) fn works(command: &mut Command) -> bool {
    output(command).is_ok()
}

fn shown(command: &Command) -> String {
    let settings = command.get_envs().filter_map(|(key, value)| {
        Some(format!("{}='{}'", key.to_string_lossy(), value?.to_string_lossy()))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy().into_owned());
    settings.chain(words).collect::<Vec<_>>().join(" ")
}
