//! What a person wants to hear, how, and when they want their peace. Pure: a time goes in, a time comes out.

use std::collections::BTreeMap;

use guardian_catalog::{Language, NotifyEvent};
use guardian_model::{Micros, Severity};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use serde::{Deserialize, Serialize};

/// When mail of one event leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailWish {
    /// Never.
    None,
    /// At once.
    Immediate,
    /// With others, at the time of the digest.
    Digest,
}

/// How one event is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// In the console.
    pub app: bool,
    /// By mail.
    pub mail: MailWish,
}

/// How often a digest leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Every {
    /// At the full hour.
    Hour,
    /// Once a day.
    Day,
}

/// When digests leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// How often.
    pub every: Every,
    /// At what time of the day, `HH:MM`; of daily digests.
    pub at: String,
}

/// When mail waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// From this time of the day, `HH:MM`.
    pub from: String,
    /// To this one, possibly of the next day.
    pub to: String,
    /// Whether what is critical comes all the same, and passed deadlines.
    pub except_critical: bool,
}

/// What a person wants to hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preferences {
    /// The language that they are told in.
    pub language: Language,
    /// The zone of their times of the day, as IANA names it.
    pub zone: String,
    /// How each event is told; what is not named is told as usual.
    pub events: BTreeMap<NotifyEvent, Wish>,
    /// From which severity on alerts count.
    pub alert_severity_min: Severity,
    /// When digests leave.
    pub digest: Digest,
    /// When mail waits.
    pub quiet: Option<Quiet>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            language: Language::En,
            zone: "UTC".to_owned(),
            events: BTreeMap::new(),
            alert_severity_min: Severity::High,
            digest: Digest { every: Every::Day, at: "08:00".to_owned() },
            quiet: None,
        }
    }
}

/// When mail may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Not before.
    pub(crate) at: Micros,
    /// Whether it waits for others, and leaves with them.
    pub(crate) held: bool,
}

impl Preferences {
    /// What the catalog keeps; what it does not understand (any more) is as usual.
    pub fn read(value: serde_json::Value) -> Self {
        serde_json::from_value(value).unwrap_or_default()
    }

    /// How an event is told.
    pub fn wish(&self, event: NotifyEvent) -> Wish {
        self.events.get(&event).copied().unwrap_or(usual(event))
    }

    /// The same for every event that people can be told of.
    pub fn wishes(&self) -> BTreeMap<NotifyEvent, Wish> {
        let events = NotifyEvent::ALL.iter().filter(|event| **event != NotifyEvent::Test);
        events.map(|event| (*event, self.wish(*event))).collect()
    }

    /// What is wrong with them, if anything is.
    pub fn problem(&self) -> Option<String> {
        if TimeZone::get(&self.zone).is_err() {
            return Some(format!("`zone`: `{}` is no time zone, such as Europe/Berlin", self.zone));
        }
        let mut times = vec![("digest.at", &self.digest.at)];
        if let Some(quiet) = &self.quiet {
            times.extend([("quiet.from", &quiet.from), ("quiet.to", &quiet.to)]);
            if quiet.from == quiet.to {
                return Some("`quiet`: it begins when it ends; leave it out for none".to_owned());
            }
        }
        let bad = times.into_iter().find(|(_, text)| clock(text).is_none());
        bad.map(|(name, text)| format!("`{name}`: `{text}` is no time of the day, such as 08:00"))
    }

    /// When mail about an event may leave; none means never.
    pub(crate) fn mail_due(&self, event: NotifyEvent, severity: Option<Severity>, now: Micros) -> Option<Due> {
        let wish = self.wish(event).mail;
        let local = zoned(now, &self.zone);
        match wish {
            MailWish::None => None,
            MailWish::Digest => Some(Due { at: self.digest_after(&local), held: true }),
            MailWish::Immediate => {
                let urgent = severity == Some(Severity::Critical) || event == NotifyEvent::SlaBreach;
                let quiet = self.quiet.as_ref().filter(|quiet| !(quiet.except_critical && urgent));
                let end = quiet.and_then(|quiet| quiet_until(quiet, &local));
                Some(end.map_or(Due { at: now, held: false }, |at| Due { at, held: true }))
            }
        }
    }

    fn digest_after(&self, local: &Zoned) -> Micros {
        let next = match self.digest.every {
            Every::Hour => local
                .with()
                .minute(0)
                .second(0)
                .subsec_nanosecond(0)
                .build()
                .and_then(|hour| hour.checked_add(1.hour()))
                .ok(),
            Every::Day => next_at(local, clock(&self.digest.at).unwrap_or(Time::midnight())),
        };
        micros(next.as_ref().unwrap_or(local))
    }
}

/// How an event is told to somebody who never said anything.
fn usual(event: NotifyEvent) -> Wish {
    use NotifyEvent::{Alert, Assignment, Mention, SlaBreach, SlaWarning, Watching};
    match event {
        Mention | Assignment | SlaWarning | SlaBreach => Wish { app: true, mail: MailWish::Immediate },
        Watching => Wish { app: true, mail: MailWish::Digest },
        Alert => Wish { app: false, mail: MailWish::None },
        _ => Wish { app: true, mail: MailWish::None },
    }
}

fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

fn zoned(now: Micros, zone: &str) -> Zoned {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    Timestamp::from_microsecond(now.0).unwrap_or_default().to_zoned(zone)
}

fn micros(zoned: &Zoned) -> Micros {
    Micros(zoned.timestamp().as_microsecond())
}

/// The next time that a clock on the wall shows `at`.
fn next_at(local: &Zoned, at: Time) -> Option<Zoned> {
    let today = local.date().to_datetime(at).to_zoned(local.time_zone().clone()).ok()?;
    if today > *local {
        return Some(today);
    }
    let tomorrow = local.date().tomorrow().ok()?;
    tomorrow.to_datetime(at).to_zoned(local.time_zone().clone()).ok()
}

/// The end of the quiet hours that hold now.
fn quiet_until(quiet: &Quiet, local: &Zoned) -> Option<Micros> {
    let (from, to, now) = (clock(&quiet.from)?, clock(&quiet.to)?, local.time());
    let inside = if from <= to { now >= from && now < to } else { now >= from || now < to };
    if !inside {
        return None;
    }
    next_at(local, to).as_ref().map(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Micros {
        Micros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn night() -> Preferences {
        let quiet = Quiet { from: "22:00".into(), to: "07:00".into(), except_critical: true };
        Preferences { zone: "Europe/Berlin".into(), quiet: Some(quiet), ..Preferences::default() }
    }

    #[test]
    fn quiet_hours_go_by_the_clock_on_the_wall() {
        // In January Berlin is an hour ahead, in July two.
        for (now, due) in [
            ("2026-01-10T20:59:59Z", "2026-01-10T20:59:59Z"),
            ("2026-01-10T21:00:00Z", "2026-01-11T06:00:00Z"),
            ("2026-01-11T05:59:00Z", "2026-01-11T06:00:00Z"),
            ("2026-01-11T06:00:00Z", "2026-01-11T06:00:00Z"),
            ("2026-07-10T20:00:00Z", "2026-07-11T05:00:00Z"),
        ] {
            let found = night().mail_due(NotifyEvent::Mention, None, at(now)).unwrap();
            assert_eq!(found.at, at(due), "{now}");
            assert_eq!(found.held, now != due, "{now}");
        }
        let now = at("2026-01-10T23:00:00Z");
        let urgent = night().mail_due(NotifyEvent::Assignment, Some(Severity::Critical), now).unwrap();
        assert_eq!(urgent, Due { at: now, held: false });
        assert!(!night().mail_due(NotifyEvent::SlaBreach, None, now).unwrap().held);
        assert!(night().mail_due(NotifyEvent::SlaWarning, None, now).unwrap().held);
    }

    #[test]
    fn digests_leave_at_their_time() {
        let daily = Preferences { zone: "America/New_York".into(), ..Preferences::default() };
        let due = |p: &Preferences, now: &str| p.mail_due(NotifyEvent::Watching, None, at(now)).unwrap();
        assert_eq!(due(&daily, "2026-01-10T12:59:00Z").at, at("2026-01-10T13:00:00Z"));
        assert_eq!(due(&daily, "2026-01-10T13:00:00Z").at, at("2026-01-11T13:00:00Z"));
        let hourly = Preferences { digest: Digest { every: Every::Hour, at: "08:00".into() }, ..daily };
        assert_eq!(due(&hourly, "2026-01-10T12:59:00Z").at, at("2026-01-10T13:00:00Z"));
        assert!(due(&hourly, "2026-01-10T12:59:00Z").held);
        assert_eq!(hourly.mail_due(NotifyEvent::Alert, None, at("2026-01-10T12:59:00Z")), None, "not asked for");
    }

    #[test]
    fn nonsense_is_refused_and_forgotten() {
        assert_eq!(Preferences::default().problem(), None);
        assert_eq!(night().problem(), None);
        let bad: [fn(&mut Preferences); 4] = [
            |p| p.zone = "Mars/Olympus".into(),
            |p| p.digest.at = "8".into(),
            |p| p.digest.at = "24:00".into(),
            |p| p.quiet = Some(Quiet { from: "07:00".into(), to: "07:00".into(), except_critical: false }),
        ];
        for spoil in bad {
            let mut preferences = night();
            spoil(&mut preferences);
            assert!(preferences.problem().is_some(), "{preferences:?}");
        }
        let read = Preferences::read(serde_json::json!({"zone": 7}));
        assert_eq!(read, Preferences::default());
        let kept = serde_json::to_value(night()).unwrap();
        assert_eq!(Preferences::read(kept), night());
    }
}
