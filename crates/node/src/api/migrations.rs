//! Migrations.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use landfall_migrate::report::Report;
use serde::Deserialize;

use super::problem::Problem;
use super::{App, blocking};
use crate::model::{
    Check, MigrationId, MigrationRequest, MigrationView, NodeName, OnLimit, Point, PolicyName,
    SettingsChange, VmName,
};

type Answer<T> = Result<Json<T>, Problem>;

/// What a check is asked for with.
#[derive(Debug, Deserialize)]
pub(super) struct CheckQuery {
    target: NodeName,
    policy: Option<PolicyName>,
    auto_converge: Option<bool>,
    max_throttle_percent: Option<u8>,
    max_downtime_ms: Option<u64>,
    time_limit_ms: Option<u64>,
    on_limit: Option<OnLimit>,
    bandwidth_bytes_per_second: Option<u64>,
}

impl From<CheckQuery> for MigrationRequest {
    fn from(query: CheckQuery) -> Self {
        Self {
            target: query.target,
            policy: query.policy,
            settings: SettingsChange {
                auto_converge: query.auto_converge,
                max_throttle_percent: query.max_throttle_percent,
                max_downtime_ms: query.max_downtime_ms,
                time_limit_ms: query.time_limit_ms,
                on_limit: query.on_limit,
                bandwidth_bytes_per_second: query.bandwidth_bytes_per_second,
            },
        }
    }
}

pub(super) async fn check(
    State(app): State<App>,
    Path(vm): Path<VmName>,
    Query(query): Query<CheckQuery>,
) -> Answer<Check> {
    blocking(&app, move |node| node.check(&vm, &query.into())).await.map(Json)
}

pub(super) async fn begin(
    State(app): State<App>,
    Path(vm): Path<VmName>,
    Json(request): Json<MigrationRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<MigrationView>), Problem> {
    let view = blocking(&app, move |node| node.migrate(&vm, &request)).await?;
    let location = [(header::LOCATION, format!("/api/v1/migrations/{}", view.id))];
    Ok((StatusCode::ACCEPTED, location, Json(view)))
}

pub(super) async fn list(State(app): State<App>) -> Answer<Vec<MigrationView>> {
    blocking(&app, |node| node.migrations()).await.map(Json)
}

pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Answer<MigrationView> {
    blocking(&app, move |node| Ok(node.show(&node.migration(&id)?))).await.map(Json)
}

/// The whole bill, with everything that was measured; `null` before the migration is over.
pub(super) async fn report(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Answer<Option<Report>> {
    blocking(&app, move |node| Ok(node.migration(&id)?.report)).await.map(Json)
}

pub(super) async fn timeline(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Answer<Vec<Point>> {
    blocking(&app, move |node| node.timeline(&id)).await.map(Json)
}

pub(super) async fn adjust(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
    Json(change): Json<SettingsChange>,
) -> Answer<MigrationView> {
    blocking(&app, move |node| node.adjust(&id, &change)).await.map(Json)
}

pub(super) async fn cancel(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Answer<MigrationView> {
    blocking(&app, move |node| node.cancel(&id)).await.map(Json)
}

pub(super) async fn complete(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Answer<MigrationView> {
    blocking(&app, move |node| node.complete(&id)).await.map(Json)
}
