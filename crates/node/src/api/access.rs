//! Who may ask for what.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::App;
use super::problem::Problem;
use crate::model::{NodeName, Scope};
use crate::secret::same;
use crate::web::Wrong;

/// The header by which one node shows another who it is.
pub(crate) const PEER_HEADER: &str = "x-landfall-peer";

/// What opens the doors of a node.
#[derive(Clone)]
pub struct Keys {
    /// Who operates the node shows this.
    pub token: String,
    /// Nodes on this machine show this to each other.
    pub peer: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// The token in a request, by a header or by the cookie of this name.
fn shown<'a>(headers: &'a HeaderMap, cookie: &str) -> Option<&'a str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) {
        return Some(token);
    }
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split(';').find_map(|one| one.trim().strip_prefix(cookie)?.strip_prefix('='))
}

/// Whether the request comes from a page of this node, or from no page at all.
fn same_origin(headers: &HeaderMap) -> bool {
    let text =
        |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => {
            origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host)
        }
        (Some(_), None) => false,
    }
}

/// Whether who asks may do what needs this scope.
fn allowed(app: &App, needed: Scope, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let scope = match shown(headers, &app.cookie()) {
        Some(token) => app.scope_of(token)?,
        None => None,
    };
    let Some(scope) = scope else {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "show the node's token: as `Authorization: Bearer TOKEN`, or by the address that the node prints when it starts",
        ));
    };
    if scope < needed {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!(
                "this token's scope is '{scope}', and what was asked for needs '{needed}'; whoever has the node's own token can \
                 give out one: `landfall node token add NAME --scope {needed}`"
            ),
        ));
    }
    if !method.is_safe() && !same_origin(headers) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the request comes from a page of another site",
        ));
    }
    Ok(())
}

/// Lets those through whose token has the scope that is needed.
pub(super) async fn people_only(
    State((app, needed)): State<(App, Scope)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    allowed(&app, needed, request.method(), request.headers())?;
    Ok(next.run(request).await)
}

/// The same for pages: whoever shows nothing is asked for it.
pub(crate) async fn allowed_page(
    State((app, needed)): State<(App, Scope)>,
    request: Request,
    next: Next,
) -> Response {
    match allowed(&app, needed, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => {
            Redirect::to("/login").into_response()
        }
        Err(problem) => Wrong::from(problem).into_response(),
    }
}

/// Lets other nodes through.
pub(super) async fn nodes_only(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let shown = request.headers().get(PEER_HEADER).and_then(|value| value.to_str().ok());
    if shown.is_some_and(|shown| same(shown, &app.keys.peer)) {
        return Ok(next.run(request).await);
    }
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "only nodes of this machine's user may ask for this",
    ))
}

/// What the cookie is called by which a browser shows whose it is. Browsers tell no ports apart: of nodes at one address each
/// would take the others' for its own otherwise.
pub(super) fn cookie_of(node: &NodeName) -> String {
    format!("landfall_token_{node}")
}

impl App {
    /// What this node's cookie is called.
    pub(crate) fn cookie(&self) -> String {
        cookie_of(self.node.name())
    }

    /// What the holder of `token` may do; `None` for one that opens nothing.
    pub(crate) fn scope_of(&self, token: &str) -> Result<Option<Scope>, Problem> {
        if same(token, &self.keys.token) {
            return Ok(Some(Scope::Admin));
        }
        Ok(self.node.scope_of(token)?)
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
