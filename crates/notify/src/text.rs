//! The words of messages, in each language. Pure. What people wrote is repeated as they wrote it, shortened; escaping
//! is the business of whatever shows it.

use guardian_catalog::{Language, SlaClock};
use guardian_model::{Micros, Pseudonyms, Severity};

/// Characters of what people wrote that a message repeats.
const QUOTE_MAX: usize = 600;
/// Characters of a title.
const TITLE_MAX: usize = 200;

/// What changed of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody commented.
    Comment(String),
    /// Somebody noticed something.
    Note(String),
    /// Somebody did something.
    Action(String),
    /// So many alerts joined.
    Alerts(u64),
    /// What the program noted, of a file or a task by its name or of another incident by its number.
    Noted(Noted, String),
    /// What is known changed; names of fields.
    Edit(String),
    /// It moved on.
    Status(String, String),
}

/// What the program notes of an incident by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// A file came.
    FileAdded,
    /// A file went.
    FileRemoved,
    /// A task was done.
    TaskDone,
    /// A task was left out.
    TaskSkipped,
    /// Another incident became part of it.
    Merged,
    /// It became part of another.
    MergedInto,
    /// The other, or it, is an incident of its own again.
    MergeUndone,
    /// Alerts of it became another incident.
    Split,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are what the sentences name")]
pub enum Phrase {
    /// Somebody wrote one's name.
    Mention { by: String, number: i64, title: String, text: String },
    /// One leads an incident now.
    AssignedIncident { by: String, number: i64, title: String },
    /// One looks after alerts now.
    AssignedAlerts { by: String, title: String, count: u64 },
    /// One has something to do.
    AssignedTask { by: String, task: String, number: i64, title: String },
    /// Something changed of an incident that one watches.
    Changed { by: String, number: i64, title: String, what: Vec<What> },
    /// A deadline is near or has passed.
    Deadline { number: i64, title: String, clock: SlaClock, breached: bool },
    /// There is an alert.
    Alert { title: String, entity: String, severity: Severity, summary: String },
    /// There are many alerts.
    Alerts { count: usize, worst: Severity, lines: Vec<String> },
    /// There is an incident.
    Incident { number: i64, title: String, severity: Severity },
    /// An exporter is not heard any more.
    ExporterSilent { address: String, last: Micros },
    /// Something of Guardian itself does not work, or works again.
    Health { check: String, reason: String, well: bool },
    /// Somebody tries a channel.
    Channel { name: String, by: String },
}

fn short(text: &str, max: usize) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    if line.chars().count() > max {
        line = line.chars().take(max.saturating_sub(1)).collect();
        line.push('\u{2026}');
    }
    line.trim().to_owned()
}

/// Everything about a title that is one line.
fn line(text: &str) -> String {
    short(&text.replace(['\n', '\r'], " "), TITLE_MAX)
}

impl Phrase {
    /// Puts pseudonyms in the place of personal data: before anything is cut short, so that no part of an address is
    /// left.
    pub(crate) fn mask(&mut self, masks: &Pseudonyms) {
        let texts: Vec<&mut String> = match self {
            Self::Mention { title, text, .. } => vec![title, text],
            Self::AssignedIncident { title, .. }
            | Self::AssignedAlerts { title, .. }
            | Self::Deadline { title, .. }
            | Self::Incident { title, .. } => vec![title],
            Self::AssignedTask { task, title, .. } => vec![task, title],
            Self::Changed { title, what, .. } => {
                let changes = what.iter_mut().filter_map(What::words);
                std::iter::once(title).chain(changes).collect()
            }
            Self::Alert { title, entity, summary, .. } => {
                *entity = masks.name(entity).into_owned();
                vec![title, summary]
            }
            Self::Alerts { lines, .. } => lines.iter_mut().collect(),
            Self::Health { reason, .. } => vec![reason],
            // Exporters belong to nobody, and a test is about a channel.
            Self::ExporterSilent { .. } | Self::Channel { .. } => Vec::new(),
        };
        for text in texts {
            *text = masks.text(text).into_owned();
        }
    }

    /// In a line.
    pub fn title(&self, language: Language) -> String {
        let text = match language {
            Language::En => self.title_en(),
            Language::De => self.title_de(),
        };
        line(&text)
    }

    /// In a few more words; possibly none.
    pub fn text(&self, language: Language) -> String {
        let text = match self {
            Self::Mention { text, .. } => text.clone(),
            Self::AssignedIncident { .. } | Self::AssignedAlerts { .. } | Self::Incident { .. } => String::new(),
            Self::AssignedTask { number, title, .. } | Self::Deadline { number, title, .. } => {
                incident(language, *number, title)
            }
            Self::Changed { what, .. } => {
                let lines: Vec<String> = what.iter().map(|w| w.text(language)).collect();
                lines.join("\n")
            }
            Self::Alert { summary, .. } => summary.clone(),
            Self::Alerts { lines, .. } => lines.join("\n"),
            Self::ExporterSilent { last, .. } => match language {
                Language::En => format!("Last heard {last}."),
                Language::De => format!("Zuletzt geh\u{f6}rt {last}."),
            },
            Self::Health { reason, .. } => reason.clone(),
            Self::Channel { .. } => match language {
                Language::En => "This is a test. If you can read it, messages arrive here.".to_owned(),
                Language::De => "Dies ist ein Test. Wer es liest, wei\u{df}: Nachrichten kommen hier an.".to_owned(),
            },
        };
        short(&text, QUOTE_MAX)
    }

    fn title_en(&self) -> String {
        match self {
            Self::Mention { by, number, title, .. } => format!("{by} mentioned you in incident {number}: {title}"),
            Self::AssignedIncident { by, number, title } => {
                format!("{by} made you the owner of incident {number}: {title}")
            }
            Self::AssignedAlerts { by, title, count: 1 } => format!("{by} assigned an alert to you: {title}"),
            Self::AssignedAlerts { by, count, .. } => format!("{by} assigned {count} alerts to you"),
            Self::AssignedTask { by, task, .. } => format!("{by} gave you a task: {task}"),
            Self::Changed { by, number, title, .. } => format!("{by} changed incident {number}: {title}"),
            Self::Deadline { number, clock, breached, .. } => {
                let clock = clock_word(*clock, Language::En);
                let what = if *breached { "has run out" } else { "is running out" };
                format!("Incident {number}: the time to {clock} {what}")
            }
            Self::Alert { title, entity, severity, .. } => {
                format!("{} alert: {title} ({entity})", capital(severity_word(*severity, Language::En)))
            }
            Self::Alerts { count, worst, .. } => {
                format!("{count} alerts, the worst {}", severity_word(*worst, Language::En))
            }
            Self::Incident { number, title, severity } => {
                format!("New incident {number} ({}): {title}", severity_word(*severity, Language::En))
            }
            Self::ExporterSilent { address, .. } => format!("The exporter {address} is silent"),
            Self::Health { check, well: true, .. } => format!("Guardian: {check} works again"),
            Self::Health { check, .. } => format!("Guardian: {check} does not work as it should"),
            Self::Channel { name, by } => format!("{by} tests the channel \"{name}\""),
        }
    }

    fn title_de(&self) -> String {
        match self {
            Self::Mention { by, number, title, .. } => {
                format!("{by} hat dich in Vorfall {number} erw\u{e4}hnt: {title}")
            }
            Self::AssignedIncident { by, number, title } => {
                format!("{by} hat dir Vorfall {number} \u{fc}bertragen: {title}")
            }
            Self::AssignedAlerts { by, title, count: 1 } => format!("{by} hat dir einen Alarm zugewiesen: {title}"),
            Self::AssignedAlerts { by, count, .. } => format!("{by} hat dir {count} Alarme zugewiesen"),
            Self::AssignedTask { by, task, .. } => format!("{by} hat dir eine Aufgabe gegeben: {task}"),
            Self::Changed { by, number, title, .. } => format!("{by} hat Vorfall {number} ge\u{e4}ndert: {title}"),
            Self::Deadline { number, clock, breached, .. } => {
                let clock = clock_word(*clock, Language::De);
                let what = if *breached { "ist abgelaufen" } else { "l\u{e4}uft ab" };
                format!("Vorfall {number}: Die Frist {clock} {what}")
            }
            Self::Alert { title, entity, severity, .. } => {
                format!("Alarm ({}): {title} ({entity})", severity_word(*severity, Language::De))
            }
            Self::Alerts { count, worst, .. } => {
                format!("{count} Alarme, der schwerste: {}", severity_word(*worst, Language::De))
            }
            Self::Incident { number, title, severity } => {
                format!("Neuer Vorfall {number} ({}): {title}", severity_word(*severity, Language::De))
            }
            Self::ExporterSilent { address, .. } => format!("Der Exporter {address} schweigt"),
            Self::Health { check, well: true, .. } => format!("Guardian: {check} arbeitet wieder"),
            Self::Health { check, .. } => format!("Guardian: {check} arbeitet nicht wie es soll"),
            Self::Channel { name, by } => format!("{by} pr\u{fc}ft den Kanal \u{201e}{name}\u{201c}"),
        }
    }
}

impl What {
    /// What people wrote.
    fn words(&mut self) -> Option<&mut String> {
        match self {
            Self::Comment(text) | Self::Note(text) | Self::Action(text) | Self::Noted(_, text) => Some(text),
            Self::Alerts(_) | Self::Edit(_) | Self::Status(..) => None,
        }
    }

    fn text(&self, language: Language) -> String {
        use Language::{De, En};
        let quote = |text: &str| short(text, QUOTE_MAX / 2);
        match (self, language) {
            (Self::Comment(text), En) => format!("Comment: {}", quote(text)),
            (Self::Comment(text), De) => format!("Kommentar: {}", quote(text)),
            (Self::Note(text), En) => format!("Note: {}", quote(text)),
            (Self::Note(text), De) => format!("Notiz: {}", quote(text)),
            (Self::Action(text), En) => format!("Action: {}", quote(text)),
            (Self::Action(text), De) => format!("Ma\u{df}nahme: {}", quote(text)),
            (Self::Alerts(1), En) => "An alert joined.".to_owned(),
            (Self::Alerts(1), De) => "Ein Alarm kam hinzu.".to_owned(),
            (Self::Alerts(count), En) => format!("{count} alerts joined."),
            (Self::Alerts(count), De) => format!("{count} Alarme kamen hinzu."),
            (Self::Noted(noted, text), language) => noted.text(language, &quote(text)),
            (Self::Edit(fields), En) => format!("Changed: {fields}"),
            (Self::Edit(fields), De) => format!("Ge\u{e4}ndert: {fields}"),
            (Self::Status(from, to), En) => format!("Status: {from} \u{2192} {to}"),
            (Self::Status(from, to), De) => {
                format!("Status: {} \u{2192} {}", status_word(from), status_word(to))
            }
        }
    }
}

impl Noted {
    fn text(self, language: Language, of: &str) -> String {
        use Language::{De, En};
        match (self, language) {
            (Self::FileAdded, En) => format!("File added: {of}"),
            (Self::FileAdded, De) => format!("Datei hinzugef\u{fc}gt: {of}"),
            (Self::FileRemoved, En) => format!("File removed: {of}"),
            (Self::FileRemoved, De) => format!("Datei entfernt: {of}"),
            (Self::TaskDone, En) => format!("Task done: {of}"),
            (Self::TaskDone, De) => format!("Aufgabe erledigt: {of}"),
            (Self::TaskSkipped, En) => format!("Task skipped: {of}"),
            (Self::TaskSkipped, De) => format!("Aufgabe \u{fc}bersprungen: {of}"),
            (Self::Merged, En) => format!("Incident {of} was merged into this one."),
            (Self::Merged, De) => format!("Vorfall {of} wurde hierher \u{fc}bernommen."),
            (Self::MergedInto, En) => format!("It was merged into incident {of}."),
            (Self::MergedInto, De) => format!("Er wurde in Vorfall {of} \u{fc}bernommen."),
            (Self::MergeUndone, En) => format!("The merge with incident {of} was undone."),
            (Self::MergeUndone, De) => {
                format!("Die \u{dc}bernahme mit Vorfall {of} wurde r\u{fc}ckg\u{e4}ngig gemacht.")
            }
            (Self::Split, En) => format!("Alerts were split off into incident {of}."),
            (Self::Split, De) => format!("Alarme wurden in Vorfall {of} abgetrennt."),
        }
    }
}

fn incident(language: Language, number: i64, title: &str) -> String {
    match language {
        Language::En => format!("Incident {number}: {title}"),
        Language::De => format!("Vorfall {number}: {title}"),
    }
}

/// A severity in words.
pub fn severity_word(severity: Severity, language: Language) -> &'static str {
    match (language, severity) {
        (Language::En, severity) => severity.as_str(),
        (Language::De, Severity::Informational) => "Hinweis",
        (Language::De, Severity::Low) => "niedrig",
        (Language::De, Severity::Medium) => "mittel",
        (Language::De, Severity::High) => "hoch",
        (Language::De, Severity::Critical) => "kritisch",
    }
}

fn clock_word(clock: SlaClock, language: Language) -> &'static str {
    match (language, clock) {
        (Language::En, clock) => clock.as_str(),
        (Language::De, SlaClock::Acknowledge) => "zur Sichtung",
        (Language::De, SlaClock::Contain) => "zur Eind\u{e4}mmung",
        (Language::De, SlaClock::Resolve) => "zur L\u{f6}sung",
    }
}

fn status_word(status: &str) -> &str {
    match status {
        "new" => "neu",
        "triaged" => "gesichtet",
        "contained" => "einged\u{e4}mmt",
        "resolved" => "gel\u{f6}st",
        "closed" => "geschlossen",
        "reopened" => "wieder offen",
        other => other,
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// What stands around a message: label, words of the footer, of the button, of a digest.
pub struct Frame {
    /// Before the title of a test.
    pub test: &'static str,
    /// What the link is called.
    pub open: &'static str,
    /// Why somebody gets this.
    pub why_person: &'static str,
    /// Why a channel gets this.
    pub why_channel: &'static str,
    /// Why addresses look strange.
    pub masked: &'static str,
    /// The subject of a digest, before the number.
    pub digest: &'static str,
}

/// The frame in a language.
pub const fn frame(language: Language) -> Frame {
    match language {
        Language::En => Frame {
            test: "[Test] ",
            open: "Open in Guardian",
            why_person: "You get this because of your notification preferences; change them in your profile.",
            why_channel: "You get this because your address belongs to a notification channel of this tenant.",
            masked: "Addresses and names of people and machines are replaced by pseudonyms.",
            digest: "Guardian, what happened: ",
        },
        Language::De => Frame {
            test: "[Test] ",
            open: "In Guardian \u{f6}ffnen",
            why_person: "Du bekommst dies nach deinen Einstellungen f\u{fc}r Benachrichtigungen im Profil.",
            why_channel: "Du bekommst dies, weil deine Adresse zu einem Benachrichtigungskanal geh\u{f6}rt.",
            masked: "Adressen und Namen von Personen und Rechnern sind durch Pseudonyme ersetzt.",
            digest: "Guardian, was geschah: ",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_short_line_in_both_languages() {
        let long = format!("a\nb\r\n{}", "x".repeat(500));
        let by = || "ann".to_owned();
        let phrases = [
            Phrase::Mention { by: by(), number: 1, title: long.clone(), text: long.clone() },
            Phrase::AssignedIncident { by: by(), number: 1, title: long.clone() },
            Phrase::AssignedAlerts { by: by(), title: long.clone(), count: 1 },
            Phrase::AssignedAlerts { by: by(), title: long.clone(), count: 5 },
            Phrase::AssignedTask { by: by(), task: long.clone(), number: 2, title: long.clone() },
            Phrase::Changed { by: by(), number: 2, title: long.clone(), what: vec![What::Comment(long.clone())] },
            Phrase::Deadline { number: 2, title: long.clone(), clock: SlaClock::Contain, breached: true },
            Phrase::Alert { title: long.clone(), entity: by(), severity: Severity::High, summary: long.clone() },
            Phrase::Alerts { count: 9, worst: Severity::Low, lines: vec![long.clone(); 9] },
            Phrase::Incident { number: 1, title: long.clone(), severity: Severity::Critical },
            Phrase::ExporterSilent { address: "192.0.2.1".into(), last: Micros(0) },
            Phrase::Health { check: "catalog".into(), reason: long.clone(), well: false },
            Phrase::Channel { name: long, by: by() },
        ];
        for phrase in phrases {
            let both = Language::ALL.iter().map(|language| phrase.title(*language)).collect::<Vec<_>>();
            assert_ne!(both[0], both[1], "translated");
            for title in both {
                assert!(title.chars().count() <= TITLE_MAX && !title.contains(['\n', '\r']), "{title}");
            }
            assert!(phrase.text(Language::De).chars().count() <= QUOTE_MAX);
        }
    }

    #[test]
    fn nothing_personal_is_left_where_a_text_is_cut() {
        let masks = Pseudonyms::new([7; 32]);
        let mut alert = Phrase::Alert {
            title: format!("{} 203.0.113.77", "x".repeat(TITLE_MAX - 8)),
            entity: "ann".into(),
            severity: Severity::High,
            summary: format!("{} 203.0.113.77", "x".repeat(QUOTE_MAX - 5)),
        };
        alert.mask(&masks);
        let what = vec![What::Comment("seen 203.0.113.77".into()), What::Status("new".into(), "triaged".into())];
        let mut changed = Phrase::Changed { by: "bob".into(), number: 1, title: "About 203.0.113.77".into(), what };
        changed.mask(&masks);
        let known = masks.text("203.0.113.77").into_owned();
        assert_eq!(changed.title(Language::En), format!("bob changed incident 1: About {known}"));
        for text in [alert.title(Language::En), alert.text(Language::En), changed.text(Language::De)] {
            assert!(!text.contains("203") && !text.contains("ann"), "{text}");
        }
    }

    #[test]
    fn changes_are_told_line_by_line() {
        let what = vec![
            What::Status("new".into(), "triaged".into()),
            What::Alerts(3),
            What::Noted(Noted::TaskDone, "Lock the account".into()),
            What::Noted(Noted::MergedInto, "7".into()),
            What::Comment("look".into()),
        ];
        let phrase = Phrase::Changed { by: "ann".into(), number: 7, title: "Scan".into(), what };
        let english = "Status: new \u{2192} triaged\n3 alerts joined.\nTask done: Lock the account\n\
                       It was merged into incident 7.\nComment: look";
        assert_eq!(phrase.text(Language::En), english);
        let german = phrase.text(Language::De);
        assert!(
            german.contains("Aufgabe erledigt: Lock the account\nEr wurde in Vorfall 7 \u{fc}bernommen."),
            "{german}"
        );
        assert_eq!(phrase.title(Language::De), "ann hat Vorfall 7 ge\u{e4}ndert: Scan");
    }
}
