//! `landfall migration set`: other limits for the migration under way.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use landfall_converge::{ByteRate, Throttle};
use landfall_qmp::{Command, ParametersUpdate};

use super::{MigrationError, ask, is_under_way, limits_text};
use crate::error::CliError;
use crate::exit::Exit;
use crate::limits::{AtLimit, bytes_per_second, percent, throttle};
use crate::migrate::{ONLY_QEMU, connect};
use crate::quantities::duration;

#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args([
    "max_downtime", "max_throttle", "max_stall", "bandwidth", "time_limit", "on_limit",
]))]
pub(crate) struct SetArgs {
    /// The QMP socket of the source.
    pub(super) socket: PathBuf,
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

fn time_limit(text: &str) -> Result<Duration, String> {
    match text {
        "none" => Ok(Duration::ZERO),
        time => duration(time),
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
}

pub(super) fn set(args: &SetArgs) -> Result<Exit, CliError> {
    if args.on_limit.is_some_and(|action| action.native().is_none()) {
        return Err(ONLY_QEMU);
    }
    let mut client = connect(&args.socket)?;
    let monitor = |source| CliError::Monitor { socket: args.socket.clone(), source };
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
