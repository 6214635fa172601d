//! A node that is emptied.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

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
pub(super) async fn show(
    State(app): State<App>,
    Path(name): Path<NodeName>,
) -> Result<Json<Option<Drain>>, Problem> {
    blocking(&app, move |node| {
        is_self(node, &name)?;
        node.draining()
    })
    .await
    .map(Json)
}

pub(super) async fn begin(
    State(app): State<App>,
    Path(name): Path<NodeName>,
) -> Result<(StatusCode, Json<Drain>), Problem> {
    let drain = blocking(&app, move |node| {
        is_self(node, &name)?;
        node.drain()
    });
    Ok((StatusCode::ACCEPTED, Json(drain.await?)))
}

pub(super) async fn end(
    State(app): State<App>,
    Path(name): Path<NodeName>,
) -> Result<StatusCode, Problem> {
    blocking(&app, move |node| {
        is_self(node, &name)?;
        node.undrain()
    })
    .await
    .map(|()| StatusCode::NO_CONTENT)
}
