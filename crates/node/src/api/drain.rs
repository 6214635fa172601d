//! A node that is emptied.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::asked::Named;
use super::problem::Problem;
use super::{App, blocking};
use crate::model::{Drain, NodeName};
use crate::node::{Node, NodeError};

/// A node empties itself: whoever may have that done is known to it alone.
fn is_self(node: &Node, name: &NodeName) -> Result<(), NodeError> {
    if name == node.name() {
        return Ok(());
    }
    Err(NodeError::Invalid(format!("this is node {}; ask node {name} itself", node.name())))
}

/// How far it is; `null` where it is not being emptied.
#[utoipa::path(
    get, path = "/nodes/{node}/drain", operation_id = "show_drain", tag = "node",
    params(("node" = NodeName, Path, description = "This node.")),
    responses((status = 200, description = "How far it is.", body = Option<Drain>),
        (status = 422, description = "It is another node, which must be asked itself."))
)]
pub(super) async fn show(
    State(app): State<App>,
    Named(name): Named<NodeName>,
) -> Result<Json<Option<Drain>>, Problem> {
    blocking(&app, move |node| {
        is_self(node, &name)?;
        node.draining()
    })
    .await
    .map(Json)
}

/// Empties the node: its guests leave for others.
#[utoipa::path(
    post, path = "/nodes/{node}/drain", operation_id = "drain", tag = "node",
    params(("node" = NodeName, Path, description = "This node.")),
    responses((status = 202, description = "It begins, or has begun before.", body = Drain))
)]
pub(super) async fn begin(
    State(app): State<App>,
    Named(name): Named<NodeName>,
) -> Result<(StatusCode, Json<Drain>), Problem> {
    let drain = blocking(&app, move |node| {
        is_self(node, &name)?;
        node.drain()
    });
    Ok((StatusCode::ACCEPTED, Json(drain.await?)))
}

/// Lets the node take guests again; what is on its way arrives.
#[utoipa::path(
    delete, path = "/nodes/{node}/drain", operation_id = "undrain", tag = "node",
    params(("node" = NodeName, Path, description = "This node.")),
    responses((status = 204, description = "It takes guests again."))
)]
pub(super) async fn end(
    State(app): State<App>,
    Named(name): Named<NodeName>,
) -> Result<StatusCode, Problem> {
    blocking(&app, move |node| {
        is_self(node, &name)?;
        node.undrain()
    })
    .await
    .map(|()| StatusCode::NO_CONTENT)
}
