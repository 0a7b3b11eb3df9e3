//! The words of reports. English stands in the templates; German is here.

use guardian_catalog::Language;
use serde_json::{Value, json};

const GERMAN: &[(&str, &str)] = &[
    ("page", "Seite"),
    ("Incident", "Vorfall"),
    ("Incident report", "Vorfallsbericht"),
    ("Security summary", "Sicherheitsbericht"),
    ("What happened", "Was geschah"),
    ("How it ended", "Wie es endete"),
    ("Deadlines", "Fristen"),
    ("Timeline", "Zeitstrahl"),
    ("Alerts", "Alarme"),
    ("alerts", "Alarme"),
    ("Entities", "Beteiligte"),
    ("Tasks", "Aufgaben"),
    ("Evidence", "Beweismittel"),
    ("Incidents", "Vorf\u{e4}lle"),
    ("Alerts by severity", "Alarme nach Schwere"),
    ("Alerts over time", "Alarme im Verlauf"),
    ("What was found most", "Was am h\u{e4}ufigsten gefunden wurde"),
    ("Who it was about most", "Worum es am h\u{e4}ufigsten ging"),
    ("Nothing was found.", "Es wurde nichts gefunden."),
    ("The list was cut here; narrow the filter.", "Die Liste endet hier; ein engerer Filter zeigt den Rest."),
    ("all", "alle"),
    ("critical", "kritisch"),
    ("high", "hoch"),
    ("medium", "mittel"),
    ("low", "niedrig"),
    ("informational", "Hinweis"),
    ("new", "neu"),
    ("triaged", "gesichtet"),
    ("contained", "einged\u{e4}mmt"),
    ("resolved", "gel\u{f6}st"),
    ("closed", "geschlossen"),
    ("reopened", "wieder offen"),
    ("acknowledged", "best\u{e4}tigt"),
    ("open", "offen"),
    ("in_progress", "in Arbeit"),
    ("done", "erledigt"),
    ("skipped", "nicht n\u{f6}tig"),
    ("true_positive", "Angriff"),
    ("false_positive", "Fehlalarm"),
    ("benign", "erlaubt"),
    ("duplicate", "doppelt"),
    ("general", "allgemein"),
    ("reconnaissance", "Ausk\u{fc}ndschaften"),
    ("brute_force", "Passwortraten"),
    ("malware", "Schadsoftware"),
    ("command_and_control", "Fernsteuerung"),
    ("exfiltration", "Datenabfluss"),
    ("denial_of_service", "\u{dc}berlastung"),
    ("policy", "Regelversto\u{df}"),
    ("severity", "Schwere"),
    ("kind", "Art"),
    ("status", "Stand"),
    ("verdict", "Urteil"),
    ("owner", "Verantwortlich"),
    ("nobody", "niemand"),
    ("tags", "Schlagworte"),
    ("first event", "Erstes Ereignis"),
    ("last event", "Letztes Ereignis"),
    ("made", "Angelegt"),
    ("time to acknowledge", "Zeit bis zur Sichtung"),
    ("time to contain", "Zeit bis zur Eind\u{e4}mmung"),
    ("time to resolve", "Zeit bis zur L\u{f6}sung"),
    ("not yet", "noch nicht"),
    ("replay", "Wiedergabe"),
    ("clock", "Frist"),
    ("due", "f\u{e4}llig"),
    ("outcome", "Ergebnis"),
    ("acknowledge", "Sichtung"),
    ("contain", "Eind\u{e4}mmung"),
    ("resolve", "L\u{f6}sung"),
    ("met", "eingehalten"),
    ("missed", "verfehlt"),
    ("running", "l\u{e4}uft"),
    ("warning", "bald"),
    ("breached", "abgelaufen"),
    ("time", "Zeit"),
    ("who", "wer"),
    ("what", "was"),
    ("alert", "Alarm"),
    ("note", "Notiz"),
    ("action", "Ma\u{df}nahme"),
    ("comment", "Kommentar"),
    ("edit", "\u{c4}nderung"),
    ("evidence", "Beweismittel"),
    ("task", "Aufgabe"),
    ("entity", "Beteiligter"),
    ("merge", "Zusammenf\u{fc}hrung"),
    ("sla", "Frist"),
    ("first seen", "zuerst"),
    ("last seen", "zuletzt"),
    ("rule", "Regel"),
    ("why it belongs here", "warum es dazugeh\u{f6}rt"),
    ("value", "Wert"),
    ("part", "Rolle"),
    ("phase", "Phase"),
    ("name", "Name"),
    ("bytes", "Bytes"),
    ("brought by", "von"),
    ("times", "Anzahl"),
    ("number", "Nr."),
    ("title", "Titel"),
    ("since", "seit"),
    ("incidents", "Vorf\u{e4}lle"),
    ("incidents open", "Vorf\u{e4}lle offen"),
    ("deadlines missed", "Fristen verfehlt"),
    ("Vulnerability report", "Schwachstellenbericht"),
    ("All hosts", "Alle Hosts"),
    ("Group", "Gruppe"),
    ("Tag", "Tag"),
    ("Host", "Host"),
    ("Judged by advisories of", "Beurteilt nach Meldungen vom"),
    ("Open by rating", "Offen nach Einstufung"),
    ("Open findings over time", "Offene Befunde im Verlauf"),
    ("What to fix first", "Was zuerst beheben"),
    ("The updates that take the most risk away.", "Die Aktualisierungen, die das meiste Risiko beseitigen."),
    ("Most pressing vulnerabilities", "Dringendste Schwachstellen"),
    ("Hosts with the most risk", "Hosts mit dem h\u{f6}chsten Risiko"),
    ("What is put up with", "Was hingenommen wird"),
    (
        "What is open is counted once a host and package. What is in kernels that do not run, put up with, fixed or withdrawn is not open.",
        "Offenes z\u{e4}hlt einmal je Host und Paket. Was in Kernen steckt, die nicht laufen, was hingenommen wird, behoben oder zur\u{fc}ckgezogen ist, ist nicht offen.",
    ),
    ("Image report", "Bericht \u{fc}ber ein Image"),
    ("Layers", "Schichten"),
    ("layer", "Schicht"),
    ("made by", "entstanden durch"),
    ("packages", "Pakete"),
    ("Hosts on which it runs", "Hosts, auf denen es l\u{e4}uft"),
    ("of its own layers", "aus eigenen Schichten"),
    ("of what it was built upon", "aus der Grundlage"),
    ("Digest", "Pr\u{fc}fsumme"),
    ("Sent", "Gesendet"),
    (
        "What is open is counted once a package. What is put up with, fixed or withdrawn is not open.",
        "Offenes z\u{e4}hlt einmal je Paket. Was hingenommen wird, behoben oder zur\u{fc}ckgezogen ist, ist nicht offen.",
    ),
    ("open findings", "offene Befunde"),
    ("exploited", "ausgenutzt"),
    ("overdue", "\u{fc}berf\u{e4}llig"),
    ("with a fix", "mit Korrektur"),
    ("hosts affected", "betroffene Hosts"),
    ("taken away by a restart", "durch Neustart behoben"),
    ("came back", "wiedergekehrt"),
    ("mean days to fix", "Tage bis zur Behebung"),
    ("package", "Paket"),
    ("update to", "aktualisieren auf"),
    ("rating", "Einstufung"),
    ("findings", "Befunde"),
    ("hosts", "Hosts"),
    ("part of all risk", "Anteil am Risiko"),
    ("installed: restart", "installiert: neu starten"),
    ("vulnerability", "Schwachstelle"),
    ("risk", "Risiko"),
    ("fixed in", "behoben in"),
    ("no fix", "keine Korrektur"),
    ("host", "Host"),
    ("for", "f\u{fc}r"),
    ("until", "bis"),
    ("reason", "Grund"),
    ("none", "keine"),
    ("unknown", "nicht eingestuft"),
];

/// A word in a language; what has no translation stays.
pub(super) fn say(language: Language, word: &str) -> &str {
    match language {
        Language::En => word,
        Language::De => GERMAN.iter().find(|(english, _)| *english == word).map_or(word, |(_, german)| german),
    }
}

/// The words that templates look up. English is what they ask for already.
pub(super) fn all(language: Language) -> Value {
    match language {
        Language::En => json!({ "command_and_control": "command and control", "brute_force": "brute force",
            "denial_of_service": "denial of service", "true_positive": "true positive",
            "false_positive": "false positive" }),
        Language::De => Value::Object(GERMAN.iter().map(|(a, b)| ((*a).to_owned(), json!(b))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words that the templates look up: `say("…")`, and the heads of tables and figures.
    #[test]
    fn every_word_of_the_templates_is_translated() {
        let templates = [
            include_str!("style.typ"),
            super::super::INCIDENT,
            super::super::SUMMARY,
            super::super::ALERTS,
            super::super::vulnerabilities::TEMPLATE,
        ];
        let known: BTreeSet<&str> = GERMAN.iter().map(|(english, _)| *english).collect();
        assert_eq!(known.len(), GERMAN.len(), "each once");
        let mut asked = BTreeSet::new();
        for template in templates {
            asked.extend(template.split("say(\"").skip(1).filter_map(|rest| rest.split('"').next()));
            let heads = template.split("grid-of(").skip(1).filter_map(|rest| rest.split("), (").nth(1));
            // A head that depends on what the report is of has a line of its own.
            let named = ["#let updates = (", "#let pressing = ("].map(|name| template.split(name).nth(1));
            for head in heads.map(|head| head.split(')').next().unwrap_or_default()) {
                asked.extend(head.split('"').skip(1).step_by(2));
            }
            for line in named.into_iter().flatten().filter_map(|rest| rest.lines().next()) {
                asked.extend(line.split('"').skip(1).step_by(2));
            }
        }
        assert!(
            asked.len() > 30 && ["layer", "update to", "hosts"].iter().all(|word| asked.contains(word)),
            "{asked:?}"
        );
        // Names that are the same in both languages.
        let missing: Vec<_> = asked.difference(&known).filter(|word| !["SHA-256"].contains(word)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
