//! Quantities as people write and read them: always with their unit.

use std::time::Duration;

/// Reads a duration such as `300ms`, `1.5s` or `2min`. A bare number is refused: its unit would be somebody's guess.
///
/// # Errors
/// With what is wrong and how to write it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(format!("'{text}' has no unit; write {text}ms or {text}s"));
    }
    if let Some(fraction) = decimal(text) {
        return fraction;
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a number and its unit, as in 300ms, 10s or 2min"))
}

/// A number with a decimal point and one unit, which spelled-out durations (`1min 30s`) do not know.
fn decimal(text: &str) -> Option<Result<Duration, String>> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    if !number.contains('.') {
        return None;
    }
    let seconds = match unit.trim() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let parsed = number.parse::<f64>().ok().map(|number| number * seconds);
    let duration = parsed.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Some(duration.ok_or_else(|| format!("'{text}' is no duration; write it as in 1.5s")))
}

/// A time as JSON has it.
#[must_use]
pub fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Milliseconds for people: `0.8 ms`, `212 ms`, `2.31 s`, `1 min 5 s`, `15 min`, `2 h 30 min`.
#[must_use]
pub fn milliseconds(ms: f64) -> String {
    if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else if ms < 9_995.0 {
        format!("{:.2} s", ms / 1000.0)
    } else if ms < 59_950.0 {
        format!("{:.1} s", ms / 1000.0)
    } else {
        let seconds = (ms / 1000.0).round();
        let minutes = (seconds / 60.0).floor();
        let hours = (minutes / 60.0).floor();
        match (hours, minutes % 60.0, seconds % 60.0) {
            (0.0, minutes, 0.0) => format!("{minutes:.0} min"),
            (0.0, minutes, seconds) => format!("{minutes:.0} min {seconds:.0} s"),
            (hours, 0.0, _) => format!("{hours:.0} h"),
            (hours, minutes, _) => format!("{hours:.0} h {minutes:.0} min"),
        }
    }
}

#[cfg(test)]
#[path = "quantities_tests.rs"]
mod tests;
