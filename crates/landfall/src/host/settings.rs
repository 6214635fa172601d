//! Settings of a node's migrations, as flags.

use std::time::Duration;

use clap::Args;
use landfall_converge::{ByteRate, Throttle};
use landfall_node::model::{OnLimit, Settings, SettingsChange};

use crate::args::Switch;
use crate::error::CliError;
use crate::limits::{AtLimit, bytes_per_second, percent, throttle, time_limit};
use crate::migrate::ONLY_QEMU;
use crate::quantities::{duration, milliseconds};

/// What is not given stays as it is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingsArgs {
    /// Throttle the guest where the migration would not arrive otherwise.
    #[arg(long, value_enum, value_name = "SWITCH")]
    pub(crate) auto_converge: Option<Switch>,
    /// The longest downtime, as in 300ms.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) max_downtime: Option<Duration>,
    /// The hardest throttle, in per cent of a vCPU's time, as in 80%.
    #[arg(long, value_name = "PERCENT", value_parser = throttle)]
    pub(crate) max_throttle: Option<Throttle>,
    /// The most that may leave a second, as in 125MB/s or 10Gbit/s.
    #[arg(long, value_name = "RATE")]
    pub(crate) bandwidth: Option<ByteRate>,
    /// The longest migration, as in 15min; `none` for no limit.
    #[arg(long, value_name = "DURATION", value_parser = time_limit)]
    pub(crate) time_limit: Option<Duration>,
    /// What happens at the end of the time limit.
    #[arg(long, value_name = "ACTION", value_enum)]
    pub(crate) on_limit: Option<AtLimit>,
}

impl SettingsArgs {
    pub(crate) fn change(&self) -> Result<SettingsChange, CliError> {
        Ok(SettingsChange {
            auto_converge: self.auto_converge.map(|switch| switch == Switch::On),
            max_throttle_percent: self.max_throttle.map(percent),
            max_downtime_ms: self.max_downtime.map(whole_ms),
            time_limit_ms: self.time_limit.map(whole_ms),
            on_limit: self.on_limit.map(on_limit).transpose()?,
            bandwidth_bytes_per_second: self.bandwidth.map(bytes_per_second),
        })
    }
}

/// At least a millisecond: none at all would mean that there is no limit.
pub(crate) fn whole_ms(time: Duration) -> u64 {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if time.is_zero() { 0 } else { ms.max(1) }
}

pub(crate) fn on_limit(at_limit: AtLimit) -> Result<OnLimit, CliError> {
    match at_limit {
        AtLimit::Abort => Ok(OnLimit::Abort),
        AtLimit::Switchover => Ok(OnLimit::Switchover),
        AtLimit::Postcopy => Err(ONLY_QEMU),
    }
}

/// What a migration may do and cost, in one line.
pub(super) fn text(settings: &Settings) -> String {
    let throttle = match settings.auto_converge {
        true => format!("throttle up to {} %", settings.max_throttle_percent),
        false => "no auto-converge".to_owned(),
    };
    let bandwidth = settings.bandwidth_bytes_per_second.map_or_else(
        || "the node's share of bandwidth".to_owned(),
        |most| format!("bandwidth {}", ByteRate::new(most as f64)),
    );
    let end = settings.time_limit_ms.map_or_else(
        || "no time limit".to_owned(),
        |ms| {
            let then = match settings.on_limit {
                OnLimit::Abort => "gives up",
                OnLimit::Switchover => "switches over",
            };
            format!("{then} after {}", milliseconds(ms as f64))
        },
    );
    let downtime = milliseconds(settings.max_downtime_ms as f64);
    format!("{throttle}, downtime {downtime}, {bandwidth}, {end}")
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
