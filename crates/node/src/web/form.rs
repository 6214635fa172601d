//! The migration form, with the option in it.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use landfall_converge::Throttle;
use maud::{Markup, html};
use serde::Deserialize;

use super::page::page;
use super::{Page, Wrong};
use crate::api::{App, Problem, blocking};
use crate::model::{
    Check, MigrationRequest, NodeName, NodeView, OnLimit, Policy, PolicyName, Settings,
    SettingsChange, Severity, VmName,
};
use crate::quantities::{duration, milliseconds};

/// What a browser sends. A box that is not ticked is not sent at all, so that `form` says whether it could have been.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Fields {
    form: Option<String>,
    target: Option<NodeName>,
    policy: Option<PolicyName>,
    auto_converge: Option<String>,
    max_throttle: Option<String>,
    max_downtime: Option<String>,
    time_limit: Option<String>,
    on_limit: Option<OnLimit>,
    was_max_throttle: Option<String>,
    was_max_downtime: Option<String>,
    was_time_limit: Option<String>,
    was_on_limit: Option<OnLimit>,
    check: Option<String>,
}

fn wrong(text: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}

impl Fields {
    fn was_sent(&self) -> bool {
        self.form.is_some()
    }

    /// What is to be otherwise than the policy says: what still stands as the policy shown before had it follows the one that
    /// is chosen now.
    fn settings(&self) -> Result<SettingsChange, Problem> {
        if !self.was_sent() {
            return Ok(SettingsChange::default());
        }
        let text = |field: &Option<String>, was: &Option<String>| {
            field.clone().filter(|text| !text.trim().is_empty() && Some(text) != was.as_ref())
        };
        let ms = |text: String| {
            let time = duration(&text).map_err(wrong)?;
            Ok::<_, Problem>(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        };
        let throttle = text(&self.max_throttle, &self.was_max_throttle).map(|text| {
            let digits = text.trim().trim_end_matches('%').trim().to_owned();
            digits
                .parse::<u8>()
                .map_err(|_| wrong(format!("'{text}' is no throttle; write it as in 80%")))
        });
        Ok(SettingsChange {
            auto_converge: Some(self.auto_converge.is_some()),
            max_throttle_percent: throttle.transpose()?,
            max_downtime_ms: text(&self.max_downtime, &self.was_max_downtime)
                .map(ms)
                .transpose()?,
            time_limit_ms: text(&self.time_limit, &self.was_time_limit).map(ms).transpose()?,
            on_limit: self.on_limit.filter(|on_limit| Some(*on_limit) != self.was_on_limit),
            bandwidth_bytes_per_second: None,
        })
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
    let target = fields.target.clone().ok_or_else(|| wrong("choose where to".to_owned()))?;
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
            @if let Some(error) = &shown.error { p.bad role="alert" { (error) } }
            form.migrate method="post" action={ "/vms/" (vm) "/migrate" } {
                input type="hidden" name="form" value="1";
            (was(shown))
                fieldset {
                    legend { "Where to" }
                    label for="target" { "Target host" }
                    select #target name="target" required {
                        @for node in &shown.nodes {
                            option value=(node.name) selected[Some(&node.name) == shown.target.as_ref()] {
                                (node.name) @if node.facts.is_none() { " (does not answer)" }
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
                    div.pairs {
                        (field("max_throttle", "Hardest throttle", &format!("{}%", settings.max_throttle_percent), "in per cent of the processors' time"))
                        (field("max_downtime", "Longest downtime", &milliseconds_in(settings.max_downtime_ms), "the guest stands still at the end"))
                        (field("time_limit", "Time limit", &settings.time_limit_ms.map(milliseconds_in).unwrap_or_default(), "empty for what the policy says"))
                        div {
                            label for="on_limit" { "At the time limit" }
                            select #on_limit name="on_limit" {
                                option value="abort" selected[settings.on_limit == OnLimit::Abort] { "give up; the guest stays here" }
                                option value="switchover" selected[settings.on_limit == OnLimit::Switchover] { "switch over, whatever the downtime" }
                            }
                        }
                    }
                }
                @if let Some(check) = &shown.check { (found(check)) }
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

/// What the policy has that is shown, for the next time.
fn was(shown: &Shown) -> Markup {
    let policy = shown.policies.iter().find(|policy| policy.name == shown.policy);
    let settings = policy.map_or(shown.settings, |policy| policy.settings);
    html! {
        input type="hidden" name="was_max_throttle" value={ (settings.max_throttle_percent) "%" };
        input type="hidden" name="was_max_downtime" value=(milliseconds_in(settings.max_downtime_ms));
        input type="hidden" name="was_time_limit" value=(settings.time_limit_ms.map(milliseconds_in).unwrap_or_default());
        input type="hidden" name="was_on_limit" value=(if settings.on_limit == OnLimit::Abort { "abort" } else { "switchover" });
    }
}

fn field(name: &str, label: &str, value: &str, hint: &str) -> Markup {
    html! {
        div {
            label for=(name) { (label) }
            input id=(name) name=(name) value=(value) aria-describedby={ (name) "-hint" } autocomplete="off";
            span.hint id={ (name) "-hint" } { (hint) }
        }
    }
}

/// A time as it is written into a field.
fn milliseconds_in(ms: u64) -> String {
    if ms >= 60_000 && ms.is_multiple_of(60_000) {
        format!("{}min", ms / 60_000)
    } else if ms >= 1000 && ms.is_multiple_of(1000) {
        format!("{}s", ms / 1000)
    } else {
        format!("{ms}ms")
    }
}

fn found(check: &Check) -> Markup {
    html! {
        section.check aria-label="What was found beforehand" {
            h2 { "Beforehand" }
            @if let Some(prediction) = &check.prediction {
                p.prediction { (capital(&prediction.sentence)) }
                @if prediction.arrives {
                    p.muted {
                        "About " (milliseconds(prediction.total_ms)) " in all, " (milliseconds(prediction.downtime_ms)) " of downtime, hardest throttle "
                        (Throttle::new(prediction.max_throttle)) ", " (milliseconds(prediction.stolen_ms)) " of guest time stolen."
                    }
                }
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

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
