//! Why a request was not done, as RFC 9457 has it.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::machines::chain;
use crate::node::NodeError;
use crate::ownership::Conflict;
use crate::peer::PeerError;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    more: Option<Value>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: None }
    }

    /// Something went wrong that nobody has foreseen.
    pub(crate) fn broken(error: &dyn std::error::Error) -> Self {
        tracing::error!("a request could not be answered: {}", chain(error));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, chain(error))
    }
}

impl From<NodeError> for Problem {
    fn from(error: NodeError) -> Self {
        let status = match &error {
            NodeError::NoVm(_)
            | NodeError::NoMigration(_)
            | NodeError::NoNode(_)
            | NodeError::NoPolicy(_)
            | NodeError::NoToken(_) => StatusCode::NOT_FOUND,
            NodeError::Settings(_)
            | NodeError::Spec(_)
            | NodeError::Invalid(_)
            | NodeError::Refused(_)
            | NodeError::Key => StatusCode::UNPROCESSABLE_ENTITY,
            NodeError::Conflict(Conflict::NotHere) => StatusCode::NOT_FOUND,
            NodeError::BuiltIn(_)
            | NodeError::TokenIsThere(_)
            | NodeError::Busy(_)
            | NodeError::Conflict(_) => StatusCode::CONFLICT,
            NodeError::Peer(PeerError::Busy(_)) => StatusCode::CONFLICT,
            NodeError::Peer(_) | NodeError::Machine(_) => StatusCode::BAD_GATEWAY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let more = match &error {
            NodeError::Refused(check) => serde_json::to_value(check).ok(),
            _ => None,
        };
        Self { status, detail: chain(&error), more }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(more) = self.more {
            body["check"] = more;
        }
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status, kind, body.to_string()).into_response()
    }
}
