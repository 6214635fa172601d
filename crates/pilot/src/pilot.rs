//! The one who steers.

mod attaching;
mod ending;

use std::time::{Duration, Instant};

use landfall_converge::{Bytes, Limits, Throttle};
use landfall_qmp::{Command, CpuInfo, EventKind, MigrationInfo, MigrationStatus};
use serde_json::{Map, Value, json};

use crate::bill::{Bill, Outcome};
use crate::course::Course;
use crate::found::Found;
use crate::lever::{Aim, THRESHOLD, parameters, per_cent};
use crate::monitor::{AskError, Monitor, query, tell};
use crate::options::{AtLimit, Observer, Options, PilotError, Progress, Wish};
use crate::vcpus::Vcpus;

/// How often QEMU is looked at. It moves its throttle once in two seconds at most.
const TICK: Duration = Duration::from_millis(100);
/// The longest downtime that QEMU takes: 2000 s. It stands for "whatever it takes".
const ANY_DOWNTIME_MS: u64 = 2_000_000;
/// The parameters that have pages go over TLS.
const TLS_CREDENTIALS: &str = "tls-creds";
const TLS_HOST: &str = "tls-hostname";
/// QEMU's own threshold, where it does not tell one: half of what was sent.
const THRESHOLD_BEFORE_5_0: u64 = 50;

/// Somebody at the side of a QEMU. What was changed there is put back by [`Pilot::steer`], and when this is dropped.
#[derive(Debug)]
pub struct Pilot {
    monitor: Box<dyn Monitor>,
    options: Options,
    found: Found,
    /// The migration was begun here.
    begun: bool,
    status: MigrationStatus,
    gave_up: bool,
    at_limit_done: bool,
    /// QEMU said that the guest arrived, before it went away.
    arrived: bool,
    set: Option<Map<String, Value>>,
}

impl Pilot {
    /// Begins a migration to `uri`.
    ///
    /// # Errors
    /// When one is under way, or QEMU refuses.
    pub fn begin(&mut self, uri: &str) -> Result<(), PilotError> {
        if is_under_way(self.status) {
            return Err(PilotError::UnderWay);
        }
        self.set_limits()?;
        tell(self.monitor.as_mut(), &Command::Migrate { uri: uri.to_owned() })?;
        self.begun = true;
        Ok(())
    }

    /// Has the migration that is begun next go over TLS, by the credentials of this name in QEMU; the destination's certificate must
    /// be for `host`.
    ///
    /// # Errors
    /// When this QEMU cannot, or refuses.
    pub fn protect(&mut self, credentials: &str, host: &str) -> Result<(), PilotError> {
        let values = [(TLS_CREDENTIALS, credentials), (TLS_HOST, host)];
        if let Some((name, _)) = values.iter().find(|(name, _)| !self.found.has(name)) {
            return Err(PilotError::Parameter(name));
        }
        let values = values.map(|(name, value)| (name.to_owned(), json!(value)));
        Ok(self.found.set(self.monitor.as_mut(), values.into_iter().collect())?)
    }

    fn set_limits(&mut self) -> Result<(), AskError> {
        let mut values = Map::new();
        if let Some(downtime) = self.options.max_downtime {
            let ms = u64::try_from(downtime.as_millis()).unwrap_or(ANY_DOWNTIME_MS);
            values.insert("downtime-limit".to_owned(), json!(ms.min(ANY_DOWNTIME_MS)));
        }
        if let Some(bandwidth) = self.options.max_bandwidth {
            values.insert("max-bandwidth".to_owned(), json!(bandwidth));
        }
        self.found.set(self.monitor.as_mut(), values)
    }

    /// Follows the migration that was begun, or waits for one, and steers it until it is over.
    ///
    /// # Errors
    /// When QEMU cannot be asked any more before there was a migration.
    pub fn steer(
        &mut self,
        observer: &mut dyn Observer,
        wish: &mut dyn FnMut() -> Wish,
    ) -> Result<Option<Bill>, PilotError> {
        let followed = self.follow(observer, wish);
        let migrating = followed
            .as_ref()
            .is_ok_and(|bill| matches!(bill, Some(bill) if bill.outcome == Outcome::Detached));
        let put_back = self.found.put_back(self.monitor.as_mut(), migrating);
        match put_back {
            Err(error) if !error.is_gone() => observer
                .note(&format!("QEMU's parameters could not be put back: {}", error.reason())),
            _ => {}
        }
        followed
    }

    fn follow(
        &mut self,
        observer: &mut dyn Observer,
        wish: &mut dyn FnMut() -> Wish,
    ) -> Result<Option<Bill>, PilotError> {
        let mut course: Option<Course> = None;
        let mut cancelled = false;
        loop {
            match wish() {
                Wish::GoOn => {}
                Wish::Cancel if cancelled => {}
                Wish::Cancel if course.is_some() || self.begun => {
                    cancelled = true;
                    self.forgiving(|monitor| tell(monitor, &Command::MigrateCancel))?;
                }
                Wish::Adjust(options) => self.adjust(options, course.as_mut())?,
                Wish::SwitchOver => self.switch_over()?,
                Wish::Cancel | Wish::Detach => {
                    let last = MigrationInfo::default();
                    return Ok(course.map(|course| course.bill(Outcome::Detached, None, &last)));
                }
            }
            let info = match self.look() {
                Ok(info) => info,
                Err(error) if error.is_gone() => match course {
                    Some(course) => return Ok(Some(self.gone(course, &error))),
                    None => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
            };
            if course.is_none() && (is_under_way(info.status) || self.begun) {
                course = self.begin_course(&info)?;
            }
            if let Some(mut under_way) = course.take() {
                observer.progress(&progress(&under_way, &info));
                if info.status.is_final() {
                    return Ok(Some(self.ended(under_way, &info)));
                }
                let known = under_way.escaped.is_some();
                under_way.observe(&info);
                if let Some(escaped) = under_way.escaped.filter(|_| !known) {
                    observer.note(&escaped.to_string());
                }
                match self.act(&mut under_way) {
                    Ok(()) => {}
                    // It says more when it is asked how it goes.
                    Err(error) if error.is_refusal() || error.is_gone() => {
                        tracing::warn!("QEMU did not take a change: {}", error.reason());
                    }
                    Err(error) => return Err(error.into()),
                }
                course = Some(under_way);
            } else {
                observer.progress(&Progress::default());
            }
            self.wait()?;
        }
    }

    /// Holds the migration to other limits from now on.
    fn adjust(&mut self, options: Options, course: Option<&mut Course>) -> Result<(), AskError> {
        self.options = Options { auto_converge: self.options.auto_converge, ..options };
        self.at_limit_done = false;
        let limits = self.limits();
        if let Some(course) = course {
            course.adjust(limits);
        }
        self.set_limits()
    }

    /// Lets QEMU switch over at the end of the pass, whatever the downtime.
    fn switch_over(&mut self) -> Result<(), AskError> {
        let mut values = Map::new();
        values.insert("downtime-limit".to_owned(), json!(ANY_DOWNTIME_MS));
        self.found.set(self.monitor.as_mut(), values)
    }

    /// Does something that QEMU may refuse because things have changed meanwhile.
    fn forgiving(
        &mut self,
        act: impl FnOnce(&mut dyn Monitor) -> Result<(), AskError>,
    ) -> Result<(), AskError> {
        match act(self.monitor.as_mut()) {
            Err(error) if !error.is_refusal() => Err(error),
            _ => Ok(()),
        }
    }

    fn look(&mut self) -> Result<MigrationInfo, AskError> {
        let info: MigrationInfo = query(self.monitor.as_mut(), &Command::QueryMigrate)?;
        self.status = info.status;
        Ok(info)
    }

    /// The first counters may come a moment after the migration.
    fn begin_course(&mut self, info: &MigrationInfo) -> Result<Option<Course>, AskError> {
        let empty = landfall_qmp::RamStats::default();
        let ram = match &info.ram {
            Some(ram) => ram,
            None if info.status.is_final() => &empty,
            None => return Ok(None),
        };
        let cpus: Vec<CpuInfo> =
            query(self.monitor.as_mut(), &Command::QueryCpusFast).unwrap_or_default();
        let course = Course::new(self.limits(), ram, Vcpus::new(&cpus));
        if self.options.auto_converge {
            self.found.straighten(self.monitor.as_mut())?;
        }
        Ok(Some(course))
    }

    fn limits(&self) -> Limits {
        let found = self.found.number("downtime-limit").map(Duration::from_millis);
        let default = Limits::default();
        let max_throttle =
            if self.options.auto_converge { self.options.max_throttle } else { Throttle::NONE };
        Limits {
            max_downtime: self.options.max_downtime.or(found).unwrap_or(default.max_downtime),
            max_throttle,
            time_limit: self.options.time_limit,
            ..default
        }
    }

    /// Brings QEMU's parameters to where they should be now, and sees to the time limit.
    fn act(&mut self, course: &mut Course) -> Result<(), AskError> {
        if self.options.auto_converge {
            let threshold = self.found.number(THRESHOLD).unwrap_or(THRESHOLD_BEFORE_5_0);
            let in_force = per_cent(course.in_force());
            // Found at work already, and not needed: QEMU would not let go by itself.
            let aim = match course.aim {
                Aim::Free if in_force > crate::lever::LEAST && has_judged(course) => Aim::LetGo,
                aim => aim,
            };
            let values = parameters(aim, in_force, threshold);
            if self.set.as_ref() != Some(&values) {
                self.found.set(self.monitor.as_mut(), values.clone())?;
                self.set = Some(values);
            }
        }
        let over = self.options.time_limit.is_some_and(|limit| course.elapsed() >= limit);
        if !over || self.at_limit_done {
            return Ok(());
        }
        self.at_limit_done = true;
        match self.options.at_limit {
            AtLimit::Abort => {
                self.gave_up = true;
                self.forgiving(|monitor| tell(monitor, &Command::MigrateCancel))
            }
            AtLimit::Switchover => self.switch_over(),
            AtLimit::Postcopy => self
                .forgiving(|monitor| monitor.ask("migrate-start-postcopy", Map::new()).map(drop)),
        }
    }

    /// Waits a moment, and remembers that the guest arrived should QEMU say so: its manager may end it right then.
    fn wait(&mut self) -> Result<(), AskError> {
        let deadline = Instant::now() + TICK;
        loop {
            match self.monitor.wait(deadline) {
                Ok(Some(EventKind::Migration { status })) => {
                    self.arrived = status == MigrationStatus::Completed;
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                // Asked next, it is found gone.
                Err(error) if error.is_gone() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        // Nothing is left to put back when it was followed to its end; whatever fails here cannot be told any more.
        let _ = self.found.put_back(self.monitor.as_mut(), is_under_way(self.status));
    }
}

fn has_judged(course: &Course) -> bool {
    course.controller().verdict().state == landfall_converge::VerdictState::Converging
}

fn is_under_way(status: MigrationStatus) -> bool {
    !status.is_final() && status != MigrationStatus::None
}

fn progress(course: &Course, info: &MigrationInfo) -> Progress {
    let ram = info.ram.as_ref().unwrap_or(course.ram());
    Progress {
        status: info.status,
        elapsed: course.elapsed(),
        pass: ram.dirty_sync_count,
        memory: Bytes(ram.total),
        sent: Bytes(ram.transferred),
        remaining: Bytes(ram.remaining),
        dirty_rate: course.dirty_rate(),
        bandwidth: course.controller().estimates().bandwidth,
        throttle: course.in_force(),
        verdict: Some(course.controller().verdict().clone()),
    }
}

#[cfg(test)]
#[path = "pilot_tests.rs"]
mod tests;
