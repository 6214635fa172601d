//! A migration under way, told on one line.

use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use landfall_converge::{ByteRate, Bytes, Throttle};
use landfall_node::model::{MigrationState, MigrationView, Stage};
use landfall_pilot::Progress;
use landfall_qmp::{MigrationInfo, MigrationStatus};

/// Where there is no terminal, a line that says nothing new comes no more often than this.
const QUIET: Duration = Duration::from_secs(1);

/// What is worth telling of a migration at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    phase: String,
    pass: u64,
    remaining: Bytes,
    dirty_rate: ByteRate,
    bandwidth: ByteRate,
    throttle: Throttle,
    verdict: String,
    verdict_text: String,
}

impl View {
    pub(crate) fn of(info: &MigrationInfo) -> Self {
        let Some(landfall) = &info.landfall else { return Self::default() };
        let of_verdict = |key| {
            let verdict = landfall.verdict.as_ref();
            verdict.and_then(|verdict| verdict[key].as_str()).unwrap_or_default().to_owned()
        };
        Self {
            phase: landfall.phase.clone(),
            pass: landfall.pass,
            remaining: Bytes(info.ram.as_ref().map_or(0, |ram| ram.remaining)),
            dirty_rate: ByteRate::new(landfall.dirty_rate_bytes_per_second),
            bandwidth: ByteRate::new(landfall.bandwidth_bytes_per_second),
            throttle: Throttle::new(landfall.throttle),
            verdict: of_verdict("state"),
            verdict_text: of_verdict("text"),
        }
    }

    /// The same of a QEMU that is steered.
    pub(crate) fn of_qemu(progress: &Progress) -> Self {
        let phase = match progress.status {
            MigrationStatus::None => "waiting",
            MigrationStatus::Setup => "connecting",
            MigrationStatus::Active if progress.pass <= 1 => "first_pass",
            MigrationStatus::Active => "passes",
            MigrationStatus::Device | MigrationStatus::PreSwitchover => "switchover",
            MigrationStatus::PostcopyActive => "post-copy",
            MigrationStatus::Cancelling => "cancelling",
            MigrationStatus::Completed => "committed",
            _ => "ending",
        };
        let verdict = progress.verdict.as_ref();
        let state = verdict.and_then(|verdict| serde_json::to_value(verdict.state).ok());
        Self {
            phase: phase.to_owned(),
            pass: progress.pass,
            remaining: progress.remaining,
            dirty_rate: progress.dirty_rate,
            bandwidth: progress.bandwidth,
            throttle: progress.throttle,
            verdict: state.and_then(|state| Some(state.as_str()?.to_owned())).unwrap_or_default(),
            verdict_text: verdict.map(|verdict| verdict.text.clone()).unwrap_or_default(),
        }
    }

    /// The same of a migration between nodes.
    pub(crate) fn of_node(migration: &MigrationView) -> Self {
        let phase = migration.state.code();
        let moving = migration.state == MigrationState::Moving;
        let Some(progress) = migration.progress.as_ref().filter(|_| moving) else {
            let phase = if moving { "connecting" } else { phase };
            return Self { phase: phase.to_owned(), ..Self::default() };
        };
        Self {
            phase: match progress.stage {
                Stage::Connecting => "connecting",
                Stage::FirstPass => "first_pass",
                Stage::Passes => "passes",
                Stage::Switchover => "switchover",
                Stage::Committed => "committed",
            }
            .to_owned(),
            pass: progress.pass,
            remaining: Bytes(progress.remaining_bytes),
            dirty_rate: ByteRate::new(progress.dirty_rate_bytes_per_second),
            bandwidth: ByteRate::new(progress.bandwidth_bytes_per_second),
            throttle: Throttle::new(progress.throttle),
            verdict: progress.verdict.clone(),
            verdict_text: progress.verdict_text.clone(),
        }
    }

    /// Whether something began, or is believed, that was not in `other`.
    fn is_news_after(&self, other: &Self) -> bool {
        (&self.phase, self.pass, &self.verdict) != (&other.phase, other.pass, &other.verdict)
    }
}

/// In one line; without the verdict with `{:#}`.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.phase.as_str() {
            "waiting" => return f.write_str("waiting for a migration"),
            "queued" => return f.write_str("waiting for its turn"),
            "preparing" => return f.write_str("preparing the destination"),
            "settling" => return f.write_str("settling who has the guest"),
            "in_doubt" => return f.write_str("in doubt who has the guest"),
            "" | "connecting" => return f.write_str("reaching the destination"),
            "first_pass" => "first pass".to_owned(),
            "passes" => format!("pass {}", self.pass),
            "switchover" => "switching over".to_owned(),
            "committed" => return f.write_str("the destination takes the guest over"),
            other => other.to_owned(),
        };
        let Self { remaining, dirty_rate, bandwidth, .. } = self;
        write!(f, "{stage} · {remaining} left · dirties {dirty_rate}, link {bandwidth}")?;
        if self.throttle.is_none() {
            f.write_str(" · no throttle")?;
        } else {
            write!(f, " · throttle {}", self.throttle)?;
        }
        if self.verdict_text.is_empty() || f.alternate() {
            return Ok(());
        }
        write!(f, " · {}", self.verdict_text)
    }
}

/// Somebody who watches a migration.
pub(crate) trait Watch {
    /// All that the machine told; for who wants more than the view that follows.
    fn info(&mut self, info: &MigrationInfo) {
        let _ = info;
    }

    /// The migration as it is now; called some ten times a second.
    fn update(&mut self, view: &View);

    /// Something that is not a part of the migration's progress.
    fn note(&mut self, text: &str);
}

/// A watcher for the standard error stream: a line that changes on a terminal, plain lines elsewhere.
pub(crate) fn on_stderr(label: &str) -> Box<dyn Watch> {
    if std::io::stderr().is_terminal() {
        Box::new(Live::new(label))
    } else {
        Box::new(Lines::new(label, |line: &str| eprintln!("{line}")))
    }
}

/// One line that changes. Verdicts are too long for it beside the figures: each stands above it when it is first told.
struct Live {
    bar: ProgressBar,
    prefix: String,
    verdict: String,
}

impl Live {
    fn new(label: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // The template is constant; should it ever be wrong, the plain line is still a line.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        Self { bar, prefix: prefix(label), verdict: String::new() }
    }
}

impl Watch for Live {
    fn update(&mut self, view: &View) {
        if view.verdict != self.verdict && !view.verdict_text.is_empty() {
            self.verdict.clone_from(&view.verdict);
            self.note(&view.verdict_text);
        }
        self.bar.set_message(format!("{}{view:#}", self.prefix));
        self.bar.tick();
    }

    fn note(&mut self, text: &str) {
        self.bar.println(format!("{}{text}", self.prefix));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Plain lines: one for each phase, pass and verdict, otherwise one a second.
struct Lines<W> {
    prefix: String,
    write: W,
    began: Instant,
    last: Option<(View, Instant)>,
}

impl<W: FnMut(&str)> Lines<W> {
    fn new(label: &str, write: W) -> Self {
        Self { prefix: prefix(label), write, began: Instant::now(), last: None }
    }

    fn update_at(&mut self, view: &View, now: Instant) {
        let due = self.last.as_ref().is_none_or(|(last, at)| {
            view.is_news_after(last) || (now.duration_since(*at) >= QUIET && view != last)
        });
        if due {
            let seconds = now.duration_since(self.began).as_secs_f64();
            (self.write)(&format!("{:6.1} s  {}{view}", seconds, self.prefix));
            self.last = Some((view.clone(), now));
        }
    }
}

impl<W: FnMut(&str)> Watch for Lines<W> {
    fn update(&mut self, view: &View) {
        self.update_at(view, Instant::now());
    }

    fn note(&mut self, text: &str) {
        (self.write)(&format!("{}{text}", self.prefix));
    }
}

fn prefix(label: &str) -> String {
    if label.is_empty() { String::new() } else { format!("{label}: ") }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
