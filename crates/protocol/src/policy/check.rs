//! What of a document cannot be meant, beyond what its types say. Both sides ask: the server before it takes a policy, the
//! agent before it runs one.

use super::{
    Document, NAME_BYTES_MAX, NAMED_MAX, PATH_BYTES_MAX, PATHS_MAX, PathSet, SQL_BYTES_MAX, SYSTEM_SET, ScheduledQuery,
    Weekly, Window,
};

impl Document {
    /// What is wrong with it, each with the place; empty where nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut within = |place: &str, value: Option<u32>, least: u32, most: u32| {
            if let Some(value) = value.filter(|v| !(least..=most).contains(v)) {
                found.push(format!("{place}: {value} is not from {least} to {most}"));
            }
        };
        within("intervals.heartbeat_s", self.intervals.heartbeat_s, 1, 3_600);
        within("intervals.health_s", self.intervals.health_s, 1, 86_400);
        within("intervals.connections_s", self.intervals.connections_s, 1, 3_600);
        within("files.scan_mib_per_s", self.files.scan_mib_per_s, 0, 1 << 20);
        within("files.scan_every_h", self.files.scan_every_h, 0, 24 * 366);
        within("files.hash_mib_max", self.files.hash_mib_max, 0, 1 << 24);
        within("spool.mib_max", self.spool.mib_max, 8, 1 << 20);
        within("offline.delay_s", self.offline.delay_s, 0, 30 * 86_400);
        within("limits.memory_mib", self.limits.memory_mib, 64, 1 << 16);
        within("limits.cpu_percent", self.limits.cpu_percent, 5, 6_400);
        within("limits.io_mib_per_s", self.limits.io_mib_per_s, 0, 1 << 20);
        names("files.sets", self.files.sets.keys(), &mut found);
        names("logs.follow", self.logs.follow.keys(), &mut found);
        names("maintenance", self.maintenance.keys(), &mut found);
        for (name, set) in &self.files.sets {
            path_set(name, set, &mut found);
        }
        for (name, file) in &self.logs.follow {
            path(&format!("logs.follow.{name}.path"), &file.path, &mut found);
        }
        names("queries", self.queries.keys(), &mut found);
        for (name, query) in &self.queries {
            scheduled(name, query, &mut found);
        }
        for (name, window) in &self.maintenance {
            maintenance(name, window, &mut found);
        }
        found
    }
}

fn names<'a>(place: &str, names: impl ExactSizeIterator<Item = &'a String>, found: &mut Vec<String>) {
    if names.len() > NAMED_MAX {
        found.push(format!("{place}: more than {NAMED_MAX}"));
    }
    let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    for name in names.filter(|n| n.is_empty() || n.len() > NAME_BYTES_MAX || n.contains(odd)) {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        found.push(format!(
            "{place}: `{shown}` is no name: at most {NAME_BYTES_MAX} letters, digits, `-` and `_`, without accents"
        ));
    }
}

fn path(place: &str, path: &str, found: &mut Vec<String>) {
    if !path.starts_with('/')
        || path.len() > PATH_BYTES_MAX
        || path.contains('\0')
        || path.split('/').any(|p| p == "..")
    {
        let shown: String = path.chars().take(80).collect();
        found.push(format!("{place}: `{shown}` is no absolute path of at most {PATH_BYTES_MAX} bytes"));
    }
}

fn path_set(name: &str, set: &PathSet, found: &mut Vec<String>) {
    if set.roots.len() > PATHS_MAX || set.rules.len() > PATHS_MAX {
        return found.push(format!("files.sets.{name}: more than {PATHS_MAX} roots or rules"));
    }
    if set.is_on() && set.roots.is_empty() && name != SYSTEM_SET {
        found.push(format!("files.sets.{name}: without roots it watches nothing"));
    }
    for (i, root) in set.roots.iter().enumerate() {
        path(&format!("files.sets.{name}.roots[{i}]"), root, found);
    }
    for (i, rule) in set.rules.iter().enumerate() {
        path(&format!("files.sets.{name}.rules[{i}].path"), &rule.path, found);
    }
}

fn scheduled(name: &str, query: &ScheduledQuery, found: &mut Vec<String>) {
    if query.sql.trim().is_empty() || query.sql.len() > SQL_BYTES_MAX || query.sql.contains('\0') {
        found.push(format!("queries.{name}.sql: a statement has 1 to {SQL_BYTES_MAX} bytes"));
    }
    if !(10..=7 * 86_400).contains(&query.every_s) {
        found.push(format!("queries.{name}.every_s: {} is not from 10 to 604800", query.every_s));
    }
}

fn maintenance(name: &str, window: &Window, found: &mut Vec<String>) {
    let place = format!("maintenance.{name}");
    let mut bounds = [None, None];
    for (bound, (word, text)) in bounds.iter_mut().zip([("from", &window.from), ("until", &window.until)]) {
        let Some(text) = text else { continue };
        *bound = time_s(text);
        if bound.is_none() {
            found.push(format!("{place}.{word}: `{text}` is no time such as 2026-01-31T12:00:00Z"));
        }
    }
    if let [Some(from), Some(until)] = bounds
        && from >= until
    {
        found.push(format!("{place}: it ends before it begins"));
    }
    if window.from.is_none() && window.until.is_none() && window.weekly.is_none() {
        found.push(format!("{place}: it has neither `from`, `until` nor `weekly`, and would hold always"));
    }
    if let Some(weekly) = &window.weekly {
        if weekly.days.is_empty() {
            found.push(format!("{place}.weekly.days: none"));
        }
        if weekly.start_minute().is_none() {
            found.push(format!("{place}.weekly.start: `{}` is not HH:MM", weekly.start));
        }
        if !(1..=1_440).contains(&weekly.minutes) {
            found.push(format!("{place}.weekly.minutes: {} is not from 1 to 1440", weekly.minutes));
        }
        if !(-840..=840).contains(&weekly.utc_offset_minutes) {
            found.push(format!("{place}.weekly.utc_offset_minutes: more than 14 hours"));
        }
    }
    if window.paths.len() > PATHS_MAX {
        found.push(format!("{place}.paths: more than {PATHS_MAX}"));
    }
    for (i, one) in window.paths.iter().take(PATHS_MAX).enumerate() {
        path(&format!("{place}.paths[{i}]"), one, found);
    }
}

impl Weekly {
    /// When it begins, in minutes since midnight.
    pub fn start_minute(&self) -> Option<u16> {
        let (hour, minute) = self.start.split_once(':')?;
        let (hour, minute) = (two(hour)?, two(minute)?);
        (hour < 24 && minute < 60).then_some((hour * 60 + minute) as u16)
    }

    /// Its days: bit 0 for Monday, to bit 6 for Sunday.
    pub fn day_bits(&self) -> u8 {
        self.days.iter().fold(0, |bits, day| bits | 1 << *day as u8)
    }
}

fn two(text: &str) -> Option<i64> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Seconds since 1970 of an RFC 3339 time.
pub fn time_s(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = date.split('-').collect::<Vec<_>>().try_into().ok()?;
    let year: i64 =
        (year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit())).then(|| year.parse().ok()).flatten()?;
    let (month, day) = (two(month)?, two(day)?);
    let (clock, zone_s) = match rest.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let at = rest.rfind(['+', '-'])?;
            let (hours, minutes) = rest[at + 1..].split_once(':')?;
            let distance = two(hours)? * 3_600 + two(minutes)? * 60;
            (&rest[..at], if rest[at..].starts_with('-') { -distance } else { distance })
        }
    };
    let clock = match clock.split_once('.') {
        Some((whole, part)) if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) => whole,
        Some(_) => return None,
        None => clock,
    };
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>().try_into().ok()?;
    let (hour, minute, second) = (two(hour)?, two(minute)?, two(second)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=month_days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days from civil, with years that begin in March (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second - zone_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Day, PathProperty, PathRule};

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-21T20:30:00Z", Some(1_795_293_000)),
            ("2026-11-21T22:30:00+02:00", Some(1_795_293_000)),
            ("2026-11-21 20:30:00.5z", Some(1_795_293_000)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-11-21", None),
            ("2026-11-21T24:00:00Z", None),
            ("2026-11-21T20:30:00", None),
            ("é026-11-21T20:30:00Z", None),
            ("2026-11-21T20:30:00+é", None),
        ] {
            assert_eq!(time_s(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_place() {
        let mut document = Document::default();
        assert!(document.problems().is_empty());
        document.intervals.heartbeat_s = Some(0);
        document.limits.memory_mib = Some(8);
        document.limits.cpu_percent = Some(0);
        document.files.sets.insert("web pages".into(), PathSet { roots: vec!["srv".into()], ..PathSet::default() });
        document.files.sets.insert("web".into(), PathSet::default());
        let rules = vec![PathRule { path: "/srv/../etc".into(), watch: vec![PathProperty::Mode] }];
        document.files.sets.insert(SYSTEM_SET.into(), PathSet { rules, ..PathSet::default() });
        document.maintenance.insert("always".into(), Window::default());
        let weekly = Weekly { days: vec![Day::Sat], start: "24:00".into(), minutes: 0, utc_offset_minutes: 0 };
        document.maintenance.insert("patches".into(), Window { weekly: Some(weekly), ..Window::default() });
        let often = r#"{"sql": " ", "every_s": 1}"#;
        document.queries.insert("often".into(), serde_json::from_str(often).unwrap());
        let found = document.problems().join("\n");
        for expected in [
            "intervals.heartbeat_s: 0 is not from 1 to 3600",
            "limits.memory_mib: 8 is not from 64 to 65536",
            "limits.cpu_percent: 0 is not from 5 to 6400",
            "`web pages` is no name",
            "files.sets.web pages.roots[0]: `srv` is no absolute path",
            "files.sets.web: without roots",
            "files.sets.system.rules[0].path: `/srv/../etc`",
            "maintenance.always: it has neither",
            "queries.often.sql: a statement has",
            "queries.often.every_s: 1 is not from 10",
            "maintenance.patches.weekly.start: `24:00` is not HH:MM",
            "maintenance.patches.weekly.minutes: 0",
        ] {
            assert!(found.contains(expected), "{expected} is not in:\n{found}");
        }
        let weekly =
            Weekly { days: vec![Day::Mon, Day::Sun], start: "22:30".into(), minutes: 240, utc_offset_minutes: 60 };
        assert_eq!((weekly.start_minute(), weekly.day_bits()), (Some(1_350), 0b100_0001));
    }
}
