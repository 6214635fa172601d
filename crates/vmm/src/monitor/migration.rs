//! What `query-migrate` answers.

use std::time::{Duration, Instant};

use landfall_converge::{PAGE_SIZE, Pages, Policy};
use landfall_migrate::options::Uri;
use landfall_migrate::progress::{Phase, Progress};
use landfall_migrate::report::{Outcome, Report};
use landfall_qmp::{LandfallMigration, MigrationInfo, MigrationStatus, RamStats, SocketAddress};

/// The migration under way, or the last one.
#[derive(Debug, Default)]
pub(super) struct MigrationRecord {
    status: MigrationStatus,
    policy: Policy,
    begun: Option<Instant>,
    setup: Option<Duration>,
    progress: Progress,
    report: Option<Report>,
    error: Option<String>,
    /// Where a guest is awaited over TCP: host and port.
    listening: Option<(String, u16)>,
}

impl MigrationRecord {
    /// A migration that begins now, under `policy`.
    pub(super) fn begin(policy: Policy) -> Self {
        Self {
            status: MigrationStatus::Setup,
            policy,
            begun: Some(Instant::now()),
            ..Self::default()
        }
    }

    /// A guest is awaited at `uri`, with the port that is listened on in it.
    pub(super) fn awaits(uri: &Uri) -> Self {
        let listening = match uri {
            Uri::Tcp(address) | Uri::Tls(address) => address.rsplit_once(':'),
            Uri::Unix(_) => None,
        };
        let listening =
            listening.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        Self { listening, ..Self::begin(Policy::Off) }
    }

    /// Whether a migration is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.status != MigrationStatus::None && !self.status.is_final()
    }

    pub(super) fn status(&self) -> MigrationStatus {
        self.status
    }

    /// Takes another status; gives it back if it is a change that others should hear of.
    pub(super) fn set_status(&mut self, status: MigrationStatus) -> Option<MigrationStatus> {
        if status == MigrationStatus::Active && self.setup.is_none() {
            self.setup = self.begun.map(|begun| begun.elapsed());
        }
        let changed = self.status != status;
        self.status = status;
        changed.then_some(status)
    }

    pub(super) fn set_progress(&mut self, progress: &Progress) {
        self.progress.clone_from(progress);
    }

    /// The migration is over, as `report` says.
    pub(super) fn finish(&mut self, report: Report) -> Option<MigrationStatus> {
        let status = match report.outcome {
            Outcome::Completed => MigrationStatus::Completed,
            Outcome::Cancelled => MigrationStatus::Cancelled,
            Outcome::GaveUp | Outcome::Failed | Outcome::InDoubt => MigrationStatus::Failed,
        };
        self.error.clone_from(&report.reason);
        self.report = Some(report);
        self.set_status(status)
    }

    /// A migration that came in, or should have, is over.
    pub(super) fn finish_incoming(&mut self, error: Option<String>) -> Option<MigrationStatus> {
        let status =
            if error.is_some() { MigrationStatus::Failed } else { MigrationStatus::Completed };
        self.error = error;
        self.set_status(status)
    }

    /// As QMP tells it.
    pub(super) fn info(&self) -> MigrationInfo {
        if self.status == MigrationStatus::None {
            return MigrationInfo::default();
        }
        let progress = &self.progress;
        let report = self.report.as_ref();
        let over = self.status.is_final();
        let total = report.map_or_else(
            || self.begun.map_or(Duration::ZERO, |begun| begun.elapsed()),
            |report| Duration::from_secs_f64(report.total_ms / 1e3),
        );
        let throttled = !over && !progress.throttle.is_none();
        let percent = || whole(progress.throttle.share() * 100.0).max(1);
        MigrationInfo {
            status: self.status,
            total_time: Some(milliseconds(total)),
            downtime: report
                .filter(|report| report.outcome == Outcome::Completed)
                .map(|report| whole(report.downtime_ms)),
            expected_downtime: (!over).then(|| milliseconds(progress.expected_downtime)),
            setup_time: self.setup.map(milliseconds),
            cpu_throttle_percentage: throttled.then(percent),
            error_desc: self.error.clone(),
            ram: Some(self.ram()),
            socket_address: self.listening.iter().map(socket_address).collect(),
            landfall: Some(self.landfall()),
        }
    }

    fn ram(&self) -> RamStats {
        let progress = &self.progress;
        let pages = self.report.as_ref().map_or(progress.pages, |report| report.pages);
        let sent = self.report.as_ref().map_or(progress.sent.0, |report| report.sent_bytes);
        RamStats {
            transferred: sent,
            remaining: progress.remaining.bytes().0,
            total: progress.total.bytes().0,
            duplicate: pages.zero,
            normal: pages.raw,
            normal_bytes: Pages(pages.raw).bytes().0,
            dirty_pages_rate: whole(progress.dirty_rate.pages_per_second()),
            mbps: progress.bandwidth.bytes_per_second() * 8.0 / 1e6,
            dirty_sync_count: u64::from(progress.pass),
            page_size: PAGE_SIZE,
            pages_per_second: whole(progress.bandwidth.pages_per_second()),
            precopy_bytes: sent,
            ..RamStats::default()
        }
    }

    fn landfall(&self) -> LandfallMigration {
        let progress = &self.progress;
        LandfallMigration {
            phase: match progress.phase {
                Phase::Connecting => "connecting",
                Phase::FirstPass => "first_pass",
                Phase::Passes => "passes",
                Phase::Switchover => "switchover",
                Phase::Committed => "committed",
            }
            .to_owned(),
            pass: u64::from(progress.pass),
            policy: self.policy.name().to_owned(),
            throttle: if self.status.is_final() { 0.0 } else { progress.throttle.share() },
            verdict: progress.verdict.as_ref().and_then(|v| serde_json::to_value(v).ok()),
            dirty_rate_bytes_per_second: progress.dirty_rate.bytes_per_second(),
            bandwidth_bytes_per_second: progress.bandwidth.bytes_per_second(),
            report: self.report.as_ref().and_then(|r| serde_json::to_value(r).ok()),
        }
    }
}

fn socket_address((host, port): &(String, u16)) -> SocketAddress {
    SocketAddress { kind: "inet".to_owned(), host: host.clone(), port: port.to_string() }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and fractions are dropped on purpose"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
