//! Maintenance windows, in which changes are expected. No clock: what time it is is passed in.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::policy::fits;
use super::{Change, What};

/// A time in which changes are expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// From when on it holds, in seconds since the epoch.
    pub from_s: i64,
    /// Until when, not included.
    pub until_s: i64,
    /// The hours of a week in which it holds; always where it is none.
    pub weekly: Option<Weekly>,
    /// Paths that it is for, as in rules of a policy; all where there are none.
    pub paths: Vec<String>,
}

/// The same hours on days of every week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekly {
    /// Days on which it begins: bit 0 for Monday, to bit 6 for Sunday.
    pub days: u8,
    /// When it begins, in minutes since midnight.
    pub start_minute: u16,
    /// How long it is, in minutes; it may go over midnight, up to a day.
    pub minutes: u16,
    /// The zone's distance from UTC in seconds, east positive, at the time that is asked about.
    pub utc_offset_s: i32,
}

const DAY_S: i64 = 86_400;

impl Weekly {
    fn holds(&self, at_s: i64) -> bool {
        let local = at_s.saturating_add(i64::from(self.utc_offset_s));
        let (day, second) = (local.div_euclid(DAY_S), local.rem_euclid(DAY_S));
        // The first of January 1970 was a Thursday.
        let begins = |day: i64| self.days >> (day + 3).rem_euclid(7) & 1 != 0;
        let start = i64::from(self.start_minute) * 60;
        let end = start + i64::from(self.minutes).min(24 * 60) * 60;
        (begins(day) && (start..end).contains(&second)) || (begins(day - 1) && (start..end).contains(&(second + DAY_S)))
    }
}

impl Window {
    /// Whether a change of a path at a time is expected.
    pub fn holds(&self, path: &Path, at_s: i64) -> bool {
        (self.from_s..self.until_s).contains(&at_s)
            && self.weekly.as_ref().is_none_or(|weekly| weekly.holds(at_s))
            && (self.paths.is_empty()
                || self.paths.iter().any(|pattern| fits(pattern.as_bytes(), path.as_os_str().as_bytes())))
    }
}

/// When a change happened, as far as the file tells: when its properties last changed, which its owner cannot set, else
/// when it was seen.
pub fn happened_s(change: &Change, seen_s: i64) -> i64 {
    match &change.what {
        What::Added(is) | What::Changed { after: is, .. } => is.changed_ns.div_euclid(1_000_000_000).min(seen_s),
        What::Removed(_) => seen_s,
    }
}

/// The first window in which a change that was seen at a time is expected.
pub fn window_of<'a>(windows: &'a [Window], change: &Change, seen_s: i64) -> Option<&'a Window> {
    let at_s = happened_s(change, seen_s);
    windows.iter().find(|window| window.holds(&change.path, at_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_over_midnight_and_in_their_zone() {
        // Saturdays from 22:30 for four hours, two hours east of UTC.
        let weekly = Weekly { days: 1 << 5, start_minute: 22 * 60 + 30, minutes: 240, utc_offset_s: 7_200 };
        let window = |paths: &[&str]| Window {
            name: "patches".into(),
            from_s: 0,
            until_s: i64::MAX,
            weekly: Some(weekly.clone()),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        };
        // 2026-11-21 was a Saturday; 20:30 UTC is 22:30 there.
        let start = 1_795_293_000;
        for (at, expected) in
            [(-1, false), (0, true), (4 * 3_600 - 1, true), (4 * 3_600, false), (7 * DAY_S, true), (DAY_S, false)]
        {
            assert_eq!(window(&[]).holds(Path::new("/usr/bin/x"), start + at), expected, "{at}");
        }
        assert!(window(&["/usr"]).holds(Path::new("/usr/bin/x"), start));
        assert!(!window(&["/etc", "/opt/*/conf"]).holds(Path::new("/usr/bin/x"), start));
        let once = Window { from_s: start, until_s: start + 60, weekly: None, ..window(&[]) };
        assert!(once.holds(Path::new("/x"), start) && !once.holds(Path::new("/x"), start + 60));
    }
}
