//! Quantities with their unit in the type.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub, SubAssign};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bytes in one page of guest memory, the grain of dirty tracking.
pub const PAGE_SIZE: u64 = 4096;

/// A number of bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A number of pages of [`PAGE_SIZE`] bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Pages(pub u64);

/// Bytes per second; never negative, never NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteRate(f64);

/// The share of wall time in which a vCPU is held back: 0 (free) to 0.99.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Throttle(f64);

impl Bytes {
    /// How long these bytes take at `rate`; `None` when the rate is zero and there is something to send.
    #[must_use]
    pub fn time_at(self, rate: ByteRate) -> Option<Duration> {
        if self.0 == 0 {
            return Some(Duration::ZERO);
        }
        Duration::try_from_secs_f64(self.0 as f64 / rate.0).ok()
    }

    /// The whole pages that these bytes fill.
    #[must_use]
    pub fn whole_pages(self) -> Pages {
        Pages(self.0 / PAGE_SIZE)
    }

    /// The difference, or zero where `other` is larger.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// A share of these bytes, rounded down.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float cast saturates, and a fraction of a byte is dropped on purpose"
    )]
    pub fn part(self, share: f64) -> Self {
        Self((self.0 as f64 * share) as u64)
    }
}

impl Pages {
    /// The bytes that these pages hold.
    #[must_use]
    pub fn bytes(self) -> Bytes {
        Bytes(self.0.saturating_mul(PAGE_SIZE))
    }

    /// The difference, or zero where `other` is larger.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl ByteRate {
    /// No bytes at all.
    pub const ZERO: Self = Self(0.0);

    /// A rate of `bytes_per_second`; what is negative or not a number becomes zero.
    #[must_use]
    pub fn new(bytes_per_second: f64) -> Self {
        if bytes_per_second > 0.0 { Self(bytes_per_second) } else { Self::ZERO }
    }

    /// The rate at which `bytes` move in `time`; zero when no time has passed.
    #[must_use]
    pub fn of(bytes: Bytes, time: Duration) -> Self {
        if time.is_zero() { Self::ZERO } else { Self::new(bytes.0 as f64 / time.as_secs_f64()) }
    }

    /// Bytes per second.
    #[must_use]
    pub fn bytes_per_second(self) -> f64 {
        self.0
    }

    /// Pages per second.
    #[must_use]
    pub fn pages_per_second(self) -> f64 {
        self.0 / PAGE_SIZE as f64
    }

    /// The bytes that move at this rate in `time`, rounded down.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float cast saturates, and a fraction of a byte is dropped on purpose"
    )]
    pub fn over(self, time: Duration) -> Bytes {
        Bytes((self.0 * time.as_secs_f64()) as u64)
    }
}

impl Throttle {
    /// Not held back at all.
    pub const NONE: Self = Self(0.0);
    /// The hardest throttle there is: a vCPU always keeps one per cent of its time.
    pub const MAX: Self = Self(0.99);

    /// A throttle of `share`, brought into 0..=0.99; what is not a number becomes zero.
    #[must_use]
    pub fn new(share: f64) -> Self {
        if share > 0.0 { Self(share.min(Self::MAX.0)) } else { Self::NONE }
    }

    /// The share of time held back, 0 to 0.99.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0
    }

    /// The share of time left to run, 0.01 to 1.
    #[must_use]
    pub fn run_share(self) -> f64 {
        1.0 - self.0
    }

    /// Whether nothing is held back.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0.0
    }

    /// The larger of two throttles.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.0 > self.0 { other } else { self }
    }

    /// The smaller of two throttles.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }
}

macro_rules! count_arithmetic {
    ($($name:ident),*) => {$(
        impl Add for $name { type Output = Self; fn add(self, other: Self) -> Self { Self(self.0 + other.0) } }
        impl Sub for $name { type Output = Self; fn sub(self, other: Self) -> Self { Self(self.0 - other.0) } }
        impl AddAssign for $name { fn add_assign(&mut self, other: Self) { self.0 += other.0; } }
        impl SubAssign for $name { fn sub_assign(&mut self, other: Self) { self.0 -= other.0; } }
        impl Sum for $name { fn sum<I: Iterator<Item = Self>>(items: I) -> Self { Self(items.map(|i| i.0).sum()) } }
    )*};
}
count_arithmetic!(Bytes, Pages);

impl Mul<f64> for ByteRate {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self::new(self.0 * factor)
    }
}

impl Div for ByteRate {
    type Output = f64;
    fn div(self, other: Self) -> f64 {
        self.0 / other.0
    }
}

const DECIMAL: [(f64, &str); 4] = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
const BINARY: [(f64, &str); 4] =
    [(1_099_511_627_776.0, "TiB"), (1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB")];

fn scaled(value: f64, scale: &[(f64, &str)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // What would round up to a thousand is shown as one of the next unit.
    match scale.iter().find(|(factor, _)| value >= *factor * 0.9995) {
        None => write!(f, "{value:.0} B"),
        Some((factor, unit)) => {
            let shown = value / factor;
            let digits = if shown >= 99.95 || shown.fract() == 0.0 {
                0
            } else if shown >= 9.95 {
                1
            } else {
                2
            };
            write!(f, "{shown:.digits$} {unit}")
        }
    }
}

/// Shown with a binary unit, as memory is counted: `128 MiB`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(self.0 as f64, &BINARY, f)
    }
}

/// Shown with a decimal unit, as links are rated: `125 MB/s`.
impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(self.0, &DECIMAL, f)?;
        f.write_str("/s")
    }
}

/// Shown in per cent: `87 %`.
impl fmt::Display for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} %", self.0 * 100.0)
    }
}

/// Why a quantity could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseUnitError {
    /// The text does not begin with a number.
    #[error("'{0}' does not begin with a number; write a number and its unit, as in {1}")]
    NoNumber(String, &'static str),
    /// The unit is missing or is none that is known.
    #[error("'{0}' has no unit that is known here; write one of {1}")]
    Unit(String, &'static str),
    /// The number is out of range.
    #[error("'{0}' is out of range; write {1}")]
    Range(String, &'static str),
}

fn split_number<'a>(
    text: &'a str,
    example: &'static str,
) -> Result<(f64, &'a str), ParseUnitError> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.parse().map_err(|_| ParseUnitError::NoNumber(text.to_owned(), example))?;
    Ok((number, unit.trim()))
}

fn factor(unit: &str) -> Option<f64> {
    match unit {
        "B" => Some(1.0),
        "KB" => Some(1e3),
        _ => {
            DECIMAL.iter().chain(&BINARY).find(|(_, name)| *name == unit).map(|(factor, _)| *factor)
        }
    }
}

/// Reads a size with its unit: `512MiB`, `1.5 GiB`, `4096B`. A bare number is refused.
impl FromStr for Bytes {
    type Err = ParseUnitError;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split_number(text, "512MiB")?;
        let factor = factor(unit).ok_or_else(|| {
            ParseUnitError::Unit(text.to_owned(), "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB")
        })?;
        let bytes = number * factor;
        if bytes < u64::MAX as f64 {
            Ok(Self(bytes as u64))
        } else {
            Err(ParseUnitError::Range(text.to_owned(), "less than 16 EiB"))
        }
    }
}

/// Reads a rate with its unit: `125MB/s`, `1GiB/s`, or in bits `10Gbit/s`. A bare number is refused.
impl FromStr for ByteRate {
    type Err = ParseUnitError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split_number(text, "125MB/s")?;
        let known = || {
            ParseUnitError::Unit(
                text.to_owned(),
                "kB/s, MB/s, GB/s, KiB/s, MiB/s, GiB/s, Mbit/s, Gbit/s",
            )
        };
        let per_second = unit.strip_suffix("/s").ok_or_else(known)?;
        let factor = match per_second {
            "Mbit" | "Mb" => 1e6 / 8.0,
            "Gbit" | "Gb" => 1e9 / 8.0,
            other => factor(other).ok_or_else(known)?,
        };
        if number > 0.0 {
            Ok(Self::new(number * factor))
        } else {
            Err(ParseUnitError::Range(text.to_owned(), "a rate above zero"))
        }
    }
}

/// Reads a throttle: `80%` or `0.8`.
impl FromStr for Throttle {
    type Err = ParseUnitError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split_number(text, "80%")?;
        let share = match unit {
            "%" => number / 100.0,
            "" if number < 1.0 => number,
            _ => return Err(ParseUnitError::Unit(text.to_owned(), "per cent, as in 80%")),
        };
        if (0.0..=Self::MAX.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(ParseUnitError::Range(text.to_owned(), "0% to 99%"))
        }
    }
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
