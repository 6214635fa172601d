//! A host that is emptied: begun, watched, and ended.

use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};

use super::page::{Frame, moment, wide};
use super::{Page, Wrong};
use crate::api::{App, blocking};
use crate::model::{Drain, DrainItem, DrainItemState, NodeView, Scope};
use crate::render::capitalised;

pub(super) async fn drain(State(app): State<App>, frame: Frame) -> Result<Page, Wrong> {
    let (drain, nodes, here) = blocking(&app, |node| {
        let here = node.vms()?.iter().filter(|vm| vm.ownership.may_run_here()).count();
        Ok((node.draining()?, node.nodes()?, here))
    })
    .await?;
    let this = nodes.iter().find(|node| node.is_self).map_or("", |node| node.name.as_str());
    Ok(Page(frame.page(
        &format!("Empty {this}"),
        html! {
            h1 { "Empty " (this) }
            section #drain aria-label="Emptying" data-watch {
                @match &drain {
                    None => (before(&frame, &nodes, here)),
                    Some(drain) => (under_way(&frame, drain)),
                }
            }
        },
    )))
}

/// What would happen, and the button that has it happen.
fn before(frame: &Frame, nodes: &[NodeView], here: usize) -> Markup {
    let takes = |node: &&NodeView| {
        !node.is_self && node.facts.as_ref().is_some_and(|facts| !facts.draining)
    };
    let targets: Vec<_> = nodes.iter().filter(takes).map(|node| node.name.as_str()).collect();
    html! {
        p {
            "For maintenance: every machine on this host leaves for another, the largest first and each by its own policy, and none comes in meanwhile. "
            "One that cannot arrive at one host is tried at the next. What stays here, stays running, and the reason is told."
        }
        p {
            "Machines here: " b { (here) } ". Hosts that take them: "
            b { @if targets.is_empty() { "none" } @else { (targets.join(", ")) } } "."
        }
        @if targets.is_empty() && here > 0 {
            p.bad { "No other host answers that takes guests; start one, name it with --peer, or have one take guests again." }
        }
        (frame.may_not(Scope::Operate, "empty this host"))
        form method="post" action="/drain" {
            p.buttons {
                button.main disabled[!frame.may(Scope::Operate)] data-ask={ "Empty this host? " (machines(here)) " for another, and none comes in until you say so." } { "Empty this host" }
            }
        }
    }
}

fn machines(count: usize) -> String {
    if count == 1 { "One machine leaves".to_owned() } else { format!("{count} machines leave") }
}

fn under_way(frame: &Frame, drain: &Drain) -> Markup {
    let count = |state| drain.count(state);
    let stayed = count(DrainItemState::Stayed);
    html! {
        p role="status" {
            @if !drain.finished { span.badge.plain { "under way" } }
            @else if stayed == 0 { span.badge.good { "empty" } }
            @else { span.badge.bad { "not empty" } }
            " " (count(DrainItemState::Left)) " of " (drain.items.len()) " left, "
            (count(DrainItemState::Moving)) " on the way, " (count(DrainItemState::Waiting)) " waiting, " (stayed) " stayed"
        }
        p.muted { "Begun at " (moment(drain.began_ms)) ". This host takes no guests until you say so." }
        @if drain.items.is_empty() { p { "There was no machine here." } }
        @else {
            (wide("Machines that leave", html! { table {
                thead { tr { th scope="col" { "Machine" } th scope="col" { "State" } th scope="col" { "To" } th scope="col" { "Migration" } th scope="col" { "Why it stays" } } }
                tbody { @for item in &drain.items { (row(item)) } }
            } }))
        }
        (frame.may_not(Scope::Operate, "end it"))
        @if frame.may(Scope::Operate) { div.buttons {
            form method="post" action="/drain/end" {
                button data-ask=[(!drain.finished).then_some("Take guests again? Those on their way arrive; the others stay here.")] { "Take guests again" }
            }
            @if drain.finished && stayed > 0 {
                form method="post" action="/drain" { button { "Try those that stayed again" } }
            }
        } }
    }
}

fn row(item: &DrainItem) -> Markup {
    let class = match item.state {
        DrainItemState::Left => "good",
        DrainItemState::Stayed => "bad",
        DrainItemState::Waiting | DrainItemState::Moving => "plain",
    };
    html! {
        tr {
            th scope="row" { (item.vm) }
            td { span.badge.(class) { (item.state.name()) } }
            td { @if let Some(target) = &item.target { (target) } @else { "–" } }
            td { @if let Some(id) = &item.migration { a href={ "/migrations/" (id) } { (id) } } @else { "–" } }
            td { @if let Some(reason) = &item.reason { (capitalised(reason)) } }
        }
    }
}

pub(super) async fn begin(State(app): State<App>) -> Result<Redirect, Wrong> {
    blocking(&app, |node| node.drain()).await?;
    Ok(Redirect::to("/drain"))
}

pub(super) async fn end(State(app): State<App>) -> Result<Redirect, Wrong> {
    blocking(&app, |node| node.undrain()).await?;
    Ok(Redirect::to("/drain"))
}
