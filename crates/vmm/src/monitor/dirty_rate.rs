//! Measures the dirty rate for clients.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landfall_converge::simulator::Rhythm;
use landfall_converge::{ByteRate, Bytes};
use landfall_qmp::{
    DirtyMeasurement, DirtyRateInfo, DirtyRateMode, DirtyRateRequest, DirtyRateStatus,
    MeasuredBursts, MeasuredWindow, QmpError, TimeUnit, VcpuDirtyRate,
};
use serde_json::{Value, json};

use super::{Monitor, reply};
use crate::dirty_rate::{MeasureError, Measured, measure};
use crate::machine::Movable;

const MIB: f64 = (1 << 20) as f64;

/// The measurement under way, or the last one.
#[derive(Debug, Default)]
pub(super) struct DirtyRateRecord {
    info: DirtyRateInfo,
    calc_time: Duration,
    /// Calls it off, and its thread.
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl DirtyRateRecord {
    pub(super) fn is_measuring(&self) -> bool {
        self.info.status == DirtyRateStatus::Measuring
    }

    fn info(&self, unit: TimeUnit) -> DirtyRateInfo {
        DirtyRateInfo {
            calc_time: i64::try_from(unit.count(self.calc_time)).unwrap_or(i64::MAX),
            calc_time_unit: unit,
            ..self.info.clone()
        }
    }

    fn finish(&mut self, measured: Result<Measured, MeasureError>) {
        self.running = None;
        let start_time = self.info.start_time;
        self.info = match measured {
            Ok(measured) => DirtyRateInfo { start_time, ..info(&measured) },
            Err(error) => DirtyRateInfo {
                start_time,
                error: Some(super::chain(&error)),
                ..Default::default()
            },
        };
    }
}

impl Monitor {
    /// Begins to measure, on a thread of its own.
    pub(super) fn calc_dirty_rate(&self, request: &DirtyRateRequest) -> Result<Value, QmpError> {
        let vm = self.vm()?;
        let mut state = self.state();
        if state.dirty_rate.is_measuring() {
            return Err(QmpError::generic("the dirty rate is already being measured."));
        }
        if state.migration.is_under_way() {
            return Err(QmpError::generic(
                "There's a migration process in progress, which uses the dirty log; query-migrate tells the dirty rate",
            ));
        }
        let (cancel, cancelled) = channel();
        let monitor = self.clone();
        let calc_time = request.calc_time;
        let spawned = thread::Builder::new().name("dirty-rate".to_owned()).spawn(move || {
            let measured = measure(&mut Movable::new(Arc::clone(&vm)), calc_time, &cancelled);
            // A machine must not live on in a measurement that is over.
            drop(vm);
            monitor.state().dirty_rate.finish(measured);
        });
        let thread = spawned
            .map_err(|_| QmpError::generic("the system gives no thread for the measurement"))?;
        let start_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // The lock is held since before the thread began, so it cannot have finished yet.
        state.dirty_rate = DirtyRateRecord {
            info: DirtyRateInfo {
                status: DirtyRateStatus::Measuring,
                start_time: i64::try_from(start_time).unwrap_or(i64::MAX),
                ..DirtyRateInfo::default()
            },
            calc_time,
            running: Some((cancel, thread)),
        };
        Ok(json!({}))
    }

    /// Where the measurement is, or what it gave.
    pub(super) fn query_dirty_rate(&self, unit: TimeUnit) -> Result<Value, QmpError> {
        reply(&self.state().dirty_rate.info(unit))
    }

    /// Calls the measurement off, if there is one; the dirty log is off when this returns.
    pub(super) fn cancel_dirty_rate(&self) {
        let running = self.state().dirty_rate.running.take();
        if let Some((cancel, thread)) = running {
            // One that has just finished listens no more.
            let _ = cancel.send(());
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

fn info(measured: &Measured) -> DirtyRateInfo {
    let rates = &measured.measurement.vcpu_rates;
    let vcpus = (0..)
        .zip(rates)
        .map(|(id, rate)| VcpuDirtyRate { id, dirty_rate: mib_per_second(*rate) })
        .collect();
    DirtyRateInfo {
        dirty_rate: Some(mib_per_second(ByteRate::of(measured.distinct, measured.time))),
        status: DirtyRateStatus::Measured,
        mode: if rates.is_empty() { DirtyRateMode::DirtyBitmap } else { DirtyRateMode::DirtyRing },
        vcpu_dirty_rate: (!rates.is_empty()).then_some(vcpus),
        landfall: Some(landfall(measured)),
        ..DirtyRateInfo::default()
    }
}

fn landfall(measured: &Measured) -> DirtyMeasurement {
    let measurement = &measured.measurement;
    let load = measurement.load();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let window = |(time, Bytes(distinct_bytes)): &(Duration, Bytes)| MeasuredWindow {
        window_ms: milliseconds(*time),
        distinct_bytes: *distinct_bytes,
    };
    DirtyMeasurement {
        dirty_rate_bytes_per_second: load.rate.bytes_per_second(),
        working_set_bytes: load.workload.extent().0,
        working_set_is_known: load.is_bounded,
        pattern: load.pattern().to_owned(),
        bursts: match measurement.rhythm {
            Rhythm::Bursts { on, off } => {
                Some(MeasuredBursts { on_ms: milliseconds(on), off_ms: milliseconds(off) })
            }
            Rhythm::Steady | Rhythm::Until(_) => None,
        },
        windows: measurement.windows.iter().map(window).collect(),
        vcpu_bytes_per_second: measurement
            .vcpu_rates
            .iter()
            .map(|rate| rate.bytes_per_second())
            .collect(),
        memory_bytes: measurement.memory.0,
        non_zero_bytes: measurement.non_zero.0,
        sync_ms: milliseconds(measured.sync),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
fn mib_per_second(rate: ByteRate) -> i64 {
    (rate.bytes_per_second() / MIB).round() as i64
}
