//! Who may ask for what.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::App;
use super::problem::Problem;
use crate::model::NodeName;

/// The header by which one node shows another who it is.
pub(crate) const PEER_HEADER: &str = "x-landfall-peer";
/// What the cookie's name begins with by which a browser shows whose it is; the node's name follows. Browsers tell no ports
/// apart: of nodes at one address each would take the others' for its own otherwise.
const COOKIE: &str = "landfall_token_";

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

/// The key in the file at `path`; a new one is drawn where there is none. Only the user who runs the node may read it.
///
/// # Errors
/// When the file cannot be read or made.
pub fn key(path: &Path) -> io::Result<String> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let drawn = draw()?;
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(drawn.as_bytes())?;
            Ok(drawn)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(fs::read_to_string(path)?.trim().to_owned())
        }
        Err(error) => Err(error),
    }
}

fn draw() -> io::Result<String> {
    let mut bytes = [0; 24];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Compares without telling by its duration how much was right.
fn same(shown: &str, key: &str) -> bool {
    let different = shown.bytes().zip(key.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    shown.len() == key.len() && !key.is_empty() && different == 0
}

fn shown<'a>(headers: &'a HeaderMap, node: &NodeName) -> Option<&'a str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) {
        return Some(token);
    }
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let own = |cookie: &'a str| {
        cookie.trim().strip_prefix(COOKIE)?.strip_prefix(node.as_str())?.strip_prefix('=')
    };
    cookies.split(';').find_map(own)
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

/// Whether who asks may operate the node.
fn allowed(app: &App, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if !shown(headers, app.node.name()).is_some_and(|token| same(token, &app.keys.token)) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "show the node's token: as `Authorization: Bearer TOKEN`, or by the address that the node prints when it starts",
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

/// Lets those through who show the token.
pub(super) async fn people_only(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    allowed(&app, request.method(), request.headers())?;
    Ok(next.run(request).await)
}

/// The same for pages: whoever shows nothing is asked for it.
pub(crate) async fn allowed_page(State(app): State<App>, request: Request, next: Next) -> Response {
    match allowed(&app, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => {
            Redirect::to("/login").into_response()
        }
        Err(problem) => problem.into_response(),
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

impl App {
    /// Whether `token` is the one that opens this node.
    pub(crate) fn opens(&self, token: &str) -> bool {
        same(token, &self.keys.token)
    }

    /// The cookie by which a browser shows that it may come in.
    pub(crate) fn cookie(&self) -> String {
        format!(
            "{COOKIE}{}={}; Path=/; HttpOnly; SameSite=Strict",
            self.node.name(),
            self.keys.token
        )
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
