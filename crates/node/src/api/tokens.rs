//! Tokens that are given out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::asked::{Named, Sent};
use super::problem::Problem;
use super::{App, blocking};
use crate::model::{DrawnToken, NewToken, Token, TokenName};

/// Every token that was given out, without what opens.
#[utoipa::path(
    get, path = "/tokens", operation_id = "list_tokens", tag = "tokens",
    responses(
        (status = 200, description = "Every token but the node's own.", body = Vec<Token>),
        (status = 403, description = "The token's scope is too narrow."),
    )
)]
pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<Token>>, Problem> {
    blocking(&app, |node| node.tokens()).await.map(Json)
}

/// Draws a token; what opens is in this answer, and in none after it.
#[utoipa::path(
    post, path = "/tokens", operation_id = "add_token", tag = "tokens",
    request_body = NewToken,
    responses((status = 201, description = "It opens from now on.", body = DrawnToken))
)]
pub(super) async fn add(
    State(app): State<App>,
    Sent(wanted): Sent<NewToken>,
) -> Result<(StatusCode, Json<DrawnToken>), Problem> {
    let drawn = blocking(&app, move |node| node.add_token(wanted)).await?;
    Ok((StatusCode::CREATED, Json(drawn)))
}

/// Takes a token away.
#[utoipa::path(
    delete, path = "/tokens/{token}", operation_id = "remove_token", tag = "tokens",
    params(("token" = TokenName, Path, description = "The token.")),
    responses((status = 204, description = "It opens nothing any more."))
)]
pub(super) async fn remove(
    State(app): State<App>,
    Named(token): Named<TokenName>,
) -> Result<StatusCode, Problem> {
    blocking(&app, move |node| node.remove_token(&token)).await.map(|()| StatusCode::NO_CONTENT)
}
