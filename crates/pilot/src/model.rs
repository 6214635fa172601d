//! A QEMU for tests, in a time of its own: its guest, its link, and its rule of when to throttle.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use landfall_qmp::{ClientError, EventKind, MigrationStatus, QmpError};
use serde_json::{Map, Value, json};

use crate::lever::{INCREMENT, INITIAL, MAX, TAILSLOW, THRESHOLD};
use crate::monitor::{AskError, Monitor};

const STEP: f64 = 0.01;
const PAGE: f64 = 4096.0;

/// What the guest writes: at what rate, in bytes a second of its own time, at a moment of its migration.
pub(crate) type Rate = fn(f64) -> f64;

/// All there is to know of it.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) rate: Rate,
    /// The bytes that the guest rewrites, and those that it only has.
    pub(crate) working_set: f64,
    pub(crate) cold: f64,
    pub(crate) bandwidth: f64,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) auto_converge: bool,
    pub(crate) postcopy: bool,
    pub(crate) status: MigrationStatus,
    pub(crate) run_state: &'static str,
    pub(crate) throttle: u64,
    /// Every throttle that was in force, in order.
    pub(crate) throttles: Vec<u64>,
    pub(crate) stolen: f64,
    /// Since the migration began.
    pub(crate) at: f64,
    /// Somebody else does this, so many seconds after the beginning.
    pub(crate) plot: Option<(f64, Plot)>,
    pub(crate) gone: bool,
    pub(crate) said: Vec<EventKind>,
    pub(crate) dirty: f64,
    pub(crate) logged: f64,
    pub(crate) transferred: f64,
    pub(crate) syncs: u64,
    pub(crate) dirty_rate: f64,
    pub(crate) period: Period,
    pub(crate) bad: u32,
}

/// What somebody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plot {
    Cancel,
    Fail,
    /// The process is killed.
    Kill,
    /// The guest has arrived, and the process is ended by its manager.
    ArriveAndQuit,
    /// A migration is begun.
    Begin,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Period {
    began: f64,
    dirty: f64,
    transferred: f64,
}

impl Model {
    /// The reference: a sweep of 128 MiB at 820 MB/s over a link of 125 MB/s.
    pub(crate) fn sweep() -> Self {
        let parameters = json!({
            INITIAL: 20, INCREMENT: 10, MAX: 99, THRESHOLD: 50, TAILSLOW: false,
            "downtime-limit": 300, "max-bandwidth": 134_217_728,
        });
        let Value::Object(parameters) = parameters else { unreachable!("it is one") };
        Self {
            rate: |_| 820e6,
            working_set: f64::from(128 << 20),
            cold: f64::from(16 << 20),
            bandwidth: 125e6,
            parameters,
            auto_converge: false,
            postcopy: false,
            status: MigrationStatus::None,
            run_state: "running",
            throttle: 0,
            throttles: Vec::new(),
            stolen: 0.0,
            at: 0.0,
            plot: None,
            gone: false,
            said: Vec::new(),
            dirty: 0.0,
            logged: 0.0,
            transferred: 0.0,
            syncs: 0,
            dirty_rate: 0.0,
            period: Period::default(),
            bad: 0,
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> u64 {
        self.parameters.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(crate) fn begin(&mut self) {
        self.status = MigrationStatus::Active;
        (self.at, self.transferred, self.logged, self.syncs) = (0.0, 0.0, 0.0, 1);
        (self.dirty_rate, self.bad, self.throttle) = (0.0, 0, 0);
        self.period = Period::default();
        self.dirty = self.working_set + self.cold;
    }

    fn throttle_to(&mut self, percent: u64) {
        self.throttle = percent;
        if self.throttles.last() != Some(&percent) {
            self.throttles.push(percent);
        }
    }

    /// Lets so much time pass.
    pub(crate) fn pass(&mut self, seconds: f64) {
        let mut left = seconds;
        while left > STEP / 2.0 {
            self.step();
            left -= STEP;
        }
    }

    fn step(&mut self) {
        self.at += STEP;
        if let Some((at, plot)) = self.plot
            && self.at >= at
        {
            self.plot = None;
            self.carry_out(plot);
        }
        if self.status != MigrationStatus::Active {
            return;
        }
        let ran = STEP * (1.0 - self.throttle as f64 / 100.0);
        self.stolen += STEP - ran;
        self.logged = (self.logged + (self.rate)(self.at) * ran).min(self.working_set);
        let sent = (self.bandwidth * STEP).min(self.dirty);
        self.dirty -= sent;
        self.transferred += sent;
        if self.dirty <= self.fits() {
            self.sync();
        }
    }

    fn fits(&self) -> f64 {
        self.bandwidth * self.parameter("downtime-limit") as f64 / 1e3
    }

    fn sync(&mut self) {
        let newly = self.logged.min((self.working_set - self.dirty).max(0.0));
        self.logged = 0.0;
        self.dirty += newly;
        self.syncs += 1;
        self.period.dirty += newly;
        let lasted = self.at - self.period.began;
        if lasted > 1.0 {
            self.trigger();
            self.dirty_rate = self.period.dirty / lasted;
            let (began, transferred) = (self.at, self.transferred);
            self.period = Period { began, transferred, dirty: 0.0 };
        }
        if self.dirty <= self.fits() {
            self.end(MigrationStatus::Completed, "postmigrate");
        }
    }

    fn trigger(&mut self) {
        let sent = self.transferred - self.period.transferred;
        let threshold = self.parameters.get(THRESHOLD).and_then(Value::as_u64).unwrap_or(50);
        if self.period.dirty <= sent * threshold as f64 / 100.0 {
            return;
        }
        self.bad += 1;
        if self.bad < 2 {
            return;
        }
        self.bad = 0;
        if !self.auto_converge {
            return;
        }
        let next = if self.throttle == 0 {
            self.parameter(INITIAL)
        } else {
            (self.throttle + self.parameter(INCREMENT)).min(self.parameter(MAX))
        };
        self.throttle_to(next);
    }

    fn end(&mut self, status: MigrationStatus, run_state: &'static str) {
        self.status = status;
        self.run_state = run_state;
        self.throttle = 0;
        self.said.push(EventKind::Migration { status });
    }

    fn carry_out(&mut self, plot: Plot) {
        match plot {
            Plot::Cancel => self.end(MigrationStatus::Cancelled, "running"),
            Plot::Fail => self.end(MigrationStatus::Failed, "running"),
            Plot::Kill => self.gone = true,
            Plot::ArriveAndQuit => {
                self.end(MigrationStatus::Completed, "postmigrate");
                self.gone = true;
            }
            Plot::Begin => self.begin(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "far below 2^53, and QEMU has whole numbers"
    )]
    fn query_migrate(&self) -> Value {
        if self.status == MigrationStatus::None {
            return json!({});
        }
        let mut answer = json!({ "status": self.status });
        if self.status == MigrationStatus::Failed {
            answer["error-desc"] = json!("Unable to write to socket: Broken pipe");
        }
        if matches!(self.status, MigrationStatus::Failed | MigrationStatus::Cancelled) {
            // As QEMU 7.2: nothing is left to be told.
            return answer;
        }
        answer["total-time"] = json!((self.at * 1e3).round() as u64);
        if self.status == MigrationStatus::Completed {
            answer["downtime"] = json!((self.dirty / self.bandwidth * 1e3) as u64);
        }
        if self.throttle > 0 {
            answer["cpu-throttle-percentage"] = json!(self.throttle);
        }
        answer["ram"] = json!({
            "transferred": self.transferred as u64,
            "remaining": self.dirty as u64,
            "total": 1_u64 << 29,
            "duplicate": 0,
            "normal": (self.transferred / PAGE) as u64,
            "normal-bytes": self.transferred as u64,
            "dirty-pages-rate": (self.dirty_rate / PAGE) as u64,
            "mbps": self.bandwidth * 8e-6,
            "dirty-sync-count": self.syncs,
            "page-size": 4096,
        });
        answer
    }

    fn capabilities(&self) -> Value {
        json!([
            { "capability": "auto-converge", "state": self.auto_converge },
            { "capability": "postcopy-ram", "state": self.postcopy },
            { "capability": "of-the-year-2040", "state": true },
        ])
    }

    fn set_capabilities(&mut self, arguments: &Map<String, Value>) -> Result<Value, String> {
        if self.status == MigrationStatus::Active {
            return Err("There's a migration process in progress".to_owned());
        }
        for change in arguments["capabilities"].as_array().into_iter().flatten() {
            let state = change["state"] == json!(true);
            match change["capability"].as_str() {
                Some("auto-converge") => self.auto_converge = state,
                Some("postcopy-ram") => self.postcopy = state,
                other => return Err(format!("no capability {other:?}")),
            }
        }
        Ok(json!({}))
    }

    fn set_parameters(&mut self, arguments: Map<String, Value>) -> Result<Value, String> {
        let mut parameters = self.parameters.clone();
        for (name, value) in arguments {
            if !parameters.contains_key(&name) {
                return Err(format!("Parameter '{name}' is unexpected"));
            }
            parameters.insert(name, value);
        }
        let of = |name: &str| parameters.get(name).and_then(Value::as_u64);
        if of(MAX) < of(INITIAL) {
            return Err(
                "max_cpu_throttle must be in the range of cpu_throttle_initial to 99".to_owned()
            );
        }
        self.parameters = parameters;
        Ok(json!({}))
    }

    fn answer(&mut self, name: &str, arguments: Map<String, Value>) -> Result<Value, String> {
        match name {
            "query-migrate" => Ok(self.query_migrate()),
            "query-migrate-parameters" => Ok(Value::Object(self.parameters.clone())),
            "query-migrate-capabilities" => Ok(self.capabilities()),
            "query-cpus-fast" => Ok(json!([])),
            "query-status" => {
                Ok(json!({ "running": self.run_state == "running", "status": self.run_state }))
            }
            "migrate-set-capabilities" => self.set_capabilities(&arguments),
            "migrate-set-parameters" => self.set_parameters(arguments),
            "migrate" => {
                self.begin();
                Ok(json!({}))
            }
            "migrate_cancel" => {
                self.end(MigrationStatus::Cancelled, "running");
                Ok(json!({}))
            }
            "migrate-start-postcopy" if self.postcopy => {
                self.end(MigrationStatus::Completed, "postmigrate");
                Ok(json!({}))
            }
            other => Err(format!("The command {other} has not been found")),
        }
    }
}

/// The model, as seen by a pilot and by a test.
#[derive(Clone, Debug)]
pub(crate) struct Shared(pub(crate) Rc<RefCell<Model>>);

impl Shared {
    pub(crate) fn new(model: Model) -> Self {
        Self(Rc::new(RefCell::new(model)))
    }
}

impl Monitor for Shared {
    fn ask(&mut self, name: &str, arguments: Map<String, Value>) -> Result<Value, AskError> {
        let mut model = self.0.borrow_mut();
        if model.gone {
            return Err(ClientError::Closed.into());
        }
        let refused = |reason: String| {
            let (command, source) = (name.to_owned(), QmpError::generic(reason));
            ClientError::Refused { command, source }.into()
        };
        model.answer(name, arguments).map_err(refused)
    }

    fn wait(&mut self, deadline: Instant) -> Result<Option<EventKind>, AskError> {
        let mut model = self.0.borrow_mut();
        if !model.said.is_empty() {
            return Ok(Some(model.said.remove(0)));
        }
        if model.gone {
            return Err(ClientError::Closed.into());
        }
        // However long this thread slept meanwhile, a tenth of a second passes there.
        debug_assert!(deadline > Instant::now() - std::time::Duration::from_secs(3600));
        model.pass(0.1);
        Ok(if model.said.is_empty() { None } else { Some(model.said.remove(0)) })
    }
}
