//! Values that people write with units, and secrets. Their text forms are part of the configuration's contract:
//! they may grow, never change meaning.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

/// A span of time, written like `250ms`, `5m`, `1h30m` or `90d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub std::time::Duration);

/// Units of [`Duration`], largest first, in microseconds.
const TIME_UNITS: &[(&str, u64)] = &[
    ("w", 7 * 86_400_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl Duration {
    /// From seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(std::time::Duration::from_secs(secs))
    }

    /// From milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(std::time::Duration::from_millis(millis))
    }

    /// From days.
    pub const fn days(days: u64) -> Self {
        Self::secs(days * 86_400)
    }

    /// The standard library's form.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }

    /// In microseconds, saturating.
    pub fn as_micros(self) -> i64 {
        i64::try_from(self.0.as_micros()).unwrap_or(i64::MAX)
    }
}

impl From<std::time::Duration> for Duration {
    fn from(d: std::time::Duration) -> Self {
        Self(d)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(d: Duration) -> Self {
        d.0
    }
}

/// A text that is not a value of the type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(Cow<'static, str>);

impl FromStr for Duration {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bad = || Malformed("expected a duration such as 250ms, 5m, 1h30m or 90d".into());
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self::default());
        }
        let mut micros: u64 = 0;
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
            let unit = TIME_UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(bad)?;
            micros = number
                .checked_mul(unit.1)
                .and_then(|n| micros.checked_add(n))
                .ok_or(Malformed("this duration is too long".into()))?;
            rest = rest[letters..].trim_start();
        }
        Ok(Self(std::time::Duration::from_micros(micros)))
    }
}

impl fmt::Display for Duration {
    /// The shortest form that reads back as the same value, to the microsecond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut micros = self.0.as_micros() as u64;
        if micros == 0 {
            return f.write_str("0s");
        }
        // Weeks are only read: 90d says more than 12w6d.
        for (name, unit) in &TIME_UNITS[1..] {
            if micros >= *unit {
                write!(f, "{}{name}", micros / unit)?;
                micros %= unit;
            }
        }
        Ok(())
    }
}

/// A number of bytes, written like `10 GiB`, `500MB` or `65536`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// From kibibytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// From mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// From gibibytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// In bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// In bytes, saturating where the machine's addresses are narrower.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bad = || Malformed("expected a size such as 10 GiB, 500MB or 65536".into());
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..split], text[split..].trim());
        let factor = if unit.is_empty() {
            1
        } else {
            SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(bad)?.1
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
            return Err(bad());
        }
        let large = || Malformed("this size is too large".into());
        let whole: u64 = whole.parse().map_err(|_| large())?;
        let mut bytes = whole.checked_mul(factor).ok_or_else(large)?;
        if !fraction.is_empty() {
            let part: u64 = fraction.parse().map_err(|_| bad())?;
            let scaled = u128::from(part) * u128::from(factor) / 10u128.pow(fraction.len() as u32);
            bytes = bytes.checked_add(scaled as u64).ok_or_else(large)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for ByteSize {
    /// In the largest unit that divides it, so that it reads back as the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZE_UNITS.iter().find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit));
        let (name, unit) = unit.unwrap_or(&("B", 1));
        write!(f, "{} {name}", self.0 / unit)
    }
}

/// What a deserialised scalar may be.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Integer(u64),
    Text(String),
    Other(serde::de::IgnoredAny),
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(d)? {
            Scalar::Text(text) => text.parse().map_err(D::Error::custom),
            Scalar::Integer(0) => Ok(Self::default()),
            Scalar::Integer(n) => Err(D::Error::custom(format!("a duration needs a unit: {n}s or {n}m, for example"))),
            Scalar::Other(_) => Err(D::Error::custom("expected a duration such as 250ms, 5m, 1h30m or 90d")),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(d)? {
            Scalar::Text(text) => text.parse().map_err(D::Error::custom),
            Scalar::Integer(n) => Ok(Self(n)),
            Scalar::Other(_) => Err(D::Error::custom("expected a size such as 10 GiB, 500MB or 65536")),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration" })
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "size" })
    }
}

/// What a [`Secret`] shows instead of its value.
const REDACTED: &str = "<redacted>";

/// Largest file that a secret is read from, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;

/// A password, token or URL with one. Written as the value itself, as `@file:/path` (the file's content without the
/// final line break) or as `$NAME` (an environment variable); `$$` begins a value that really starts with a dollar.
/// It is never shown: printing and serialising give `<redacted>`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// From the value itself.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value. Keep it out of logs, errors and the API.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is empty, which means not configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the written form, see the type's documentation.
    pub fn resolve(text: &str) -> Result<Self, Malformed> {
        if let Some(path) = text.strip_prefix("@file:") {
            let fail = |e: &dyn fmt::Display| Malformed(format!("cannot read the secret from {path}: {e}").into());
            let mut file = std::fs::File::open(path).map_err(|e| fail(&e))?;
            let bytes = crate::capped::read_capped(&mut file, SECRET_FILE_BYTES_MAX).map_err(|e| fail(&e))?;
            let text = String::from_utf8(bytes).map_err(|_| fail(&"it is not UTF-8 text"))?;
            return Ok(Self(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        if let Some(rest) = text.strip_prefix("$$") {
            return Ok(Self(format!("${rest}")));
        }
        if let Some(name) = text.strip_prefix('$') {
            return std::env::var(name)
                .map(Self)
                .map_err(|_| Malformed(format!("the environment variable {name} is not set").into()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { REDACTED })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::resolve(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(if self.0.is_empty() { "" } else { REDACTED })
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "secret" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases: &[(&str, Option<u64>, &str)] = &[
            ("250ms", Some(250_000), "250ms"),
            ("5m", Some(300_000_000), "5m"),
            ("90d", Some(90 * 86_400_000_000), "90d"),
            ("1h30m", Some(5_400_000_000), "1h30m"),
            ("1h 30m", Some(5_400_000_000), "1h30m"),
            ("2w", Some(14 * 86_400_000_000), "14d"),
            ("90s", Some(90_000_000), "1m30s"),
            ("7us", Some(7), "7us"),
            ("0", Some(0), "0s"),
            ("", None, ""),
            ("5", None, ""),
            ("m", None, ""),
            ("5 parsecs", None, ""),
            ("-5m", None, ""),
            ("99999999999999999999d", None, ""),
            ("9999999999d", None, ""),
        ];
        for (text, micros, shown) in cases {
            let parsed = text.parse::<Duration>();
            assert_eq!(parsed.as_ref().ok().map(|d| d.as_micros() as u64), *micros, "{text}");
            if let Ok(d) = parsed {
                assert_eq!(d.to_string(), *shown);
                assert_eq!(d.to_string().parse::<Duration>().unwrap(), d);
            }
        }
        assert_eq!(serde_json::from_str::<Duration>("0").unwrap(), Duration::default());
        let error = serde_json::from_str::<Duration>("5").unwrap_err().to_string();
        assert!(error.contains("5s or 5m"), "{error}");
    }

    #[test]
    fn sizes() {
        let cases: &[(&str, Option<u64>, &str)] = &[
            ("10 GiB", Some(10 << 30), "10 GiB"),
            ("500MB", Some(500_000_000), "500 MB"),
            ("1.5 kib", Some(1536), "1536 B"),
            ("65536", Some(65536), "64 KiB"),
            ("0", Some(0), "0 B"),
            ("", None, ""),
            ("GiB", None, ""),
            ("1.", None, ""),
            ("1..5 GB", None, ""),
            ("-1", None, ""),
            ("10 bananas", None, ""),
            ("99999999999 TiB", None, ""),
        ];
        for (text, bytes, shown) in cases {
            let parsed = text.parse::<ByteSize>();
            assert_eq!(parsed.as_ref().ok().map(|s| s.0), *bytes, "{text}");
            if let Ok(size) = parsed {
                assert_eq!(size.to_string(), *shown);
                assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
            }
        }
        assert_eq!(serde_json::from_str::<ByteSize>("512").unwrap(), ByteSize(512));
    }

    #[test]
    fn secrets_are_read_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, "from file\n").unwrap();
        let file = format!("@file:{}", path.display());
        for (written, value) in
            [("plain", Some("plain")), (&*file, Some("from file")), ("$$5", Some("$5")), ("$GUARDIAN_NO_SUCH", None)]
        {
            let secret = Secret::resolve(written).ok();
            assert_eq!(secret.as_ref().map(Secret::expose), value, "{written}");
        }
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {}", serde_json::to_string(&secret).unwrap()), "<redacted> \"<redacted>\"");
        assert!(Secret::resolve("@file:/no/such/file").unwrap_err().to_string().contains("/no/such/file"));
    }
}
