//! What Prometheus asks for.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::problem::Problem;
use super::{App, blocking};
use crate::metrics;
use crate::node::NodeError;

/// What a node knows, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "node",
    responses((
        status = 200, description = "OpenMetrics text.",
        content_type = "application/openmetrics-text", body = String
    ))
)]
pub(super) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let seen = |node: &crate::node::Node| -> Result<_, NodeError> {
        Ok((node.name().clone(), node.vms()?, node.migrations()?))
    };
    let (node, vms, migrations) = blocking(&app, seen).await?;
    let text = metrics::text(&node, &vms, &migrations).map_err(|error| Problem::broken(&error))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}
