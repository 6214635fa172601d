//! What a node counts, for Prometheus.
//!
//! Everything is told anew from what the node keeps, whenever it is asked; so nothing is lost when a daemon ends. Labels
//! are machines and nodes, never migrations, of which there are ever more. A migration is counted by its source only.

use std::fmt;
use std::sync::atomic::AtomicU64;

use landfall_migrate::report::Outcome;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::{MigrationState, MigrationView, NodeName, Progress, VmState, VmView};

/// The type of what [`text`] returns.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the histograms, in seconds.
const DURATIONS: [f64; 11] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14_400.0];
const DOWNTIMES: [f64; 10] = [0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0, 10.0, 60.0];

const VM_STATES: [VmState; 7] = [
    VmState::Running,
    VmState::Paused,
    VmState::Stopped,
    VmState::Incoming,
    VmState::Away,
    VmState::InDoubt,
    VmState::Unreachable,
];
const UNDER_WAY: [MigrationState; 5] = [
    MigrationState::Queued,
    MigrationState::Preparing,
    MigrationState::Moving,
    MigrationState::Settling,
    MigrationState::InDoubt,
];
const RESULTS: [MigrationState; 4] = [
    MigrationState::Completed,
    MigrationState::GaveUp,
    MigrationState::Cancelled,
    MigrationState::Failed,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Vm {
    vm: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    vm: String,
    target: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    node: String,
}

type Number = Gauge<f64, AtomicU64>;
type Sum = Counter<f64, AtomicU64>;

/// Everything that is known of these, of a node of this name.
pub(crate) fn text(
    node: &NodeName,
    vms: &[VmView],
    migrations: &[MigrationView],
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("landfall");
    let build = Build { version: env!("CARGO_PKG_VERSION"), node: node.to_string() };
    let info = Family::<Build, Gauge>::default();
    info.get_or_create(&build).set(1);
    registry.register("build_info", "The version that runs on this node", info);
    of_machines(&mut registry, vms);
    let ours: Vec<&MigrationView> = migrations.iter().filter(|one| one.source == *node).collect();
    of_migrations(&mut registry, &ours);
    of_bills(&mut registry, &ours);
    of_progress(&mut registry, &ours);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn of_machines(registry: &mut Registry, vms: &[VmView]) {
    let states = Family::<State, Gauge>::default();
    for state in VM_STATES {
        let count = vms.iter().filter(|vm| vm.state == state).count();
        states.get_or_create(&State { state: state.code() }).set(whole(count));
    }
    registry.register("vms", "Machines that this node knows, by what they do here", states);
    let throttles = Family::<Vm, Number>::default();
    let stuck = Family::<Vm, Gauge>::default();
    for vm in vms.iter().filter(|vm| vm.state == VmState::Running) {
        let label = Vm { vm: vm.spec.name.to_string() };
        throttles.get_or_create(&label).set(vm.throttle);
        let held_for_nothing = vm.throttle > 0.0 && vm.migration.is_none();
        stuck.get_or_create(&label).set(i64::from(held_for_nothing));
    }
    registry.register("vm_throttle_ratio", "How hard a guest is held back, 0 to 0.99", throttles);
    let help = "1 for a guest that is held back although it is not being migrated";
    registry.register("vm_throttle_stuck", help, stuck);
}

fn of_migrations(registry: &mut Registry, ours: &[&MigrationView]) {
    let count = |state| ours.iter().filter(|one| one.state == state).count();
    let states = Family::<State, Gauge>::default();
    for state in UNDER_WAY {
        states.get_or_create(&State { state: state.code() }).set(whole(count(state)));
    }
    registry.register("migrations_under_way", "Migrations from here that are not over", states);
    let results = Family::<Ended, Counter>::default();
    for state in RESULTS {
        let counted = u64::try_from(count(state)).unwrap_or(u64::MAX);
        results.get_or_create(&Ended { result: state.code() }).inc_by(counted);
    }
    registry.register("migrations", "Migrations from here that are over", results);
}

/// What migrations that are over have cost.
fn of_bills(registry: &mut Registry, ours: &[&MigrationView]) {
    let durations = Histogram::new(DURATIONS);
    let downtimes = Histogram::new(DOWNTIMES);
    let (stolen, sent) = (Sum::default(), Counter::<u64>::default());
    for report in ours.iter().filter_map(|one| one.report.as_ref()) {
        stolen.inc_by(report.stolen_ms.max(0.0) / 1e3);
        sent.inc_by(report.sent_bytes);
        if report.outcome == Outcome::Completed {
            durations.observe(report.total_ms / 1e3);
            downtimes.observe(report.downtime_ms / 1e3);
        }
    }
    let help = "How long migrations took that arrived";
    registry.register("migration_duration_seconds", help, durations);
    let help = "How long their guests stood still";
    registry.register("migration_downtime_seconds", help, downtimes);
    let help = "Guest time that throttles have taken in migrations that are over";
    registry.register("migrations_stolen_seconds", help, stolen);
    let help = "What migrations that are over have sent";
    registry.register("migrations_sent_bytes", help, sent);
}

/// How migrations are now.
fn of_progress(registry: &mut Registry, ours: &[&MigrationView]) {
    let under_way = ours.iter().filter_map(|one| {
        let progress = one.progress.as_ref().filter(|_| !one.state.is_final())?;
        Some((Way { vm: one.vm.to_string(), target: one.target.to_string() }, progress))
    });
    let under_way: Vec<(Way, &Progress)> = under_way.collect();
    let mut gauge = |name: &str, help: &str, of: fn(&Progress) -> f64| {
        let family = Family::<Way, Number>::default();
        for (way, progress) in &under_way {
            family.get_or_create(way).set(of(progress));
        }
        registry.register(name, help, family);
    };
    gauge("migration_remaining_bytes", "What remains to be sent", |it| it.remaining_bytes as f64);
    gauge("migration_memory_bytes", "The memory of the guest", |it| it.memory_bytes as f64);
    gauge("migration_iteration", "The pass under way, from 1", |it| it.pass as f64);
    gauge("migration_throttle_ratio", "How hard the guest is held back, 0 to 0.99", |it| {
        it.throttle
    });
    let help = "What the guest dirties a second";
    gauge("migration_dirty_rate_bytes_per_second", help, |it| it.dirty_rate_bytes_per_second);
    let help = "What leaves for the target a second";
    gauge("migration_send_rate_bytes_per_second", help, |it| it.bandwidth_bytes_per_second);
    let (sent, downtimes) = (Family::<Way, Counter>::default(), Family::<Way, Number>::default());
    for (way, progress) in &under_way {
        sent.get_or_create(way).inc_by(progress.sent_bytes);
        if let Some(ms) = progress.downtime_now_ms() {
            downtimes.get_or_create(way).set(ms / 1e3);
        }
    }
    let help = "How long the guest would stand still if it were stopped now and the rest sent";
    registry.register("migration_expected_downtime_seconds", help, downtimes);
    let help = "What has left for the target; from zero again with each migration";
    registry.register("migration_transferred_bytes", help, sent);
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
