//! The node over HTTP: an API for programs, pages for people.

mod access;
mod asked;
mod document;
mod drain;
mod events;
mod metrics;
mod migrations;
mod peers;
mod problem;
mod tokens;
mod vms;

pub use access::Keys;
pub(crate) use access::{PEER_HEADER, Who, allowed_page};
pub(crate) use asked::KEY_HEADER;
pub(crate) use problem::Problem;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::model::Scope;
use crate::node::{Node, NodeError};
use crate::web::Wrong;

/// Below what the API is.
const API: &str = "/api/v1";

/// What every request needs.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) node: Node,
    pub(crate) keys: Arc<Keys>,
    document: Arc<OpenApi>,
}

/// What those ask for who look.
fn looking() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(document::show))
        .routes(routes!(vms::list))
        .routes(routes!(vms::show))
        .routes(routes!(migrations::check))
        .routes(routes!(migrations::list))
        .routes(routes!(migrations::show))
        .routes(routes!(migrations::report))
        .routes(routes!(migrations::timeline))
        .routes(routes!(vms::nodes))
        .routes(routes!(drain::show))
        .routes(routes!(vms::policies))
        .routes(routes!(events::events));
    OpenApiRouter::new().nest(API, api).routes(routes!(metrics::metrics))
}

/// What those ask for who operate.
fn operating() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(vms::start))
        .routes(routes!(vms::stop))
        .routes(routes!(vms::settle))
        .routes(routes!(migrations::begin))
        .routes(routes!(migrations::adjust))
        .routes(routes!(migrations::cancel))
        .routes(routes!(migrations::complete))
        .routes(routes!(drain::begin, drain::end));
    OpenApiRouter::new().nest(API, api)
}

/// What those ask for who decide what there is.
fn administering() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(vms::add))
        .routes(routes!(vms::change))
        .routes(routes!(vms::forget))
        .routes(routes!(vms::set_policy))
        .routes(routes!(vms::remove_policy))
        .routes(routes!(tokens::list, tokens::add))
        .routes(routes!(tokens::remove));
    OpenApiRouter::new().nest(API, api)
}

/// What all of them ask for, described.
fn description() -> OpenApi {
    let all = OpenApiRouter::with_openapi(document::about());
    all.merge(looking()).merge(operating()).merge(administering()).into_openapi()
}

/// What other nodes ask for.
fn nodes() -> Router<App> {
    Router::new()
        .route("/facts", get(peers::facts))
        .route("/check", post(peers::check))
        .route("/survey", post(peers::survey))
        .route("/offer", post(peers::offer))
        .route("/verdict", post(peers::verdict))
        .route("/refuse", post(peers::refuse))
        .route("/migrations/{id}", get(peers::migration))
        .route("/sink", post(peers::sink))
}

/// Everything that a node answers.
pub fn router(node: Node, keys: Keys) -> Router {
    let document = document::complete(description(), &access::cookie_of(node.name()));
    let app = App { node, keys: Arc::new(keys), document: Arc::new(document) };
    let open_to = |scope, routes: OpenApiRouter<App>| {
        let allowed = from_fn_with_state((app.clone(), scope), access::people_only);
        Router::from(routes).route_layer(allowed)
    };
    let people = open_to(Scope::Read, looking())
        .merge(open_to(Scope::Operate, operating()))
        .merge(open_to(Scope::Admin, administering()))
        .method_not_allowed_fallback(not_so);
    let nodes = nodes().route_layer(from_fn_with_state(app.clone(), access::nodes_only));
    Router::new()
        .merge(people)
        .nest("/api/v1/peer", nodes)
        .merge(crate::web::pages(&app))
        .fallback(nothing_here)
        .with_state(app)
}

async fn not_so() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this can be asked for, but not so; the header `Allow` says how",
    )
}

async fn nothing_here(asked: Uri) -> Response {
    let path = asked.path();
    if path.starts_with("/api/") {
        let what = format!("there is nothing at {path}; /api/v1/openapi.json says what there is");
        return Problem::new(StatusCode::NOT_FOUND, what).into_response();
    }
    Wrong::from(Problem::new(StatusCode::NOT_FOUND, format!("There is no page at {path}.")))
        .into_response()
}

/// Does what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Node) -> Result<T, NodeError> + Send + 'static,
) -> Result<T, Problem> {
    let node = app.node.clone();
    let done = tokio::task::spawn_blocking(move || work(&node)).await;
    done.map_err(|error| Problem::broken(&error))?.map_err(Problem::from)
}
