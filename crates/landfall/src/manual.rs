//! `landfall completions` and `landfall man`: what a shell and a reader want to know of the command line.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::CliError;
use crate::exit::Exit;

#[derive(Debug, Args)]
#[command(
    after_help = "For this session of bash:\n  source <(landfall completions bash)\nFor every session of zsh, in a directory of its $fpath:\n  landfall completions zsh > _landfall"
)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to complete the words of a command.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where the pages go; made if it is not there.
    directory: PathBuf,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "landfall", &mut script);
    io::Write::write_all(&mut io::stdout(), &script)?;
    Ok(Exit::Done)
}

/// A page a command, as `landfall-vm-list.1`.
pub(crate) fn man(args: &ManArgs) -> Result<Exit, CliError> {
    fs::create_dir_all(&args.directory)?;
    clap_mangen::generate_to(Cli::command(), &args.directory)?;
    Ok(Exit::Done)
}
