//! Parameters of a migration, by QEMU's names; what is Landfall's own is named `x-landfall-…`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::error::QmpError;

/// The longest downtime that QEMU takes, 2000 s.
const MOST_DOWNTIME_MS: u64 = 2_000_000;
/// The longest of all other times, some 49 days.
const MOST_MS: u64 = 0xffff_ffff;

/// Who decides how hard to throttle while `auto-converge` is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// QEMU's rule of 2013.
    Classic,
    /// QEMU's rule since 2.5.
    Stepped,
    /// Landfall's own.
    #[default]
    Adaptive,
}

/// What happens at the end of the time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLimit {
    /// Give up; the guest goes on at the source.
    #[default]
    Abort,
    /// Switch over whatever the downtime.
    Switchover,
}

/// How pages are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageEncoding {
    /// As they are, but for zeros.
    #[default]
    None,
    /// By whatever costs least, as measured.
    Auto,
    /// As what has changed since they were sent last.
    Delta,
    /// Compressed by LZ4.
    Lz4,
    /// Compressed by Zstandard.
    Zstd,
}

/// 1 TB/s, in the place of no limit for QEMU, which takes 0 for its default in some versions and for none in others.
pub const NO_BANDWIDTH_LIMIT: u64 = 1_000_000_000_000;

macro_rules! parameters {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $default:expr, $name:literal $(with $with:literal)?;)*) => {
        /// The answer to `query-migrate-parameters`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Parameters {
            $($(#[$doc])* #[serde(rename = $name $(, with = $with)?)] pub $field: $type,)*
        }

        /// As QEMU has them.
        impl Default for Parameters {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        /// The arguments of `migrate-set-parameters`: what is `None` stays as it is.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct ParametersUpdate {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        impl Parameters {
            fn updated(mut self, update: &ParametersUpdate) -> Self {
                $(if let Some(value) = &update.$field { self.$field = value.clone(); })*
                self
            }
        }

        impl ParametersUpdate {
            /// As the arguments of a request.
            #[must_use]
            pub fn to_arguments(&self) -> Map<String, Value> {
                // Serialised as a whole, so that each value gets the form that it has in `query-migrate-parameters`.
                let all = serde_json::to_value(Parameters::default().updated(self));
                let Ok(Value::Object(mut all)) = all else { return Map::new() };
                $(if self.$field.is_none() { all.remove($name); })*
                all
            }
        }
    };
}

parameters! {
    /// Bytes a second that may leave; 0 for as many as the link takes.
    max_bandwidth: u64 = 128 << 20, "max-bandwidth";
    /// The longest downtime.
    downtime_limit: Duration = Duration::from_millis(300), "downtime-limit" with "milliseconds";
    /// The hardest throttle, in per cent.
    max_cpu_throttle: u8 = 99, "max-cpu-throttle";
    /// The first throttle of the policy `stepped`, in per cent.
    cpu_throttle_initial: u8 = 20, "cpu-throttle-initial";
    /// The step of the policy `stepped`, in per cent.
    cpu_throttle_increment: u8 = 10, "cpu-throttle-increment";
    /// The bytes dirtied, in per cent of those sent, from which a period is bad for the policy `stepped`.
    throttle_trigger_threshold: u8 = 50, "throttle-trigger-threshold";
    /// Channels for pages.
    multifd_channels: u8 = 2, "multifd-channels";
    /// Only as many of them carry pages as make it faster, as measured.
    channels_by_speed: bool = false, "x-landfall-channels-by-speed";
    /// How pages are written down.
    encoding: PageEncoding = PageEncoding::None, "x-landfall-encoding";
    /// The directory of this host's identity: with one, connections over TCP are of TLS 1.3. Empty for none.
    tls_creds: String = String::new(), "tls-creds";
    /// The name in the destination's certificate; empty for the host that is connected to.
    tls_hostname: String = String::new(), "tls-hostname";
    /// A connection to another host may be plain.
    insecure: bool = false, "x-landfall-insecure";
    /// Who decides how hard to throttle.
    policy: Policy = Policy::Adaptive, "x-landfall-policy";
    /// The longest single stop of a vCPU by the throttle.
    max_stall: Duration = Duration::from_millis(10), "x-landfall-max-stall" with "milliseconds";
    /// The longest migration; zero for no limit.
    time_limit: Duration = Duration::ZERO, "x-landfall-time-limit" with "milliseconds";
    /// What happens at the end of it.
    on_limit: OnLimit = OnLimit::Abort, "x-landfall-on-limit";
    /// Compare digests of both ends before the guest is given away.
    verify: bool = false, "x-landfall-verify";
    /// Hand the guest's memory itself over to a process of this host, over a Unix socket.
    hand_over: bool = false, "x-landfall-hand-over";
    /// How long to wait for the other side.
    peer_timeout: Duration = Duration::from_secs(10), "x-landfall-peer-timeout" with "milliseconds";
}

impl ParametersUpdate {
    /// Reads the arguments of `migrate-set-parameters`.
    pub(crate) fn parse(mut arguments: Arguments) -> Result<Self, QmpError> {
        let from = &mut arguments;
        let percent = "a number of per cent";
        let update = Self {
            max_bandwidth: from.integer("max-bandwidth", 0, i64::MAX as u64, "bytes a second")?,
            downtime_limit: from.milliseconds("downtime-limit", 0, MOST_DOWNTIME_MS)?,
            max_cpu_throttle: from.integer("max-cpu-throttle", 1, 99, percent)?,
            cpu_throttle_initial: from.integer("cpu-throttle-initial", 1, 99, percent)?,
            cpu_throttle_increment: from.integer("cpu-throttle-increment", 1, 99, percent)?,
            throttle_trigger_threshold: from.integer(
                "throttle-trigger-threshold",
                1,
                100,
                percent,
            )?,
            multifd_channels: from.integer("multifd-channels", 1, 128, "a number of channels")?,
            channels_by_speed: from.boolean("x-landfall-channels-by-speed")?,
            encoding: from.choice(
                "x-landfall-encoding",
                &[
                    ("none", PageEncoding::None),
                    ("auto", PageEncoding::Auto),
                    ("delta", PageEncoding::Delta),
                    ("lz4", PageEncoding::Lz4),
                    ("zstd", PageEncoding::Zstd),
                ],
            )?,
            tls_creds: from.string("tls-creds")?,
            tls_hostname: from.string("tls-hostname")?,
            insecure: from.boolean("x-landfall-insecure")?,
            policy: from.choice(
                "x-landfall-policy",
                &[
                    ("classic", Policy::Classic),
                    ("stepped", Policy::Stepped),
                    ("adaptive", Policy::Adaptive),
                ],
            )?,
            max_stall: from.milliseconds("x-landfall-max-stall", 1, MOST_MS)?,
            time_limit: from.milliseconds("x-landfall-time-limit", 0, MOST_MS)?,
            on_limit: from.choice(
                "x-landfall-on-limit",
                &[("abort", OnLimit::Abort), ("switchover", OnLimit::Switchover)],
            )?,
            verify: from.boolean("x-landfall-verify")?,
            hand_over: from.boolean("x-landfall-hand-over")?,
            peer_timeout: from.milliseconds("x-landfall-peer-timeout", 1, MOST_MS)?,
        };
        arguments.finish()?;
        Ok(update)
    }
}

impl Parameters {
    /// These with `update` made: all of it, or nothing when it is refused.
    ///
    /// # Errors
    /// When the hardest throttle would be less than the first one.
    pub fn with(&self, update: &ParametersUpdate) -> Result<Self, QmpError> {
        let updated = self.clone().updated(update);
        if updated.max_cpu_throttle < updated.cpu_throttle_initial {
            // Who sets only the cap means the cap: the first step is brought under it rather than standing in the way.
            if update.cpu_throttle_initial.is_none() {
                let cpu_throttle_initial = updated.max_cpu_throttle;
                return Ok(Self { cpu_throttle_initial, ..updated });
            }
            return Err(QmpError::generic(format!(
                "Parameter 'max-cpu-throttle' expects a number of per cent in the range of \
                 cpu-throttle-initial ({}) to 99",
                updated.cpu_throttle_initial
            )));
        }
        Ok(updated)
    }
}

/// Durations as whole milliseconds, as QEMU has them.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
