//! The API, described for programs by OpenAPI.

use axum::Json;
use axum::extract::State;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response};

use super::App;
use super::problem::Details;
use crate::model::IdempotencyKey;

/// What is said of the API as a whole.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Landfall node",
        description = "Machines, migrations, policies and nodes, as one node knows them. Sizes are in bytes, rates in bytes a second, times in milliseconds; moments are in milliseconds of Unix time. What is not done is answered with a problem of RFC 9457 whose `detail` says what to do. What nodes ask each other is not for others, and not described here.",
    ),
    components(schemas(Details, IdempotencyKey)),
    security(("token" = []), ("cookie" = [])),
)]
struct About;

/// What is said of the API before its routes are known.
pub(super) fn about() -> OpenApi {
    <About as utoipa::OpenApi>::openapi()
}

/// Answers that follow from what a request is like, so that no route has to name them.
const UNKNOWN: (&str, &str) = ("401", "The request shows no token of this node's.");
const BROKEN: (&str, &str) = ("500", "Something went wrong that nobody has foreseen.");
const OF_NAMES: [(&str, &str); 2] =
    [("400", "It cannot be understood."), ("404", "There is nothing of this name.")];
const OF_CHANGES: [(&str, &str); 4] = [
    ("403", "The token's scope is too narrow, or the request comes from a page of another site."),
    ("409", "It cannot be done now, or something else was decided before."),
    (
        "422",
        "It can be understood, and cannot be done; where a check beforehand says so, it is there.",
    ),
    ("502", "A machine or another node does not do its part."),
];
const OF_BODIES: [(&str, &str); 3] = [
    ("400", "What is sent is no JSON."),
    ("413", "Too much is sent."),
    ("415", "What is sent does not say that it is JSON."),
];

/// Adds to `document`, which has all routes, what holds for many of them; browsers show `cookie`.
pub(super) fn complete(mut document: OpenApi, cookie: &str) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let PathItem { get, post, patch, delete, .. } = item;
        for operation in [post, patch, delete].into_iter().flatten() {
            add(operation, &OF_CHANGES);
            complete_operation(operation);
        }
        if let Some(operation) = get {
            complete_operation(operation);
        }
    }
    let schemes = &mut document.components.get_or_insert_default().security_schemes;
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let token = token.description(Some(
        "The node's own token, from the file `token` in its folder, or one that it has given out.",
    ));
    schemes.insert("token".to_owned(), SecurityScheme::Http(token.build()).into());
    let cookie = ApiKeyValue::with_description(cookie, "The same, as browsers show it.");
    schemes.insert("cookie".to_owned(), SecurityScheme::ApiKey(ApiKey::Cookie(cookie)).into());
    document
}

fn complete_operation(operation: &mut Operation) {
    add(operation, &[UNKNOWN, BROKEN]);
    let named = operation.parameters.iter().flatten().any(|parameter| {
        matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path)
    });
    if named {
        add(operation, &OF_NAMES);
    }
    if operation.request_body.is_some() {
        add(operation, &OF_BODIES);
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.as_str() >= "400"
        {
            let body = Content::new(Some(Ref::from_schema_name("Problem")));
            response.content.insert("application/problem+json".to_owned(), body.into());
        }
    }
}

/// Adds answers that the operation does not describe by itself.
fn add(operation: &mut Operation, answers: &[(&str, &str)]) {
    for &(status, meaning) in answers {
        let described = &mut operation.responses.responses;
        described.entry(status.to_owned()).or_insert_with(|| Response::new(meaning).into());
    }
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "node",
    responses((status = 200, description = "An OpenAPI document.", body = Object))
)]
pub(super) async fn show(State(app): State<App>) -> Json<OpenApi> {
    Json(OpenApi::clone(&app.document))
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
