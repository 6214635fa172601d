//! The pages: rendered here, forms that work without JavaScript, one small module for what changes while one looks.

mod doubt;
mod drain;
mod form;
mod limits;
mod live;
mod overview;
mod page;
mod policies;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use self::page::Frame;
use crate::api::{App, Problem, allowed_page};
use crate::model::Scope;

/// What a page may fetch and run: its own style and its own module, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Every page.
pub(crate) fn pages(app: &App) -> Router<App> {
    let allowed = |scope| from_fn_with_state((app.clone(), scope), allowed_page);
    let looking = Router::new()
        .route("/", get(overview::overview))
        .route("/vms/{vm}/migrate", get(form::form))
        .route("/vms/{vm}/migrate/check", get(form::check))
        .route("/vms/{vm}/settle", get(doubt::doubt))
        .route("/migrations/{id}", get(live::live))
        .route("/migrations/{id}/charts", get(live::charts))
        .route("/history", get(overview::history))
        .route("/drain", get(drain::drain))
        .route("/policies", get(policies::policies))
        .route_layer(allowed(Scope::Read));
    let operating = Router::new()
        .route("/vms/{vm}/migrate", post(form::submit))
        .route("/vms/{vm}/settle", post(doubt::settle))
        .route("/migrations/{id}/cancel", post(live::cancel))
        .route("/migrations/{id}/complete", post(live::complete))
        .route("/migrations/{id}/adjust", post(live::adjust))
        .route("/drain", post(drain::begin))
        .route("/drain/end", post(drain::end))
        .route_layer(allowed(Scope::Operate));
    let administering = Router::new()
        .route("/policies", post(policies::keep))
        .route("/policies/{policy}/remove", post(policies::remove))
        .route("/vms/{vm}/policy", post(policies::choose))
        .route_layer(allowed(Scope::Admin));
    looking
        .merge(operating)
        .merge(administering)
        .route("/login", get(login))
        .route("/style.css", get(style))
        .route("/live.js", get(module))
}

/// A page as an answer.
pub(crate) struct Page(maud::Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "same-origin"),
        ];
        (headers, Html(self.0.into_string())).into_response()
    }
}

/// What went wrong, as a page.
pub(crate) struct Wrong(Problem);

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let status = self.0.status;
        let page = page::Frame::default().page(
            "Something is in the way",
            maud::html! {
                h1 { (status.canonical_reason().unwrap_or("Error")) }
                p role="alert" { (crate::render::capitalised(&self.0.detail)) }
                p { a href="/" { "Back to the overview" } }
            },
        );
        (status, Page(page)).into_response()
    }
}

#[derive(Debug, Deserialize)]
struct Login {
    token: Option<String>,
}

/// Takes the token into a cookie, or asks for it.
async fn login(
    State(app): State<App>,
    frame: Frame,
    Query(login): Query<Login>,
) -> Result<Response, Wrong> {
    let token = login.token.as_deref().map(str::trim);
    if let Some(token) = token
        && app.who(token)?.is_some()
    {
        let cookie = format!("{}={token}; {}", app.cookie(), app.cookie_rules());
        let mut headers = HeaderMap::new();
        if let Ok(cookie) = cookie.parse() {
            headers.insert(header::SET_COOKIE, cookie);
        }
        return Ok((headers, Redirect::to("/")).into_response());
    }
    let shown = token.is_some();
    let page = frame.page(
        "Who are you?",
        maud::html! {
            h1 { "Who are you?" }
            @if shown { p.bad role="alert" { "This token does not open node " (app.node.name()) ". Each node has tokens of its own." } }
            form.narrow-form method="get" action="/login" {
                label for="token" { "A token of node " (app.node.name()) }
                input #token name="token" type="password" required autocomplete="off" aria-describedby="token-hint";
                span.hint #token-hint {
                    "Its own stands in the address that it prints when it starts, and in the file " code { "token" }
                    " in its folder. It gives out others: " code { "landfall node token add NAME --scope read" }
                }
                p.buttons { button.main { "Enter" } }
            }
        },
    );
    let status = if shown { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    Ok((status, Page(page)).into_response())
}

async fn style() -> impl IntoResponse {
    let style = crate::render::style_sheet() + include_str!("style.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], style)
}

async fn module() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("live.js"))
}
