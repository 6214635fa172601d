//! What a machine can be asked for.

use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::capability::CapabilityState;
use crate::dirty_rate::{DirtyRateRequest, TimeUnit};
use crate::error::QmpError;
use crate::message::{Request, SessionCommand};
use crate::parameters::ParametersUpdate;

/// A command for the machine. Those for the session alone are a [`SessionCommand`].
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `query-status`, answered by a [`StatusInfo`](crate::StatusInfo).
    QueryStatus,
    /// `query-name`, answered by `{"name": …}`, or `{}` for a machine without one.
    QueryName,
    /// `query-cpus-fast`, answered by a list of [`CpuInfo`](crate::CpuInfo).
    QueryCpusFast,
    /// `stop`: pauses the guest.
    Stop,
    /// `cont`: lets the guest run again.
    Cont,
    /// `system_powerdown`: presses the power button, and returns at once; what the guest makes of that is its own affair.
    SystemPowerdown,
    /// `quit`: ends the machine; the reply is sent first.
    Quit,
    /// `balloon`: asks the guest to keep no more memory than this, and returns at once; how far it follows, `query-balloon` tells.
    Balloon {
        /// In bytes.
        value: u64,
    },
    /// `query-balloon`, answered by a [`BalloonInfo`](crate::BalloonInfo).
    QueryBalloon,
    /// `x-landfall-query-balloon-stats`, answered by [`BalloonStatistics`](crate::BalloonStatistics).
    QueryBalloonStats,
    /// `migrate-set-capabilities`
    MigrateSetCapabilities(Vec<CapabilityState>),
    /// `query-migrate-capabilities`, answered by a list of [`CapabilityState`].
    QueryMigrateCapabilities,
    /// `migrate-set-parameters`
    MigrateSetParameters(ParametersUpdate),
    /// `query-migrate-parameters`, answered by [`Parameters`](crate::Parameters).
    QueryMigrateParameters,
    /// `migrate`: begins to move the guest away, and returns at once.
    Migrate {
        /// Where to.
        uri: String,
    },
    /// `migrate-incoming`: begins to listen for a guest.
    MigrateIncoming {
        /// Where.
        uri: String,
    },
    /// `migrate_cancel`: returns at once; nothing happens when there is no migration.
    MigrateCancel,
    /// `query-migrate`, answered by a [`MigrationInfo`](crate::MigrationInfo).
    QueryMigrate,
    /// `calc-dirty-rate`: begins to measure, and returns at once.
    CalcDirtyRate(DirtyRateRequest),
    /// `query-dirty-rate`, answered by a [`DirtyRateInfo`](crate::DirtyRateInfo).
    QueryDirtyRate {
        /// In what the answer counts its times.
        unit: TimeUnit,
    },
    /// `x-landfall-check-guest`, answered by a [`GuestCheck`](crate::GuestCheck).
    CheckGuest,
    /// `x-landfall-query-vm`, answered by a [`VmStatus`](crate::VmStatus).
    QueryVm,
    /// `x-landfall-settle`: decides over a guest that is in doubt.
    Settle {
        /// Whether the guest shall run here; otherwise it is discarded here.
        run: bool,
    },
    /// `x-landfall-snapshot`: puts the guest into a file, which is whole when the answer comes.
    Snapshot {
        /// A path on the machine's host, where nothing is yet.
        file: String,
        /// Whether the guest stays stopped; otherwise it goes on.
        stop: bool,
    },
    /// `x-landfall-query-configuration`: what the machine is made from, as it travels.
    QueryConfiguration,
    /// `x-landfall-check-configuration`: whether this host could run such a machine. Refused with what is in the way.
    CheckConfiguration {
        /// As `x-landfall-query-configuration` gives it.
        configuration: String,
    },
}

macro_rules! names {
    ($($pattern:pat => $name:literal,)*) => {
        const NAMES: &[&str] = &[$($name,)*];

        impl Command {
            /// Its name over QMP.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $($pattern => $name,)* }
            }
        }
    };
}

names! {
    Self::QueryStatus => "query-status",
    Self::QueryName => "query-name",
    Self::QueryCpusFast => "query-cpus-fast",
    Self::Stop => "stop",
    Self::Cont => "cont",
    Self::SystemPowerdown => "system_powerdown",
    Self::Quit => "quit",
    Self::Balloon { .. } => "balloon",
    Self::QueryBalloon => "query-balloon",
    Self::QueryBalloonStats => "x-landfall-query-balloon-stats",
    Self::MigrateSetCapabilities(_) => "migrate-set-capabilities",
    Self::QueryMigrateCapabilities => "query-migrate-capabilities",
    Self::MigrateSetParameters(_) => "migrate-set-parameters",
    Self::QueryMigrateParameters => "query-migrate-parameters",
    Self::Migrate { .. } => "migrate",
    Self::MigrateIncoming { .. } => "migrate-incoming",
    Self::MigrateCancel => "migrate_cancel",
    Self::QueryMigrate => "query-migrate",
    Self::CalcDirtyRate(_) => "calc-dirty-rate",
    Self::QueryDirtyRate { .. } => "query-dirty-rate",
    Self::CheckGuest => "x-landfall-check-guest",
    Self::QueryVm => "x-landfall-query-vm",
    Self::Settle { .. } => "x-landfall-settle",
    Self::Snapshot { .. } => "x-landfall-snapshot",
    Self::QueryConfiguration => "x-landfall-query-configuration",
    Self::CheckConfiguration { .. } => "x-landfall-check-configuration",
}

impl Command {
    /// The names of all commands, those of the session among them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SessionCommand::names().chain(NAMES.iter().copied())
    }

    /// Its arguments as they stand in a request.
    #[must_use]
    pub fn arguments(&self) -> Map<String, Value> {
        let arguments = match self {
            Self::Balloon { value } => json!({ "value": value }),
            Self::MigrateSetCapabilities(capabilities) => json!({ "capabilities": capabilities }),
            Self::MigrateSetParameters(update) => return update.to_arguments(),
            Self::Migrate { uri } | Self::MigrateIncoming { uri } => json!({ "uri": uri }),
            Self::CalcDirtyRate(request) => return request.to_arguments(),
            // The unit is left out where it is the default, since QEMU before 8.2 does not know it.
            Self::QueryDirtyRate { unit: TimeUnit::Millisecond } => {
                json!({ "calc-time-unit": TimeUnit::Millisecond })
            }
            Self::Settle { run } => json!({ "run": run }),
            Self::Snapshot { file, stop } => json!({ "file": file, "stop": stop }),
            Self::CheckConfiguration { configuration } => json!({ "configuration": configuration }),
            _ => return Map::new(),
        };
        match arguments {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        }
    }

    /// Reads the command that `request` names.
    ///
    /// # Errors
    /// Of class `CommandNotFound` when there is no such command; otherwise `GenericError`, saying which argument is
    /// missing, unexpected, of the wrong type or out of range.
    pub fn parse(request: &Request) -> Result<Self, QmpError> {
        let mut arguments = Arguments::new(request.arguments.clone());
        let command = match request.execute.as_str() {
            "query-status" => Self::QueryStatus,
            "query-name" => Self::QueryName,
            "query-cpus-fast" => Self::QueryCpusFast,
            "stop" => Self::Stop,
            "cont" => Self::Cont,
            "system_powerdown" => Self::SystemPowerdown,
            "quit" => Self::Quit,
            "balloon" => {
                let value = arguments.integer("value", 1, i64::MAX.unsigned_abs(), "a size")?;
                Self::Balloon { value: Arguments::required("value", value)? }
            }
            "query-balloon" => Self::QueryBalloon,
            "x-landfall-query-balloon-stats" => Self::QueryBalloonStats,
            "migrate-set-capabilities" => {
                let items = arguments.array("capabilities")?;
                let items = Arguments::required("capabilities", items)?;
                Self::MigrateSetCapabilities(CapabilityState::parse_list(items)?)
            }
            "query-migrate-capabilities" => Self::QueryMigrateCapabilities,
            "migrate-set-parameters" => {
                return ParametersUpdate::parse(arguments).map(Self::MigrateSetParameters);
            }
            "query-migrate-parameters" => Self::QueryMigrateParameters,
            "migrate" => {
                let uri = Arguments::required("uri", arguments.string("uri")?)?;
                // Without meaning since QEMU's monitor has returned at once, but libvirt sends it.
                arguments.boolean("detach")?;
                if arguments.boolean("resume")? == Some(true) {
                    return Err(QmpError::generic("Parameter 'resume' is for post-copy only"));
                }
                Self::Migrate { uri }
            }
            "migrate-incoming" => {
                Self::MigrateIncoming { uri: Arguments::required("uri", arguments.string("uri")?)? }
            }
            "migrate_cancel" => Self::MigrateCancel,
            "query-migrate" => Self::QueryMigrate,
            "calc-dirty-rate" => Self::CalcDirtyRate(DirtyRateRequest::parse(&mut arguments)?),
            "query-dirty-rate" => Self::QueryDirtyRate { unit: TimeUnit::parse(&mut arguments)? },
            "x-landfall-check-guest" => Self::CheckGuest,
            "x-landfall-query-vm" => Self::QueryVm,
            "x-landfall-settle" => {
                Self::Settle { run: Arguments::required("run", arguments.boolean("run")?)? }
            }
            "x-landfall-snapshot" => Self::Snapshot {
                file: Arguments::required("file", arguments.string("file")?)?,
                stop: arguments.boolean("stop")?.unwrap_or(false),
            },
            "x-landfall-query-configuration" => Self::QueryConfiguration,
            "x-landfall-check-configuration" => {
                let configuration = arguments.string("configuration")?;
                let configuration = Arguments::required("configuration", configuration)?;
                Self::CheckConfiguration { configuration }
            }
            unknown => {
                return Err(QmpError::command_not_found(format!(
                    "The command {unknown} has not been found"
                )));
            }
        };
        arguments.finish().map(|()| command)
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
