//! The log, on the standard error stream: the standard output stream is for results.

use std::fmt;
use std::fs;
use std::io::{IsTerminal as _, stderr};
use std::os::unix::fs::MetadataExt as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What a command says unless `RUST_LOG` asks for more.
pub(crate) const OF_COMMANDS: &str = "warn";
/// What a daemon says: what becomes of machines and migrations, too.
pub(crate) const OF_A_DAEMON: &str = "warn,landfall_node=info";

/// Begins it, with what is said unless `RUST_LOG` says otherwise.
pub(crate) fn begin(otherwise: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(otherwise));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    if goes_to_the_journal() {
        log.event_format(Journal).init();
    } else {
        log.with_ansi(stderr().is_terminal()).init();
    }
}

/// Whether systemd's journal reads what is written: it says which stream it reads, which may have been led elsewhere since.
fn goes_to_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let own = fs::metadata("/proc/self/fd/2").map(|own| (own.dev(), own.ino()));
    own.is_ok_and(|own| named(&stream) == Some(own))
}

/// The device and the inode in `JOURNAL_STREAM`.
fn named(stream: &str) -> Option<(u64, u64)> {
    let (device, inode) = stream.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// Lines as the journal takes them: their priority before them, and no time, which it knows itself.
struct Journal;

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// As syslog counts them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_names_the_stream_that_it_reads() {
        assert_eq!(named("9:4711"), Some((9, 4711)));
        for text in ["", "9", "9:", "a:b", "9:4711:1"] {
            assert_eq!(named(text), None, "{text}");
        }
    }
}
