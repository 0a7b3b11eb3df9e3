//! ATT&CK: the tactics in the order of an attack, and the tactics of the techniques that flows and endpoints can show.
//! Names and numbers are those of MITRE ATT&CK Enterprise, version 17.

/// A tactic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tactic {
    /// Its number, such as `TA0043`.
    pub number: &'static str,
    /// Its name in tags, such as `reconnaissance`.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
}

const fn tactic(number: &'static str, id: &'static str, name: &'static str) -> Tactic {
    Tactic { number, id, name }
}

/// The tactics in the order in which an attack usually goes through them.
pub const TACTICS: &[Tactic] = &[
    tactic("TA0043", "reconnaissance", "Reconnaissance"),
    tactic("TA0042", "resource_development", "Resource Development"),
    tactic("TA0001", "initial_access", "Initial Access"),
    tactic("TA0002", "execution", "Execution"),
    tactic("TA0003", "persistence", "Persistence"),
    tactic("TA0004", "privilege_escalation", "Privilege Escalation"),
    tactic("TA0005", "defense_evasion", "Defense Evasion"),
    tactic("TA0006", "credential_access", "Credential Access"),
    tactic("TA0007", "discovery", "Discovery"),
    tactic("TA0008", "lateral_movement", "Lateral Movement"),
    tactic("TA0009", "collection", "Collection"),
    tactic("TA0011", "command_and_control", "Command and Control"),
    tactic("TA0010", "exfiltration", "Exfiltration"),
    tactic("TA0040", "impact", "Impact"),
];

/// Techniques and the tactic that they serve most often in what Guardian sees. A rule that also names its tactic is
/// believed over this table.
const TECHNIQUES: &[(&str, &str)] = &[
    ("t1595", "reconnaissance"),
    ("t1592", "reconnaissance"),
    ("t1590", "reconnaissance"),
    ("t1190", "initial_access"),
    ("t1133", "initial_access"),
    ("t1566", "initial_access"),
    ("t1078", "initial_access"),
    ("t1059", "execution"),
    ("t1053", "persistence"),
    ("t1136", "persistence"),
    ("t1543", "persistence"),
    ("t1068", "privilege_escalation"),
    ("t1548", "privilege_escalation"),
    ("t1070", "defense_evasion"),
    ("t1562", "defense_evasion"),
    ("t1110", "credential_access"),
    ("t1003", "credential_access"),
    ("t1040", "credential_access"),
    ("t1557", "credential_access"),
    ("t1046", "discovery"),
    ("t1018", "discovery"),
    ("t1016", "discovery"),
    ("t1135", "discovery"),
    ("t1021", "lateral_movement"),
    ("t1210", "lateral_movement"),
    ("t1570", "lateral_movement"),
    ("t1005", "collection"),
    ("t1074", "collection"),
    ("t1071", "command_and_control"),
    ("t1090", "command_and_control"),
    ("t1095", "command_and_control"),
    ("t1105", "command_and_control"),
    ("t1132", "command_and_control"),
    ("t1219", "command_and_control"),
    ("t1568", "command_and_control"),
    ("t1571", "command_and_control"),
    ("t1572", "command_and_control"),
    ("t1573", "command_and_control"),
    ("t1020", "exfiltration"),
    ("t1030", "exfiltration"),
    ("t1041", "exfiltration"),
    ("t1048", "exfiltration"),
    ("t1567", "exfiltration"),
    ("t1486", "impact"),
    ("t1489", "impact"),
    ("t1496", "impact"),
    ("t1498", "impact"),
    ("t1499", "impact"),
];

/// A tag as the tables write it: lower-case, without the prefix `attack.`, with underscores.
fn canonical(tag: &str) -> String {
    let tag = tag.to_lowercase();
    tag.strip_prefix("attack.").unwrap_or(&tag).replace(['-', ' '], "_")
}

/// Whether a tag is a technique, such as `t1021.004`, and not a tactic.
pub fn is_technique(tag: &str) -> bool {
    let tag = canonical(tag);
    tag.strip_prefix('t').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The place of a tag's tactic in [`TACTICS`]; none for tags that say nothing about it.
pub fn stage(tag: &str) -> Option<usize> {
    let tag = canonical(tag);
    let place = |id: &str| TACTICS.iter().position(|t| t.id == id);
    if let Some(found) = place(&tag).or_else(|| TACTICS.iter().position(|t| t.number.eq_ignore_ascii_case(&tag))) {
        return Some(found);
    }
    let technique = tag.split('.').next().unwrap_or_default();
    TECHNIQUES.iter().find(|(id, _)| *id == technique).and_then(|(_, id)| place(id))
}

/// The stages of some tags, earliest first, each once. Where a rule names its tactics, they are believed and the
/// techniques say no more.
pub fn stages<S: AsRef<str>>(tags: &[S]) -> Vec<usize> {
    let (techniques, tactics): (Vec<&str>, Vec<&str>) = tags.iter().map(AsRef::as_ref).partition(|t| is_technique(t));
    let named: Vec<usize> = tactics.into_iter().filter_map(stage).collect();
    let mut found = if named.is_empty() { techniques.into_iter().filter_map(stage).collect() } else { named };
    found.sort_unstable();
    found.dedup();
    found
}

/// Names of stages in tags.
pub fn stage_ids(stages: &[usize]) -> Vec<&'static str> {
    stages.iter().filter_map(|s| TACTICS.get(*s)).map(|t| t.id).collect()
}

#[cfg(test)]
mod tests {
    use super::{TACTICS, TECHNIQUES, is_technique, stage, stage_ids, stages};

    #[test]
    fn tags_are_understood_however_they_are_written() {
        for (tag, expected) in [
            ("t1046", Some("discovery")),
            ("T1021.004", Some("lateral_movement")),
            ("attack.command-and-control", Some("command_and_control")),
            ("ta0010", Some("exfiltration")),
            ("t9999", None),
            ("cve.2021-44228", None),
        ] {
            assert_eq!(stage(tag).map(|s| TACTICS[s].id), expected, "{tag}");
        }
        assert!(is_technique("attack.t1046") && !is_technique("ta0010") && !is_technique("discovery"));
    }

    #[test]
    fn named_tactics_are_believed() {
        assert_eq!(stage_ids(&stages(&["t1110", "lateral_movement", "t1046"])), ["lateral_movement"]);
        assert_eq!(stage_ids(&stages(&["t1498", "t1046"])), ["discovery", "impact"]);
    }

    #[test]
    fn the_table_names_known_tactics() {
        for (technique, tactic) in TECHNIQUES {
            assert!(TACTICS.iter().any(|t| t.id == *tactic), "{technique}: {tactic}");
        }
    }
}
