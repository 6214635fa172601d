//! Who may ask for what.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::App;
use super::problem::Problem;
use crate::local::LocalUser;
use crate::model::{MigrationId, NodeName, Scope};
use crate::secret::same;
use crate::tls::Caller;
use crate::web::Wrong;

/// The header by which one node shows another who it is.
pub(crate) const PEER_HEADER: &str = "x-landfall-peer";

/// What opens the doors of a node.
#[derive(Clone)]
pub struct Keys {
    /// Who operates the node shows this.
    pub token: String,
    /// What nodes of one user show to each other that speak plain HTTP on one machine; without, they show certificates.
    pub peer: Option<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// Somebody who asks.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// By what they are known.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) scope: Scope,
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
fn allowed(app: &App, needed: Scope, request: &Request) -> Result<Who, Problem> {
    let (method, headers) = (request.method(), request.headers());
    let who = match shown(headers, &app.cookie()) {
        Some(token) => app.who(token)?,
        None => on_this_host(request),
    };
    let Some(who) = who else {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "show the node's token: as `Authorization: Bearer TOKEN`, or by the address that the node prints when it starts",
        ));
    };
    let scope = who.scope;
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
    Ok(who)
}

/// Who asks over the socket in the node's folder.
fn on_this_host(request: &Request) -> Option<Who> {
    let ConnectInfo(user) = request.extensions().get::<ConnectInfo<LocalUser>>()?;
    Some(Who { name: user.trusted()?, scope: Scope::Admin })
}

/// Lets those through whose token has the scope that is needed.
pub(super) async fn people_only(
    State((app, needed)): State<(App, Scope)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let who = allowed(&app, needed, &request)?;
    request.extensions_mut().insert(who);
    Ok(next.run(request).await)
}

/// The same for pages: whoever shows nothing is asked for it.
pub(crate) async fn allowed_page(
    State((app, needed)): State<(App, Scope)>,
    mut request: Request,
    next: Next,
) -> Response {
    match allowed(&app, needed, &request) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => {
            Redirect::to("/login").into_response()
        }
        Err(problem) => Wrong::from(problem).into_response(),
    }
}

/// Lets other nodes through.
pub(super) async fn nodes_only(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let speaker = speaker(&app, &request).ok_or_else(|| {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            match &app.keys.peer {
                Some(_) => "only nodes of this machine's user may ask for this",
                None => {
                    "only nodes may ask for this that show a certificate for a name by which this one knows them (--peer)"
                }
            },
        )
    })?;
    request.extensions_mut().insert(speaker);
    Ok(next.run(request).await)
}

/// The node that asks, unless it is none.
fn speaker(app: &App, request: &Request) -> Option<Speaker> {
    if let Some(key) = &app.keys.peer {
        let shown = request.headers().get(PEER_HEADER).and_then(|value| value.to_str().ok());
        return shown.is_some_and(|shown| same(shown, key)).then_some(Speaker::OfThisUser);
    }
    let ConnectInfo(caller) = request.extensions().get::<ConnectInfo<Caller>>()?;
    let known = app.node.others().any(|other| caller.is_called(other.as_str()));
    known.then(|| Speaker::Certified(caller.clone()))
}

/// A node that asks.
#[derive(Clone, Debug)]
pub(super) enum Speaker {
    /// One of the same user on the same machine. It is who it says.
    OfThisUser,
    /// One that has shown who it is.
    Certified(Caller),
}

impl Speaker {
    /// Whether it may speak as `from` of this migration.
    pub(super) fn must_be(&self, from: &NodeName, migration: &MigrationId) -> Result<(), Problem> {
        let Self::Certified(caller) = self else { return Ok(()) };
        let what = if !caller.is_called(from.as_str()) {
            format!("and does not speak for '{from}'")
        } else if !migration.may_begin_on(from) {
            format!("and '{migration}' did not begin on '{from}'")
        } else {
            return Ok(());
        };
        let why = format!("this certificate is for {}, {what}", caller.names());
        tracing::warn!("a node was refused: {why}");
        Err(Problem::new(StatusCode::FORBIDDEN, why))
    }
}

/// What the cookie is called by which a browser shows whose it is. Browsers tell no ports apart: of nodes at one address each
/// would take the others' for its own otherwise.
pub(super) fn cookie_of(node: &NodeName) -> String {
    format!("landfall_token_{node}")
}

impl App {
    /// What browsers are told of this node's cookie, so that they show it to nobody else.
    pub(crate) fn cookie_rules(&self) -> &'static str {
        match self.keys.peer {
            Some(_) => "Path=/; HttpOnly; SameSite=Strict",
            None => "Path=/; HttpOnly; SameSite=Strict; Secure",
        }
    }

    /// What this node's cookie is called.
    pub(crate) fn cookie(&self) -> String {
        cookie_of(self.node.name())
    }

    /// Who shows `token`; `None` for one that opens nothing.
    pub(crate) fn who(&self, token: &str) -> Result<Option<Who>, Problem> {
        if same(token, &self.keys.token) {
            return Ok(Some(Who { name: "the node's own token".to_owned(), scope: Scope::Admin }));
        }
        let given = self.node.token_of(token)?;
        Ok(given
            .map(|token| Who { name: format!("the token '{}'", token.name), scope: token.scope }))
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
