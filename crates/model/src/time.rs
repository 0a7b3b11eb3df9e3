//! Time is UTC microseconds since the Unix epoch, as `i64`. Reading a clock is `kit`'s business, not this crate's.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A point in time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Microseconds in a second.
    pub const SECOND: i64 = 1_000_000;
    /// Microseconds in a minute.
    pub const MINUTE: i64 = 60 * Self::SECOND;
    /// Microseconds in an hour.
    pub const HOUR: i64 = 60 * Self::MINUTE;
    /// Microseconds in a day.
    pub const DAY: i64 = 24 * Self::HOUR;

    /// From whole seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(Self::SECOND))
    }

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Reads RFC 3339, such as `2026-01-01T00:00:00Z` or with an offset; `None` when it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_microsecond()))
    }

    /// Rounds down to a multiple of `step` microseconds; `step` must be positive.
    pub const fn floor(self, step: i64) -> Self {
        Self(self.0.div_euclid(step) * step)
    }

    /// The UTC day this falls on, as `YYYY-MM-DD`, the form that storage partitions use.
    pub fn day(self) -> String {
        self.to_timestamp().to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
    }

    fn to_timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl Add<i64> for Micros {
    type Output = Self;
    /// Adds microseconds, saturating.
    fn add(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl Sub<i64> for Micros {
    type Output = Self;
    /// Subtracts microseconds, saturating.
    fn sub(self, micros: i64) -> Self {
        Self(self.0.saturating_sub(micros))
    }
}

impl Sub for Micros {
    type Output = i64;
    /// The distance in microseconds, saturating.
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Micros {
    /// RFC 3339, UTC, with as many fractional digits as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::Micros;

    #[test]
    fn days_and_display() {
        let t = Micros(1_767_225_599_999_999);
        assert_eq!(t.day(), "2025-12-31");
        assert_eq!((t + 1).to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(Micros(-1).floor(10), Micros(-10));
        assert_eq!(Micros(i64::MAX).day(), "9999-12-30");
    }
}
