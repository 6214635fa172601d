//! The migration form, with the option in it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::limits::{self, Limits};
use super::page::page;
use super::{Page, Wrong};
use crate::api::{App, Problem, blocking};
use crate::model::{
    Check, MigrationRequest, NodeName, NodeView, Policy, PolicyName, Settings, SettingsChange,
    Severity, VmName,
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
    check: Option<String>,
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
    Path(vm): Path<VmName>,
    Query(fields): Query<Fields>,
) -> Result<Page, Wrong> {
    Ok(Page(draw(&gather(&app, vm, fields, None).await?)))
}

/// Begins the migration, or only looks, as the button says that was pressed.
pub(super) async fn submit(
    State(app): State<App>,
    Path(vm): Path<VmName>,
    Form(fields): Form<Fields>,
) -> Result<Response, Wrong> {
    if fields.check.is_some() {
        return Ok(Page(draw(&gather(&app, vm, fields, None).await?)).into_response());
    }
    let begun = begin(&app, vm.clone(), &fields).await;
    match begun {
        Ok(id) => Ok(Redirect::to(&format!("/migrations/{id}")).into_response()),
        Err(problem) => {
            let status = problem.status;
            let shown = gather(&app, vm, fields, Some(problem.detail)).await?;
            Ok((status, Page(draw(&shown))).into_response())
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
        let request = target.clone().map(|target| MigrationRequest {
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

fn draw(shown: &Shown) -> Markup {
    let Shown { vm, settings, .. } = shown;
    page(
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
                            input type="radio" name="policy" value=(policy.name) checked[policy.name == shown.policy];
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
                @if let Some(check) = &shown.check { (found(check, settings)) }
                p.buttons {
                    button.main name="migrate" value="1" disabled[shown.check.as_ref().is_some_and(|check| !check.allowed)] { "Migrate" }
                    " "
                    button name="check" value="1" { "Check again with these settings" }
                    " "
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

fn found(check: &Check, settings: &Settings) -> Markup {
    html! {
        section.check aria-label="What was found beforehand" {
            h2 { "Beforehand" }
            @if let Some(prediction) = &check.prediction {
                p.prediction { (capitalised(&prediction.sentence)) "." }
                (render::foretold(prediction, settings))
            }
            ul.items {
                @for item in check.items.iter().filter(|item| item.code != "prediction") {
                    li {
                        span.badge.(class(item.severity)) { (word(item.severity)) } " " (item.message)
                    }
                }
            }
        }
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
