//! What is worth telling: happenings from entries of the change log. Pure.

use std::collections::{BTreeMap, HashMap};

use guardian_catalog::{
    Action, Alert, AlertStatus, Assigned, ChangeEntry, EntryKind, EntryWhat, Exporter, ExporterState, Incident,
    IncidentEntry, NotifyEvent, SlaClock, SlaMark, Subject,
};
use guardian_model::{IncidentId, Micros, Pseudonyms, Severity, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::text::{Noted, Phrase, What};

/// The rule that finds test alerts.
pub const TEST_RULE_ID: &str = "0d5b7a52-6f1e-5c7b-9b0a-6a4f2f0c7e11";
/// What the name of a test alert's replay begins with.
pub const TEST_REPLAY: &str = "test-alert-";

/// The replay of a test alert that `user` asked for, or nobody in particular. `nonce` tells tests apart.
pub fn test_replay(user: Option<UserId>, nonce: u32) -> String {
    format!("{TEST_REPLAY}{}-{nonce:08x}", user.map_or_else(Uuid::nil, |u| u.0).simple())
}

/// Who asked for a test alert.
fn tester(alert: &Alert) -> Option<Option<UserId>> {
    if alert.rule.id != TEST_RULE_ID {
        return None;
    }
    let (user, _) = alert.replay.as_deref()?.strip_prefix(TEST_REPLAY)?.split_once('-')?;
    let user = Uuid::parse_str(user).ok()?;
    Some((!user.is_nil()).then_some(UserId(user)))
}

/// Whom a happening concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// These people.
    These(Vec<UserId>),
    /// These people or, if there are none, everybody who works on incidents; and channels.
    TheseOrWorkers(Vec<UserId>),
    /// Everybody who may see it; and channels.
    Everybody,
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// What sort of thing happened.
    pub event: NotifyEvent,
    /// Tells it from others; the same for the same change.
    pub key: String,
    /// When.
    pub time: Micros,
    /// What sort of thing it is about: incident, alert, exporter or health.
    pub subject: &'static str,
    /// Which one.
    pub subject_id: String,
    /// Where to look in the console.
    pub link: String,
    /// Messages with the same thread belong together.
    pub thread: Option<String>,
    /// Who made it happen: name and id.
    pub by: Option<(String, Option<String>)>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// What to say.
    pub phrase: Phrase,
    /// Whom it concerns.
    pub told: Told,
    /// The alert, for filters.
    pub alert: Option<Box<Alert>>,
    /// Whether it only tries whether messages arrive.
    pub test: bool,
    /// The thing itself, for programs.
    pub data: Value,
}

impl Happening {
    /// The same as it is told to whoever may not see personal data. Filters look at the alert, which is told to nobody.
    pub(crate) fn masked(&self, masks: &Pseudonyms) -> Self {
        let mut masked = self.clone();
        masked.phrase.mask(masks);
        // Exporters belong to nobody.
        if masked.subject != "exporter" {
            masks.value(&mut masked.data);
        }
        masked
    }
}

/// The incidents that some entries tell of, to be looked up.
pub(crate) fn incidents_of(entries: &[ChangeEntry]) -> Vec<IncidentId> {
    let items = entries.iter().filter(|e| e.subject == Subject::IncidentItem && e.action != Action::Deleted);
    let named = items.filter_map(|e| e.payload.get("incident").cloned());
    let tasks = entries.iter().filter(|e| e.subject == Subject::Assignment);
    let named = named.chain(tasks.filter_map(|e| e.payload.get("incident").filter(|i| !i.is_null()).cloned()));
    let mut ids: Vec<IncidentId> = named.filter_map(|id| serde_json::from_value(id).ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What is worth telling of some entries, in their order. `incidents` are those that parts of incidents belong to, as
/// they are now.
pub fn happenings(entries: &[ChangeEntry], incidents: &HashMap<IncidentId, Incident>) -> Vec<Happening> {
    let mut found = Vec::new();
    let mut changes = Changes::default();
    for entry in entries {
        match (entry.subject, entry.action) {
            (Subject::Alert, Action::Created) => found.extend(alert(entry)),
            (Subject::Incident, Action::Created) => incident(entry, &mut found),
            (Subject::IncidentItem, Action::Created | Action::Updated) => {
                part(entry, incidents, &mut found, &mut changes);
            }
            (Subject::Assignment, _) => found.extend(assignment(entry, incidents)),
            (Subject::Exporter, Action::Updated) => found.extend(exporter(entry)),
            _ => {}
        }
    }
    found.extend(changes.happenings(incidents));
    found
}

fn alert(entry: &ChangeEntry) -> Option<Happening> {
    let alert: Alert = serde_json::from_value(entry.payload.clone()).ok()?;
    let tester = tester(&alert);
    // What a suppression closed needs nobody, and a replay triggers nothing.
    if alert.status == AlertStatus::Closed || alert.replay.is_some() && tester.is_none() {
        return None;
    }
    Some(Happening {
        event: NotifyEvent::Alert,
        key: format!("alert/{}", alert.id),
        time: entry.time,
        subject: "alert",
        subject_id: alert.id.to_string(),
        link: format!("/alerts/{}", alert.id),
        thread: None,
        by: None,
        severity: Some(alert.rule.severity),
        phrase: Phrase::Alert {
            title: alert.rule.title.clone(),
            entity: alert.entity.to_string(),
            severity: alert.rule.severity,
            summary: alert.summary.clone(),
        },
        told: tester.map_or(Told::Everybody, |user| Told::These(user.into_iter().collect())),
        test: tester.is_some(),
        data: json!({
            "id": alert.id, "rule": { "id": alert.rule.id, "title": alert.rule.title, "attack": alert.rule.attack },
            "severity": alert.rule.severity, "entity": alert.entity, "group": alert.group_key,
            "summary": alert.summary, "count": alert.count, "first_seen": alert.first_seen.to_string(),
            "last_seen": alert.last_seen.to_string(),
        }),
        alert: Some(Box::new(alert)),
    })
}

/// What is the same of everything about one incident.
fn about(incident: &Incident, event: NotifyEvent, key: String, time: Micros, phrase: Phrase) -> Happening {
    Happening {
        event,
        key,
        time,
        subject: "incident",
        subject_id: incident.id.to_string(),
        link: format!("/incidents/{}", incident.id),
        thread: Some(format!("incident-{}", incident.id)),
        by: None,
        severity: Some(incident.severity),
        phrase,
        told: Told::Everybody,
        alert: None,
        test: false,
        data: incident_data(incident),
    }
}

fn incident_data(incident: &Incident) -> Value {
    json!({
        "id": incident.id, "number": incident.number, "title": incident.title, "kind": incident.kind,
        "severity": incident.severity, "status": incident.status, "owner": incident.owner,
        "alerts": incident.counts.alerts, "created": incident.created.to_string(),
    })
}

fn incident(entry: &ChangeEntry, found: &mut Vec<Happening>) {
    let Ok(incident) = serde_json::from_value::<Incident>(entry.payload.clone()) else { return };
    let by = Some((incident.created_by.clone(), None));
    let (number, title) = (incident.number, incident.title.clone());
    if let Some(owner) = incident.owner {
        let phrase = Phrase::AssignedIncident { by: incident.created_by.clone(), number, title: title.clone() };
        let key = format!("incident/{}/owner/{}", incident.id, entry.seq);
        let told = Told::These(vec![owner]);
        found.push(Happening {
            by: by.clone(),
            told,
            ..about(&incident, NotifyEvent::Assignment, key, entry.time, phrase)
        });
    }
    if incident.replay.is_none() {
        let phrase = Phrase::Incident { number, title, severity: incident.severity };
        let key = format!("incident/{}", incident.id);
        found.push(Happening { by, ..about(&incident, NotifyEvent::Incident, key, entry.time, phrase) });
    }
}

fn part(
    entry: &ChangeEntry,
    incidents: &HashMap<IncidentId, Incident>,
    found: &mut Vec<Happening>,
    changes: &mut Changes,
) {
    if entry.payload.get("item").and_then(Value::as_str) != Some("entry") {
        return;
    }
    let data = entry.payload.get("data").cloned().unwrap_or_default();
    let Ok(line) = serde_json::from_value::<IncidentEntry>(data) else { return };
    let Some(incident) = incidents.get(&line.incident) else { return };
    let by = Some((line.author.clone(), line.author_id.clone()));
    if !line.mentions.is_empty() {
        let phrase = Phrase::Mention {
            by: line.author.clone(),
            number: incident.number,
            title: incident.title.clone(),
            text: line.text.clone(),
        };
        let key = format!("mention/{}", line.id);
        let told = Told::These(line.mentions.clone());
        found.push(Happening {
            by: by.clone(),
            told,
            ..about(incident, NotifyEvent::Mention, key, entry.time, phrase)
        });
    }
    // What was corrected was told before.
    if entry.action != Action::Created {
        return;
    }
    if line.kind == EntryKind::Sla {
        found.extend(deadline(entry, &line, incident));
        return;
    }
    if let Some(owner) = new_owner(&line) {
        let phrase = Phrase::AssignedIncident {
            by: line.author.clone(),
            number: incident.number,
            title: incident.title.clone(),
        };
        let key = format!("incident/{}/owner/{}", incident.id, entry.seq);
        let told = Told::These(vec![owner]);
        found.push(Happening { by, told, ..about(incident, NotifyEvent::Assignment, key, entry.time, phrase) });
        changes.told(&line, owner);
    }
    changes.add(entry.seq, line);
}

fn new_owner(line: &IncidentEntry) -> Option<UserId> {
    if line.kind != EntryKind::Edit {
        return None;
    }
    serde_json::from_value(line.data.get("owner")?.get("to")?.clone()).ok()
}

fn deadline(entry: &ChangeEntry, line: &IncidentEntry, incident: &Incident) -> Option<Happening> {
    let clock: SlaClock = serde_json::from_value(line.data.get("clock")?.clone()).ok()?;
    let mark: SlaMark = serde_json::from_value(line.data.get("mark")?.clone()).ok()?;
    if incident.replay.is_some() {
        return None;
    }
    let breached = mark == SlaMark::Breached;
    let event = if breached { NotifyEvent::SlaBreach } else { NotifyEvent::SlaWarning };
    let phrase = Phrase::Deadline { number: incident.number, title: incident.title.clone(), clock, breached };
    let key = format!("sla/{}", line.id);
    let told = Told::TheseOrWorkers(incident.audience());
    Some(Happening { told, ..about(incident, event, key, entry.time, phrase) })
}

fn assignment(entry: &ChangeEntry, incidents: &HashMap<IncidentId, Incident>) -> Option<Happening> {
    let given: Assigned = serde_json::from_value(entry.payload.clone()).ok()?;
    let by = Some((given.by.clone(), None));
    let told = Told::These(vec![given.user]);
    let key = format!("{}/{}/to/{}", given.what, given.id, entry.seq);
    if let Some(incident) = given.incident {
        let incident = incidents.get(&IncidentId(incident))?;
        let phrase = Phrase::AssignedTask {
            by: given.by,
            task: given.title,
            number: incident.number,
            title: incident.title.clone(),
        };
        return Some(Happening { by, told, ..about(incident, NotifyEvent::Assignment, key, entry.time, phrase) });
    }
    let (link, id) = (format!("/alerts/{}", given.id), given.id.to_string());
    Some(Happening {
        event: NotifyEvent::Assignment,
        key,
        time: entry.time,
        subject: "alert",
        subject_id: id.clone(),
        link,
        thread: None,
        by,
        severity: None,
        data: json!({ "id": id, "title": given.title, "count": given.count }),
        phrase: Phrase::AssignedAlerts { by: given.by, title: given.title, count: given.count },
        told,
        alert: None,
        test: false,
    })
}

fn exporter(entry: &ChangeEntry) -> Option<Happening> {
    let exporter: Exporter = serde_json::from_value(entry.payload.clone()).ok()?;
    if exporter.state != ExporterState::Silent {
        return None;
    }
    let address = exporter.address.to_string();
    Some(Happening {
        event: NotifyEvent::ExporterSilent,
        key: format!("exporter/{}/{}", entry.id, entry.seq),
        time: entry.time,
        subject: "exporter",
        subject_id: entry.id.clone(),
        link: "/exporters".to_owned(),
        thread: None,
        by: None,
        severity: None,
        phrase: Phrase::ExporterSilent { address: address.clone(), last: exporter.last_seen },
        told: Told::Everybody,
        alert: None,
        test: false,
        data: json!({
            "address": address, "domain": exporter.domain, "protocol": exporter.protocol,
            "last_seen": exporter.last_seen.to_string(),
        }),
    })
}

/// What changed of incidents, gathered: what one person did in one stroke is told in one message.
#[derive(Default)]
struct Changes(BTreeMap<(IncidentId, Micros, String), Gathered>);

#[derive(Default)]
struct Gathered {
    seq: i64,
    author_id: Option<String>,
    what: Vec<What>,
    /// Those who hear of it in another way.
    told: Vec<UserId>,
}

impl Changes {
    fn of(&mut self, line: &IncidentEntry) -> &mut Gathered {
        self.0.entry((line.incident, line.created, line.author.clone())).or_default()
    }

    fn told(&mut self, line: &IncidentEntry, user: UserId) {
        self.of(line).told.push(user);
    }

    fn add(&mut self, seq: i64, line: IncidentEntry) {
        let Some(what) = what(&line) else { return };
        let gathered = self.of(&line);
        if gathered.what.is_empty() {
            gathered.seq = seq;
        }
        gathered.author_id = line.author_id;
        gathered.told.extend(line.mentions);
        match (&what, gathered.what.last_mut()) {
            (What::Alerts(more), Some(What::Alerts(count))) => *count += more,
            _ => gathered.what.push(what),
        }
    }

    fn happenings(self, incidents: &HashMap<IncidentId, Incident>) -> Vec<Happening> {
        let mut found = Vec::new();
        for ((id, time, author), gathered) in self.0 {
            let Some(incident) = incidents.get(&id).filter(|_| !gathered.what.is_empty()) else { continue };
            let people = incident.audience().into_iter().filter(|user| !gathered.told.contains(user)).collect();
            let phrase = Phrase::Changed {
                by: author.clone(),
                number: incident.number,
                title: incident.title.clone(),
                what: gathered.what,
            };
            let key = format!("incident/{id}/change/{}", gathered.seq);
            found.push(Happening {
                by: Some((author, gathered.author_id)),
                told: Told::These(people),
                ..about(incident, NotifyEvent::Watching, key, time, phrase)
            });
        }
        found
    }
}

fn what(line: &IncidentEntry) -> Option<What> {
    let text = line.text.clone();
    let word = |name: &str| line.data.get(name)?.as_str().map(str::to_owned);
    let number = || line.data.get("number")?.as_i64().map(|number| number.to_string());
    Some(match line.kind {
        EntryKind::Comment => What::Comment(text),
        EntryKind::Note => What::Note(text),
        EntryKind::Action => What::Action(text),
        EntryKind::Alert => What::Alerts(1),
        EntryKind::Evidence | EntryKind::Task | EntryKind::Merge => match line.what()? {
            EntryWhat::EvidenceAdded => What::Noted(Noted::FileAdded, word("name")?),
            EntryWhat::EvidenceRemoved => What::Noted(Noted::FileRemoved, word("name")?),
            EntryWhat::TaskOver if word("status")? == "skipped" => What::Noted(Noted::TaskSkipped, word("title")?),
            EntryWhat::TaskOver => What::Noted(Noted::TaskDone, word("title")?),
            EntryWhat::Merged => What::Noted(Noted::Merged, number()?),
            EntryWhat::MergedInto => What::Noted(Noted::MergedInto, number()?),
            EntryWhat::MergeUndone | EntryWhat::Separated => What::Noted(Noted::MergeUndone, number()?),
            EntryWhat::Split => What::Noted(Noted::Split, number()?),
            _ => return None,
        },
        EntryKind::Edit => What::Edit(text),
        EntryKind::Status => {
            // That it was made is told as such.
            What::Status(word("from")?, word("to")?)
        }
        EntryKind::Entity | EntryKind::Sla => return None,
    })
}
