//! The hosts, their machines, and what moves; and what has moved.

use axum::extract::State;
use landfall_converge::{Bytes, Throttle};
use maud::{Markup, html};

use super::doubt;
use super::page::{mark, moment, page};
use super::{Page, Wrong};
use crate::api::{App, blocking};
use crate::model::{MachineSpec, MigrationView, NodeView, VmState, VmView};
use crate::quantities::milliseconds;

pub(super) async fn overview(State(app): State<App>) -> Result<Page, Wrong> {
    let (nodes, vms, migrations) =
        blocking(&app, |node| Ok((node.nodes()?, node.vms()?, node.migrations()?))).await?;
    let moving: Vec<_> = migrations.iter().filter(|it| !it.state.is_final()).collect();
    let this = nodes.iter().find(|node| node.is_self).map_or("", |node| node.name.as_str());
    Ok(Page(page(
        "Overview",
        html! {
            h1 { "Hosts and machines" }
            section #moving aria-label="What moves" data-watch {
                h2 { "On the move" }
                @if moving.is_empty() { p.muted { "Nothing moves." } }
                @else { (table(&moving)) }
            }
            section #machines aria-label="Machines" data-watch {
                h2 { "Machines on this host" }
                @if vms.is_empty() {
                    p { "None yet. Start one by its description, or take in a QEMU that runs, by its socket:" }
                    pre { "landfall vm start --spec web1.toml --node " (this) "\nlandfall vm adopt db1 /run/db1.qmp --node " (this) }
                } @else {
                    table {
                        thead { tr { th scope="col" { "Machine" } th scope="col" { "State" } th scope="col" { "Kind" } th scope="col" { "Memory" } th scope="col" { "Held back" } th scope="col" { "" } } }
                        tbody { @for vm in &vms { (row(vm)) } }
                    }
                }
            }
            section #hosts aria-label="Hosts" data-watch {
                h2 { "Hosts" }
                table {
                    thead { tr { th scope="col" { "Host" } th scope="col" { "Where" } th scope="col" { "Machines" } th scope="col" { "Memory free" } th scope="col" { "Moving out / in" } } }
                    tbody { @for node in &nodes { (host(node)) } }
                }
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
            td { (vm.state.name()) @if let Some(trouble) = &vm.trouble { br; span.muted { (trouble) } } @if let Some(settlement) = &vm.settlement { (doubt::settled(settlement)) } }
            td { (vm.spec.machine.kind()) }
            td { (memory) }
            td { @if vm.throttle > 0.0 { (Throttle::new(vm.throttle)) } @else { "no" } }
            td {
                @if vm.state == VmState::InDoubt { a.button href={ "/vms/" (name) "/settle" } { "Decide…" } }
                @else if let Some(migration) = &vm.migration { a href={ "/migrations/" (migration.id) } { "On its way" } }
                @else if matches!(vm.state, VmState::Running | VmState::Paused) { a.button href={ "/vms/" (name) "/migrate" } { "Migrate…" } }
            }
        }
    }
}

fn host(node: &NodeView) -> Markup {
    html! {
        tr {
            th scope="row" {
                (node.name) @if node.is_self { " (this one)" }
                @if node.facts.as_ref().is_some_and(|facts| facts.draining) {
                    " " @if node.is_self { a href="/drain" { "is being emptied" } } @else { span.muted { "is being emptied" } }
                }
            }
            td { (node.address) }
            @if let Some(facts) = &node.facts {
                td { (facts.vms) }
                td { (Bytes(facts.memory_free_bytes)) " of " (Bytes(facts.memory_bytes)) }
                td { (facts.outgoing) " / " (facts.incoming) }
            } @else {
                td colspan="3" { span.bad { (node.trouble.as_deref().unwrap_or("does not answer")) } }
            }
        }
    }
}

pub(super) async fn history(State(app): State<App>) -> Result<Page, Wrong> {
    let migrations = blocking(&app, |node| node.migrations()).await?;
    let all: Vec<_> = migrations.iter().collect();
    Ok(Page(page(
        "History",
        html! {
            h1 { "Migrations from this host" }
            section #history aria-label="Migrations" data-watch { @if all.is_empty() { p.muted { "None yet." } } @else { (table(&all)) } }
        },
    )))
}

fn table(migrations: &[&MigrationView]) -> Markup {
    let figure = |migration: &MigrationView,
                  figure: fn(&landfall_migrate::report::Report) -> String| {
        migration.report.as_ref().map_or_else(|| "–".to_owned(), figure)
    };
    html! {
        table {
            thead { tr {
                th scope="col" { "Migration" } th scope="col" { "Machine" } th scope="col" { "To" } th scope="col" { "State" }
                th scope="col" { "Asked for" } th scope="col" { "Took" } th scope="col" { "Downtime" } th scope="col" { "Stolen" } th scope="col" { "Hardest throttle" }
            } }
            tbody { @for migration in migrations {
                tr {
                    th scope="row" { a href={ "/migrations/" (migration.id) } { (migration.id) } }
                    td { (migration.vm) }
                    td { (migration.target) }
                    td { (mark(migration.state)) }
                    td { (moment(migration.requested_ms)) }
                    td { (figure(migration, |it| milliseconds(it.total_ms))) }
                    td { (figure(migration, |it| milliseconds(it.downtime_ms))) }
                    td { (figure(migration, |it| milliseconds(it.stolen_ms))) }
                    td { (figure(migration, |it| Throttle::new(it.max_throttle).to_string())) }
                }
            } }
        }
    }
}
