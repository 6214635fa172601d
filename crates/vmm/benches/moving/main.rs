//! How fast memory moves: the engine over loopback, beside a bare sender that writes as many bytes over as many sockets of the
//! same kind, by turns; also beside one whose reader keeps them, in memory that was never touched.
//!
//! `[CASES=noise] cargo bench -p landfall-vmm --bench moving -- [MIB] [ROUNDS]`; the medians stand in docs/performance.md.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has nothing else to tell than where"
)]

mod bare;
mod content;
mod engine;
mod measured;
mod source;

use landfall_converge::ByteRate;
use landfall_migrate::options::EncodingChoice;

use self::bare::Then::{Forgotten, Kept};
use self::content::Content;
use self::engine::Engine;
use self::measured::{Measured, median};
use self::source::Source;

/// What is measured, and what to hold it against.
struct Case {
    name: &'static str,
    content: Content,
    run: fn(&Source) -> Measured,
}

const PLAIN: Engine = Engine::PLAIN;

/// What is measured with noise.
const fn noise(name: &'static str, run: fn(&Source) -> Measured) -> Case {
    Case { name, content: Content::Noise, run }
}

const CASES: &[Case] = &[
    noise("noise, bare sender", |it| bare::plain(it, 1, Forgotten)),
    noise("noise, bare, kept", |it| bare::plain(it, 1, Kept)),
    noise("noise", |it| PLAIN.run(it)),
    noise("noise, bare sender, 2", |it| bare::plain(it, 2, Forgotten)),
    noise("noise, bare, kept, 2", |it| bare::plain(it, 2, Kept)),
    noise("noise, 2 channels", |it| Engine { channels: 2, ..PLAIN }.run(it)),
    noise("noise, bare sender, 4", |it| bare::plain(it, 4, Forgotten)),
    noise("noise, bare, kept, 4", |it| bare::plain(it, 4, Kept)),
    noise("noise, 4 channels", |it| Engine { channels: 4, ..PLAIN }.run(it)),
    noise("noise, bare sender, TLS", |it| bare::tls(it, 1, Forgotten)),
    noise("noise, bare, kept, TLS", |it| bare::tls(it, 1, Kept)),
    noise("noise, TLS", |it| Engine { tls: true, ..PLAIN }.run(it)),
    noise("noise, bare sender, TLS, 2", |it| bare::tls(it, 2, Forgotten)),
    noise("noise, bare, kept, TLS, 2", |it| bare::tls(it, 2, Kept)),
    noise("noise, TLS, 2 channels", |it| Engine { tls: true, channels: 2, ..PLAIN }.run(it)),
    Case { name: "zeros, written once", content: Content::Zeros, run: |it| PLAIN.run(it) },
    Case { name: "zeros, never touched", content: Content::Untouched, run: |it| PLAIN.run(it) },
    Case {
        name: "text, lz4",
        content: Content::Text,
        run: |it| Engine { encoding: EncodingChoice::Lz4, ..PLAIN }.run(it),
    },
    Case {
        name: "text, zstd",
        content: Content::Text,
        run: |it| Engine { encoding: EncodingChoice::Zstd, ..PLAIN }.run(it),
    },
    Case {
        name: "text, auto, no limit",
        content: Content::Text,
        run: |it| Engine { encoding: EncodingChoice::Auto, ..PLAIN }.run(it),
    },
    Case { name: "text, as it is", content: Content::Text, run: |it| PLAIN.run(it) },
    Case {
        name: "text, 2 channels, as it is",
        content: Content::Text,
        run: |it| Engine { channels: 2, ..PLAIN }.run(it),
    },
    Case {
        name: "text, 2 channels, auto",
        content: Content::Text,
        run: |it| Engine { channels: 2, encoding: EncodingChoice::Auto, ..PLAIN }.run(it),
    },
    Case { name: "half of it noise", content: Content::Half, run: |it| PLAIN.run(it) },
    Case {
        name: "text, none, 250 MB/s",
        content: Content::Text,
        run: |it| Engine { rate: Some(ByteRate::new(250e6)), ..PLAIN }.run(it),
    },
    Case {
        name: "text, auto, 250 MB/s",
        content: Content::Text,
        run: |it| {
            let rate = Some(ByteRate::new(250e6));
            Engine { encoding: EncodingChoice::Auto, rate, ..PLAIN }.run(it)
        },
    },
];

fn main() {
    // Cargo adds flags of its own.
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let mebibytes = numbers.first().copied().unwrap_or(1024);
    let rounds = numbers.get(1).copied().unwrap_or(5);
    // The name of a case, or what the names of some hold; all are measured if nothing is said.
    let wanted = std::env::var("CASES").unwrap_or_default();
    let is_one = CASES.iter().any(|case| case.name == wanted);
    let is_wanted = |name: &str| if is_one { name == wanted } else { name.contains(&wanted) };
    let cases: Vec<_> = CASES.iter().filter(|case| is_wanted(case.name)).collect();
    println!("{mebibytes} MiB, medians of {rounds} by turns");
    println!("{:<26} {:>9} {:>12} {:>14}", "", "GB/s", "sent/memory", "CPU s a GiB");
    for content in Content::ALL {
        let cases: Vec<_> = cases.iter().filter(|case| case.content == content).collect();
        if cases.is_empty() {
            continue;
        }
        // One at a time, for all of it is memory.
        let source = Source::new(content, mebibytes);
        let mut measured: Vec<Vec<Measured>> = cases.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (case, runs) in cases.iter().zip(&mut measured) {
                runs.push((case.run)(&source));
            }
        }
        for (case, runs) in cases.iter().zip(&measured) {
            print(case.name, runs, mebibytes);
        }
    }
}

fn print(name: &str, runs: &[Measured], mebibytes: u64) {
    let bytes = (mebibytes << 20) as f64;
    let seconds = median(runs.iter().map(|run| run.time.as_secs_f64()));
    let sent = median(runs.iter().map(|run| run.sent as f64 / bytes));
    let processor = median(runs.iter().map(|run| run.processor.as_secs_f64()));
    let rate = bytes / seconds / 1e9;
    let a_gib = processor / (mebibytes as f64 / 1024.0);
    println!("{name:<26} {rate:>9.2} {sent:>12.3} {a_gib:>14.2}");
}
