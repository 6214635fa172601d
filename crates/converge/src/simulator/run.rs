//! The run itself: small steps of time in which the guest writes, the link carries and the controller decides.

use std::time::Duration;

use crate::controller::{Controller, GuestShape};
use crate::decision::{Decision, VcpuThrottles};
use crate::duty::DutyCycle;
use crate::limits::{Policy, Sampling};
use crate::sample::{DirtyWindow, Harvest, Sample};
use crate::simulator::guest::Writer;
use crate::simulator::memory::Memory;
use crate::simulator::qemu::Lever;
use crate::simulator::{Scenario, SimulatedOutcome, SimulatedPoint, SimulatedRun};
use crate::units::{Bytes, PAGE_SIZE, Pages, Throttle};

/// One step.
const TICK: Duration = Duration::from_millis(1);
/// Points of the time line, and samples of policies that read the log only at the end of a pass.
const POINT: Duration = Duration::from_millis(50);
/// The dirty log is not read again sooner.
const SOONEST: Duration = Duration::from_millis(10);
/// The window of distinct pages begins anew after so much time.
const WINDOW: Duration = Duration::from_secs(1);
/// Bytes on the wire for a page of zeros, and what every other page costs beside its content.
const ZERO_PAGE: u64 = 9;
const HEADER: u64 = 8;
/// How fast memory can be passed over that nobody ever wrote: 600 GB/s were measured for holes of a memfd.
const SCAN_BYTES_PER_SECOND: f64 = 2e11;

/// Runs the scenario to its end.
#[must_use]
pub fn simulate(scenario: &Scenario) -> SimulatedRun {
    Run::new(scenario).carried_through()
}

/// One vCPU's throttle as it is carried out.
#[derive(Clone, Copy, Debug)]
struct Held {
    duty: DutyCycle,
    since: Duration,
}

struct Run<'a> {
    scenario: &'a Scenario,
    controller: Controller,
    memory: Memory,
    writers: Vec<Writer>,
    held: Vec<Option<Held>>,
    now: Duration,
    pass: u32,
    /// Part of a tick's bytes that were not enough for a cell.
    credit: f64,
    sent: Bytes,
    stolen: Vec<Duration>,
    max_stall: Duration,
    max_throttle: Throttle,
    abandoned: u32,
    // Since the previous sample:
    sampled_at: Duration,
    sample_sent: Bytes,
    sample_pages: Pages,
    // Since the previous harvest:
    harvested_at: Duration,
    ran: Duration,
    window_began: Duration,
    window_ran: Duration,
    timeline: Vec<SimulatedPoint>,
    /// The downtime expected when the switchover was decided.
    predicted: Duration,
    /// The QEMU that carries the throttle out, where one does.
    qemu: Option<Lever>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let memory = Memory::new(scenario.guest.memory, scenario.guest.zero);
        let vcpus = &scenario.guest.vcpus;
        let shape = GuestShape { memory: scenario.guest.memory.whole_pages(), vcpus: vcpus.len() };
        let steered = scenario.steered && scenario.policy == Policy::Adaptive;
        let controller = if steered {
            Controller::steering(scenario.limits, shape)
        } else {
            Controller::new(scenario.policy, scenario.limits, shape).with_stepped(scenario.stepped)
        };
        Self {
            scenario,
            controller,
            writers: (1..)
                .zip(vcpus)
                .map(|(seed, vcpu)| Writer::new(*vcpu, memory.cell(), seed))
                .collect(),
            held: vec![None; vcpus.len()],
            memory,
            now: Duration::ZERO,
            pass: 1,
            credit: 0.0,
            sent: Bytes(0),
            stolen: vec![Duration::ZERO; vcpus.len()],
            max_stall: Duration::ZERO,
            max_throttle: Throttle::NONE,
            abandoned: 0,
            sampled_at: Duration::ZERO,
            sample_sent: Bytes(0),
            sample_pages: Pages(0),
            harvested_at: Duration::ZERO,
            ran: Duration::ZERO,
            window_began: Duration::ZERO,
            window_ran: Duration::ZERO,
            timeline: Vec::new(),
            predicted: Duration::ZERO,
            qemu: steered.then(Lever::default),
        }
    }

    fn carried_through(mut self) -> SimulatedRun {
        while self.now < self.scenario.horizon {
            self.guest_writes();
            self.link_carries();
            self.now += TICK;
            let Some(decision) = self.look() else { continue };
            match decision {
                Decision::KeepOn => {}
                Decision::Throttle(throttles) => match &mut self.qemu {
                    Some(lever) => lever.aim(throttles),
                    None => self.hold(&throttles),
                },
                Decision::GiveUp(reason) => {
                    return self.ended(SimulatedOutcome::GaveUp(reason), Duration::ZERO);
                }
                Decision::SwitchOver => {
                    if let Some(downtime) = self.switch_over() {
                        self.now += downtime;
                        return self.ended(SimulatedOutcome::Completed, downtime);
                    }
                }
            }
        }
        self.ended(SimulatedOutcome::Unfinished, Duration::ZERO)
    }

    fn guest_writes(&mut self) {
        let mut ran_all = Duration::ZERO;
        for (index, writer) in self.writers.iter_mut().enumerate() {
            let stall = self.held[index].map_or(Duration::ZERO, |held| {
                let phase = self.now.saturating_sub(held.since);
                stalled_by(&held.duty, phase + TICK).saturating_sub(stalled_by(&held.duty, phase))
            });
            let ran = TICK.saturating_sub(stall);
            self.stolen[index] += stall;
            ran_all += ran;
            let vcpu = u16::try_from(index).unwrap_or(u16::MAX);
            let memory = &mut self.memory;
            writer.run(ran, self.now, |cell| memory.write(cell, vcpu));
        }
        let vcpus = u32::try_from(self.writers.len()).unwrap_or(u32::MAX);
        self.ran += ran_all.checked_div(vcpus).unwrap_or(TICK);
    }

    #[expect(clippy::cast_possible_truncation, reason = "part of a byte is left in the credit")]
    fn link_carries(&mut self) {
        let per_tick = self.scenario.link.rate_at(self.now).bytes_per_second() * TICK.as_secs_f64();
        self.credit += per_tick;
        let mut scan = SCAN_BYTES_PER_SECOND.max(per_tick * 4000.0) * TICK.as_secs_f64();
        let pages = self.memory.cell_pages().0;
        while let Some(is_zero) = self.memory.peek() {
            let cost = if is_zero { ZERO_PAGE * pages } else { (PAGE_SIZE + HEADER) * pages };
            if self.credit < cost as f64 || (is_zero && scan <= 0.0) {
                break;
            }
            if is_zero {
                scan -= self.memory.cell().0 as f64;
            }
            self.credit -= cost as f64;
            self.sent += Bytes(cost);
            self.sample_sent += Bytes(cost);
            self.sample_pages += Pages(pages);
            self.memory.sent();
        }
        // A link does not save up what was not used: no more than one tick or one cell.
        let most = per_tick.max((self.memory.cell().0 + HEADER * pages) as f64) as u64;
        self.credit = self.credit.min(most as f64);
    }

    /// Asks the controller, when it is time to.
    fn look(&mut self) -> Option<Decision> {
        let pass_ended = self.memory.left_in_pass() <= self.controller.pass_ends_at();
        let since_harvest = self.now - self.harvested_at;
        let sampling = match self.qemu {
            Some(_) => Sampling::PassEnd,
            None => self.scenario.policy.sampling(),
        };
        let harvest = match sampling {
            // A pass that ends is followed by the next at once, unless the log was read only just now: an idle guest
            // would have it read all the time.
            Sampling::Timer(period) => {
                since_harvest >= period || (pass_ended && since_harvest >= SOONEST)
            }
            // QEMU looks whether a pass is over each time its thread comes back from sending for so long.
            Sampling::PassEnd => pass_ended && self.now - self.sampled_at >= POINT,
        };
        if !harvest && self.now - self.sampled_at < POINT {
            return None;
        }
        let harvest = harvest.then(|| self.read_log(pass_ended));
        let ended_pass = harvest.as_ref().is_some_and(|harvest| harvest.ended_pass);
        let mut sample = self.sample(harvest);
        if ended_pass {
            self.memory.begin_pass();
        }
        sample.remaining = self.memory.remaining();
        let arrives = self.as_qemu(&mut sample, ended_pass);
        let mut decision = self.controller.step(sample);
        if arrives {
            decision = Decision::SwitchOver;
        }
        if ended_pass && decision != Decision::SwitchOver {
            self.pass += 1;
        }
        self.note();
        Some(decision)
    }

    /// What QEMU does at the end of a pass, where it is QEMU: the sample is left with what QEMU tells of it. Whether it
    /// switches over.
    fn as_qemu(&mut self, sample: &mut Sample, ended_pass: bool) -> bool {
        let Some(lever) = &mut self.qemu else { return false };
        lever.sent(sample.sent);
        let Some(pass) = sample.harvest.take().filter(|_| ended_pass) else { return false };
        let (closed, moved) = lever.pass_ended(pass);
        sample.harvest = closed;
        if let Some(throttles) = moved {
            self.hold(&throttles);
        }
        sample.remaining <= self.controller.pass_ends_at()
    }

    fn read_log(&mut self, ended_pass: bool) -> Harvest {
        let reading = self.memory.read_log(self.writers.len());
        let guest_ran = self.measured_run_time();
        self.window_ran += guest_ran;
        let harvest = Harvest {
            elapsed: self.now - self.harvested_at,
            guest_ran,
            dirtied: reading.dirtied,
            newly_dirty: reading.newly_dirty,
            dirtied_by_vcpu: if self.scenario.log_knows_vcpus {
                reading.by_vcpu
            } else {
                Vec::new()
            },
            guest_ran_by_vcpu: Vec::new(),
            window: DirtyWindow { guest_ran: self.window_ran, distinct: reading.in_window },
            ended_pass,
        };
        self.harvested_at = self.now;
        if self.now - self.window_began >= WINDOW {
            self.window_began = self.now;
            self.window_ran = Duration::ZERO;
            self.memory.restart_window();
        }
        harvest
    }

    /// Run time since the previous harvest as the machine would tell it, wrong by as much as the scenario says: now too
    /// little, now too much.
    fn measured_run_time(&mut self) -> Duration {
        let elapsed = self.now - self.harvested_at;
        let ran = std::mem::take(&mut self.ran);
        let error = self.scenario.stolen_error * (self.now.as_secs_f64() * 97.0).sin();
        let stolen = elapsed.saturating_sub(ran).mul_f64((1.0 + error).max(0.0));
        elapsed.saturating_sub(stolen)
    }

    fn sample(&mut self, harvest: Option<Harvest>) -> Sample {
        let elapsed = self.now - self.sampled_at;
        self.sampled_at = self.now;
        Sample {
            elapsed,
            pass: self.pass,
            sent: std::mem::take(&mut self.sample_sent),
            sent_pages: std::mem::take(&mut self.sample_pages),
            remaining: self.memory.remaining(),
            fixed_downtime: self.scenario.fixed_downtime,
            harvest,
            ..Sample::default()
        }
    }

    fn note(&mut self) {
        if self.timeline.last().is_some_and(|last| self.now - last.at < POINT) {
            return;
        }
        let estimates = self.controller.estimates();
        self.timeline.push(SimulatedPoint {
            at: self.now,
            pass: self.pass,
            remaining: self.memory.remaining().bytes(),
            dirty_rate: estimates.dirty_rate,
            bandwidth: estimates.bandwidth,
            throttle: self.in_force(),
        });
    }

    /// The hardest throttle of any vCPU.
    fn in_force(&self) -> Throttle {
        let throttles = self.held.iter().flatten().map(|held| held.duty.throttle());
        throttles.fold(Throttle::NONE, Throttle::max)
    }

    fn hold(&mut self, throttles: &VcpuThrottles) {
        self.max_throttle = self.max_throttle.max(throttles.hardest());
        let vcpus = u32::try_from(self.held.len()).unwrap_or(u32::MAX).max(1);
        for (index, held) in (0_u32..).zip(0..self.held.len()) {
            self.note_stall(held);
            self.held[held] = throttles.of(held).map(|duty| {
                let offset =
                    if duty.staggered() { duty.period() * index / vcpus } else { Duration::ZERO };
                Held { duty, since: self.now.saturating_sub(offset) }
            });
        }
    }

    /// A stall is as long as its duty cycle says, unless the throttle ended sooner.
    fn note_stall(&mut self, vcpu: usize) {
        if let Some(held) = self.held[vcpu] {
            self.max_stall =
                self.max_stall.max(held.duty.stall().min(self.now.saturating_sub(held.since)));
        }
    }

    /// Stops the guest; the downtime, or nothing when the guest had to go on.
    fn switch_over(&mut self) -> Option<Duration> {
        self.predicted = self.controller.estimates().expected_downtime;
        self.memory.read_log(self.writers.len());
        self.memory.begin_pass();
        let exact = self.memory.remaining();
        if !self.controller.accepts_switchover(exact, self.scenario.fixed_downtime, || None) {
            self.abandoned += 1;
            return None;
        }
        let mut downtime = self.scenario.fixed_downtime;
        let mut left = exact.0.saturating_mul(PAGE_SIZE + HEADER) as f64;
        self.sent += Bytes(exact.0.saturating_mul(PAGE_SIZE + HEADER));
        while left > 0.0 && downtime < self.scenario.horizon {
            left -= self.scenario.link.rate_at(self.now + downtime).bytes_per_second()
                * TICK.as_secs_f64();
            downtime += TICK;
        }
        Some(downtime)
    }

    fn ended(mut self, outcome: SimulatedOutcome, downtime: Duration) -> SimulatedRun {
        for vcpu in 0..self.held.len() {
            self.note_stall(vcpu);
        }
        let vcpus = u32::try_from(self.stolen.len()).unwrap_or(u32::MAX).max(1);
        SimulatedRun {
            outcome,
            total: self.now,
            downtime,
            predicted_downtime: self.predicted,
            abandoned_switchovers: self.abandoned,
            passes: self.pass,
            sent: self.sent,
            stolen: self.stolen.iter().sum::<Duration>() / vcpus,
            stolen_by_vcpu: self.stolen,
            max_stall: self.max_stall,
            max_throttle: self.max_throttle,
            verdict: self.controller.verdict().clone(),
            timeline: self.timeline,
        }
    }
}

/// How long a duty cycle that began with its run slice has stalled after `phase`.
fn stalled_by(duty: &DutyCycle, phase: Duration) -> Duration {
    let period = duty.period().as_nanos().max(1);
    let whole = phase.as_nanos() / period;
    let rest = phase.as_nanos() % period;
    let stall = whole * duty.stall().as_nanos() + rest.saturating_sub(duty.run().as_nanos());
    Duration::from_nanos(u64::try_from(stall).unwrap_or(u64::MAX))
}
