//! `landfall pilot`: sits beside a stock QEMU and steers the migration that somebody else begins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use landfall_converge::Throttle;
use landfall_pilot::{Memo, Monitor, Options, Pilot, Virsh};
use landfall_qmp::Client;

use crate::args::OutputArgs;
use crate::error::CliError;
use crate::exit::{EXIT_CODES, Exit};
use crate::interrupts::Interrupts;
use crate::limits::{AtLimit, throttle};
use crate::migrate::{TIMEOUT, write_report};
use crate::qemu::{OnInterrupt, Telling, failed, memo, name_of, report, steer};
use crate::quantities::duration;

/// Where Proxmox VE keeps the monitors of its machines.
const PROXMOX_SOCKETS: &str = "/var/run/qemu-server";

#[derive(Debug, Args)]
#[command(
    after_help = EXIT_CODES,
    long_about = "Steers the migration of a running QEMU: waits for one, or takes up one under way, and moves QEMU's own \
                  auto-converge to where it should be, up and down. Whoever began the migration need not know. Ctrl-C \
                  leaves it to go on by itself; QEMU's parameters are put back as they were found."
)]
pub(crate) struct PilotArgs {
    /// The QMP socket of the QEMU that runs the guest.
    #[arg(required_unless_present_any = ["via_libvirt", "vmid"])]
    socket: Option<PathBuf>,
    /// Ask through libvirt, which holds the sockets of its machines: the name of the domain.
    #[arg(long, value_name = "DOMAIN", conflicts_with_all = ["socket", "vmid"])]
    via_libvirt: Option<String>,
    /// A machine of Proxmox VE's, by its number.
    #[arg(long, value_name = "VMID", conflicts_with = "socket")]
    vmid: Option<u32>,
    /// Only put back what a pilot that was killed left behind in QEMU, and end. The next pilot at the same socket does so, too.
    #[arg(long)]
    restore: bool,
    #[command(flatten)]
    limits: PilotLimits,
    #[command(flatten)]
    output: OutputArgs,
}

/// What a pilot may do. What is not given stays as QEMU has it.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Limits")]
struct PilotLimits {
    /// The hardest throttle, in per cent of a vCPU's time, as in 90%. QEMU lets a vCPU run for 10 ms between two stalls: at 90%
    /// they last 90 ms, at 95% 190 ms, at 99% a second.
    #[arg(long, value_name = "PERCENT", default_value = "99%", value_parser = throttle)]
    max_throttle: Throttle,
    /// The longest migration, as in 15min; no limit if not given.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    time_limit: Option<Duration>,
    /// What happens at the end of the time limit.
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    on_limit: AtLimit,
}

impl PilotArgs {
    /// What the machine is called.
    fn machine(&self) -> String {
        match (&self.via_libvirt, self.socket()) {
            (Some(domain), _) => format!("libvirt's {domain}"),
            (None, socket) => name_of(&socket),
        }
    }

    fn socket(&self) -> PathBuf {
        match (&self.socket, self.vmid) {
            (None, Some(vmid)) => PathBuf::from(PROXMOX_SOCKETS).join(format!("{vmid}.qmp")),
            (socket, _) => socket.clone().unwrap_or_default(),
        }
    }

    fn memo(&self) -> Memo {
        match &self.via_libvirt {
            Some(domain) => memo(Path::new(&format!("libvirt {domain}"))),
            None => memo(&self.socket()),
        }
    }

    fn monitor(&self) -> Result<Box<dyn Monitor>, CliError> {
        if let Some(domain) = &self.via_libvirt {
            return Ok(Box::new(Virsh::domain(domain)));
        }
        let socket = self.socket();
        let client = Client::connect(&socket, TIMEOUT)
            .map_err(|source| CliError::Monitor { socket: socket.clone(), source })?;
        if client.version().is_landfall() {
            return Err(CliError::NotQemu { socket });
        }
        Ok(Box::new(client))
    }
}

pub(crate) fn pilot(args: &PilotArgs) -> Result<Exit, CliError> {
    let machine = args.machine();
    let failed = failed(&machine);
    let mut monitor = args.monitor()?;
    if args.restore {
        let restored = Pilot::restore(monitor.as_mut(), args.memo()).map_err(&failed)?;
        eprintln!(
            "{}",
            if restored { "QEMU is as it was found" } else { "nothing was left behind" }
        );
        return Ok(Exit::Done);
    }
    let interrupts = Interrupts::install()?;
    let options = Options {
        max_throttle: args.limits.max_throttle,
        time_limit: args.limits.time_limit,
        at_limit: args.limits.on_limit.into(),
        ..Options::default()
    };
    let mut telling = Telling::new();
    let mut pilot = Pilot::attach(monitor, options, args.memo(), &mut telling).map_err(&failed)?;
    let bill = steer(&mut pilot, telling, &interrupts, OnInterrupt::Detach).map_err(&failed)?;
    let Some(bill) = bill else {
        eprintln!("left while there was no migration; QEMU is as it was found");
        return Ok(Exit::Done);
    };
    let Some(report) = report(&bill, true) else {
        eprintln!(
            "left; the migration goes on by itself, and QEMU's parameters are as they were found. A throttle in force \
             stays until QEMU moves it"
        );
        return Ok(Exit::Done);
    };
    write_report(&report, args.output)?;
    Ok(report.outcome.into())
}

#[cfg(test)]
#[path = "pilot_tests.rs"]
mod tests;
