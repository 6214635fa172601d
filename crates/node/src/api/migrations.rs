//! Migrations.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use landfall_migrate::report::Report;
use serde::Deserialize;

use super::asked::{Asked, Keyed, Named, Sent};
use super::problem::Problem;
use super::{App, blocking};
use crate::model::{
    Check, IdempotencyKey, MigrationId, MigrationRequest, MigrationView, NodeName, OnLimit, Point,
    PolicyName, SettingsChange, VmName,
};
use crate::node::Node;

type Answer<T> = Result<Json<T>, Problem>;

/// What a check is asked for with.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CheckQuery {
    target: NodeName,
    policy: Option<PolicyName>,
    auto_converge: Option<bool>,
    max_throttle_percent: Option<u8>,
    max_downtime_ms: Option<u64>,
    time_limit_ms: Option<u64>,
    on_limit: Option<OnLimit>,
    bandwidth_bytes_per_second: Option<u64>,
    /// Whether it is foretold what the migration would do; it is unless this is `false`.
    predict: Option<bool>,
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

/// What a migration would do and cost; nothing is begun.
#[utoipa::path(
    get, path = "/vms/{vm}/migration-check", operation_id = "check_migration", tag = "migrations",
    params(("vm" = VmName, Path, description = "The machine."), CheckQuery),
    responses((status = 200, description = "What was found.", body = Check),
        (status = 422, description = "What is asked for is out of range."),
        (status = 409, description = "Another node has the machine."),
        (status = 502, description = "A machine or another node does not do its part."))
)]
pub(super) async fn check(
    State(app): State<App>,
    Named(vm): Named<VmName>,
    Asked(query): Asked<CheckQuery>,
) -> Answer<Check> {
    let check = move |node: &Node| match query.predict {
        Some(false) => node.check_host(&vm, &query.target),
        _ => node.check(&vm, &query.into()),
    };
    blocking(&app, check).await.map(Json)
}

/// Begins a migration. Sent again with the same key, it is the one that was begun then.
#[utoipa::path(
    post, path = "/vms/{vm}/migrations", operation_id = "begin_migration", tag = "migrations",
    params(
        ("vm" = VmName, Path, description = "The machine."),
        (
            "Idempotency-Key" = Option<IdempotencyKey>, Header,
            description = "Any text that is used for this request alone, such as a random one."
        )
    ),
    request_body = MigrationRequest,
    responses((
        status = 202, description = "It begins as soon as there is room.", body = MigrationView,
        headers(("Location" = String, description = "Where the migration is."))
    ))
)]
pub(super) async fn begin(
    State(app): State<App>,
    Named(vm): Named<VmName>,
    Keyed(key): Keyed,
    Sent(request): Sent<MigrationRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<MigrationView>), Problem> {
    let view = blocking(&app, move |node| node.migrate_once(&vm, &request, key.as_ref())).await?;
    let location = [(header::LOCATION, format!("/api/v1/migrations/{}", view.id))];
    Ok((StatusCode::ACCEPTED, location, Json(view)))
}

/// Every migration from this node, the newest first.
#[utoipa::path(
    get, path = "/migrations", operation_id = "list_migrations", tag = "migrations",
    responses((status = 200, description = "Every migration.", body = Vec<MigrationView>))
)]
pub(super) async fn list(State(app): State<App>) -> Answer<Vec<MigrationView>> {
    blocking(&app, |node| node.migrations()).await.map(Json)
}

/// One migration.
#[utoipa::path(
    get, path = "/migrations/{id}", operation_id = "show_migration", tag = "migrations",
    params(("id" = MigrationId, Path, description = "The migration.")),
    responses((status = 200, description = "The migration.", body = MigrationView))
)]
pub(super) async fn show(
    State(app): State<App>,
    Named(id): Named<MigrationId>,
) -> Answer<MigrationView> {
    blocking(&app, move |node| Ok(node.show(&node.migration(&id)?))).await.map(Json)
}

/// The whole bill, with everything that was measured; `null` before the migration is over.
#[utoipa::path(
    get, path = "/migrations/{id}/report", operation_id = "migration_report", tag = "migrations",
    params(("id" = MigrationId, Path, description = "The migration.")),
    responses((status = 200, description = "The bill.", body = Option<Object>))
)]
pub(super) async fn report(
    State(app): State<App>,
    Named(id): Named<MigrationId>,
) -> Answer<Option<Report>> {
    blocking(&app, move |node| Ok(node.migration(&id)?.report)).await.map(Json)
}

/// What was measured all the while.
#[utoipa::path(
    get, path = "/migrations/{id}/timeline", operation_id = "migration_timeline", tag = "migrations",
    params(("id" = MigrationId, Path, description = "The migration.")),
    responses((status = 200, description = "Points, the oldest first.", body = Vec<Point>))
)]
pub(super) async fn timeline(
    State(app): State<App>,
    Named(id): Named<MigrationId>,
) -> Answer<Vec<Point>> {
    blocking(&app, move |node| node.timeline(&id)).await.map(Json)
}

/// Changes what a migration may do and cost, while it runs.
#[utoipa::path(
    patch, path = "/migrations/{id}", operation_id = "adjust_migration", tag = "migrations",
    params(("id" = MigrationId, Path, description = "The migration.")),
    request_body = SettingsChange,
    responses((status = 200, description = "How it is now.", body = MigrationView))
)]
pub(super) async fn adjust(
    State(app): State<App>,
    Named(id): Named<MigrationId>,
    Sent(change): Sent<SettingsChange>,
) -> Answer<MigrationView> {
    blocking(&app, move |node| node.adjust(&id, &change)).await.map(Json)
}

/// Calls a migration off; the guest goes on where it is.
#[utoipa::path(
    post, path = "/migrations/{id}/cancel", operation_id = "cancel_migration", tag = "migrations",
    params(("id" = MigrationId, Path, description = "The migration.")),
    responses((status = 200, description = "How it is now.", body = MigrationView))
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Named(id): Named<MigrationId>,
) -> Answer<MigrationView> {
    blocking(&app, move |node| node.cancel(&id)).await.map(Json)
}

/// Switches over now, whatever the downtime.
#[utoipa::path(
    post, path = "/migrations/{id}/complete", operation_id = "complete_migration", tag = "migrations",
    params(("id" = MigrationId, Path, description = "The migration.")),
    responses((status = 200, description = "How it is now.", body = MigrationView))
)]
pub(super) async fn complete(
    State(app): State<App>,
    Named(id): Named<MigrationId>,
) -> Answer<MigrationView> {
    blocking(&app, move |node| node.complete(&id)).await.map(Json)
}
