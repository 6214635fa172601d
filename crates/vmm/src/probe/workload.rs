//! What a probe guest does to its memory.

use std::str::FromStr;
use std::time::Duration;

use landfall_converge::units::ParseUnitError;
use landfall_converge::{ByteRate, Bytes};
use serde::{Deserialize, Serialize};

/// The order in which pages are visited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Rewrites the working set page by page, over and over.
    #[default]
    Sweep,
    /// Rewrites pages of the working set at random.
    Random,
    /// Reads and checks the working set, and writes nothing but its own counters.
    ReadOnly,
    /// Rewrites pages at random, seven times out of eight in the hot part of the working set.
    HotCold,
    /// Computes, and writes nothing but its own counters.
    Compute,
}

impl Pattern {
    /// Whether the guest keeps a ledger of what each page must hold: where it goes in no order, nothing else says it.
    pub(super) fn has_ledger(self) -> bool {
        matches!(self, Self::Random | Self::HotCold)
    }
}

/// Work in bursts with rest in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// How long a burst lasts.
    pub on: Duration,
    /// How long the rest lasts.
    pub off: Duration,
}

/// What a probe guest does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// The order in which pages are visited.
    pub pattern: Pattern,
    /// The pages that are visited, shared evenly among the vCPUs that visit any.
    pub working_set: Bytes,
    /// The part of the working set that [`Pattern::HotCold`] writes to most; `None` for an eighth of it.
    #[serde(default)]
    pub hot: Option<Bytes>,
    /// vCPUs that only compute, whatever the others do: the last ones.
    #[serde(default)]
    pub computing: usize,
    /// Bytes of pages visited a second by all vCPUs together; `None` for full speed.
    pub rate: Option<ByteRate>,
    /// Bursts and rests; `None` for working all the time.
    pub burst: Option<Burst>,
}

impl Default for Workload {
    /// A sweep of 128 MiB at full speed.
    fn default() -> Self {
        Self {
            pattern: Pattern::Sweep,
            working_set: Bytes(128 << 20),
            hot: None,
            computing: 0,
            rate: None,
            burst: None,
        }
    }
}

/// Why a text is no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseWorkloadError {
    /// The first word is no workload.
    #[error(
        "'{0}' is no workload; write sweep, random, hot-cold, read-only, compute or bursts, as in sweep,working-set=128MiB,rate=500MB/s"
    )]
    Name(String),
    /// An option is not known.
    #[error(
        "'{0}' is no option of a workload; there are working-set=SIZE, hot=SIZE, rate=RATE, computing=VCPUS, on=TIME and off=TIME"
    )]
    Option(String),
    /// The value of an option cannot be read.
    #[error("the workload's {option} cannot be read: {problem}")]
    Value {
        /// The option.
        option: String,
        /// What is wrong with its value.
        problem: String,
    },
}

/// Reads `sweep`, `random`, `hot-cold`, `read-only`, `compute` or `bursts`, each followed by options:
/// `bursts,working-set=64MiB,on=300ms`.
impl FromStr for Workload {
    type Err = ParseWorkloadError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(',');
        let name = words.next().unwrap_or_default();
        let mut workload = Self::default();
        match name {
            "sweep" => {}
            "random" => workload.pattern = Pattern::Random,
            "hot-cold" => workload.pattern = Pattern::HotCold,
            "read-only" => workload.pattern = Pattern::ReadOnly,
            "compute" => workload.pattern = Pattern::Compute,
            "bursts" => {
                workload.burst =
                    Some(Burst { on: Duration::from_millis(500), off: Duration::from_millis(500) });
            }
            _ => return Err(ParseWorkloadError::Name(name.to_owned())),
        }
        for word in words {
            let (option, value) =
                word.split_once('=').ok_or_else(|| ParseWorkloadError::Option(word.to_owned()))?;
            workload.set(option, value)?;
        }
        Ok(workload)
    }
}

impl Workload {
    fn set(&mut self, option: &str, value: &str) -> Result<(), ParseWorkloadError> {
        let wrong =
            |problem: String| ParseWorkloadError::Value { option: option.to_owned(), problem };
        match option {
            "working-set" => self.working_set = value.parse().map_err(said(&wrong))?,
            "hot" => self.hot = Some(value.parse().map_err(said(&wrong))?),
            "rate" => self.rate = Some(value.parse().map_err(said(&wrong))?),
            "computing" => {
                self.computing =
                    value.parse().map_err(|_| wrong(format!("'{value}' is no number of vCPUs")))?;
            }
            "on" | "off" => {
                let time = milliseconds(value).ok_or_else(|| {
                    wrong(format!(
                        "'{value}' is no time; write milliseconds or seconds, as in 300ms or 2s"
                    ))
                })?;
                let burst = self.burst.get_or_insert(Burst { on: time, off: time });
                if option == "on" { burst.on = time } else { burst.off = time }
            }
            _ => return Err(ParseWorkloadError::Option(option.to_owned())),
        }
        Ok(())
    }
}

/// Has `wrong` say what is wrong with a quantity.
fn said(
    wrong: &impl Fn(String) -> ParseWorkloadError,
) -> impl Fn(ParseUnitError) -> ParseWorkloadError {
    move |error| wrong(error.to_string())
}

impl Workload {
    /// What vCPU `index` of `vcpus` does.
    pub(super) fn pattern_of(&self, index: usize, vcpus: usize) -> Pattern {
        if index + self.computing >= vcpus { Pattern::Compute } else { self.pattern }
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    if let Some(ms) = text.strip_suffix("ms") {
        return ms.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
#[path = "workload_tests.rs"]
mod tests;
