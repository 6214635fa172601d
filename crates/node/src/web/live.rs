//! One migration: while it runs, and its bill afterwards.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use landfall_converge::{ByteRate, Bytes, Throttle};
use maud::{Markup, html};

use super::doubt;
use super::limits::{self, Limits};
use super::page::{Frame, mark, moment};
use super::{Page, Wrong};
use crate::api::{App, blocking};
use crate::model::{Migration, MigrationId, MigrationState, MigrationView, Point, Scope, Stage};
use crate::quantities::milliseconds;
use crate::render::{self, capitalised};
use crate::summary::{advice, summary, was_settled};

pub(super) async fn live(
    State(app): State<App>,
    frame: Frame,
    Path(id): Path<MigrationId>,
) -> Result<Page, Wrong> {
    draw(&app, &frame, id, None).await
}

async fn draw(
    app: &App,
    frame: &Frame,
    id: MigrationId,
    error: Option<&str>,
) -> Result<Page, Wrong> {
    let (migration, view, points) = look(app, id).await?;
    let title = format!("{} to {}", view.vm, view.target);
    let goes_on = !view.state.is_final() && view.state != MigrationState::InDoubt;
    Ok(Page(frame.page(
        &title,
        html! {
            h1 { (view.vm) " from " (view.source) " to " (view.target) }
            @if let Some(error) = error { p.bad role="alert" { (capitalised(error)) } }
            section.live aria-label="How it goes" data-migration=(view.id) data-state=(view.state.code()) data-final[view.state.is_final()] {
                p role="status" { (mark(view.state)) " " span data-field="stage" { (Shown::of(&view).stage) } }
                @if goes_on { (under_way(frame, &view)) }
                @if let Some(reason) = reason(&view) {
                    @if view.state == MigrationState::Completed { p { (capitalised(reason)) "." } }
                    @else { p.bad role="alert" { (capitalised(reason)) } }
                }
                @if let Some(settlement) = &view.settlement { (doubt::settled(settlement)) }
                @else if view.state == MigrationState::InDoubt { (doubt::form(frame, &view.vm, &view.source, &view.target)) }
                @if let Some(report) = migration.report.as_ref().filter(|_| !was_settled(&view)) {
                    p.summary { (capitalised(&summary(report))) "." }
                    @if let Some(advice) = advice(report).filter(|_| view.state != MigrationState::Cancelled) { p { (capitalised(advice)) "." } }
                    (render::account(report))
                }
            }
            div #charts { (drawn(&migration, &points)) }
            @if let Some(report) = &migration.report { (render::decisions(report)) }
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

/// A migration under way in words; the module writes the same from what it hears.
pub(super) struct Shown {
    pub(super) stage: String,
    pub(super) remaining: String,
    pub(super) dirty: String,
    pub(super) bandwidth: String,
    pub(super) throttle: String,
    pub(super) verdict: String,
    downtime: String,
    elapsed: String,
}

impl Shown {
    pub(super) fn of(view: &MigrationView) -> Self {
        let moving = view.state == MigrationState::Moving;
        let Some(progress) = view.progress.as_ref().filter(|_| moving) else {
            let none = || "–".to_owned();
            return Self {
                stage: String::new(),
                remaining: none(),
                dirty: none(),
                bandwidth: none(),
                throttle: none(),
                verdict: String::new(),
                downtime: none(),
                elapsed: none(),
            };
        };
        let throttle = Throttle::new(progress.throttle);
        let stage = progress.stage.name();
        Self {
            stage: match progress.pass {
                0 | 1 => stage.to_owned(),
                pass => format!("{stage}, pass {pass}"),
            },
            remaining: Bytes(progress.remaining_bytes).to_string(),
            dirty: ByteRate::new(progress.dirty_rate_bytes_per_second).to_string(),
            bandwidth: ByteRate::new(progress.bandwidth_bytes_per_second).to_string(),
            throttle: if throttle.is_none() { "no".to_owned() } else { throttle.to_string() },
            verdict: capitalised(&progress.verdict_text),
            downtime: progress.downtime_now_ms().map_or_else(|| "–".to_owned(), milliseconds),
            elapsed: milliseconds(progress.elapsed_ms),
        }
    }
}

/// Why it did not arrive, unless that is what somebody wanted, which the bill says.
pub(super) fn reason(view: &MigrationView) -> Option<&str> {
    let said = view.state == MigrationState::Cancelled && view.report.is_some();
    view.reason.as_deref().filter(|_| !said)
}

/// What a migration goes through, in this order: as events call it, and for people.
const STAGES: [(&str, &str); 5] = [
    ("preparing", "Prepare"),
    ("first_pass", "First pass"),
    ("passes", "Further passes"),
    ("switchover", "Switch over"),
    ("committed", "Settle"),
];

/// Where in [`STAGES`] a migration is.
fn stage(view: &MigrationView) -> usize {
    match (view.state, view.progress.as_ref().map(|progress| progress.stage)) {
        (MigrationState::Settling, _) | (_, Some(Stage::Committed)) => 4,
        (MigrationState::Moving, Some(Stage::FirstPass)) => 1,
        (MigrationState::Moving, Some(Stage::Passes)) => 2,
        (MigrationState::Moving, Some(Stage::Switchover)) => 3,
        _ => 0,
    }
}

fn under_way(frame: &Frame, view: &MigrationView) -> Markup {
    let (now, shown) = (stage(view), Shown::of(view));
    let state = view.progress.as_ref().map_or("", |progress| progress.verdict.as_str());
    html! {
        ol.stages aria-label="Stages" {
            @for (index, (code, name)) in STAGES.into_iter().enumerate() {
                li data-stage=(code) aria-current=[(index == now).then_some("step")] { (name) }
            }
        }
        dl.figures {
            div.remaining { dt { "Still to send" } dd data-field="remaining" { (shown.remaining) } }
            div.dirty { dt { "The guest dirties" } dd data-field="dirty" { (shown.dirty) } }
            div.bandwidth { dt { "The link carries" } dd data-field="bandwidth" { (shown.bandwidth) } }
            div.throttle { dt { "Held back" } dd data-field="throttle" { (shown.throttle) } }
            div { dt { "A stop would last" } dd data-field="downtime" { (shown.downtime) } }
            div { dt { "For" } dd data-field="elapsed" { (shown.elapsed) } }
        }
        p.verdict data-verdict=(state) { span data-field="verdict" { (shown.verdict) } }
        noscript { p.note { "This is the moment at which the page was loaded; " a href={ "/migrations/" (view.id) } { "look again" } "." } }
        (frame.may_not(Scope::Operate, "call it off, or change what it may cost"))
        @if frame.may(Scope::Operate) { (buttons(view)) }
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
    frame: Frame,
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
            Ok((problem.status, draw(&app, &frame, id, Some(&problem.detail)).await?)
                .into_response())
        }
    }
}
