//! One migration under way, as far as it was followed.

use std::time::Duration;

use landfall_converge::{
    ByteRate, Bytes, Controller, Decision, GuestShape, Limits, PAGE_SIZE, Pages, Throttle,
};
use landfall_qmp::{MigrationInfo, RamStats};

use crate::bill::{Bill, Change, Outcome, Point};
use crate::lever::Aim;
use crate::readings::{Readings, page_size, throttle};
use crate::vcpus::{Escaped, Vcpus};

/// Points kept of a time line; of a migration of hours only every second, fourth, … point.
const MOST_POINTS: usize = 4096;

/// What was seen and decided since a migration began.
#[derive(Debug)]
pub(crate) struct Course {
    controller: Controller,
    readings: Readings,
    vcpus: Vcpus,
    /// QEMU says that it throttles, and does not.
    pub(crate) escaped: Option<Escaped>,
    limits: Limits,
    pub(crate) aim: Aim,
    /// QEMU's last words: a migration that was cancelled has no counters any more.
    elapsed: Duration,
    ram: RamStats,
    in_force: Throttle,
    max_throttle: Throttle,
    stolen: Duration,
    timeline: Vec<Point>,
    keep_every: usize,
    seen_points: usize,
    changes: Vec<Change>,
}

impl Course {
    /// Begins with the first counters of a guest.
    pub(crate) fn new(limits: Limits, ram: &RamStats, vcpus: Vcpus) -> Self {
        let guest = GuestShape { memory: Pages(ram.total / PAGE_SIZE), vcpus: vcpus.count() };
        Self {
            controller: Controller::steering(limits, guest),
            readings: Readings::default(),
            vcpus,
            escaped: None,
            limits,
            aim: Aim::Free,
            elapsed: Duration::ZERO,
            ram: ram.clone(),
            in_force: Throttle::NONE,
            max_throttle: Throttle::NONE,
            stolen: Duration::ZERO,
            timeline: Vec::new(),
            keep_every: 1,
            seen_points: 0,
            changes: Vec::new(),
        }
    }

    /// Holds it to other limits from now on.
    pub(crate) fn adjust(&mut self, limits: Limits) {
        self.limits = limits;
        self.controller.set_limits(limits);
    }

    pub(crate) fn controller(&self) -> &Controller {
        &self.controller
    }

    /// Since the migration began, by QEMU's clock.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The throttle that QEMU says is in force.
    pub(crate) fn in_force(&self) -> Throttle {
        self.in_force
    }

    pub(crate) fn ram(&self) -> &RamStats {
        &self.ram
    }

    /// Takes in what QEMU told, and decides.
    pub(crate) fn observe(&mut self, info: &MigrationInfo) {
        if let Some((time, throttle)) = self.readings.held_since(info) {
            self.stolen += time.mul_f64(throttle.share());
        }
        if let Some(total) = info.total_time {
            self.elapsed = Duration::from_millis(total);
        }
        self.in_force = throttle(info);
        self.max_throttle = self.max_throttle.max(self.in_force);
        self.escaped = self.vcpus.look(self.in_force, self.elapsed).or(self.escaped);
        let Some(sample) = self.readings.observe(info) else { return };
        if let Some(ram) = &info.ram {
            self.ram = ram.clone();
        }
        let bandwidth = sample.sent.0 as f64 / sample.elapsed.as_secs_f64();
        self.point(sample.pass, ByteRate::new(bandwidth));
        if let Decision::Throttle(throttles) = self.controller.step(sample) {
            let throttle = throttles.hardest();
            self.aim = Aim::at(throttle);
            let reason = self.controller.reason().to_owned();
            self.changes.push(Change { at: self.elapsed, throttle, reason });
        }
    }

    fn point(&mut self, pass: u32, bandwidth: ByteRate) {
        self.seen_points += 1;
        if self.timeline.len() >= MOST_POINTS {
            let mut index = 0_usize;
            self.timeline.retain(|_| {
                index += 1;
                index.is_multiple_of(2)
            });
            self.keep_every *= 2;
        }
        if !self.seen_points.is_multiple_of(self.keep_every) {
            return;
        }
        self.timeline.push(Point {
            at: self.elapsed,
            pass,
            remaining: Bytes(self.ram.remaining),
            dirty_rate: self.dirty_rate(),
            bandwidth,
            throttle: self.in_force,
        });
    }

    /// Bytes dirtied a second of wall time, as QEMU told it last.
    pub(crate) fn dirty_rate(&self) -> ByteRate {
        ByteRate::new(self.ram.dirty_pages_rate as f64 * page_size(&self.ram) as f64)
    }

    /// The bill, with QEMU's last words.
    pub(crate) fn bill(
        self,
        outcome: Outcome,
        reason: Option<String>,
        last: &MigrationInfo,
    ) -> Bill {
        let total = last.total_time.map_or(self.elapsed, Duration::from_millis);
        let ram = last.ram.clone().filter(|ram| ram.transferred > 0).unwrap_or(self.ram);
        let estimates = self.controller.estimates();
        let seconds = total.as_secs_f64();
        let bandwidth = if seconds > 0.0 { ram.transferred as f64 / seconds } else { 0.0 };
        let downtime = last.downtime.filter(|_| outcome == Outcome::Completed).unwrap_or(0);
        Bill {
            outcome,
            reason,
            total,
            downtime: Duration::from_millis(downtime),
            downtime_limit: self.limits.max_downtime,
            passes: u32::try_from(ram.dirty_sync_count).unwrap_or(u32::MAX),
            memory: Bytes(ram.total),
            sent: Bytes(ram.transferred),
            pages: ram.normal,
            zero_pages: ram.duplicate,
            max_throttle: self.max_throttle,
            stolen: self.stolen,
            verdict: Some(self.controller.verdict().clone()),
            dirty_rate: estimates.unthrottled_dirty_rate,
            bandwidth: ByteRate::new(bandwidth),
            timeline: self.timeline,
            changes: self.changes,
        }
    }
}
