//! A migration of a stock QEMU: steered, followed, and told like one of Landfall's own.

use std::path::Path;

use landfall_migrate::machine::MachineKind;
use landfall_migrate::report::{EventKind, Outcome, PageCounts, Report, TimeLineEvent, TimePoint};
use landfall_pilot::{Bill, Memo, Observer, Outcome as Ended, Pilot, PilotError, Progress, Wish};

use crate::error::CliError;
use crate::interrupts::Interrupts;
use crate::progress::{View, Watch, on_stderr};
use crate::quantities::in_ms;

/// What Ctrl-C means for a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    /// It is called off, as whoever began it may.
    Cancel,
    /// It goes on without us, as it is somebody else's.
    Detach,
}

/// Shows on the standard error stream what a pilot sees.
pub(crate) struct Telling(Box<dyn Watch>);

impl Telling {
    pub(crate) fn new() -> Self {
        Self(on_stderr(""))
    }
}

impl Observer for Telling {
    fn progress(&mut self, progress: &Progress) {
        self.0.update(&View::of_qemu(progress));
    }

    fn note(&mut self, text: &str) {
        self.0.note(text);
    }
}

/// Steers a migration to its end. `None` when it was left while there was none.
pub(crate) fn steer(
    pilot: &mut Pilot,
    mut telling: Telling,
    interrupts: &Interrupts,
    on_interrupt: OnInterrupt,
) -> Result<Option<Bill>, PilotError> {
    let mut told = false;
    let mut wish = || match (interrupts.count(), on_interrupt) {
        (0, _) => Wish::GoOn,
        (1, OnInterrupt::Cancel) => {
            if !std::mem::replace(&mut told, true) {
                eprintln!("cancelling; the guest stays at the source. Ctrl-C again to not wait");
            }
            Wish::Cancel
        }
        _ => Wish::Detach,
    };
    pilot.steer(&mut telling, &mut wish)
}

/// An error of a pilot, with what it was about.
pub(crate) fn failed(machine: &str) -> impl Fn(PilotError) -> CliError + '_ {
    move |source| CliError::Pilot { machine: machine.to_owned(), source }
}

/// What a pilot's machine is called where it is spoken of.
pub(crate) fn name_of(socket: &Path) -> String {
    socket.display().to_string()
}

/// Where is kept what was changed in a machine, until the host is started anew.
pub(crate) fn memo(machine: &Path) -> Memo {
    let machine = machine.canonicalize().unwrap_or_else(|_| machine.to_owned());
    let folder = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| "/run".into());
    let name = machine.to_string_lossy().replace('%', "%25").replace('/', "%2F");
    Memo::at(Path::new(&folder).join("landfall").join(format!("pilot {name}.json")))
}

/// The bill as the report that every migration of Landfall's has; `None` for one that goes on without us.
pub(crate) fn report(bill: &Bill, auto_converge: bool) -> Option<Report> {
    let outcome = match bill.outcome {
        Ended::Completed => Outcome::Completed,
        Ended::GaveUp => Outcome::GaveUp,
        Ended::Cancelled => Outcome::Cancelled,
        Ended::Failed => Outcome::Failed,
        Ended::InDoubt => Outcome::InDoubt,
        Ended::Detached => return None,
    };
    let total = bill.total.as_secs_f64();
    let stolen = bill.stolen.as_secs_f64();
    let share = if total > 0.0 { stolen / total } else { 0.0 };
    let predicted = bill.timeline.last().filter(|_| outcome == Outcome::Completed);
    let predicted = predicted.map_or(0.0, |point| {
        let bandwidth = bill.bandwidth.bytes_per_second();
        if bandwidth > 0.0 { point.remaining.0 as f64 / bandwidth * 1e3 } else { 0.0 }
    });
    Some(Report {
        outcome,
        reason: bill.reason.clone(),
        machine: MachineKind::Qemu,
        policy: if auto_converge {
            landfall_converge::Policy::Adaptive
        } else {
            landfall_converge::Policy::Off
        },
        auto_converge,
        total_ms: in_ms(bill.total),
        downtime_ms: in_ms(bill.downtime),
        predicted_downtime_ms: predicted,
        downtime_limit_ms: in_ms(bill.downtime_limit),
        downtime_parts_ms: Default::default(),
        passes: bill.passes,
        memory_bytes: bill.memory.0,
        sent_bytes: bill.sent.0,
        pages: PageCounts { zero: bill.zero_pages, raw: bill.pages, ..PageCounts::default() },
        bandwidth_bytes_per_second: bill.bandwidth.bytes_per_second(),
        dirty_rate_bytes_per_second: bill.dirty_rate.bytes_per_second(),
        max_throttle: bill.max_throttle.share(),
        stolen_ms: in_ms(bill.stolen),
        guest_time_share_stolen: share,
        max_stall_ms: in_ms(bill.max_stall()),
        verdict: bill.verdict.clone(),
        integrity: "not_checked".to_owned(),
        timeline: timeline(bill),
        events: events(bill),
    })
}

fn timeline(bill: &Bill) -> Vec<TimePoint> {
    let point = |point: &landfall_pilot::Point| TimePoint {
        at_ms: in_ms(point.at),
        pass: point.pass,
        remaining_bytes: point.remaining.0,
        dirty_rate_bytes_per_second: point.dirty_rate.bytes_per_second(),
        bandwidth_bytes_per_second: point.bandwidth.bytes_per_second(),
        throttle: point.throttle.share(),
    };
    bill.timeline.iter().map(point).collect()
}

fn events(bill: &Bill) -> Vec<TimeLineEvent> {
    let event = |change: &landfall_pilot::Change| TimeLineEvent {
        at_ms: in_ms(change.at),
        kind: EventKind::Throttle {
            throttle: change.throttle.share(),
            reason: change.reason.clone(),
        },
    };
    bill.changes.iter().map(event).collect()
}

#[cfg(test)]
#[path = "qemu_tests.rs"]
mod tests;
