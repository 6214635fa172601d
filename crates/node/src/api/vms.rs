//! Machines, nodes and policies.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;

use super::access::Who;
use super::asked::{Named, Sent};
use super::problem::Problem;
use super::{App, blocking};
use crate::model::{MachineSpec, NodeView, Policy, PolicyName, Settling, VmName, VmSpec, VmView};
use crate::node::Node;

type Answer<T> = Result<Json<T>, Problem>;

/// Every machine of this node.
#[utoipa::path(
    get, path = "/vms", operation_id = "list_vms", tag = "machines",
    responses((status = 200, description = "Every machine.", body = Vec<VmView>))
)]
pub(super) async fn list(State(app): State<App>) -> Answer<Vec<VmView>> {
    blocking(&app, |node| node.vms()).await.map(Json)
}

/// One machine.
#[utoipa::path(
    get, path = "/vms/{vm}", operation_id = "show_vm", tag = "machines",
    params(("vm" = VmName, Path, description = "The machine.")),
    responses((status = 200, description = "The machine.", body = VmView))
)]
pub(super) async fn show(State(app): State<App>, Named(vm): Named<VmName>) -> Answer<VmView> {
    blocking(&app, move |node| node.vm(&vm)).await.map(Json)
}

/// Makes and starts a native machine, or adopts a QEMU.
#[utoipa::path(
    post, path = "/vms", operation_id = "add_vm", tag = "machines",
    request_body = VmSpec,
    responses(
        (status = 201, description = "It runs.", body = VmView),
        (status = 404, description = "There is no policy of the name that it is to have.")
    )
)]
pub(super) async fn add(
    State(app): State<App>,
    Sent(spec): Sent<VmSpec>,
) -> Result<(StatusCode, Json<VmView>), Problem> {
    let view = blocking(&app, move |node| match spec.machine {
        MachineSpec::Native(_) => node.create(spec),
        MachineSpec::Qemu(qemu) => node.adopt(spec.name, qemu, spec.policy),
    })
    .await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Starts a machine that has no process, or goes on with one that is paused.
#[utoipa::path(
    post, path = "/vms/{vm}/start", operation_id = "start_vm", tag = "machines",
    params(("vm" = VmName, Path, description = "The machine.")),
    responses((status = 200, description = "How it is now.", body = VmView))
)]
pub(super) async fn start(State(app): State<App>, Named(vm): Named<VmName>) -> Answer<VmView> {
    blocking(&app, move |node| node.start(&vm)).await.map(Json)
}

/// How a machine is stopped.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stopping {
    /// Whether it is ended at once, as if its power were cut; otherwise its guest is asked to end by its power button.
    #[serde(default)]
    force: bool,
}

/// Asks a guest to end, or ends it; what it has not written to its disks is lost then.
#[utoipa::path(
    post, path = "/vms/{vm}/stop", operation_id = "stop_vm", tag = "machines",
    params(("vm" = VmName, Path, description = "The machine.")),
    request_body = Stopping,
    responses((
        status = 200, body = VmView,
        description = "How it is now. A guest that was asked takes its time; whoever asked looks again until it has stopped."
    ))
)]
pub(super) async fn stop(
    State(app): State<App>,
    Named(vm): Named<VmName>,
    Sent(stopping): Sent<Stopping>,
) -> Answer<VmView> {
    let stop = move |node: &Node| match stopping.force {
        true => node.stop(&vm),
        false => node.ask_to_stop(&vm),
    };
    blocking(&app, stop).await.map(Json)
}

/// Decides over a machine in doubt, on the side of this node: it runs here, or is discarded here. Refused while the other node
/// answers and knows better. At the source the node acts a moment after its answer.
#[utoipa::path(
    post, path = "/vms/{vm}/settle", operation_id = "settle_vm", tag = "machines",
    params(("vm" = VmName, Path, description = "The machine.")),
    request_body = Settling,
    responses((status = 200, description = "How it is now.", body = VmView))
)]
pub(super) async fn settle(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Named(vm): Named<VmName>,
    Sent(settling): Sent<Settling>,
) -> Answer<VmView> {
    blocking(&app, move |node| node.decide(&vm, &settling, &who.name)).await.map(Json)
}

/// What is to be otherwise with a machine.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VmChange {
    /// How it is migrated unless something else is asked for; the node's usual policy if `null`.
    #[schema(nullable)]
    policy: Option<PolicyName>,
}

/// Gives a machine another policy.
#[utoipa::path(
    patch, path = "/vms/{vm}", operation_id = "change_vm", tag = "machines",
    params(("vm" = VmName, Path, description = "The machine.")),
    request_body = VmChange,
    responses((status = 200, description = "How it is now.", body = VmView))
)]
pub(super) async fn change(
    State(app): State<App>,
    Named(vm): Named<VmName>,
    Sent(change): Sent<VmChange>,
) -> Answer<VmView> {
    blocking(&app, move |node| node.set_policy_of(&vm, change.policy)).await.map(Json)
}

/// Forgets a machine.
#[utoipa::path(
    delete, path = "/vms/{vm}", operation_id = "forget_vm", tag = "machines",
    params(("vm" = VmName, Path, description = "The machine.")),
    responses((status = 204, description = "It is forgotten."))
)]
pub(super) async fn forget(
    State(app): State<App>,
    Named(vm): Named<VmName>,
) -> Result<StatusCode, Problem> {
    blocking(&app, move |node| node.forget(&vm)).await.map(|()| StatusCode::NO_CONTENT)
}

/// This node and those that it knows.
#[utoipa::path(
    get, path = "/nodes", operation_id = "list_nodes", tag = "node",
    responses((status = 200, description = "Every node, this one first.", body = Vec<NodeView>))
)]
pub(super) async fn nodes(State(app): State<App>) -> Answer<Vec<NodeView>> {
    blocking(&app, |node| node.nodes()).await.map(Json)
}

/// Every policy.
#[utoipa::path(
    get, path = "/policies", operation_id = "list_policies", tag = "policies",
    responses((status = 200, description = "Those that come with Landfall, then those that were added.", body = Vec<Policy>))
)]
pub(super) async fn policies(State(app): State<App>) -> Answer<Vec<Policy>> {
    blocking(&app, |node| node.policies()).await.map(Json)
}

/// Adds a policy, or replaces one that was added.
#[utoipa::path(
    post, path = "/policies", operation_id = "set_policy", tag = "policies",
    request_body = Policy,
    responses((status = 200, description = "As it is kept.", body = Policy))
)]
pub(super) async fn set_policy(
    State(app): State<App>,
    Sent(policy): Sent<Policy>,
) -> Answer<Policy> {
    blocking(&app, move |node| node.set_policy(&policy).map(|()| policy)).await.map(Json)
}

/// Removes a policy that was added.
#[utoipa::path(
    delete, path = "/policies/{policy}", operation_id = "remove_policy", tag = "policies",
    params(("policy" = PolicyName, Path, description = "The policy.")),
    responses((status = 204, description = "It is removed."))
)]
pub(super) async fn remove_policy(
    State(app): State<App>,
    Named(policy): Named<PolicyName>,
) -> Result<StatusCode, Problem> {
    blocking(&app, move |node| node.remove_policy(&policy)).await.map(|()| StatusCode::NO_CONTENT)
}
