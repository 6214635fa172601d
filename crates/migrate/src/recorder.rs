//! Writes down what happens, for the bill.

use std::time::{Duration, Instant};

use landfall_converge::{ByteRate, Bytes, Policy, Throttle, Verdict, VerdictState};

use crate::machine::{MachineKind, StolenTime};
use crate::progress::Progress;
use crate::report::{
    DowntimeParts, EventKind, Outcome, PageCounts, Report, TimeLineEvent, TimePoint,
};

/// Points kept of a time line; a migration of hours is thinned to every second, fourth, … point.
const MAX_POINTS: usize = 4096;

/// The moments of a switchover.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    began: Instant,
    stopped: Instant,
    synced: Instant,
    pages_received: Instant,
    ready: Instant,
    committed: Instant,
    running: Instant,
    predicted: Duration,
}

impl Timing {
    pub(crate) fn stopped(
        began: Instant,
        stopped: Instant,
        synced: Instant,
        predicted: Duration,
    ) -> Self {
        Self {
            began,
            stopped,
            synced,
            pages_received: synced,
            ready: synced,
            committed: synced,
            running: synced,
            predicted,
        }
    }

    pub(crate) fn pages_received(&mut self) {
        self.pages_received = Instant::now();
        (self.ready, self.committed, self.running) =
            (self.pages_received, self.pages_received, self.pages_received);
    }

    pub(crate) fn ready(&mut self) {
        self.ready = Instant::now();
        (self.committed, self.running) = (self.ready, self.ready);
    }

    pub(crate) fn committed(&mut self) {
        self.committed = Instant::now();
        self.running = self.committed;
    }

    pub(crate) fn running(&mut self) {
        self.running = Instant::now();
    }

    /// Neighbouring moments: each part begins where the one before ended, so that their sum is the downtime.
    fn parts(&self) -> DowntimeParts {
        let part = |from: Instant, to: Instant| milliseconds(to.saturating_duration_since(from));
        DowntimeParts {
            stop: part(self.began, self.stopped),
            last_sync: part(self.stopped, self.synced),
            last_pages: part(self.synced, self.pages_received),
            device_state: part(self.pages_received, self.ready),
            commit: part(self.ready, self.committed),
            resume: part(self.committed, self.running),
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The record of one migration.
#[derive(Debug)]
pub(crate) struct Recorder {
    began: Instant,
    points: Vec<TimePoint>,
    keep_every: usize,
    seen_points: usize,
    events: Vec<TimeLineEvent>,
    verdict: VerdictState,
    max_throttle: Throttle,
    stolen: Vec<StolenTime>,
    timing: Option<Timing>,
}

impl Recorder {
    pub(crate) fn new(began: Instant) -> Self {
        Self {
            began,
            points: Vec::new(),
            keep_every: 1,
            seen_points: 0,
            events: Vec::new(),
            verdict: VerdictState::Measuring,
            max_throttle: Throttle::NONE,
            stolen: Vec::new(),
            timing: None,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn event(&mut self, kind: EventKind) {
        self.events.push(TimeLineEvent { at_ms: milliseconds(self.elapsed()), kind });
    }

    pub(crate) fn throttle(&mut self, throttle: Throttle, reason: &str) {
        self.max_throttle = self.max_throttle.max(throttle);
        self.event(EventKind::Throttle { throttle: throttle.share(), reason: reason.to_owned() });
    }

    /// Notes a verdict when it is another one.
    pub(crate) fn verdict(&mut self, verdict: &Verdict) {
        if verdict.state != self.verdict {
            self.verdict = verdict.state;
            self.event(EventKind::Verdict { verdict: verdict.clone() });
        }
    }

    pub(crate) fn point(&mut self, progress: &Progress, bandwidth: ByteRate) {
        self.seen_points += 1;
        if self.points.len() >= MAX_POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            self.keep_every *= 2;
        }
        if !self.seen_points.is_multiple_of(self.keep_every) {
            return;
        }
        self.points.push(TimePoint {
            at_ms: milliseconds(self.elapsed()),
            pass: progress.pass,
            remaining_bytes: progress.remaining.bytes().0,
            dirty_rate_bytes_per_second: progress.dirty_rate.bytes_per_second(),
            bandwidth_bytes_per_second: bandwidth.bytes_per_second(),
            throttle: progress.throttle.share(),
        });
    }

    pub(crate) fn stolen(&mut self, stolen: &[StolenTime]) {
        self.stolen = stolen.to_vec();
    }

    pub(crate) fn timing(&mut self, timing: &Timing) {
        self.timing = Some(*timing);
    }

    /// The bill as far as it is known here.
    pub(crate) fn report(
        &mut self,
        outcome: Outcome,
        reason: Option<String>,
        machine: MachineKind,
        memory: Bytes,
    ) -> Report {
        let total = self.elapsed();
        let completed = self.timing.filter(|_| outcome == Outcome::Completed);
        let parts = completed.map(|timing| timing.parts()).unwrap_or_default();
        let count = u32::try_from(self.stolen.len()).unwrap_or(u32::MAX).max(1);
        let stolen = self.stolen.iter().map(|vcpu| vcpu.total).sum::<Duration>() / count;
        let longest = self.stolen.iter().map(|vcpu| vcpu.longest_stall).max().unwrap_or_default();
        Report {
            outcome,
            reason,
            machine,
            policy: Policy::default(),
            auto_converge: false,
            hand_over: false,
            total_ms: milliseconds(total),
            downtime_ms: parts.stop
                + parts.last_sync
                + parts.last_pages
                + parts.device_state
                + parts.commit
                + parts.resume,
            predicted_downtime_ms: completed.map_or(0.0, |timing| milliseconds(timing.predicted)),
            downtime_limit_ms: 0.0,
            downtime_parts_ms: parts,
            passes: 0,
            channels: 0,
            memory_bytes: memory.0,
            sent_bytes: 0,
            pages: PageCounts::default(),
            bandwidth_bytes_per_second: 0.0,
            dirty_rate_bytes_per_second: 0.0,
            max_throttle: self.max_throttle.share(),
            stolen_ms: milliseconds(stolen),
            guest_time_share_stolen: if total.is_zero() {
                0.0
            } else {
                stolen.as_secs_f64() / total.as_secs_f64()
            },
            max_stall_ms: milliseconds(longest),
            verdict: None,
            integrity: "not_checked".to_owned(),
            timeline: std::mem::take(&mut self.points),
            events: std::mem::take(&mut self.events),
        }
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
