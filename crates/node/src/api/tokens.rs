//! Tokens that are given out.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::problem::Problem;
use super::{App, blocking};
use crate::model::{DrawnToken, NewToken, Token, TokenName};

pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<Token>>, Problem> {
    blocking(&app, |node| node.tokens()).await.map(Json)
}

/// What opens is in this answer, and in none after it.
pub(super) async fn add(
    State(app): State<App>,
    Json(wanted): Json<NewToken>,
) -> Result<(StatusCode, Json<DrawnToken>), Problem> {
    let drawn = blocking(&app, move |node| node.add_token(wanted)).await?;
    Ok((StatusCode::CREATED, Json(drawn)))
}

pub(super) async fn remove(
    State(app): State<App>,
    Path(token): Path<TokenName>,
) -> Result<StatusCode, Problem> {
    blocking(&app, move |node| node.remove_token(&token)).await.map(|()| StatusCode::NO_CONTENT)
}
