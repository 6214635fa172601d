//! `landfall policy`: what migrations may cost, under names.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use landfall_node::client::Client;
use landfall_node::model::{Policy, PolicyName, Settings};

use super::listing::facts;
use super::settings::SettingsArgs;
use super::via::{Asked, Via};
use super::{HostError, settings};
use crate::error::CliError;
use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Lists the policies of a node, each with what it means for the guest.
    List(Asked),
    /// Tells what a policy allows.
    Show(ShowArgs),
    /// Adds a policy of your own, or changes it.
    Set(SetArgs),
    /// Takes a policy of your own away.
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// What the policy is called.
    name: PolicyName,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// What the policy is called.
    name: PolicyName,
    /// What it means for the guest, in one sentence.
    #[arg(long, value_name = "TEXT")]
    sentence: Option<String>,
    /// The policy that a new one is as, where nothing else is said.
    #[arg(long, value_name = "NAME")]
    like: Option<PolicyName>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    via: Via,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// What the policy is called.
    name: PolicyName,
    #[command(flatten)]
    via: Via,
}

pub(crate) fn policy(command: &PolicyCommand) -> Result<Exit, CliError> {
    match command {
        PolicyCommand::List(asked) => {
            let policies = all(&asked.client()?)?;
            asked.write(&policies, || list(&policies))?;
        }
        PolicyCommand::Show(args) => {
            let shown = named(&all(&args.asked.client()?)?, &args.name)?;
            args.asked.write(&shown, || text(&shown))?;
        }
        PolicyCommand::Set(args) => set(args)?,
        PolicyCommand::Remove(args) => {
            let path = format!("policies/{}", args.name);
            args.via.client()?.delete(&path).map_err(HostError::Client)?;
            writeln!(io::stdout(), "{}  removed", args.name)?;
        }
    }
    Ok(Exit::Done)
}

fn all(client: &Client) -> Result<Vec<Policy>, HostError> {
    Ok(client.get("policies")?)
}

fn named(policies: &[Policy], name: &PolicyName) -> Result<Policy, HostError> {
    let found = policies.iter().find(|policy| policy.name == *name);
    found.cloned().ok_or_else(|| HostError::NoPolicy(name.clone()))
}

fn set(args: &SetArgs) -> Result<(), CliError> {
    let client = args.via.client()?;
    let policies = all(&client)?;
    let before = policies.iter().find(|policy| policy.name == args.name);
    let base = match (&args.like, before) {
        (Some(like), _) => named(&policies, like)?.settings,
        (None, Some(before)) => before.settings,
        (None, None) => Settings::default(),
    };
    let sentence = args.sentence.clone().or_else(|| before.map(|it| it.sentence.clone()));
    let settings = base.with(&args.settings.change()?);
    let policy = Policy {
        name: args.name.clone(),
        sentence: sentence
            .unwrap_or_else(|| format!("Of your own: {}.", settings::text(&settings))),
        settings,
    };
    let set: Policy = client.post("policies", &policy).map_err(HostError::Client)?;
    Ok(writeln!(io::stdout(), "{}", text(&set))?)
}

fn list(policies: &[Policy]) -> String {
    let line = |policy: &Policy| (policy.name.as_str().to_owned(), policy.sentence.clone());
    let lines: Vec<_> = policies.iter().map(line).collect();
    let borrowed: Vec<_> = lines.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    facts(&borrowed)
}

fn text(policy: &Policy) -> String {
    facts(&[
        ("policy", policy.name.to_string()),
        ("means", policy.sentence.clone()),
        ("limits", settings::text(&policy.settings)),
    ])
}
