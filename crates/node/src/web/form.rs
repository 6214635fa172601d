//! The migration form, with the option in it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::limits::{self, Limits};
use super::page::Frame;
use super::{Page, Wrong};
use crate::api::{App, Problem, blocking};
use crate::model::{
    Check, MigrationRequest, NodeName, NodeView, Policy, PolicyName, Scope, Settings,
    SettingsChange, Severity, VmName,
};
use crate::render::{self, capitalised};

/// What a browser sends. A box that is not ticked is not sent at all, so that `form` says whether it could have been.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    form: Option<String>,
    target: Option<NodeName>,
    policy: Option<PolicyName>,
    auto_converge: Option<String>,
    #[serde(flatten)]
    limits: Limits,
}

impl Fields {
    /// What is to be otherwise than the policy says.
    fn settings(&self) -> Result<SettingsChange, Problem> {
        if self.form.is_none() {
            return Ok(SettingsChange::default());
        }
        let auto_converge = Some(self.auto_converge.is_some());
        Ok(SettingsChange { auto_converge, ..self.limits.change()? })
    }
}

/// Everything that the form shows.
struct Shown {
    vm: VmName,
    nodes: Vec<NodeView>,
    policies: Vec<Policy>,
    policy: PolicyName,
    settings: Settings,
    target: Option<NodeName>,
    check: Option<Check>,
    error: Option<String>,
}

pub(super) async fn form(
    State(app): State<App>,
    frame: Frame,
    Path(vm): Path<VmName>,
    Query(fields): Query<Fields>,
) -> Result<Page, Wrong> {
    // A guest is watched for a second or two. Whoever opens the form sees it at once, and the module asks for the rest; without it
    // somebody presses the button.
    let checked = fields.form.is_some();
    Ok(Page(draw(&frame, &gather(&app, vm, fields, None, checked).await?)))
}

/// What is found beforehand, for the module to put into the form.
pub(super) async fn check(
    State(app): State<App>,
    frame: Frame,
    Path(vm): Path<VmName>,
    Query(fields): Query<Fields>,
) -> Result<Page, Wrong> {
    let shown = gather(&app, vm, fields, None, true).await?;
    Ok(Page(html! {
        @if let Some(error) = &shown.error { p.bad role="alert" { (capitalised(error)) } }
        (beforehand(&frame, &shown))
    }))
}

/// Begins the migration.
pub(super) async fn submit(
    State(app): State<App>,
    frame: Frame,
    Path(vm): Path<VmName>,
    Form(fields): Form<Fields>,
) -> Result<Response, Wrong> {
    let begun = begin(&app, vm.clone(), &fields).await;
    match begun {
        Ok(id) => Ok(Redirect::to(&format!("/migrations/{id}")).into_response()),
        Err(problem) => {
            let status = problem.status;
            let shown = gather(&app, vm, fields, Some(problem.detail), true).await?;
            Ok((status, Page(draw(&frame, &shown))).into_response())
        }
    }
}

async fn begin(app: &App, vm: VmName, fields: &Fields) -> Result<String, Problem> {
    let target = fields.target.clone().ok_or_else(|| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "choose where to; there may be no other host yet, which is named with --peer",
        )
    })?;
    let request =
        MigrationRequest { target, policy: fields.policy.clone(), settings: fields.settings()? };
    let view = blocking(app, move |node| node.migrate(&vm, &request)).await?;
    Ok(view.id.to_string())
}

async fn gather(
    app: &App,
    vm: VmName,
    fields: Fields,
    error: Option<String>,
    checked: bool,
) -> Result<Shown, Problem> {
    // What cannot be read is said on the form, and the form shows what the policy has.
    let (change, error) = match fields.settings() {
        Ok(change) => (change, error),
        Err(problem) => (SettingsChange::default(), error.or(Some(problem.detail))),
    };
    blocking(app, move |node| {
        let view = node.vm(&vm)?;
        let nodes: Vec<_> = node.nodes()?.into_iter().filter(|node| !node.is_self).collect();
        let target = fields.target.clone().or_else(|| {
            nodes.iter().find(|node| node.facts.is_some()).map(|node| node.name.clone())
        });
        let (policy, settings, error) =
            match node.settings(&view.spec, fields.policy.as_ref(), &change) {
                Ok((policy, settings)) => (policy, settings, error),
                Err(wrong) => {
                    let (policy, settings) =
                        node.settings(&view.spec, None, &SettingsChange::default())?;
                    (policy, settings, error.or(Some(wrong.to_string())))
                }
            };
        let request = target.clone().filter(|_| checked).map(|target| MigrationRequest {
            target,
            policy: Some(policy.clone()),
            settings: change,
        });
        let check = request.and_then(|request| node.check(&vm, &request).ok());
        let policies = node.policies()?;
        Ok(Shown { vm, nodes, policies, policy, settings, target, check, error })
    })
    .await
}

fn draw(frame: &Frame, shown: &Shown) -> Markup {
    let Shown { vm, settings, .. } = shown;
    frame.page(
        &format!("Migrate {vm}"),
        html! {
            h1 { "Migrate " (vm) }
            @if let Some(error) = &shown.error { p.bad role="alert" { (capitalised(error)) } }
            form.migrate method="post" action={ "/vms/" (vm) "/migrate" } {
                input type="hidden" name="form" value="1";
                fieldset {
                    legend { "Where to" }
                    label for="target" { "Target host" }
                    select #target name="target" required {
                        @for node in &shown.nodes {
                            option value=(node.name) selected[Some(&node.name) == shown.target.as_ref()] {
                                (node.name) @if node.facts.is_none() { " (does not answer)" }
                                @else if node.facts.as_ref().is_some_and(|facts| facts.draining) { " (is being emptied)" }
                            }
                        }
                    }
                }
                fieldset {
                    legend { "How" }
                    @for policy in &shown.policies {
                        label.choice {
                            input type="radio" name="policy" value=(policy.name) checked[policy.name == shown.policy] data-has=(limits::has(&policy.settings));
                            span { b { (policy.name) } " " span.muted { (policy.sentence) } }
                        }
                    }
                }
                fieldset {
                    legend { "What it may cost" }
                    label.choice {
                        input type="checkbox" name="auto_converge" value="on" checked[settings.auto_converge];
                        span {
                            b { "Auto-converge" } " "
                            span.muted { "Where the guest changes its memory faster than the link carries it, slow its processors down, as much as is needed and as briefly as possible, so that it arrives." }
                        }
                    }
                    (limits::fields(settings, &of_policy(shown)))
                }
                section #check.check aria-label="What was found beforehand" aria-live="polite" data-from={ "/vms/" (vm) "/migrate/check" } {
                    (beforehand(frame, shown))
                }
                div.buttons {
                    button.main disabled[!frame.may(Scope::Operate)] { "Migrate" }
                    // Looking changes nothing, and may be done by whoever may look.
                    button formmethod="get" data-check { "Check" @if shown.check.is_some() { " again" } " with these settings" }
                    a href="/" { "Not now" }
                }
            }
        },
    )
}

/// What the policy has that is shown: fields that still stand so follow the one that is chosen.
fn of_policy(shown: &Shown) -> Settings {
    let policy = shown.policies.iter().find(|policy| policy.name == shown.policy);
    policy.map_or(shown.settings, |policy| policy.settings)
}

/// What is found beforehand, and what stands in the way.
fn beforehand(frame: &Frame, shown: &Shown) -> Markup {
    html! {
        h2 { "Beforehand" }
        @match &shown.check {
            Some(check) => {
                @if let Some(prediction) = &check.prediction {
                    p.prediction { (capitalised(&prediction.sentence)) "." }
                    (render::foretold(prediction, &shown.settings))
                }
                ul.items {
                    @for item in check.items.iter().filter(|item| item.code != "prediction" || check.prediction.is_none()) {
                        li {
                            span.badge.(class(item.severity)) { (word(item.severity)) } " " (item.message)
                        }
                    }
                }
                @if !check.allowed { p.note { "It cannot begin before what is marked as an error is mended." } }
            }
            None => {
                @if shown.target.is_some() {
                    p.muted data-waiting hidden { "Watching what the guest writes, and looking at the target…" }
                    noscript { p { "Press “Check” to see what this would do, and whether anything is in the way." } }
                } @else {
                    p { "There is no other host that answers. Start " code { "landfall node" } " on one, and name it here with " code { "--peer" } "." }
                }
            }
        }
        (frame.may_not(Scope::Operate, "migrate"))
    }
}

fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "good",
        Severity::Info => "plain",
        Severity::Warning => "warn",
        Severity::Error => "bad",
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "fine",
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
