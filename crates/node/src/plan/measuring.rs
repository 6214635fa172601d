//! Watching a guest before its migration.

use std::time::{Duration, Instant};

use landfall_converge::Bytes;
use landfall_converge::measurement::DirtyMeasurement;
use landfall_converge::simulator::Rhythm;
use landfall_qmp::{
    Client, ClientError, Command, DirtyMeasurement as Told, DirtyRateInfo, DirtyRateMode,
    DirtyRateRequest, DirtyRateStatus, ErrorClass, MeasuredWindow, QmpError, TimeUnit,
};
use serde_json::Map;

use super::PlanError;
use crate::quantities::in_ms;

/// How long to wait until a measurement that should be over is asked for again.
const TICK: Duration = Duration::from_millis(20);
/// The windows in which a QEMU is asked to count, beside the whole time. Before 8.2 it counts in whole seconds.
const SHORT: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];
const SECOND: Duration = Duration::from_secs(1);

/// Has the machine measure, and waits for what it found.
pub(super) fn by_landfall(
    client: &mut Client,
    lasting: Duration,
) -> Result<(DirtyRateInfo, Told), PlanError> {
    client.execute(&Command::CalcDirtyRate(DirtyRateRequest::lasting(lasting)))?;
    let mut until = Instant::now() + lasting;
    loop {
        // Events are of no interest here; waiting for one is how the machine's end is noticed meanwhile.
        while client.wait_event(until)?.is_some() {}
        let unit = TimeUnit::Millisecond;
        let info: DirtyRateInfo = client.query(&Command::QueryDirtyRate { unit })?;
        match (info.status, &info.landfall) {
            (DirtyRateStatus::Measuring, _) => until = Instant::now() + TICK,
            (DirtyRateStatus::Measured, Some(told)) => {
                let told = told.clone();
                return Ok((info, told));
            }
            _ => {
                let why = info.error.unwrap_or_else(|| "the machine does not say why".to_owned());
                return Err(PlanError::NotMeasured(why));
            }
        }
    }
}

/// Has a QEMU count what its guest dirties, in windows of several lengths one after the other.
pub(super) fn by_qemu(
    client: &mut Client,
    lasting: Duration,
) -> Result<(DirtyRateInfo, Told), PlanError> {
    let mut windows = Vec::new();
    let mut last = DirtyRateInfo::default();
    for time in SHORT {
        match count(client, time) {
            Ok((info, distinct)) => {
                windows.push((time, distinct));
                last = info;
            }
            // It knows no unit but the second.
            Err(PlanError::Monitor(ClientError::Refused { .. })) => break,
            Err(error) => return Err(error),
        }
    }
    let whole = Duration::from_secs(lasting.as_secs().max(2));
    for time in [SECOND, whole] {
        let (info, distinct) = count(client, time)?;
        windows.push((time, distinct));
        last = info;
    }
    let memory = memory(client)?;
    let measured = DirtyMeasurement {
        windows,
        rhythm: Rhythm::Steady,
        vcpu_rates: Vec::new(),
        memory,
        // QEMU does not tell how much of it was ever written to.
        non_zero: memory,
    };
    Ok((last, told(&measured)))
}

fn told(measured: &DirtyMeasurement) -> Told {
    let load = measured.load();
    let window = |(time, distinct): &(Duration, Bytes)| MeasuredWindow {
        window_ms: in_ms(*time),
        distinct_bytes: distinct.0,
    };
    Told {
        dirty_rate_bytes_per_second: load.rate.bytes_per_second(),
        working_set_bytes: load.workload.extent().0,
        working_set_is_known: load.is_bounded,
        pattern: load.pattern().to_owned(),
        windows: measured.windows.iter().map(window).collect(),
        memory_bytes: measured.memory.0,
        non_zero_bytes: measured.non_zero.0,
        ..Told::default()
    }
}

/// Has a measurement begin: by the dirty log where that is free, otherwise by samples of pages, which is all that QEMU has
/// before 6.2.
fn begin(client: &mut Client, time: Duration) -> Result<DirtyRateMode, PlanError> {
    let by_samples = DirtyRateRequest::lasting(time);
    let by_log = DirtyRateRequest { mode: Some(DirtyRateMode::DirtyBitmap), ..by_samples };
    match client.execute(&Command::CalcDirtyRate(by_log)) {
        Ok(_) => Ok(DirtyRateMode::DirtyBitmap),
        Err(ClientError::Refused {
            source: QmpError { class: ErrorClass::CommandNotFound, .. },
            ..
        }) => Err(PlanError::CannotMeasure),
        Err(ClientError::Refused { .. }) => {
            client.execute(&Command::CalcDirtyRate(by_samples))?;
            Ok(DirtyRateMode::PageSampling)
        }
        Err(error) => Err(error.into()),
    }
}

/// The distinct memory that the guest dirties in so much time.
fn count(client: &mut Client, time: Duration) -> Result<(DirtyRateInfo, Bytes), PlanError> {
    let mode = begin(client, time)?;
    let unit = if time.subsec_nanos() == 0 { TimeUnit::Second } else { TimeUnit::Millisecond };
    let mut until = Instant::now() + time;
    loop {
        while client.wait_event(until)?.is_some() {}
        let info: DirtyRateInfo = client.query(&Command::QueryDirtyRate { unit })?;
        match (info.status, info.dirty_rate) {
            (DirtyRateStatus::Measuring, _) => until = Instant::now() + TICK,
            (DirtyRateStatus::Measured, Some(rate)) => {
                let mebibytes = u64::try_from(rate).unwrap_or_default();
                // One that knows but one way does not tell which.
                let info = DirtyRateInfo { mode, ..info };
                return Ok((info, Bytes(mebibytes << 20).part(time.as_secs_f64())));
            }
            _ => {
                let why = "QEMU did not measure; is the guest running?".to_owned();
                return Err(PlanError::NotMeasured(why));
            }
        }
    }
}

/// All memory that the guest began with.
fn memory(client: &mut Client) -> Result<Bytes, PlanError> {
    let answer = client.execute_raw("query-memory-size-summary", Map::new())?;
    answer["base-memory"].as_u64().map(Bytes).ok_or_else(|| {
        PlanError::NotMeasured("QEMU did not say how much memory the guest has".to_owned())
    })
}

#[cfg(test)]
#[path = "measuring_tests.rs"]
mod tests;
