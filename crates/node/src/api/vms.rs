//! Machines, nodes and policies.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::problem::Problem;
use super::{App, blocking};
use crate::model::{MachineSpec, NodeView, Policy, PolicyName, VmName, VmSpec, VmView};

type Answer<T> = Result<Json<T>, Problem>;

pub(super) async fn list(State(app): State<App>) -> Answer<Vec<VmView>> {
    blocking(&app, |node| node.vms()).await.map(Json)
}

pub(super) async fn show(State(app): State<App>, Path(vm): Path<VmName>) -> Answer<VmView> {
    blocking(&app, move |node| node.vm(&vm)).await.map(Json)
}

/// Makes and starts a native machine, or adopts a QEMU.
pub(super) async fn add(
    State(app): State<App>,
    Json(spec): Json<VmSpec>,
) -> Result<(StatusCode, Json<VmView>), Problem> {
    let view = blocking(&app, move |node| match spec.machine {
        MachineSpec::Native(_) => node.create(spec),
        MachineSpec::Qemu(qemu) => node.adopt(spec.name, qemu, spec.policy),
    })
    .await?;
    Ok((StatusCode::CREATED, Json(view)))
}

pub(super) async fn start(State(app): State<App>, Path(vm): Path<VmName>) -> Answer<VmView> {
    blocking(&app, move |node| node.start(&vm)).await.map(Json)
}

pub(super) async fn stop(State(app): State<App>, Path(vm): Path<VmName>) -> Answer<VmView> {
    blocking(&app, move |node| node.stop(&vm)).await.map(Json)
}

pub(super) async fn forget(
    State(app): State<App>,
    Path(vm): Path<VmName>,
) -> Result<StatusCode, Problem> {
    blocking(&app, move |node| node.forget(&vm)).await.map(|()| StatusCode::NO_CONTENT)
}

pub(super) async fn nodes(State(app): State<App>) -> Answer<Vec<NodeView>> {
    blocking(&app, |node| node.nodes()).await.map(Json)
}

pub(super) async fn policies(State(app): State<App>) -> Answer<Vec<Policy>> {
    blocking(&app, |node| node.policies()).await.map(Json)
}

pub(super) async fn set_policy(
    State(app): State<App>,
    Json(policy): Json<Policy>,
) -> Answer<Policy> {
    blocking(&app, move |node| node.set_policy(&policy).map(|()| policy)).await.map(Json)
}

pub(super) async fn remove_policy(
    State(app): State<App>,
    Path(policy): Path<PolicyName>,
) -> Result<StatusCode, Problem> {
    blocking(&app, move |node| node.remove_policy(&policy)).await.map(|()| StatusCode::NO_CONTENT)
}
