//! The steps of the test task, and what becomes of them.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::workspace::Workspace;
use crate::{browser, fuzz, lint, model, python, qemu, suite};

/// One step.
pub(crate) struct Step {
    /// How it is chosen on the command line.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
    run: fn(&Workspace) -> Outcome,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// With what went wrong.
    Failed(String),
    /// With what is missing on this machine.
    Skipped(String),
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Passed)
    }
}

/// Every step, in the order in which they are run: what fails soonest comes first.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "format", about: "the code is formatted", run: lint::format },
    Step {
        name: "crates",
        about: "no second version of a crate whose types must be the same everywhere",
        run: lint::crates,
    },
    Step { name: "clippy", about: "clippy has nothing to say", run: lint::clippy },
    Step {
        name: "docs",
        about: "the documentation builds, and every link leads somewhere",
        run: lint::docs,
    },
    Step {
        name: "tests",
        about: "unit tests, tests with real processes, examples in the documentation",
        run: suite::tests,
    },
    Step {
        name: "model",
        about: "every interleaving of throttle, pause and cancel, by loom",
        run: model::check,
    },
    Step {
        name: "python",
        about: "QEMU's own Python client speaks with the monitor, and schemathesis with the API, for a minute",
        run: python::interoperate,
    },
    Step {
        name: "browser",
        about: "the pages in a real browser: a guest moved from the form, with the option and without",
        run: browser::pages,
    },
    Step { name: "qemu", about: "stock QEMU is steered, and left as it was", run: qemu::steered },
    Step {
        name: "qemu-newest",
        about: "so is the newest that the distribution offers",
        run: qemu::newest_steered,
    },
    Step {
        name: "qemu-linux",
        about: "a Linux guest that outruns its link is steered, and a burst that ends lets it go",
        run: qemu::linux_steered,
    },
    Step {
        name: "fuzz",
        about: "the decoder of the wire protocol and the unpacker of pages, for 30 seconds each",
        run: fuzz::run_short,
    },
    Step {
        name: "lab",
        about: "Linux guests boot in KVM, work through ten migrations, and go from kernel to kernel, in emulated machines",
        run: crate::lab::trials,
    },
];

/// Runs every step whatever became of those before, and sums up.
pub(crate) fn run<'a>(
    steps: impl IntoIterator<Item = &'a Step>,
    workspace: &Workspace,
) -> ExitCode {
    let mut results = Vec::new();
    for step in steps {
        println!("\n==== {}: {} ====", step.name, step.about);
        let begin = Instant::now();
        let outcome = (step.run)(workspace);
        match &outcome {
            Outcome::Passed => {}
            Outcome::Failed(reason) => println!("\n{} FAILED: {reason}", step.name),
            Outcome::Skipped(reason) => println!("\n{} skipped: {reason}", step.name),
        }
        results.push((step.name, outcome, begin.elapsed()));
    }
    println!("\n==== summary ====\n{}", summary(&results));
    let failed = results.iter().any(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn summary(results: &[(&str, Outcome, Duration)]) -> String {
    let mut text = String::new();
    let (mut failed, mut skipped) = (0, 0);
    for (name, outcome, took) in results {
        let (word, reason) = match outcome {
            Outcome::Passed => ("passed", ""),
            Outcome::Failed(reason) => {
                failed += 1;
                ("FAILED", reason.as_str())
            }
            Outcome::Skipped(reason) => {
                skipped += 1;
                ("skipped", reason.as_str())
            }
        };
        let reason = reason.lines().next().unwrap_or_default();
        let line = format!("{name:<10} {word:<8} {:>6.1} s  {reason}", took.as_secs_f64());
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = write!(
        text,
        "{} steps, of which {failed} failed and {skipped} were skipped",
        results.len()
    );
    text
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
