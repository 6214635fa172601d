//! The node over HTTP: an API for programs, pages for people.

mod access;
mod drain;
mod events;
mod metrics;
mod migrations;
mod peers;
mod problem;
mod tokens;
mod vms;

pub use access::Keys;
pub(crate) use access::allowed_page;
pub(crate) use problem::Problem;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, patch, post};

use crate::model::Scope;
use crate::node::{Node, NodeError};

/// What every request needs.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) node: Node,
    pub(crate) keys: Arc<Keys>,
}

/// Everything that a node answers.
pub fn router(node: Node, keys: Keys) -> Router {
    let app = App { node, keys: Arc::new(keys) };
    let allowed = |scope| from_fn_with_state((app.clone(), scope), access::people_only);
    let looking = Router::new()
        .route("/vms", get(vms::list))
        .route("/vms/{vm}", get(vms::show))
        .route("/vms/{vm}/migration-check", get(migrations::check))
        .route("/migrations", get(migrations::list))
        .route("/migrations/{id}", get(migrations::show))
        .route("/migrations/{id}/report", get(migrations::report))
        .route("/migrations/{id}/timeline", get(migrations::timeline))
        .route("/nodes", get(vms::nodes))
        .route("/nodes/{node}/drain", get(drain::show))
        .route("/policies", get(vms::policies))
        .route("/events", get(events::events))
        .route_layer(allowed(Scope::Read));
    let operating = Router::new()
        .route("/vms/{vm}/start", post(vms::start))
        .route("/vms/{vm}/stop", post(vms::stop))
        .route("/vms/{vm}/migrations", post(migrations::begin))
        .route("/migrations/{id}", patch(migrations::adjust))
        .route("/migrations/{id}/cancel", post(migrations::cancel))
        .route("/migrations/{id}/complete", post(migrations::complete))
        .route("/nodes/{node}/drain", post(drain::begin).delete(drain::end))
        .route_layer(allowed(Scope::Operate));
    let administering = Router::new()
        .route("/vms", post(vms::add))
        .route("/vms/{vm}", delete(vms::forget))
        .route("/policies", post(vms::set_policy))
        .route("/policies/{policy}", delete(vms::remove_policy))
        .route("/tokens", get(tokens::list).post(tokens::add))
        .route("/tokens/{token}", delete(tokens::remove))
        .route_layer(allowed(Scope::Admin));
    let metrics =
        Router::new().route("/metrics", get(metrics::metrics)).route_layer(allowed(Scope::Read));
    let nodes = Router::new()
        .route("/facts", get(peers::facts))
        .route("/check", post(peers::check))
        .route("/offer", post(peers::offer))
        .route("/verdict", post(peers::verdict))
        .route("/refuse", post(peers::refuse))
        .route("/migrations/{id}", get(peers::migration))
        .route("/sink", post(peers::sink))
        .route_layer(from_fn_with_state(app.clone(), access::nodes_only));
    Router::new()
        .nest("/api/v1", looking.merge(operating).merge(administering))
        .nest("/api/v1/peer", nodes)
        .merge(metrics)
        .merge(crate::web::pages(&app))
        .with_state(app)
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
