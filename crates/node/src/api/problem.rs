//! Why a request was not done, as RFC 9457 has it.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::machines::chain;
use crate::model::Check;
use crate::node::NodeError;
use crate::ownership::Conflict;
use crate::peer::PeerError;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    check: Option<Box<Check>>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), check: None }
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
            | NodeError::Key(_) => StatusCode::UNPROCESSABLE_ENTITY,
            NodeError::Conflict(Conflict::NotHere) => StatusCode::NOT_FOUND,
            NodeError::BuiltIn(_)
            | NodeError::TokenIsThere(_)
            | NodeError::Busy(_)
            | NodeError::Conflict(_) => StatusCode::CONFLICT,
            NodeError::Peer(PeerError::Busy(_)) => StatusCode::CONFLICT,
            NodeError::Peer(_) | NodeError::Machine(_) => StatusCode::BAD_GATEWAY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let detail = chain(&error);
        let check = match error {
            NodeError::Refused(check) => Some(check),
            _ => None,
        };
        Self { status, detail, check }
    }
}

/// Why a request was not done, as it is sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct Details {
    /// Always `about:blank`: the status says it all.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What happened, and what to do.
    detail: String,
    /// What was found by the check beforehand that says no.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Box<Check>>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let details = Details {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            check: self.check,
        };
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status, kind, Json(details)).into_response()
    }
}
