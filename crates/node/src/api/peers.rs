//! What other nodes ask.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use futures_util::StreamExt;
use serde::Deserialize;

use super::access::Speaker;
use super::problem::Problem;
use super::{App, blocking};
use crate::model::{CheckItem, MigrationId, MigrationState, NodeFacts};
use crate::ownership::Verdict;
use crate::peer::{Offer, Prepared, Question, Survey};

type Answer<T> = Result<Json<T>, Problem>;

pub(super) async fn facts(State(app): State<App>) -> Answer<NodeFacts> {
    blocking(&app, |node| node.facts()).await.map(Json)
}

pub(super) async fn check(
    State(app): State<App>,
    Extension(speaker): Extension<Speaker>,
    Json(offer): Json<Offer>,
) -> Answer<Vec<CheckItem>> {
    speaker.must_be(&offer.from, &offer.migration)?;
    blocking(&app, move |node| node.examine(&offer)).await.map(Json)
}

pub(super) async fn survey(
    State(app): State<App>,
    Extension(speaker): Extension<Speaker>,
    Json(survey): Json<Survey>,
) -> Answer<Vec<CheckItem>> {
    speaker.must_be(&survey.offer.from, &survey.offer.migration)?;
    blocking(&app, move |node| node.survey(&survey)).await.map(Json)
}

pub(super) async fn offer(
    State(app): State<App>,
    Extension(speaker): Extension<Speaker>,
    Json(offer): Json<Offer>,
) -> Answer<Prepared> {
    speaker.must_be(&offer.from, &offer.migration)?;
    blocking(&app, move |node| node.expect(&offer)).await.map(Json)
}

pub(super) async fn verdict(
    State(app): State<App>,
    Extension(speaker): Extension<Speaker>,
    Json(question): Json<Question>,
) -> Answer<Verdict> {
    speaker.must_be(&question.from, &question.migration)?;
    blocking(&app, move |node| node.verdict(&question)).await.map(Json)
}

#[derive(Debug, Deserialize)]
pub(super) struct Committed {
    committed: bool,
}

pub(super) async fn refuse(
    State(app): State<App>,
    Extension(speaker): Extension<Speaker>,
    Query(query): Query<Committed>,
    Json(question): Json<Question>,
) -> Answer<Verdict> {
    speaker.must_be(&question.from, &question.migration)?;
    blocking(&app, move |node| node.refuse(&question, query.committed)).await.map(Json)
}

pub(super) async fn migration(
    State(app): State<App>,
    Path(id): Path<MigrationId>,
) -> Answer<Option<MigrationState>> {
    blocking(&app, move |node| node.state_of(&id)).await.map(Json)
}

/// Takes bytes in and throws them away, so that a source can see how fast they come here.
pub(super) async fn sink(body: Body) -> Answer<u64> {
    let mut stream = body.into_data_stream();
    let mut count = 0;
    while let Some(Ok(bytes)) = stream.next().await {
        count += bytes.len() as u64;
    }
    Ok(Json(count))
}
