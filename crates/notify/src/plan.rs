//! Who is told of what, how: happenings in, notifications and messages out. Pure.

use guardian_catalog::{Announcement, Channel, ChannelKind, Language, NewDelivery, NewNotification, NotifyEvent};
use guardian_model::{Micros, Pseudonyms, Severity};
use serde_json::{Value, json};

use crate::event::{Happening, Told};
use crate::message::Message;
use crate::people::Person;
use crate::text::Phrase;

/// Alerts of one stroke that are told one by one; more of them are told together.
const ALERTS_APART_MAX: usize = 5;
/// Alerts that are named when they are told together.
const ALERTS_NAMED_MAX: usize = 20;

/// Those who can be told, and what the server can do.
pub struct Audience {
    /// The people of the tenant.
    pub people: Vec<Person>,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// Name of the tenant.
    pub tenant: String,
    /// Whether there is a mail server.
    pub mail: bool,
    /// What those are told who may not see personal data, and channels that are not meant to.
    pub masks: Pseudonyms,
    /// Now.
    pub now: Micros,
}

/// What is to be told of some happenings.
pub fn plan(happenings: &[Happening], audience: &Audience) -> Announcement {
    let mut planned = Announcement::default();
    let masked: Vec<Happening> = happenings.iter().map(|h| h.masked(&audience.masks)).collect();
    let told = |personal: bool| if personal { happenings } else { &masked };
    for person in &audience.people {
        let mine: Vec<&Happening> = told(person.sees_personal()).iter().filter(|h| concerns(h, person)).collect();
        for happening in together(mine) {
            to_person(&happening, person, audience, &mut planned);
        }
    }
    for channel in audience.channels.iter().filter(|c| c.draft.enabled) {
        if channel.draft.kind == ChannelKind::Mail && !audience.mail {
            continue;
        }
        let taken: Vec<&Happening> = told(channel.draft.personal).iter().filter(|h| takes(channel, h)).collect();
        for happening in together(taken) {
            planned.deliveries.push(to_channel(&happening, channel, audience));
        }
    }
    planned
}

/// Whether a happening is something for a person, as far as it is not a matter of taste.
fn concerns(happening: &Happening, person: &Person) -> bool {
    let named = |these: &[guardian_model::UserId]| these.contains(&person.id);
    let meant = match &happening.told {
        Told::These(these) => named(these),
        Told::TheseOrWorkers(these) => named(these) || these.is_empty() && person.works(),
        Told::Everybody => true,
    };
    let bad_enough = happening.event != NotifyEvent::Alert
        || happening.test
        || happening.severity.is_some_and(|severity| severity >= person.wants.alert_severity_min);
    meant && bad_enough && person.may_see(happening.subject) && !person.is(happening.by.as_ref())
}

/// Whether a channel takes a happening.
fn takes(channel: &Channel, happening: &Happening) -> bool {
    let draft = &channel.draft;
    if happening.event.is_personal() || !draft.events.contains(&happening.event) {
        return false;
    }
    if happening.test {
        return true;
    }
    let filter = &draft.filter;
    let Some(alert) = &happening.alert else { return filter.takes(happening.severity) };
    let contains = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
    filter.takes(happening.severity)
        && (filter.rules.is_empty() || filter.rules.contains(&alert.rule.id))
        && filter.entity.as_deref().is_none_or(|part| contains(&alert.entity.value, part))
        && filter.attack.as_deref().is_none_or(|part| alert.rule.attack.iter().any(|a| contains(a, part)))
}

/// Tells a flood of alerts at once.
fn together(happenings: Vec<&Happening>) -> Vec<Happening> {
    let flood = |h: &Happening| h.event == NotifyEvent::Alert && !h.test;
    let alerts: Vec<&Happening> = happenings.iter().copied().filter(|h| flood(h)).collect();
    if alerts.len() <= ALERTS_APART_MAX {
        return happenings.into_iter().cloned().collect();
    }
    let worst = alerts.iter().filter_map(|h| h.severity).max().unwrap_or(Severity::Informational);
    let lines = alerts.iter().take(ALERTS_NAMED_MAX).map(|h| h.phrase.title(Language::En)).collect();
    let (first, last) = (alerts[0], alerts[alerts.len() - 1]);
    let data: Vec<Value> = alerts.iter().take(ALERTS_NAMED_MAX).map(|h| h.data.clone()).collect();
    let mut rest: Vec<Happening> = happenings.iter().filter(|h| !flood(h)).map(|h| (*h).clone()).collect();
    rest.push(Happening {
        key: format!("alerts/{}/{}", first.subject_id, last.subject_id),
        link: "/alerts".to_owned(),
        severity: Some(worst),
        phrase: Phrase::Alerts { count: alerts.len(), worst, lines },
        data: json!({ "count": alerts.len(), "alerts": data }),
        alert: None,
        ..first.clone()
    });
    rest
}

fn message(happening: &Happening, language: Language, personal: bool, audience: &Audience) -> Message {
    Message {
        language,
        title: happening.phrase.title(language),
        text: happening.phrase.text(language),
        link: happening.link.clone(),
        thread: happening.thread.clone(),
        severity: happening.severity,
        by: happening.by.as_ref().map(|(name, _)| name.clone()),
        time: happening.time,
        tenant: audience.tenant.clone(),
        data: happening.data.clone(),
        masked: !personal,
    }
}

fn to_person(happening: &Happening, person: &Person, audience: &Audience, planned: &mut Announcement) {
    let said = message(happening, person.wants.language, person.sees_personal(), audience);
    if happening.test || person.hears(happening.event) {
        planned.notifications.push(NewNotification {
            user: person.id,
            key: happening.key.clone(),
            event: happening.event,
            time: happening.time,
            title: said.title.clone(),
            text: said.text.clone(),
            link: happening.link.clone(),
            subject: happening.subject.to_owned(),
            subject_id: happening.subject_id.clone(),
            by: said.by.clone(),
            test: happening.test,
        });
    }
    let Some(email) = person.email.as_ref().filter(|_| audience.mail) else { return };
    let due = if happening.test {
        Some(crate::preferences::Due { at: audience.now, held: false })
    } else {
        person.wants.mail_due(happening.event, happening.severity, audience.now)
    };
    let Some(due) = due else { return };
    planned.deliveries.push(NewDelivery {
        key: format!("{}/{}", person.id, happening.key),
        channel: None,
        user: Some(person.id),
        kind: ChannelKind::Mail,
        target: email.clone(),
        event: happening.event,
        title: said.title.clone(),
        subject: happening.subject.to_owned(),
        subject_id: happening.subject_id.clone(),
        body: json!(said),
        bundle: due.held.then(|| person.id.to_string()),
        test: happening.test,
        due: due.at,
    });
}

fn to_channel(happening: &Happening, channel: &Channel, audience: &Audience) -> NewDelivery {
    let said = message(happening, channel.draft.language, channel.draft.personal, audience);
    NewDelivery {
        key: format!("{}/{}", channel.id, happening.key),
        channel: Some(channel.id),
        user: None,
        kind: channel.draft.kind,
        target: target(channel),
        event: happening.event,
        title: said.title.clone(),
        subject: happening.subject.to_owned(),
        subject_id: happening.subject_id.clone(),
        body: json!(said),
        bundle: None,
        test: happening.test,
        due: audience.now,
    }
}

/// Where a channel's messages go, in a line.
pub(crate) fn target(channel: &Channel) -> String {
    match channel.draft.kind {
        ChannelKind::Mail => channel.draft.to.join(", "),
        ChannelKind::Webhook => channel.draft.url.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use guardian_catalog::{ChannelDraft, ChannelFilter};
    use guardian_identity::Role;
    use guardian_model::{TenantId, UserId};
    use uuid::Uuid;

    use super::*;
    use crate::preferences::{MailWish, Preferences, Wish};

    fn person(n: u128, role: Role) -> Person {
        Person {
            id: UserId(Uuid::from_u128(n)),
            name: format!("user-{n}"),
            email: Some(format!("user-{n}@example.org")),
            permissions: role.permissions(),
            wants: Preferences::default(),
        }
    }

    fn happening(event: NotifyEvent, n: u32, severity: Severity) -> Happening {
        Happening {
            event,
            key: format!("{event}/{n}"),
            time: Micros(1),
            subject: if event == NotifyEvent::Alert { "alert" } else { "incident" },
            subject_id: n.to_string(),
            link: "/incidents/1".into(),
            thread: None,
            by: Some(("user-1".into(), None)),
            severity: Some(severity),
            phrase: Phrase::Incident { number: i64::from(n), title: "Scan".into(), severity },
            told: Told::Everybody,
            alert: None,
            test: false,
            data: Value::Null,
        }
    }

    fn channel(events: &[NotifyEvent], severity_min: Option<Severity>) -> Channel {
        Channel {
            id: Uuid::from_u128(9),
            tenant: TenantId::DEFAULT,
            version: 1,
            draft: ChannelDraft {
                name: "desk".into(),
                kind: ChannelKind::Webhook,
                enabled: true,
                to: vec![],
                url: Some("https://example.org/in".into()),
                language: Language::En,
                events: events.to_vec(),
                filter: ChannelFilter { severity_min, ..ChannelFilter::default() },
                personal: false,
            },
            secret: None,
            author: "ann".into(),
            created: Micros(0),
            updated: Micros(0),
        }
    }

    fn audience(people: Vec<Person>, channels: Vec<Channel>) -> Audience {
        Audience {
            people,
            channels,
            tenant: "Main".into(),
            mail: true,
            masks: Pseudonyms::new([7; 32]),
            now: Micros(5),
        }
    }

    #[test]
    fn people_hear_what_they_may_and_want_and_did_not_do_themselves() {
        let mut loud = person(3, Role::Viewer);
        let all = Wish { app: false, mail: MailWish::Immediate };
        loud.wants.events.insert(NotifyEvent::Incident, all);
        let mut stranger = person(4, Role::Viewer);
        stranger.permissions = [guardian_identity::Permission::StatusRead].into_iter().collect();
        let people = vec![person(1, Role::Admin), person(2, Role::Operator), loud, stranger];
        let told = plan(&[happening(NotifyEvent::Incident, 1, Severity::Low)], &audience(people, vec![]));
        let users: Vec<u128> = told.notifications.iter().map(|n| n.user.0.as_u128()).collect();
        assert_eq!(users, [2], "not who did it, not who wants mail alone, not who may not see it");
        let mails: Vec<&str> = told.deliveries.iter().map(|d| d.target.as_str()).collect();
        assert_eq!(mails, ["user-3@example.org"]);
        assert_eq!(told.deliveries[0].due, Micros(5));
    }

    #[test]
    fn deadlines_without_an_owner_concern_whoever_works() {
        let people = vec![person(2, Role::Operator), person(3, Role::Viewer)];
        let late = Happening {
            told: Told::TheseOrWorkers(vec![]),
            by: None,
            ..happening(NotifyEvent::SlaBreach, 1, Severity::High)
        };
        let told = plan(std::slice::from_ref(&late), &audience(people.clone(), vec![]));
        assert_eq!(told.notifications.iter().map(|n| n.user).collect::<Vec<_>>(), [people[0].id]);
        let owned = Happening { told: Told::TheseOrWorkers(vec![people[1].id]), ..late };
        let told = plan(&[owned], &audience(people.clone(), vec![]));
        assert_eq!(told.notifications.iter().map(|n| n.user).collect::<Vec<_>>(), [people[1].id]);
    }

    #[test]
    fn channels_take_what_they_name_from_a_severity_on() {
        let channels = vec![channel(&[NotifyEvent::Incident], Some(Severity::High))];
        let happenings = [
            happening(NotifyEvent::Incident, 1, Severity::High),
            happening(NotifyEvent::Incident, 2, Severity::Medium),
            happening(NotifyEvent::SlaBreach, 3, Severity::High),
            Happening { test: true, ..happening(NotifyEvent::Incident, 4, Severity::Informational) },
        ];
        let told = plan(&happenings, &audience(vec![], channels.clone()));
        let about: Vec<&str> = told.deliveries.iter().map(|d| d.subject_id.as_str()).collect();
        assert_eq!(about, ["1", "4"]);
        let mut off = channels;
        off[0].draft.enabled = false;
        assert_eq!(plan(&happenings, &audience(vec![], off)).deliveries, []);
    }

    #[test]
    fn whoever_may_not_see_personal_data_is_told_pseudonyms() {
        let mut open = channel(&[NotifyEvent::Alert], None);
        open.draft.personal = true;
        let channels = vec![channel(&[NotifyEvent::Alert], None), open];
        let mut people = vec![person(2, Role::Operator), person(3, Role::Viewer)];
        for person in &mut people {
            person.wants.alert_severity_min = Severity::Low;
            person.wants.events.insert(NotifyEvent::Alert, Wish { app: true, mail: MailWish::Immediate });
        }
        let flood: Vec<Happening> = (0..7)
            .map(|n| Happening {
                phrase: Phrase::Alert {
                    title: "Scan".into(),
                    entity: "ann".into(),
                    severity: Severity::High,
                    summary: "ports of 203.0.113.9".into(),
                },
                data: json!({ "entity": { "kind": "user", "value": "ann" }, "group": "src_ip=203.0.113.9" }),
                ..happening(NotifyEvent::Alert, n, Severity::High)
            })
            .collect();
        for some in [&flood[..1], &flood[..]] {
            let told = plan(some, &audience(people.clone(), channels.clone()));
            let sees = |body: &Value| body.to_string().contains("ann") || body.to_string().contains("203.0.113.9");
            let seen: Vec<(bool, bool)> =
                told.deliveries.iter().map(|d| (sees(&d.body), d.body["masked"] == json!(true))).collect();
            assert_eq!(seen, [(true, false), (false, true), (false, true), (true, false)], "{:?}", told.deliveries);
            let titles: Vec<bool> = told.notifications.iter().map(|n| n.text.contains("203.0.113.9")).collect();
            assert_eq!(titles.first(), Some(&(some.len() == 1)), "a flood names titles alone");
            assert_eq!(titles.last(), Some(&false));
        }
    }

    #[test]
    fn a_flood_of_alerts_is_one_message() {
        let channels = vec![channel(&[NotifyEvent::Alert], None)];
        let mut flood: Vec<Happening> = (0..50).map(|n| happening(NotifyEvent::Alert, n, Severity::Low)).collect();
        flood.push(happening(NotifyEvent::Alert, 50, Severity::High));
        let told = plan(&flood, &audience(vec![], channels.clone()));
        assert_eq!(told.deliveries.len(), 1);
        assert_eq!(told.deliveries[0].title, "51 alerts, the worst high");
        let told = plan(&flood[..3], &audience(vec![], channels));
        assert_eq!(told.deliveries.len(), 3);
    }
}
