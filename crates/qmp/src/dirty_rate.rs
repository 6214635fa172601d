//! `calc-dirty-rate` and what `query-dirty-rate` answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::error::QmpError;

/// The times that QEMU measures for.
const LEAST_TIME: Duration = Duration::from_millis(50);
const LONGEST_TIME: Duration = Duration::from_secs(60);
/// The pages of a gigabyte that QEMU looks at in the mode `page-sampling`.
const LEAST_SAMPLE_PAGES: u64 = 128;
const MOST_SAMPLE_PAGES: u64 = 16384;

/// How a dirty rate is found out, by QEMU's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirtyRateMode {
    /// Hashes of some pages are compared before and after.
    PageSampling,
    /// The dirty log, which does not tell vCPUs apart.
    #[default]
    DirtyBitmap,
    /// The dirty log, which tells vCPUs apart.
    DirtyRing,
}

/// Where a measurement is, by QEMU's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirtyRateStatus {
    /// There is none.
    #[default]
    Unstarted,
    /// It is under way.
    Measuring,
    /// It is over.
    Measured,
}

/// In what a time is counted; QEMU knows it since 8.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Seconds.
    #[default]
    Second,
    /// Milliseconds.
    Millisecond,
}

impl TimeUnit {
    const NAMES: &[(&str, Self)] = &[("second", Self::Second), ("millisecond", Self::Millisecond)];

    /// Takes the argument `calc-time-unit`.
    pub(crate) fn parse(arguments: &mut Arguments) -> Result<Self, QmpError> {
        Ok(arguments.choice("calc-time-unit", Self::NAMES)?.unwrap_or_default())
    }

    /// `time` as a count of this unit.
    #[must_use]
    pub fn count(self, time: Duration) -> u64 {
        match self {
            Self::Second => time.as_secs(),
            Self::Millisecond => u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn time(self, count: u64) -> Duration {
        match self {
            Self::Second => Duration::from_secs(count),
            Self::Millisecond => Duration::from_millis(count),
        }
    }
}

/// The arguments of `calc-dirty-rate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirtyRateRequest {
    /// For how long to measure: 50 ms to 60 s.
    pub calc_time: Duration,
    /// How; a machine of Landfall always asks its dirty log, and says so in its answer.
    pub mode: Option<DirtyRateMode>,
    /// Pages of a gigabyte to look at, for the mode `page-sampling` alone.
    pub sample_pages: Option<u64>,
}

impl DirtyRateRequest {
    /// A measurement of `calc_time`, all else as the machine likes it.
    #[must_use]
    pub fn lasting(calc_time: Duration) -> Self {
        Self { calc_time, mode: None, sample_pages: None }
    }

    pub(crate) fn parse(arguments: &mut Arguments) -> Result<Self, QmpError> {
        let count = arguments.integer("calc-time", 0, u64::MAX, "a time")?;
        let unit = TimeUnit::parse(arguments)?;
        let modes = [
            ("page-sampling", DirtyRateMode::PageSampling),
            ("dirty-bitmap", DirtyRateMode::DirtyBitmap),
            ("dirty-ring", DirtyRateMode::DirtyRing),
        ];
        let mode = arguments.choice("mode", &modes)?;
        let sample_pages = arguments.integer("sample-pages", 0, u64::MAX, "a number of pages")?;
        let calc_time = unit.time(Arguments::required("calc-time", count)?);
        if !(LEAST_TIME..=LONGEST_TIME).contains(&calc_time) {
            return Err(QmpError::generic("Calculation time is out of range [50ms, 60000ms]."));
        }
        if let Some(pages) = sample_pages {
            if mode.is_some_and(|mode| mode != DirtyRateMode::PageSampling) {
                return Err(QmpError::generic("sample-pages is used only in page-sampling mode"));
            }
            if !(LEAST_SAMPLE_PAGES..=MOST_SAMPLE_PAGES).contains(&pages) {
                return Err(QmpError::generic("sample-pages is out of range[128, 16384]."));
            }
        }
        Ok(Self { calc_time, mode, sample_pages })
    }

    /// As the arguments of a request; without a unit where none is needed, since QEMU before 8.2 knows none.
    pub(crate) fn to_arguments(self) -> Map<String, Value> {
        let mut arguments = Map::new();
        if self.calc_time.subsec_nanos() == 0 {
            arguments.insert("calc-time".to_owned(), json!(self.calc_time.as_secs()));
        } else {
            let unit = TimeUnit::Millisecond;
            arguments.insert("calc-time".to_owned(), json!(unit.count(self.calc_time)));
            arguments.insert("calc-time-unit".to_owned(), json!(unit));
        }
        if let Some(mode) = self.mode {
            arguments.insert("mode".to_owned(), json!(mode));
        }
        if let Some(pages) = self.sample_pages {
            arguments.insert("sample-pages".to_owned(), json!(pages));
        }
        arguments
    }
}

/// The answer to `query-dirty-rate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct DirtyRateInfo {
    /// MiB of distinct pages dirtied a second over the whole time, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty_rate: Option<i64>,
    /// Where the measurement is.
    pub status: DirtyRateStatus,
    /// When it began: seconds since 1970.
    pub start_time: i64,
    /// For how long it measures, in `calc_time_unit`.
    pub calc_time: i64,
    /// The unit of `calc_time`.
    pub calc_time_unit: TimeUnit,
    /// Pages of a gigabyte that were looked at; 0 when a dirty log was asked instead.
    pub sample_pages: u64,
    /// How it was really measured.
    pub mode: DirtyRateMode,
    /// One entry a vCPU, where they were told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vcpu_dirty_rate: Option<Vec<VcpuDirtyRate>>,
    /// What Landfall's machines tell beyond that, once it is measured.
    #[serde(rename = "x-landfall", skip_serializing_if = "Option::is_none")]
    pub landfall: Option<DirtyMeasurement>,
    /// Why the last measurement gave no result, where one did not.
    #[serde(rename = "x-landfall-error", skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One vCPU's dirty rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VcpuDirtyRate {
    /// Which, from 0.
    pub id: i64,
    /// MiB of pages dirtied a second.
    pub dirty_rate: i64,
}

/// What a machine of Landfall has measured of its guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DirtyMeasurement {
    /// Bytes of pages written to a second, by the shortest windows: faster than distinct pages appear over a long
    /// time, in which a guest writes the same pages again.
    pub dirty_rate_bytes_per_second: f64,
    /// The memory that the guest keeps rewriting, as far as it was seen.
    pub working_set_bytes: u64,
    /// Whether an end of it was seen; otherwise it is at least so large.
    pub working_set_is_known: bool,
    /// In what order it is rewritten: `idle`, `sweep`, `random` or `hot-and-cold`.
    pub pattern: String,
    /// How it alternates between writing and resting, where it does; windows are means over both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bursts: Option<MeasuredBursts>,
    /// Distinct memory written in windows of different lengths, shortest first, the mean over all such windows.
    pub windows: Vec<MeasuredWindow>,
    /// Bytes of pages written a second by each vCPU; empty where the dirty log cannot tell.
    pub vcpu_bytes_per_second: Vec<f64>,
    /// The guest's memory.
    pub memory_bytes: u64,
    /// The part of it that holds anything but zeros, by a sample of pages.
    pub non_zero_bytes: u64,
    /// How long it takes to read the dirty log: a part of every downtime.
    pub sync_ms: f64,
}

/// Writing and resting, by turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredBursts {
    /// How long it writes.
    pub on_ms: f64,
    /// How long it rests.
    pub off_ms: f64,
}

/// Distinct memory written in windows of one length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredWindow {
    /// The length.
    pub window_ms: f64,
    /// The mean over all windows of this length.
    pub distinct_bytes: u64,
}

#[cfg(test)]
#[path = "dirty_rate_tests.rs"]
mod tests;
