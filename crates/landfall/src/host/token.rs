//! `landfall node token`: tokens that a node gives out.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use landfall_node::model::{DrawnToken, NewToken, Scope, Token, TokenName};

use super::HostError;
use super::listing::rows;
use super::via::{Asked, Via};
use crate::error::CliError;
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Lists the tokens that a node has given out, without what opens.
    List(Asked),
    /// Gives out a token: it is written once, and not kept.
    Add(AddArgs),
    /// Takes a token away: it opens nothing any more.
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// What it is to be called, as whoever gets it.
    name: TokenName,
    /// What it lets its holder do: read (look at everything), operate (start, stop and migrate machines, drain the node, too)
    /// or admin (add and forget machines, change policies and tokens, too).
    #[arg(long)]
    scope: Scope,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// What it is called.
    name: TokenName,
    #[command(flatten)]
    via: Via,
}

pub(crate) fn token(command: &TokenCommand) -> Result<Exit, CliError> {
    match command {
        TokenCommand::List(asked) => list(asked)?,
        TokenCommand::Add(args) => {
            let wanted = NewToken { name: args.name.clone(), scope: args.scope };
            let drawn: DrawnToken =
                args.asked.client()?.post("tokens", &wanted).map_err(HostError::Client)?;
            args.asked.write(&drawn, || drawn.secret.clone())?;
        }
        TokenCommand::Remove(args) => {
            let path = format!("tokens/{}", args.name);
            args.via.client()?.delete(&path).map_err(HostError::Client)?;
            writeln!(io::stdout(), "{}  removed", args.name)?;
        }
    }
    Ok(Exit::Done)
}

fn list(asked: &Asked) -> Result<(), CliError> {
    let tokens: Vec<Token> = asked.client()?.get("tokens").map_err(HostError::Client)?;
    asked.write(&tokens, || {
        let drawn = |token: &Token| {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(token.drawn_ms);
            humantime::format_rfc3339_seconds(at).to_string()
        };
        let row = |it: &Token| [it.name.to_string(), it.scope.to_string(), drawn(it)];
        rows(["TOKEN", "SCOPE", "DRAWN"], tokens.iter().map(row))
    })
}
