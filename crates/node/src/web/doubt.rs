//! A guest in doubt: what is known, and the form by which an operator decides.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::{Markup, html};
use serde::Deserialize;

use super::page::{Frame, moment};
use super::{Page, Wrong};
use crate::api::{App, Who, blocking};
use crate::model::{Decision, NodeName, Scope, Settlement, Settling, VmName, VmState, VmView};
use crate::ownership::Holding;
use crate::render::capitalised;

/// What a browser sends.
#[derive(Debug, Deserialize)]
pub(super) struct Fields {
    decision: Decision,
    #[serde(default)]
    note: String,
}

/// A machine of which it must be decided on which side it runs.
pub(super) async fn doubt(
    State(app): State<App>,
    frame: Frame,
    Path(vm): Path<VmName>,
) -> Result<Page, Wrong> {
    draw(&app, &frame, vm, None).await
}

async fn draw(app: &App, frame: &Frame, vm: VmName, error: Option<&str>) -> Result<Page, Wrong> {
    let view = blocking(app, move |node| node.vm(&vm)).await?;
    let name = &view.spec.name;
    Ok(Page(frame.page(
        &format!("{name} in doubt"),
        html! {
            h1 { "Who has " (name) "?" }
            @if let Some(error) = error { p.bad role="alert" { (capitalised(error)) } }
            @match other_side(&view) {
                Some(other) => (form(frame, name, &view.node, other)),
                None => p { (capitalised(name.as_str())) " is not in doubt: it is " (view.state.name()) " on " (view.node) "." }
            }
        },
    )))
}

/// Who else may have the guest, while it is in doubt.
fn other_side(view: &VmView) -> Option<&NodeName> {
    match &view.ownership.holding {
        Holding::Outgoing { to: other, .. } => Some(other),
        Holding::Incoming { from: other, .. } if view.state == VmState::InDoubt => Some(other),
        _ => None,
    }
}

/// The form. What cannot be undone must be ticked first, so that it asks without the module, too.
pub(super) fn form(frame: &Frame, vm: &VmName, here: &NodeName, other: &NodeName) -> Markup {
    html! {
        section.doubt aria-label="Decide" {
            p {
                "The connection broke while " (vm) " was being given away. It is paused until it is known which of " (here) " and " (other)
                " has it. As soon as the two reach each other they settle it by themselves. If " (other)
                " will not come back, you decide; " b { "a guest that runs on both sides destroys its disks." }
            }
            (frame.may_not(Scope::Operate, "decide"))
            form method="post" action={ "/vms/" (vm) "/settle" } {
                fieldset disabled[!frame.may(Scope::Operate)] {
                    legend { "What becomes of it on " (here) }
                    label.choice {
                        input type="radio" name="decision" value="run" required;
                        span { b { "It runs here" } " " span.muted { "Only if it is certain that " (other) " does not run it, and never will." } }
                    }
                    label.choice {
                        input type="radio" name="decision" value="discard" required;
                        span { b { "It is discarded here" } " " span.muted { "It runs on " (other) ", or shall." } }
                    }
                    label for="note" { "Why, for those who ask later" }
                    input #note name="note" maxlength="500" autocomplete="off";
                    label.choice {
                        input type="checkbox" required;
                        span { "I have looked at " (other) ", or it is switched off for good." }
                    }
                }
                p.buttons { button disabled[!frame.may(Scope::Operate)] data-ask={ "Decide over " (vm) "? This cannot be undone." } { "Decide" } }
            }
        }
    }
}

/// What was decided, by whom, and what was known then.
pub(super) fn settled(settlement: &Settlement) -> Markup {
    let decision = match settlement.decision {
        Decision::Run => "that it runs here",
        Decision::Discard => "that it is discarded here",
    };
    html! {
        p.settlement {
            "Decided by " (settlement.whose()) ", at " (moment(settlement.at_ms)) ": " (decision) ". "
            span.muted { "Known then: " (settlement.known) "." }
        }
    }
}

/// Decides, as the form says.
pub(super) async fn settle(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    frame: Frame,
    Path(vm): Path<VmName>,
    Form(fields): Form<Fields>,
) -> Result<Response, Wrong> {
    let settling = Settling { decision: fields.decision, note: Some(fields.note) };
    let to = vm.clone();
    match blocking(&app, move |node| node.decide(&to, &settling, &who.name)).await {
        Ok(view) => {
            let migration = view.migration.map(|it| format!("/migrations/{}", it.id));
            Ok(Redirect::to(migration.as_deref().unwrap_or("/")).into_response())
        }
        Err(problem) => {
            Ok((problem.status, draw(&app, &frame, vm, Some(&problem.detail)).await?)
                .into_response())
        }
    }
}
