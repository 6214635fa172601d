//! One migration: while it runs, and its bill afterwards.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use landfall_converge::{ByteRate, Bytes, Throttle};
use maud::{Markup, html};

use super::doubt;
use super::limits::{self, Limits};
use super::page::{mark, moment, page};
use super::{Page, Wrong};
use crate::api::{App, blocking};
use crate::model::{Migration, MigrationId, MigrationState, MigrationView, Point};
use crate::quantities::milliseconds;
use crate::render::{self, capitalised};
use crate::summary::{advice, summary, was_settled};

pub(super) async fn live(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Result<Page, Wrong> {
    draw(&app, id, None).await
}

async fn draw(app: &App, id: MigrationId, error: Option<&str>) -> Result<Page, Wrong> {
    let (migration, view, points) = look(app, id).await?;
    let title = format!("{} to {}", view.vm, view.target);
    Ok(Page(page(
        &title,
        html! {
            h1 { (view.vm) " from " (view.source) " to " (view.target) }
            @if let Some(error) = error { p.bad role="alert" { (capitalised(error)) } }
            section.live aria-label="How it goes" data-migration=(view.id) data-state=(view.state.code()) data-final[view.state.is_final()] {
                p role="status" { (mark(view.state)) " " span data-field="stage" { (stage(&view)) } }
                (figures(&view))
                @if !view.state.is_final() && view.state != MigrationState::InDoubt {
                    p.verdict data-field="verdict" { (capitalised(verdict(&view))) }
                    (buttons(&view))
                }
                @if let Some(reason) = reason(&view) {
                    @if view.state == MigrationState::Completed { p { (capitalised(reason)) "." } }
                    @else { p.bad role="alert" { (capitalised(reason)) } }
                }
                @if let Some(settlement) = &view.settlement { (doubt::settled(settlement)) }
                @else if view.state == MigrationState::InDoubt { (doubt::form(&view.vm, &view.source, &view.target)) }
                @if let Some(report) = view.report.as_ref().filter(|_| !was_settled(&view)) {
                    p.summary { (capitalised(&summary(report))) "." }
                    @if let Some(advice) = advice(report).filter(|_| view.state != MigrationState::Cancelled) { p { (capitalised(advice)) "." } }
                }
            }
            div #charts { (drawn(&migration, &points)) }
        },
    )))
}

async fn look(app: &App, id: MigrationId) -> Result<(Migration, MigrationView, Vec<Point>), Wrong> {
    Ok(blocking(app, move |node| {
        let migration = node.migration(&id)?;
        let (view, points) = (node.show(&migration), node.timeline(&id)?);
        Ok((migration, view, points))
    })
    .await?)
}

fn stage(view: &MigrationView) -> String {
    match (&view.progress, view.state) {
        (Some(progress), MigrationState::Moving) => match progress.pass {
            0 | 1 => progress.stage.name().to_owned(),
            pass => format!("{}, pass {pass}", progress.stage.name()),
        },
        _ => String::new(),
    }
}

/// Why it did not arrive, unless that is what somebody wanted, which the bill says.
fn reason(view: &MigrationView) -> Option<&str> {
    let said = view.state == MigrationState::Cancelled && view.report.is_some();
    view.reason.as_deref().filter(|_| !said)
}

fn verdict(view: &MigrationView) -> &str {
    view.progress.as_ref().map_or("", |progress| progress.verdict_text.as_str())
}

fn figures(view: &MigrationView) -> Markup {
    let progress = view.progress.clone().unwrap_or_default();
    let throttle = Throttle::new(progress.throttle);
    let held = if throttle.is_none() { "not at all".to_owned() } else { throttle.to_string() };
    html! {
        @if !view.state.is_final() && view.state != MigrationState::InDoubt {
            dl.figures {
                div { dt { "Still to send" } dd data-field="remaining" { (Bytes(progress.remaining_bytes)) } }
                div { dt { "The guest dirties" } dd data-field="dirty" { (ByteRate::new(progress.dirty_rate_bytes_per_second)) } }
                div { dt { "The link carries" } dd data-field="bandwidth" { (ByteRate::new(progress.bandwidth_bytes_per_second)) } }
                div { dt { "Held back" } dd data-field="throttle" { (held) } }
                div { dt { "For" } dd data-field="elapsed" { (milliseconds(progress.elapsed_ms)) } }
            }
        }
    }
}

fn buttons(view: &MigrationView) -> Markup {
    html! {
        div.buttons {
            form method="post" action={ "/migrations/" (view.id) "/cancel" } {
                button data-ask="Call the migration off? The guest stays where it is." { "Cancel" }
            }
            form method="post" action={ "/migrations/" (view.id) "/complete" } {
                button data-ask="Switch over now? The guest stands still until the rest has been sent, however long that takes." { "Switch over now" }
            }
        }
        details.adjust {
            summary { "Adjust what it may cost" }
            form method="post" action={ "/migrations/" (view.id) "/adjust" } {
                (limits::fields(&view.settings, &view.settings))
                p.buttons { button { "Apply from now on" } }
            }
        }
    }
}

/// The charts and what the migration is held to, for the module to put into the page.
pub(super) async fn charts(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Result<Page, Wrong> {
    let (migration, _, points) = look(&app, id).await?;
    Ok(Page(drawn(&migration, &points)))
}

fn drawn(migration: &Migration, points: &[Point]) -> Markup {
    html! {
        (figures_of(migration, points))
        p.muted {
            "Policy " (migration.policy) ": " (limits::line(&migration.settings)) ". Asked for at " (moment(migration.requested_ms)) "."
        }
    }
}

fn figures_of(migration: &Migration, points: &[Point]) -> Markup {
    match &migration.report {
        Some(report) if !report.timeline.is_empty() => render::figures(report),
        _ if points.is_empty() => html! {},
        _ => render::figures(&render::so_far(&migration.settings, points)),
    }
}

pub(super) async fn cancel(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Result<Redirect, Wrong> {
    let page = format!("/migrations/{id}");
    blocking(&app, move |node| node.cancel(&id)).await?;
    Ok(Redirect::to(&page))
}

pub(super) async fn complete(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Result<Redirect, Wrong> {
    let page = format!("/migrations/{id}");
    blocking(&app, move |node| node.complete(&id)).await?;
    Ok(Redirect::to(&page))
}

/// Holds the migration to what was changed in the fields.
pub(super) async fn adjust(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
    Form(limits): Form<Limits>,
) -> Result<Response, Wrong> {
    let to = id.clone();
    let adjusted = match limits.change() {
        Ok(change) => blocking(&app, move |node| node.adjust(&to, &change)).await.map(drop),
        Err(problem) => Err(problem),
    };
    match adjusted {
        Ok(()) => Ok(Redirect::to(&format!("/migrations/{id}")).into_response()),
        Err(problem) => {
            Ok((problem.status, draw(&app, id, Some(&problem.detail)).await?).into_response())
        }
    }
}
