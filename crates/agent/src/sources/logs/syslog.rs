//! Lines of log files as syslog daemons write them: with the time of RFC 3339, or in the old form without a year. Pure.

/// One line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When it was written, in microseconds since 1970; none where the line does not say.
    pub at: Option<i64>,
    /// The program.
    pub program: &'a str,
    /// Its number.
    pub pid: Option<u32>,
    /// The message.
    pub message: &'a str,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400;

/// Takes a line apart; one in neither form is all message. `now` says which year an old line is of, and `offset_s` how far
/// local time is ahead of UTC.
pub fn parse(line: &str, now_us: i64, offset_s: i64) -> Line<'_> {
    let plain = Line { at: None, program: "", pid: None, message: line };
    let Some((at, rest)) = rfc3339(line).or_else(|| old(line, now_us, offset_s)) else { return plain };
    // Then the host, then the tag up to its colon.
    let Some((_, rest)) = rest.split_once(' ') else { return Line { at: Some(at), ..plain } };
    let end = rest.find(|c: char| c == ':' || c == ' ').unwrap_or(rest.len());
    let (tag, message) = rest.split_at(end);
    let Some(message) = message.strip_prefix(':') else {
        return Line { at: Some(at), message: rest, ..plain };
    };
    let (program, pid) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((program, pid)) => (program, pid.parse().ok()),
        None => (tag, None),
    };
    // One blank belongs to the form; sudo writes more.
    Line { at: Some(at), program, pid, message: message.strip_prefix(' ').unwrap_or(message) }
}

/// Days from 1970 of a date of the Gregorian calendar (Howard Hinnant's `days_from_civil`).
pub(crate) const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn clock(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (h, m, s) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    (h < 24 && m < 60 && s < 61).then(|| h * 3_600 + m * 60 + s)
}

/// `2026-11-22T22:05:50.444227+00:00 `
fn rfc3339(line: &str) -> Option<(i64, &str)> {
    let (stamp, rest) = line.split_once(' ')?;
    let (date, time) = stamp.split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone_at = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at(zone_at);
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let micros = if fraction.is_empty() { 0 } else { number(format!("{fraction:0<6}").get(..6)?)? };
    let offset = match zone {
        "Z" => 0,
        zone => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let (hours, minutes) = (number(hours)?, number(minutes)?);
            if hours >= 24 || minutes >= 60 {
                return None;
            }
            let seconds = hours * 3_600 + minutes * 60;
            if zone.starts_with('-') { -seconds } else { seconds }
        }
    };
    Some(((days(year, month, day) * DAY + clock(whole)? - offset) * SECOND + micros, rest))
}

/// `Nov 22 22:05:51 `
fn old(line: &str, now_us: i64, offset_s: i64) -> Option<(i64, &str)> {
    let (month, rest) = line.split_at_checked(3)?;
    let month = MONTHS.iter().position(|m| *m == month)? as i64 + 1;
    let (day, rest) = rest.trim_start().split_once(' ')?;
    let (time, rest) = rest.split_once(' ')?;
    let (day, time) = (number(day)?, clock(time)?);
    if !(1..=31).contains(&day) {
        return None;
    }
    // The year in which the line is not ahead of now by more than a day.
    let year_now = 1970 + now_us / SECOND / DAY * 400 / 146_097;
    let at = |year| (days(year, month, day) * DAY + time - offset_s) * SECOND;
    let year = (year_now - 2..=year_now + 1).rev().find(|year| at(*year) <= now_us + DAY * SECOND)?;
    Some((at(year), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_385_300_000_000;

    #[test]
    fn recorded_lines_are_taken_apart() {
        let new = "2026-11-22T22:05:55.407255+00:00 vm sshd[15219]: Failed password for tester from 127.0.0.1 port 47500 ssh2";
        let line = parse(new, NOW, 0);
        assert_eq!((line.at, line.program, line.pid), (Some(1_795_385_155_407_255), "sshd", Some(15_219)));
        assert!(line.message.starts_with("Failed password"));
        let old = parse("Nov 22 22:05:55 vm su: pam_unix(su-l:auth): authentication failure", NOW, 0);
        assert_eq!((old.at, old.program, old.pid), (Some(1_795_385_155_000_000), "su", None));
        assert_eq!(old.message, "pam_unix(su-l:auth): authentication failure");
        let local = parse("2026-11-22T23:05:55+01:00 vm cron: x", NOW, 0);
        assert_eq!(local.at, Some(1_795_385_155_000_000));
        assert_eq!(parse("Nov 22 23:05:55 vm cron: x", NOW, 3_600).at, local.at);
    }

    #[test]
    fn december_is_of_last_year_in_january() {
        let january = days(2027, 1, 1) * DAY * SECOND + 60 * SECOND;
        let at = parse("Dec 31 23:59:00 vm x: y", january, 0).at.unwrap();
        assert_eq!(at, (days(2026, 12, 31) * DAY + 86_340) * SECOND);
    }

    #[test]
    fn other_lines_are_all_message() {
        for line in
            ["", "hello", "Nov", "Nov 22", "2026-13-01T00:00:00Z vm x: y", "Növ 22 22:05:55 vm x: y", "2026-11-22Tx y"]
        {
            let read = parse(line, NOW, 0);
            assert_eq!((read.at, read.message), (None, line), "{line}");
        }
        // Of a fraction that is cut within a character, and of zones that are none.
        for stamp in ["22:05:55.40\0~\u{fffd}", "22:05:55.1234é5"] {
            assert_eq!(parse(&format!("2026-11-22T{stamp}+00:00 vm x: y"), NOW, 0).at, None);
        }
        assert_eq!(parse("2026-11-22T22:05:55+9223372036854775807:00 vm x: y", NOW, 0).at, None);
        // A clock whose minutes would overflow.
        assert_eq!(parse("2026-11-22T22:909363552883922260:55+00:00 vm x: y", NOW, 0).at, None);
        assert_eq!(parse("Nov 22 9223372036854775807:05:55 vm x: y", NOW, 0).at, None);
        let kernel = parse("2026-11-22T22:05:55Z vm no tag here", NOW, 0);
        assert_eq!((kernel.program, kernel.message), ("", "no tag here"));
    }
}
