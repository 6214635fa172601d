//! A migration of a stock QEMU: steered, followed, and told like one of Landfall's own.

use std::path::Path;

pub(crate) use landfall_node::machines::memo;
pub(crate) use landfall_node::qemu_report::report;
use landfall_pilot::{Bill, Observer, Pilot, PilotError, Progress, Wish};

use crate::error::CliError;
use crate::interrupts::Interrupts;
use crate::progress::{View, Watch, on_stderr};

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
