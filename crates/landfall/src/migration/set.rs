//! `landfall migration set`: other limits for the migration under way.

use std::io::{self, Write};
use std::time::Duration;

use clap::{ArgGroup, Args};
use landfall_converge::{ByteRate, Throttle};
use landfall_node::model::SettingsChange;
use landfall_qmp::{Command, ParametersUpdate};

use super::{MigrationError, Subject, ask, is_under_way, limits_text};
use crate::error::CliError;
use crate::exit::Exit;
use crate::host::migration as of_node;
use crate::host::settings::{on_limit, whole_ms};
use crate::host::via::Via;
use crate::limits::{AtLimit, bytes_per_second, percent, throttle, time_limit};
use crate::migrate::{ONLY_QEMU, connect};
use crate::quantities::duration;

#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args([
    "max_downtime", "max_throttle", "max_stall", "bandwidth", "time_limit", "on_limit",
]))]
pub(crate) struct SetArgs {
    /// The migration's ID, as a-17, or the QMP socket of the source.
    pub(super) migration: Subject,
    /// The longest downtime, as in 300ms.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) max_downtime: Option<Duration>,
    /// The hardest throttle, in per cent of a vCPU's time, as in 80%.
    #[arg(long, value_name = "PERCENT", value_parser = throttle)]
    pub(super) max_throttle: Option<Throttle>,
    /// The longest single stop of a vCPU by the throttle, as in 10ms; stepped and classic do not keep it.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) max_stall: Option<Duration>,
    /// The most that may leave a second, as in 125MB/s or 10Gbit/s; `unlimited` for as much as the link takes.
    #[arg(long, value_name = "RATE", value_parser = most_bytes_per_second)]
    pub(super) bandwidth: Option<u64>,
    /// The longest migration from its beginning, as in 15min; `none` for no limit.
    #[arg(long, value_name = "DURATION", value_parser = time_limit)]
    pub(super) time_limit: Option<Duration>,
    /// What happens at the end of the time limit.
    #[arg(long, value_name = "ACTION", value_enum)]
    pub(super) on_limit: Option<AtLimit>,
    #[command(flatten)]
    via: Via,
}

fn most_bytes_per_second(text: &str) -> Result<u64, String> {
    match text {
        "unlimited" => Ok(0),
        rate => rate
            .parse::<ByteRate>()
            .map(bytes_per_second)
            .map_err(|error| format!("{error}, or unlimited")),
    }
}

impl SetArgs {
    /// What is not given stays as it is.
    pub(super) fn update(&self) -> ParametersUpdate {
        ParametersUpdate {
            max_bandwidth: self.bandwidth,
            downtime_limit: self.max_downtime,
            max_cpu_throttle: self.max_throttle.map(percent),
            max_stall: self.max_stall,
            time_limit: self.time_limit,
            on_limit: self.on_limit.and_then(AtLimit::native),
            ..ParametersUpdate::default()
        }
    }

    /// The same for a node.
    fn change(&self) -> Result<SettingsChange, CliError> {
        if self.max_stall.is_some() {
            let why =
                "is for a machine that is named by its socket; between nodes, the nodes decide it";
            return Err(CliError::Flag { flag: "--max-stall", why });
        }
        Ok(SettingsChange {
            auto_converge: None,
            max_throttle_percent: self.max_throttle.map(percent),
            max_downtime_ms: self.max_downtime.map(whole_ms),
            time_limit_ms: self.time_limit.map(whole_ms),
            on_limit: self.on_limit.map(on_limit).transpose()?,
            bandwidth_bytes_per_second: self.bandwidth,
        })
    }
}

pub(super) fn set(args: &SetArgs) -> Result<Exit, CliError> {
    let socket = match &args.migration {
        Subject::Id(id) => return of_node::set(&args.via, id, &args.change()?),
        Subject::Socket(socket) => socket,
    };
    if args.on_limit.is_some_and(|action| action.native().is_none()) {
        return Err(ONLY_QEMU);
    }
    let mut client = connect(socket)?;
    let monitor = |source| CliError::Monitor { socket: socket.clone(), source };
    let (info, _) = ask(&mut client).map_err(monitor)?;
    // Without one the change would be kept for whatever migration comes next, which nobody has asked for.
    if !is_under_way(&info) {
        return Err(MigrationError::None.into());
    }
    client.execute(&Command::MigrateSetParameters(args.update())).map_err(monitor)?;
    let (_, parameters) = ask(&mut client).map_err(monitor)?;
    writeln!(io::stdout(), "limits now  {}", limits_text(&parameters))?;
    Ok(Exit::Done)
}
