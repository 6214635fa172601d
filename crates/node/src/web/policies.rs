//! What migrations may cost, under names: those that there are, one's own, and which machine has which.

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::limits::{self, Limits};
use super::page::{Frame, wide};
use super::{Page, Wrong};
use crate::api::{App, Problem, blocking};
use crate::model::{DEFAULT_POLICY, Policy, PolicyName, Scope, Settings, VmName, VmView};
use crate::render::capitalised;

/// What a browser sends of a policy of one's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Own {
    name: String,
    sentence: String,
    auto_converge: Option<String>,
    #[serde(flatten)]
    limits: Limits,
}

impl Own {
    fn policy(&self) -> Result<Policy, Problem> {
        let wrong = |text: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text);
        let name = self.name.trim().parse::<PolicyName>();
        let change = self.limits.change()?;
        Ok(Policy {
            name: name.map_err(|error| wrong(error.to_string()))?,
            sentence: self.sentence.trim().to_owned(),
            settings: Settings {
                auto_converge: self.auto_converge.is_some(),
                ..Settings::default().with(&change)
            },
        })
    }
}

pub(super) async fn policies(State(app): State<App>, frame: Frame) -> Result<Page, Wrong> {
    draw(&app, &frame, None, &Own { auto_converge: Some(String::new()), ..Own::default() }).await
}

async fn draw(app: &App, frame: &Frame, error: Option<&str>, own: &Own) -> Result<Page, Wrong> {
    let (policies, vms) = blocking(app, |node| Ok((node.policies()?, node.vms()?))).await?;
    let here: Vec<_> = vms.iter().filter(|vm| vm.ownership.may_run_here()).collect();
    let settings = own.policy().map_or(Settings::default(), |policy| policy.settings);
    let may = frame.may(Scope::Admin);
    Ok(Page(frame.page(
        "Policies",
        html! {
            h1 { "What migrations may cost" }
            @if let Some(error) = error { p.bad role="alert" { (capitalised(error)) } }
            (frame.may_not(Scope::Admin, "change what stands here"))
            (list(&policies, may))
            @if !here.is_empty() { (defaults(&here, &policies, may)) }
            @if may { h2 #own { "One of your own" } }
            @if may { form method="post" action="/policies" aria-labelledby="own" {
                div.pairs {
                    div {
                        label for="name" { "Name" }
                        input #name name="name" value=(own.name) required maxlength="40" pattern="[a-z0-9][a-z0-9._\\-]*" aria-describedby="name-hint" autocomplete="off";
                        span.hint #name-hint { "small letters, digits, dots and hyphens; one that is there is changed" }
                    }
                    div.wide-field {
                        label for="sentence" { "What it means for the guest" }
                        input #sentence name="sentence" value=(own.sentence) required aria-describedby="sentence-hint" autocomplete="off";
                        span.hint #sentence-hint { "one sentence, for whoever chooses" }
                    }
                }
                label.choice {
                    input type="checkbox" name="auto_converge" value="on" checked[own.auto_converge.is_some()];
                    span { b { "Auto-converge" } " " span.muted { "Slow the guest down where it would not arrive otherwise." } }
                }
                (limits::fields(&settings, &Settings::default()))
                p.buttons { button.main { "Keep" } }
            } }
        },
    )))
}

fn list(policies: &[Policy], may: bool) -> Markup {
    let built_in = Policy::built_in();
    let own = |policy: &Policy| !built_in.iter().any(|other| other.name == policy.name);
    wide(
        "Policies",
        html! {
            table {
                thead { tr { th scope="col" { "Policy" } th scope="col" { "What it means" } th scope="col" { "" } } }
                tbody { @for policy in policies {
                    tr {
                        th scope="row" { (policy.name) @if policy.name.as_str() == DEFAULT_POLICY { br; span.muted { "the usual one" } } }
                        td { (policy.sentence) br; span.muted { (capitalised(&limits::line(&policy.settings))) } }
                        td { @if may && own(policy) {
                            form method="post" action={ "/policies/" (policy.name) "/remove" } {
                                button data-ask={ "Remove the policy " (policy.name) "? Migrations under way go on as they are." } { "Remove" }
                            }
                        } }
                    }
                } }
            }
        },
    )
}

/// The policy of each machine, where nothing else is asked for.
fn defaults(vms: &[&VmView], policies: &[Policy], may: bool) -> Markup {
    html! {
        h2 { "Which machine has which" }
        table {
            thead { tr { th scope="col" { "Machine" } th scope="col" { "Migrates by, unless something else is asked for" } } }
            tbody { @for vm in vms {
                @let name = &vm.spec.name;
                tr {
                    th scope="row" { (name) }
                    td {
                        form.inline method="post" action={ "/vms/" (name) "/policy" } {
                            select name="policy" disabled[!may] aria-label={ "Policy of " (name) } {
                                option value="" selected[vm.spec.policy.is_none()] { "the usual one (" (DEFAULT_POLICY) ")" }
                                @for policy in policies {
                                    option value=(policy.name) selected[vm.spec.policy.as_ref() == Some(&policy.name)] { (policy.name) }
                                }
                            }
                            @if may { button { "Set" } }
                        }
                    }
                }
            } }
        }
    }
}

pub(super) async fn keep(
    State(app): State<App>,
    frame: Frame,
    Form(own): Form<Own>,
) -> Result<Response, Wrong> {
    let kept = match own.policy() {
        Ok(policy) => blocking(&app, move |node| node.set_policy(&policy)).await,
        Err(problem) => Err(problem),
    };
    match kept {
        Ok(()) => Ok(Redirect::to("/policies").into_response()),
        Err(problem) => {
            Ok((problem.status, draw(&app, &frame, Some(&problem.detail), &own).await?)
                .into_response())
        }
    }
}

pub(super) async fn remove(
    State(app): State<App>,
    Path(name): Path<PolicyName>,
) -> Result<Redirect, Wrong> {
    blocking(&app, move |node| node.remove_policy(&name)).await?;
    Ok(Redirect::to("/policies"))
}

#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    policy: String,
}

pub(super) async fn choose(
    State(app): State<App>,
    Path(vm): Path<VmName>,
    Form(chosen): Form<Chosen>,
) -> Result<Redirect, Wrong> {
    let policy = Some(chosen.policy).filter(|name| !name.is_empty()).map(|name| name.parse());
    let policy = policy.transpose().map_err(|error: crate::model::NameError| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    })?;
    blocking(&app, move |node| node.set_policy_of(&vm, policy)).await?;
    Ok(Redirect::to("/policies"))
}
