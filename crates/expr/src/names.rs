//! Names that stand for numbers: protocols, TCP flags, and units of size and duration.

use guardian_model::Micros;

/// Protocols by name (IANA protocol numbers).
pub const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("udp", 17),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("icmpv6", 58),
    ("ipv6-icmp", 58),
    ("eigrp", 88),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

/// TCP flags by name (RFC 9293 section 3.1), with the bit each has in a flags column.
pub const TCP_FLAGS: &[(&str, u16)] = &[
    ("FIN", 0x01),
    ("SYN", 0x02),
    ("RST", 0x04),
    ("PSH", 0x08),
    ("ACK", 0x10),
    ("URG", 0x20),
    ("ECE", 0x40),
    ("CWR", 0x80),
];

/// The protocol number of a name, in any case.
pub fn protocol(name: &str) -> Option<u8> {
    PROTOCOLS.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

/// The bits of one or several TCP flags: `SYN`, `SYN,ACK`, `SYN|ACK`, `SYN+ACK`, in any case.
pub fn tcp_flags(names: &str) -> Option<u16> {
    names.split([',', '|', '+', ' ']).filter(|n| !n.is_empty()).try_fold(0, |bits, name| {
        TCP_FLAGS.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, bit)| bits | bit)
    })
}

/// Whether the column of this name holds TCP flags.
pub fn is_tcp_flags(column: &str) -> bool {
    column == "tcp_flags" || column.ends_with("_tcp_flags")
}

/// Units of size, in bytes: decimal (`KB`, `MB`, ...) and binary (`KiB`, `MiB`, ...).
const SIZES: &[(&str, u64)] = &[
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Units of time, in microseconds.
const DURATIONS: &[(&str, i64)] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", Micros::SECOND),
    ("m", Micros::MINUTE),
    ("h", Micros::HOUR),
    ("d", Micros::DAY),
    ("w", 7 * Micros::DAY),
];

/// Splits `10MB` or `1.5 GiB` into a number and the text after it.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// A whole number, with `_` between digits if wanted.
pub fn whole(text: &str) -> Option<u64> {
    let plain = text.replace('_', "");
    plain.bytes().all(|b| b.is_ascii_digit()).then(|| plain.parse().ok()).flatten()
}

/// A size in bytes: `10MB`, `1.5GiB`, `4096`. `None` where it is not one or does not fit.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text);
    if unit.is_empty() {
        return whole(number);
    }
    let scale = SIZES.iter().find(|(n, _)| n.eq_ignore_ascii_case(unit))?.1;
    scaled(number, scale)
}

/// A duration in microseconds: `15m`, `1.5h`, `500ms`. Units are written in lower case.
pub fn duration(text: &str) -> Option<i64> {
    let (number, unit) = split_number(text);
    let scale = DURATIONS.iter().find(|(n, _)| *n == unit)?.1;
    scaled(number, scale as u64).and_then(|n| i64::try_from(n).ok())
}

/// A time in microseconds: RFC 3339 with an offset (`2026-01-31T12:00:00Z`), or a date, which is its midnight in UTC.
pub fn time(text: &str) -> Option<i64> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_microsecond());
    }
    let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp().as_microsecond())
}

fn scaled(number: &str, scale: u64) -> Option<u64> {
    if let Some(whole) = whole(number) {
        return whole.checked_mul(scale);
    }
    let fraction: f64 = number.replace('_', "").parse().ok()?;
    let product = fraction * scale as f64;
    (product.is_finite() && product < 9e18).then_some(product.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::{duration, protocol, size, tcp_flags, time};

    #[test]
    fn names_stand_for_numbers() {
        assert_eq!(protocol("TCP"), Some(6));
        assert_eq!(protocol("tpc"), None);
        assert_eq!(tcp_flags("SYN"), Some(2));
        assert_eq!(tcp_flags("syn, ack"), Some(0x12));
        assert_eq!(tcp_flags("SYN|NAK"), None);
    }

    #[test]
    fn units() {
        for (text, bytes) in [("10MB", 10_000_000), ("1.5 KiB", 1536), ("4_096", 4096), ("0b", 0)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["10XB", "MB", "99999999999TB", "1.2.3MB", ""] {
            assert_eq!(size(bad), None, "{bad}");
        }
        assert_eq!(duration("15m"), Some(900_000_000));
        assert_eq!(duration("1.5h"), Some(5_400_000_000));
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Some(1_500_000));
        assert_eq!(time("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(time("1970-01-02"), Some(86_400_000_000));
        assert_eq!(time("yesterday"), None);
        assert_eq!(duration("15"), None);
        assert_eq!(duration("15M"), None);
    }
}
