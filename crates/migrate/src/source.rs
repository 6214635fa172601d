//! The source's side of a migration, as a list of phases.
//!
//! ```text
//! Connecting ─▶ FirstPass ─▶ Passes ─▶ Switchover ─▶ Committed
//!                              ▲           │
//!                              └───────────┘  the exact sync did not fit
//! ```
//!
//! Where the destination takes the memory itself over, on the same host, nothing is sent while the guest runs:
//!
//! ```text
//! Connecting ─▶ Offered ─▶ StoppedGuest ─▶ Committed
//! ```
//!
//! Each phase is a type and consumes the one before it, so that none can be left out or taken twice. Every error before
//! [`Committed`] leads to [`Run::survive`]: the guest goes on at the source, unthrottled, with its dirty log off. After
//! it there is no path back, but for a guest whose deed shows that nobody has taken it.

mod connecting;
mod costs;
mod ended;
mod handing_over;
mod offered;
mod precopy;
mod run;
mod sender;
mod spread;
mod unsent;

use crate::control::Control;
use crate::machine::Source;
use crate::options::Options;
use crate::progress::Observer;
use crate::report::Report;

use self::connecting::Connecting;
use self::ended::Ended;
use self::handing_over::{Committed, Stopped, Switchover};
use self::run::Run;

/// Moves the guest of `machine` to where `options` says. Returns when the guest runs there, when it goes on here, or
/// when nobody but an operator can tell.
pub fn migrate_out(
    machine: &mut dyn Source,
    options: &Options,
    control: Control,
    observer: &mut dyn Observer,
) -> Report {
    let mut run = Run::new(machine, options, control, observer);
    match give_away(&mut run) {
        Ok(committed) => committed.conclude(run),
        Err(ended) => run.survive(ended),
    }
}

fn give_away(run: &mut Run<'_>) -> Result<Committed, Ended> {
    if run.options.hand_over {
        let offered = Connecting::begin(run).offer(run)?;
        return offered.stop(run)?.send_the_state(run)?.commit(run);
    }
    let first_pass = Connecting::begin(run).agree(run)?;
    let mut passes = first_pass.send_everything(run)?;
    let stopped = loop {
        let switchover: Switchover = passes.until_switchover(run)?;
        match switchover.stop(run)? {
            Stopped::Fits(stopped) => break stopped,
            Stopped::DoesNotFit(again) => passes = again,
        }
    };
    stopped.send_the_rest(run)?.commit(run)
}
