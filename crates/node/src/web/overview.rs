//! The hosts, their machines, and what moves; and what has moved.

use axum::extract::State;
use landfall_converge::{Bytes, Throttle};
use maud::{Markup, html};

use super::doubt;
use super::page::{Frame, condition, mark, moment, wide};
use super::{Page, Wrong, live};
use crate::api::{App, blocking};
use crate::model::{MachineSpec, MigrationState, MigrationView, NodeView, VmState, VmView};
use crate::ownership::Holding;
use crate::quantities::milliseconds;
use crate::render::capitalised;

pub(super) async fn overview(State(app): State<App>, frame: Frame) -> Result<Page, Wrong> {
    let (nodes, vms, migrations) =
        blocking(&app, |node| Ok((node.nodes()?, node.vms()?, node.migrations()?))).await?;
    let moving: Vec<_> = migrations.iter().filter(|it| !it.state.is_final()).collect();
    let this = nodes.iter().find(|node| node.is_self).map_or("", |node| node.name.as_str());
    Ok(Page(frame.page(
        "Overview",
        html! {
            h1 { "Hosts and machines" }
            section #moving aria-label="What moves" data-watch {
                h2 { "On the move" }
                @if moving.is_empty() { p.muted { "Nothing moves." } }
                @else { (under_way(&moving)) }
            }
            section #machines aria-label="Machines" data-watch {
                h2 { "Machines on this host" }
                @if vms.is_empty() {
                    p { "None yet. Start one by its description, or take in a QEMU that runs, by its socket:" }
                    pre { "landfall vm start --spec web1.toml --node " (this) "\nlandfall vm adopt db1 /run/db1.qmp --node " (this) }
                } @else {
                    (wide("Machines", html! { table {
                        thead { tr { th scope="col" { "Machine" } th scope="col" { "State" } th scope="col" { "Kind" } th scope="col" { "Memory" } th scope="col" { "Policy" } th scope="col" { "Held back" } th scope="col" { "" } } }
                        tbody { @for vm in &vms { (row(vm)) } }
                    } }))
                }
            }
            section #hosts aria-label="Hosts" data-watch {
                h2 { "Hosts" }
                (wide("Hosts", html! { table {
                    thead { tr { th scope="col" { "Host" } th scope="col" { "Where" } th scope="col" { "Machines" } th scope="col" { "Memory free" } th scope="col" { "Moving out / in" } } }
                    tbody { @for node in &nodes { (host(node)) } }
                } }))
            }
        },
    )))
}

fn row(vm: &VmView) -> Markup {
    let name = &vm.spec.name;
    let memory = match &vm.spec.machine {
        MachineSpec::Native(native) => native.memory.as_str(),
        MachineSpec::Qemu(_) => "–",
    };
    html! {
        tr {
            th scope="row" { (name) }
            td {
                (condition(vm.state))
                @if let Holding::Away { to, .. } = &vm.ownership.holding { " " span.muted { "at " (to) } }
                @if let Some(trouble) = &vm.trouble { br; span.muted { (trouble) } } @if let Some(settlement) = &vm.settlement { (doubt::settled(settlement)) }
            }
            td { (vm.spec.machine.kind()) }
            td { (memory) }
            td.way { @if let Some(policy) = &vm.spec.policy { (policy) } @else { span.muted { "the usual" } } }
            td { @if vm.throttle > 0.0 { (Throttle::new(vm.throttle)) } @else { "no" } }
            td {
                @if in_doubt(vm) { a.button href={ "/vms/" (name) "/settle" } { "Decide…" } }
                @else if let Some(migration) = &vm.migration { a href={ "/migrations/" (migration.id) } { "On its way" } }
                @else if matches!(vm.state, VmState::Running | VmState::Paused) { a.button href={ "/vms/" (name) "/migrate" } { "Migrate…" } }
            }
        }
    }
}

/// Whether somebody must decide who has it. Where its process has ended as well, only the migration says so.
fn in_doubt(vm: &VmView) -> bool {
    let doubted = vm.migration.as_ref().is_some_and(|it| it.state == MigrationState::InDoubt);
    vm.state == VmState::InDoubt || doubted
}

fn host(node: &NodeView) -> Markup {
    html! {
        tr {
            th.way scope="row" {
                (node.name) @if node.is_self { " (this one)" }
                @if node.facts.as_ref().is_some_and(|facts| facts.draining) {
                    " " @if node.is_self { a href="/drain" { "is being emptied" } } @else { span.muted { "is being emptied" } }
                }
            }
            td { (node.address) }
            @if let Some(facts) = &node.facts {
                td { (facts.vms) }
                td.way { (Bytes(facts.memory_free_bytes)) " of " (Bytes(facts.memory_bytes)) }
                td { (facts.outgoing) " / " (facts.incoming) }
            } @else {
                td colspan="3" { span.bad { (node.trouble.as_deref().unwrap_or("does not answer")) } }
            }
        }
    }
}

/// What is on its way, and how it goes; the module keeps it true.
fn under_way(migrations: &[&MigrationView]) -> Markup {
    wide(
        "On the move",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Machine" } th scope="col" { "From, to" } th scope="col" { "State" }
                    th.figure scope="col" { "Still to send" } th.figure scope="col" { "Dirties" } th.figure scope="col" { "Link" } th.figure scope="col" { "Held back" } th scope="col" { "Verdict" }
                } }
                tbody { @for migration in migrations {
                    @let shown = live::Shown::of(migration);
                    tr data-migration=(migration.id) data-state=(migration.state.code()) {
                        th scope="row" { a href={ "/migrations/" (migration.id) } { (migration.vm) } }
                        td.way { (migration.source) " → " (migration.target) }
                        td { (mark(migration.state)) br; span.muted data-field="stage" { (shown.stage) } }
                        td.figure data-field="remaining" { (shown.remaining) }
                        td.figure data-field="dirty" { (shown.dirty) }
                        td.figure data-field="bandwidth" { (shown.bandwidth) }
                        td.figure data-field="throttle" { (shown.throttle) }
                        td data-field="verdict" { (shown.verdict) }
                    }
                } }
            }
        },
    )
}

pub(super) async fn history(State(app): State<App>, frame: Frame) -> Result<Page, Wrong> {
    let migrations = blocking(&app, |node| node.migrations()).await?;
    Ok(Page(frame.page(
        "History",
        html! {
            h1 { "Migrations from this host" }
            section #history aria-label="Migrations" data-watch {
                @if migrations.is_empty() { p.muted { "None yet. A machine is migrated from its row in the " a href="/" { "overview" } "." } }
                @else { (bills(&migrations)) }
            }
        },
    )))
}

/// Each with what it has cost.
fn bills(migrations: &[MigrationView]) -> Markup {
    wide(
        "Migrations",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Migration" } th scope="col" { "Machine" } th scope="col" { "To" } th scope="col" { "How it ended" }
                    th scope="col" { "Asked for" } th.figure scope="col" { "Took" } th.figure scope="col" { "Downtime" } th.figure scope="col" { "Guest time stolen" }
                    th.figure scope="col" { "Hardest throttle" } th.figure scope="col" { "Sent" }
                } }
                tbody { @for migration in migrations {
                    @let bill = migration.report.as_ref();
                    @let arrived = bill.filter(|_| migration.state == MigrationState::Completed);
                    tr {
                        th scope="row" { a href={ "/migrations/" (migration.id) } { (migration.id) } }
                        td { (migration.vm) br; span.muted { (migration.policy) } }
                        td { (migration.target) }
                        td {
                            (mark(migration.state))
                            @if let Some(reason) = live::reason(migration) { br; span.muted.why { (capitalised(reason)) } }
                        }
                        td { (moment(migration.requested_ms)) }
                        td.figure { (bill.map_or_else(dash, |it| milliseconds(it.total_ms))) }
                        td.figure { (arrived.map_or_else(dash, |it| milliseconds(it.downtime_ms))) }
                        td.figure {
                            (bill.map_or_else(dash, |it| if it.stolen_ms > 0.0 { milliseconds(it.stolen_ms) } else { "none".to_owned() }))
                            @if let Some(it) = bill.filter(|it| it.stolen_ms > 0.0) { br; span.muted { (format!("{:.0} %", it.guest_time_share_stolen * 100.0)) } }
                        }
                        td.figure { (bill.map_or_else(dash, |it| if it.max_throttle > 0.0 { Throttle::new(it.max_throttle).to_string() } else { "none".to_owned() })) }
                        td.figure { (bill.map_or_else(dash, |it| Bytes(it.sent_bytes).to_string())) }
                    }
                } }
            }
        },
    )
}

fn dash() -> String {
    "–".to_owned()
}
