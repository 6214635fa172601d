//! What a request asks with. What cannot be understood is a problem like any other.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::model::{IdempotencyKey, KeyError};

/// The header of the key by which a request is known again.
pub(crate) const KEY_HEADER: &str = "idempotency-key";

/// What is named in the path.
pub(super) struct Named<T>(pub(super) T);

/// What stands after the question mark.
pub(super) struct Asked<T>(pub(super) T);

/// The key by which the request is known again, where one is shown.
pub(super) struct Keyed(pub(super) Option<IdempotencyKey>);

/// What is sent along, as JSON.
pub(super) struct Sent<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let problem = |no: PathRejection| Problem::new(no.status(), no.body_text());
        Path::from_request_parts(parts, state).await.map(|Path(name)| Self(name)).map_err(problem)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let problem = |no: QueryRejection| Problem::new(no.status(), no.body_text());
        Query::from_request_parts(parts, state).await.map(|Query(it)| Self(it)).map_err(problem)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Keyed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(KEY_HEADER) else { return Ok(Self(None)) };
        let key = value.to_str().map_err(|_| KeyError).and_then(str::parse);
        let problem = |no: KeyError| Problem::new(StatusCode::BAD_REQUEST, no.to_string());
        key.map(|key| Self(Some(key))).map_err(problem)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let problem = |no: JsonRejection| Problem::new(no.status(), no.body_text());
        Json::from_request(request, state).await.map(|Json(it)| Self(it)).map_err(problem)
    }
}
