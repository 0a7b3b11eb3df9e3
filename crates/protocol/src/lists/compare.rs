//! Lists of several hosts side by side: what all have alike, what differs, what some lack and what one has alone. And the
//! list of a host that is like most of many, to put one host beside a group. Values in, values out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::sorts::Sort;

/// An entry of a list.
pub type Entry = Map<String, Value>;
/// Between the parts of a key: it sorts before everything that is written.
const BETWEEN: char = '\u{1f}';
/// Members by which an entry of an unknown list is called.
const NAMES: [&str; 4] = ["name", "user", "path", "kind"];
/// Characters of what is said of a cell.
const TEXT_CHARS_MAX: usize = 300;

/// The list of one host, by what its entries are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    things: BTreeMap<String, Vec<Entry>>,
}

impl Column {
    /// Adds an entry under the key that its host gave it.
    pub fn put(&mut self, sort: &Sort, key: &str, entry: Entry) {
        let kind = entry.get("kind").and_then(Value::as_str).unwrap_or_default();
        if !sort.not.contains(&kind) {
            self.things.entry(key_of(sort, key, &entry)).or_default().push(entry);
        }
    }

    /// The list that is like most of many: what more than half of them have, each as it is most often.
    pub fn of_most(sort: &Sort, many: impl Iterator<Item = Self>) -> Self {
        let mut seen: BTreeMap<String, HashMap<String, (usize, Vec<Entry>)>> = BTreeMap::new();
        let mut columns = 0;
        for column in many {
            columns += 1;
            for (key, entries) in column.things {
                let as_it_is = seen.entry(key).or_default().entry(says(sort, &entries)).or_insert((0, entries));
                as_it_is.0 += 1;
            }
        }
        let most = |forms: HashMap<String, (usize, Vec<Entry>)>| {
            let all: usize = forms.values().map(|(times, _)| times).sum();
            // Of two that are as frequent, always the same.
            let usual = forms.into_iter().max_by(|(a, (m, _)), (b, (n, _))| m.cmp(n).then_with(|| b.cmp(a)));
            usual.filter(|_| all * 2 > columns).map(|(_, (_, entries))| entries)
        };
        Self { things: seen.into_iter().filter_map(|(key, forms)| Some((key, most(forms)?))).collect() }
    }
}

/// What an entry is, whichever host has it.
fn key_of(sort: &Sort, key: &str, entry: &Entry) -> String {
    if sort.key.is_empty() {
        return key.to_owned();
    }
    let parts = sort.key.iter().map(|member| entry.get(*member).map(text).unwrap_or_default());
    parts.collect::<Vec<_>>().join(&BETWEEN.to_string())
}

/// A value as people read it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// All that counts of what one host has under a key, always in the same order.
fn says(sort: &Sort, entries: &[Entry]) -> String {
    let one = |entry: &Entry| {
        let counted: BTreeMap<&str, &Value> =
            entry.iter().filter(|(name, _)| counts(sort, name)).map(|(name, value)| (name.as_str(), value)).collect();
        serde_json::to_string(&counted).unwrap_or_default()
    };
    let all: BTreeSet<String> = entries.iter().map(one).collect();
    all.into_iter().collect::<Vec<_>>().join("\n")
}

fn counts(sort: &Sort, member: &str) -> bool {
    !sort.own.contains(&member) && !sort.key.contains(&member)
}

/// How hosts stand to one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// All have it alike.
    Same,
    /// All have it, not alike.
    Different,
    /// Several have it, others lack it.
    Missing,
    /// One alone has it.
    Only,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Same, Self::Different, Self::Missing, Self::Only];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Missing => "missing",
            Self::Only => "only",
        }
    }
}

/// One thing, and what each host has of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'a> {
    /// What it is, for its place among the others.
    pub key: &'a str,
    /// How hosts stand to it.
    pub standing: Standing,
    /// Members that are not the same on all that have it.
    pub differs: Vec<&'a str>,
    /// Columns that are not as more than half of them are, by their places.
    pub odd: Vec<usize>,
    /// What each has: none where it has nothing, or its list is not known.
    pub cells: Vec<Option<&'a [Entry]>>,
}

/// Puts columns side by side. One that is none is of a host whose list is not known: it is not said to lack anything. Fewer
/// than two known ones cannot be compared.
pub fn compare<'a>(sort: &'a Sort, columns: &'a [Option<Column>]) -> Vec<Row<'a>> {
    let known: Vec<usize> = (0..columns.len()).filter(|at| columns[*at].is_some()).collect();
    if known.len() < 2 {
        return Vec::new();
    }
    let keys: BTreeSet<&str> = columns.iter().flatten().flat_map(|c| c.things.keys()).map(String::as_str).collect();
    let row = |key: &'a str| {
        let of = |column: &'a Option<Column>| column.as_ref()?.things.get(key).map(Vec::as_slice);
        let cells: Vec<Option<&[Entry]>> = columns.iter().map(of).collect();
        let forms: Vec<Option<String>> = cells.iter().map(|cell| cell.map(|entries| says(sort, entries))).collect();
        let have = known.iter().filter(|at| forms[**at].is_some()).count();
        let alike = known.iter().all(|at| forms[*at] == forms[known[0]]);
        let standing = match have {
            _ if alike => Standing::Same,
            1 => Standing::Only,
            all if all == known.len() => Standing::Different,
            _ => Standing::Missing,
        };
        let differs = if alike { Vec::new() } else { differing(sort, &cells) };
        Row { key, standing, differs, odd: odd(&known, &forms), cells }
    };
    keys.into_iter().map(row).collect()
}

/// The columns that are not as most are, where most are alike.
fn odd(known: &[usize], forms: &[Option<String>]) -> Vec<usize> {
    let like = |form: &Option<String>| known.iter().filter(|at| forms[**at] == *form).count();
    let usual = known.iter().map(|at| &forms[*at]).find(|form| like(form) * 2 > known.len());
    let Some(usual) = usual else { return Vec::new() };
    known.iter().copied().filter(|at| forms[*at] != *usual).collect()
}

/// Members that are not the same wherever the thing is.
fn differing<'a>(sort: &Sort, cells: &[Option<&'a [Entry]>]) -> Vec<&'a str> {
    let present: Vec<&[Entry]> = cells.iter().copied().flatten().collect();
    let mut names: Vec<&str> = Vec::new();
    for name in present.iter().copied().flatten().flat_map(Map::keys).filter(|name| counts(sort, name)) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let values = |entries: &[Entry], name: &str| -> BTreeSet<String> {
        entries.iter().map(|entry| entry.get(name).unwrap_or(&Value::Null).to_string()).collect()
    };
    names.retain(|name| present.iter().any(|entries| values(entries, name) != values(present[0], name)));
    names
}

impl Row<'_> {
    /// What it is called.
    pub fn name(&self, sort: &Sort) -> String {
        let Some(entry) = self.cells.iter().flatten().find_map(|entries| entries.first()) else { return String::new() };
        let parts: Vec<String> = match (sort.key, sort.name) {
            ([], "") => NAMES.iter().filter_map(|member| entry.get(*member)).map(text).take(1).collect(),
            ([], _) => vec![self.key.to_owned()],
            (members, _) => members.iter().filter_map(|member| entry.get(*member)).map(text).collect(),
        };
        cut(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
    }

    /// What a host has of it, in few words: what differs, or else what version, value or state it has.
    pub fn said(&self, sort: &Sort, place: usize) -> Option<String> {
        let entries = (*self.cells.get(place)?)?;
        let one = |entry: &Entry| {
            let of = |names: &[&str]| -> Vec<(String, String)> {
                let said = names.iter().filter_map(|name| Some(((*name).to_owned(), text(entry.get(*name)?))));
                said.filter(|(_, value)| !value.is_empty()).collect()
            };
            let telling = if self.differs.is_empty() { Vec::new() } else { of(&self.differs) };
            match telling.as_slice() {
                [] if self.differs.is_empty() => {
                    let first = ["version", "value", "state", "fingerprint", "sha256", "description"];
                    let first = first.iter().filter(|name| counts(sort, name));
                    first.filter_map(|name| entry.get(*name)).map(text).find(|text| !text.is_empty())
                }
                [] => None,
                [(name, value)] if self.differs.len() == 1 => Some(if matches!(value.as_str(), "true" | "false") {
                    format!("{name}={value}")
                } else {
                    value.clone()
                }),
                several => {
                    Some(several.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", "))
                }
            }
        };
        let all: BTreeSet<String> = entries.iter().filter_map(one).collect();
        Some(cut(&all.into_iter().collect::<Vec<_>>().join(" | ")))
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::sorts::{SORTS, sort};
    use super::*;

    fn column(list: &str, entries: &[Value]) -> Column {
        let (sort, mut column) = (sort(list), Column::default());
        for (number, entry) in entries.iter().enumerate() {
            column.put(&sort, &format!("key {number}"), entry.as_object().unwrap().clone());
        }
        column
    }

    fn dpkg(name: &str, version: &str) -> Value {
        json!({"kind": "dpkg", "name": name, "version": version, "architecture": "amd64", "installed_s": name.len()})
    }

    /// name: standing: what each host has; those that are odd in brackets.
    fn shown(list: &str, columns: &[Option<Column>]) -> Vec<String> {
        let sort = sort(list);
        let row = |row: &Row<'_>| {
            let cell = |at: usize| {
                let said = row.said(&sort, at).unwrap_or_else(|| "-".into());
                if row.odd.contains(&at) { format!("[{said}]") } else { said }
            };
            let cells: Vec<String> = (0..columns.len()).map(cell).collect();
            format!("{}: {}: {}", row.name(&sort), row.standing.as_str(), cells.join(" / "))
        };
        compare(&sort, columns).iter().map(row).collect()
    }

    #[test]
    fn packages_are_the_same_by_manager_name_and_architecture() {
        let mut late = dpkg("bash", "5.2");
        late["installed_s"] = json!(99);
        let one = column("packages", &[dpkg("bash", "5.2"), dpkg("vim", "9.0"), dpkg("nmap", "7")]);
        let two = column("packages", &[late, dpkg("vim", "9.1")]);
        let three = column("packages", &[dpkg("bash", "5.2"), dpkg("vim", "9.0"), dpkg("curl", "8")]);
        let four = column("packages", &[dpkg("bash", "5.2"), dpkg("vim", "9.0"), dpkg("curl", "8")]);
        assert_eq!(
            shown("packages", &[Some(one.clone()), Some(two.clone()), Some(three), Some(four)]),
            [
                "dpkg bash amd64: same: 5.2 / 5.2 / 5.2 / 5.2",
                "dpkg curl amd64: missing: - / - / 8 / 8",
                "dpkg nmap amd64: only: [7] / - / - / -",
                "dpkg vim amd64: different: 9.0 / [9.1] / 9.0 / 9.0",
            ]
        );
        // A host of which nothing is known lacks nothing, and one alone is compared with nobody.
        assert_eq!(
            shown("packages", &[Some(one.clone()), None, Some(two.clone())])[1],
            "dpkg nmap amd64: only: 7 / - / -"
        );
        assert!(shown("packages", &[Some(one), None]).is_empty());
    }

    #[test]
    fn several_versions_at_once_are_one_thing() {
        let one = column("packages", &[dpkg("kernel", "6.1"), dpkg("kernel", "6.2")]);
        let two = column("packages", &[dpkg("kernel", "6.2"), dpkg("kernel", "6.1")]);
        let three = column("packages", &[dpkg("kernel", "6.2")]);
        let all = [Some(one), Some(two), Some(three)];
        assert_eq!(shown("packages", &all), ["dpkg kernel amd64: different: 6.1 | 6.2 / 6.1 | 6.2 / [6.2]"]);
    }

    #[test]
    fn what_is_a_hosts_own_makes_no_difference() {
        let card = |mac: &str, mtu: u32| json!({"kind": "interface", "name": "eth0", "mac": mac, "mtu": mtu});
        let columns = |a: u32, b: u32| [a, b].map(|mtu| Some(column("interfaces", &[card(&mtu.to_string(), mtu)])));
        assert_eq!(shown("interfaces", &columns(1500, 9000)), ["eth0: different: 1500 / 9000"]);
        let same = ["02:00", "02:01"].map(|mac| Some(column("interfaces", &[card(mac, 1500)])));
        assert_eq!(shown("interfaces", &same), ["eth0: same:  / "]);
        let machine = ["a", "b"].map(|name| Some(column("system", &[json!({"kind": "machine", "name": name})])));
        assert!(shown("system", &machine).is_empty());
        let enabled = [true, false].map(|on| json!({"kind": "service", "name": "ssh.service", "enabled": on}));
        let enabled = enabled.map(|unit| Some(column("services", &[unit])));
        assert_eq!(shown("services", &enabled), ["service ssh.service: different: enabled=true / enabled=false"]);
    }

    #[test]
    fn most_of_many_is_one_list() {
        let many = [("5.1", true), ("5.2", true), ("5.2", false)];
        let many = many.map(|(version, vim)| {
            let all = [dpkg("bash", version), dpkg(if vim { "vim" } else { "nano" }, "1")];
            column("packages", &all)
        });
        let most = Column::of_most(&sort("packages"), many.into_iter());
        let own = column("packages", &[dpkg("bash", "5.1")]);
        assert_eq!(
            shown("packages", &[Some(own), Some(most)]),
            ["dpkg bash amd64: different: 5.1 / 5.2", "dpkg vim amd64: only: - / 1"]
        );
        assert_eq!(Column::of_most(&sort("packages"), std::iter::empty()), Column::default());
    }

    #[test]
    fn a_list_that_nobody_knows_is_compared_all_the_same() {
        let unknown = ["on", "off"].map(|state| Some(column("later", &[json!({"name": "x", "state": state})])));
        assert_eq!(shown("later", &unknown), ["x: different: on / off"]);
        let names: BTreeSet<&str> = SORTS.iter().map(|sort| sort.name).collect();
        assert_eq!(names.len(), SORTS.len());
    }

    proptest! {
        #[test]
        fn every_thing_is_in_one_row_whatever_hosts_say(
            lists in prop::collection::vec(prop::collection::vec(("[ab]{1,2}", "[xy]"), 0..6), 0..5)
        ) {
            let entry = |(name, version): &(String, String)| dpkg(name, version);
            let columns: Vec<Option<Column>> =
                lists.iter().map(|list| Some(column("packages", &list.iter().map(entry).collect::<Vec<_>>()))).collect();
            let sort = sort("packages");
            let rows = compare(&sort, &columns);
            let names: BTreeSet<&String> = lists.iter().flatten().map(|(name, _)| name).collect();
            prop_assert_eq!(rows.len(), if lists.len() < 2 { 0 } else { names.len() });
            for row in rows {
                let have = row.cells.iter().flatten().count();
                prop_assert!(have > 0 && row.odd.len() * 2 < columns.len());
                prop_assert_eq!(row.standing == Standing::Same, row.differs.is_empty() && have == columns.len());
            }
        }
    }
}
