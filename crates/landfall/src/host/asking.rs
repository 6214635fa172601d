//! What the first Ctrl-C asks.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// What somebody wants who has pressed Ctrl-C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The migration is called off.
    Cancel,
    /// It goes on, unwatched.
    Detach,
    /// Nothing.
    GoOn,
}

/// The question as it is put.
pub(super) const QUESTION: &str = "the guest is on its way: type c to call the migration off, d to let it go on without you, or nothing to go on watching, \
     and Enter; Ctrl-C again lets it go on";

/// Whether there is somebody to ask.
pub(super) fn somebody_is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The answer, when it comes.
pub(super) fn answer() -> Receiver<Answer> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        // Nobody may listen any more.
        let _ = sender.send(read.map_or(Answer::GoOn, |_| parse(&line)));
    });
    receiver
}

fn parse(line: &str) -> Answer {
    match line.trim().to_ascii_lowercase().as_str() {
        "c" | "cancel" => Answer::Cancel,
        "d" | "detach" => Answer::Detach,
        _ => Answer::GoOn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_changes_anything() {
        for (line, answer) in [
            ("c\n", Answer::Cancel),
            ("Cancel\n", Answer::Cancel),
            ("d\n", Answer::Detach),
            ("\n", Answer::GoOn),
            ("", Answer::GoOn),
            ("yes\n", Answer::GoOn),
        ] {
            assert_eq!(parse(line), answer, "{line:?}");
        }
    }
}
