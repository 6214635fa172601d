//! Limits as flags, and as the parameters of a machine.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use landfall_converge::{ByteRate, Throttle};
use landfall_qmp::{OnLimit, ParametersUpdate, Policy};

use crate::quantities::duration;

/// The flags of `demo`.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Who decides how hard to throttle: adaptive is Landfall's own, stepped QEMU's rule since 2.5, classic that of
    /// 2013. To never throttle, use --auto-converge off.
    #[arg(long, default_value = "adaptive", value_parser = policy())]
    pub(crate) policy: Policy,
    /// The longest downtime, as in 300ms.
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = duration)]
    pub(crate) max_downtime: Duration,
    /// The hardest throttle, in per cent of a vCPU's time, as in 80%.
    #[arg(long, value_name = "PERCENT", default_value = "99%", value_parser = throttle)]
    pub(crate) max_throttle: Throttle,
    /// The longest single stop of a vCPU by the throttle, as in 10ms; stepped and classic do not keep it.
    #[arg(long, value_name = "DURATION", default_value = "10ms", value_parser = duration)]
    pub(crate) max_stall: Duration,
    /// What happens at the end of the time limit.
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    pub(crate) on_limit: AtLimit,
    /// Compare a digest of guest memory and state at both ends before the guest is given away. Costs downtime.
    #[arg(long)]
    pub(crate) verify: bool,
    /// How long to wait for the other side before the migration fails, as in 10s.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) peer_timeout: Duration,
}

/// The flags of `migrate`. What is not given is as the node's policy has it; with a machine that is named by its socket,
/// as in [`LimitArgs`].
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct MigrationLimitArgs {
    /// Between nodes: what the migration may cost, by a name of `landfall policy list`. From socket to socket, who decides
    /// how hard to throttle: adaptive, stepped or classic. To never throttle, use --auto-converge off.
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// The longest downtime, as in 300ms.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) max_downtime: Option<Duration>,
    /// The hardest throttle, in per cent of a vCPU's time, as in 80%.
    #[arg(long, value_name = "PERCENT", value_parser = throttle)]
    pub(crate) max_throttle: Option<Throttle>,
    /// The longest single stop of a vCPU by the throttle, as in 10ms; stepped and classic do not keep it.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) max_stall: Option<Duration>,
    /// The longest migration, as in 15min; `none` for no limit.
    #[arg(long, value_name = "DURATION", value_parser = time_limit)]
    pub(crate) time_limit: Option<Duration>,
    /// What happens at the end of the time limit.
    #[arg(long, value_name = "ACTION", value_enum)]
    pub(crate) on_limit: Option<AtLimit>,
    /// Compare a digest of guest memory and state at both ends before the guest is given away. Costs downtime.
    #[arg(long)]
    pub(crate) verify: bool,
    /// How long to wait for the other side before the migration fails, as in 10s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) peer_timeout: Option<Duration>,
}

impl MigrationLimitArgs {
    /// For a machine that is named by its socket.
    ///
    /// # Errors
    /// When the policy is none of its rules.
    pub(crate) fn of_socket(&self) -> Result<LimitArgs, String> {
        let policy = match self.policy.as_deref() {
            None | Some("adaptive") => Policy::Adaptive,
            Some("stepped") => Policy::Stepped,
            Some("classic") => Policy::Classic,
            Some(other) => {
                return Err(format!(
                    "'{other}' is no policy of a machine that is named by its socket; there are adaptive, stepped and classic"
                ));
            }
        };
        let usual = LimitArgs::default();
        Ok(LimitArgs {
            policy,
            max_downtime: self.max_downtime.unwrap_or(usual.max_downtime),
            max_throttle: self.max_throttle.unwrap_or(usual.max_throttle),
            max_stall: self.max_stall.unwrap_or(usual.max_stall),
            on_limit: self.on_limit.unwrap_or(usual.on_limit),
            verify: self.verify,
            peer_timeout: self.peer_timeout.unwrap_or(usual.peer_timeout),
        })
    }
}

impl Default for LimitArgs {
    fn default() -> Self {
        Self {
            policy: Policy::Adaptive,
            max_downtime: Duration::from_millis(300),
            max_throttle: Throttle::MAX,
            max_stall: Duration::from_millis(10),
            on_limit: AtLimit::Abort,
            verify: false,
            peer_timeout: Duration::from_secs(10),
        }
    }
}

/// What happens at the end of the time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AtLimit {
    /// Give up; the guest runs on at the source.
    #[default]
    Abort,
    /// Switch over whatever the downtime.
    Switchover,
    /// QEMU only: the guest runs on at the destination, and its pages follow. Should the link break then, it is lost.
    Postcopy,
}

impl AtLimit {
    /// For a machine of Landfall's own; `None` for what only QEMU does.
    pub(crate) fn native(self) -> Option<OnLimit> {
        match self {
            Self::Abort => Some(OnLimit::Abort),
            Self::Switchover => Some(OnLimit::Switchover),
            Self::Postcopy => None,
        }
    }
}

impl From<AtLimit> for landfall_pilot::AtLimit {
    fn from(at_limit: AtLimit) -> Self {
        match at_limit {
            AtLimit::Abort => Self::Abort,
            AtLimit::Switchover => Self::Switchover,
            AtLimit::Postcopy => Self::Postcopy,
        }
    }
}

fn policy() -> impl TypedValueParser<Value = Policy> {
    PossibleValuesParser::new(["adaptive", "stepped", "classic"]).map(|name| match name.as_str() {
        "stepped" => Policy::Stepped,
        "classic" => Policy::Classic,
        _ => Policy::Adaptive,
    })
}

pub(crate) fn time_limit(text: &str) -> Result<Duration, String> {
    match text {
        "none" => Ok(Duration::ZERO),
        time => duration(time),
    }
}

pub(crate) fn throttle(text: &str) -> Result<Throttle, String> {
    let throttle: Throttle = text
        .parse()
        .map_err(|error: landfall_converge::units::ParseUnitError| error.to_string())?;
    if throttle.share() < 0.01 {
        return Err("a throttle of less than 1% is none; use --auto-converge off".to_owned());
    }
    Ok(throttle)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a throttle is 0 to 0.99, so this is 0 to 99"
)]
pub(crate) fn percent(throttle: Throttle) -> u8 {
    (throttle.share() * 100.0).round() as u8
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is never negative, and one past u64 saturates"
)]
pub(crate) fn bytes_per_second(rate: ByteRate) -> u64 {
    // Less than a byte a second must not become 0, which means that there is no limit.
    (rate.bytes_per_second().ceil() as u64).max(1)
}

impl LimitArgs {
    /// As parameters. Every one that matters is named, so that what an earlier client has left in the machine does not
    /// leak into this migration.
    pub(crate) fn parameters(
        &self,
        bandwidth: Option<ByteRate>,
        time_limit: Option<Duration>,
    ) -> ParametersUpdate {
        let max_cpu_throttle = percent(self.max_throttle);
        ParametersUpdate {
            max_bandwidth: Some(bandwidth.map_or(0, bytes_per_second)),
            downtime_limit: Some(self.max_downtime),
            max_cpu_throttle: Some(max_cpu_throttle),
            cpu_throttle_initial: Some(max_cpu_throttle.min(20)),
            cpu_throttle_increment: Some(10),
            throttle_trigger_threshold: Some(50),
            policy: Some(self.policy),
            max_stall: Some(self.max_stall),
            time_limit: Some(time_limit.unwrap_or_default()),
            on_limit: Some(self.on_limit.native().unwrap_or_default()),
            verify: Some(self.verify),
            hand_over: Some(false),
            peer_timeout: Some(self.peer_timeout),
            ..ParametersUpdate::default()
        }
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
