//! One migration: while it runs, and its bill afterwards.

use axum::extract::{Path, State};
use axum::response::Redirect;
use landfall_converge::{ByteRate, Bytes, Policy as Rule, Throttle};
use landfall_migrate::machine::MachineKind;
use landfall_migrate::report::{Outcome, Report, TimePoint};
use maud::{Markup, html};

use super::page::{mark, moment, page};
use super::{Page, Wrong};
use crate::api::{App, blocking};
use crate::model::{Migration, MigrationId, MigrationState, MigrationView, Point};
use crate::quantities::milliseconds;
use crate::render;
use crate::summary::{advice, summary};

pub(super) async fn live(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Result<Page, Wrong> {
    let (migration, view, points) = look(&app, id).await?;
    let title = format!("{} to {}", view.vm, view.target);
    Ok(Page(page(
        &title,
        html! {
            h1 { (view.vm) " from " (view.source) " to " (view.target) }
            section.live data-migration=(view.id) data-final[view.state.is_final()] {
                p { (mark(view.state)) " " span data-field="stage" { (stage(&view)) } }
                (figures(&view))
                p.verdict data-field="verdict" aria-live="polite" { (verdict(&view)) }
                @if !view.state.is_final() { (buttons(&view)) }
                @if let Some(reason) = &view.reason { p.bad role="alert" { (reason) } }
                @if let Some(report) = &view.report {
                    p.summary { (summary(report)) }
                    @if let Some(advice) = advice(report) { p { (advice) } }
                }
            }
            div #charts { (drawn(&migration, &points)) }
            p.muted {
                "Policy " (view.policy) ", auto-converge " (if view.settings.auto_converge { "on" } else { "off" })
                ", throttle at most " (view.settings.max_throttle_percent) " %, downtime at most "
                (milliseconds(view.settings.max_downtime_ms as f64)) ". Asked for at " (moment(view.requested_ms)) "."
            }
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

fn verdict(view: &MigrationView) -> &str {
    view.progress.as_ref().map_or("", |progress| progress.verdict_text.as_str())
}

fn figures(view: &MigrationView) -> Markup {
    let progress = view.progress.clone().unwrap_or_default();
    let throttle = Throttle::new(progress.throttle);
    let held = if throttle.is_none() { "not at all".to_owned() } else { throttle.to_string() };
    html! {
        @if !view.state.is_final() {
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
    }
}

/// The charts alone, for the module to put into the page.
pub(super) async fn charts(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Result<Page, Wrong> {
    let (migration, _, points) = look(&app, id).await?;
    Ok(Page(drawn(&migration, &points)))
}

fn drawn(migration: &Migration, points: &[Point]) -> Markup {
    match &migration.report {
        Some(report) if !report.timeline.is_empty() => render::figures(report),
        _ if points.is_empty() => html! {},
        _ => render::figures(&so_far(migration, points)),
    }
}

/// A migration that is not over, as if it were over now.
fn so_far(migration: &Migration, points: &[Point]) -> Report {
    let point = |point: &Point| TimePoint {
        at_ms: point.at_ms,
        pass: point.pass,
        remaining_bytes: point.remaining_bytes,
        dirty_rate_bytes_per_second: point.dirty_rate_bytes_per_second,
        bandwidth_bytes_per_second: point.bandwidth_bytes_per_second,
        throttle: point.throttle,
    };
    let last = points.last().copied().unwrap_or_default();
    let highest = points.iter().map(|point| point.throttle).fold(0.0, f64::max);
    Report {
        outcome: Outcome::Cancelled,
        reason: None,
        machine: MachineKind::Kvm,
        policy: if migration.settings.auto_converge { Rule::Adaptive } else { Rule::Off },
        auto_converge: migration.settings.auto_converge,
        total_ms: last.at_ms,
        downtime_ms: 0.0,
        predicted_downtime_ms: 0.0,
        downtime_limit_ms: migration.settings.max_downtime_ms as f64,
        downtime_parts_ms: Default::default(),
        passes: last.pass,
        memory_bytes: 0,
        sent_bytes: 0,
        pages: Default::default(),
        bandwidth_bytes_per_second: last.bandwidth_bytes_per_second,
        dirty_rate_bytes_per_second: last.dirty_rate_bytes_per_second,
        max_throttle: highest,
        stolen_ms: 0.0,
        guest_time_share_stolen: 0.0,
        max_stall_ms: 0.0,
        verdict: None,
        integrity: "not_checked".to_owned(),
        timeline: points.iter().map(point).collect(),
        events: Vec::new(),
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
