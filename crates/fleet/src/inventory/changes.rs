//! Changes of lists, as they wait in the catalog and as events.

use guardian_model::{Batch, CHANGE, ChangeField as F, Micros, TenantId};
use guardian_protocol::lists::{self, ListChange};
use guardian_protocol::{Cell, Coding, Rows, WireError, limits};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::rows;

/// Longest text of an entry in an event; the whole is in the inventory.
const ENTRY_BYTES_MAX: usize = 8 << 10;

/// The columns that are filled here: where each is in the field table, and how it is coded.
const COLUMNS: [(F, Coding); 12] = [
    (F::Time, Coding::Time),
    (F::Activity, Coding::Label),
    (F::List, Coding::Label),
    (F::Kind, Coding::Label),
    (F::Name, Coding::Text),
    (F::Version, Coding::Text),
    (F::OldVersion, Coding::Text),
    (F::User, Coding::Text),
    (F::Path, Coding::Text),
    (F::Changed, Coding::Label),
    (F::Entry, Coding::Text),
    (F::OldEntry, Coding::Text),
];

/// Changes in little room.
pub(super) fn pack(changes: &[ListChange]) -> Result<Vec<u8>, WireError> {
    let mut lines = Vec::new();
    for change in changes {
        let entry = |text: &Option<String>| text.as_ref().map_or("null".to_owned(), Clone::clone);
        let key = Value::from(change.key.as_str());
        lines.extend(format!("[{key},{},{}]\n", entry(&change.before), entry(&change.now)).into_bytes());
    }
    lists::pack(&lines)
}

/// The events of packed changes.
pub(super) fn batch(
    list: &str,
    pending: &[u8],
    read: Micros,
    tenant: TenantId,
    (host_name, host): (&str, Uuid),
    received: Micros,
) -> Result<Batch, String> {
    let lines = lists::unpack(pending, 2 * limits::LIST_RAW_BYTES_MAX).map_err(|e| e.to_string())?;
    let ids: Vec<(u16, Coding)> = COLUMNS.iter().map(|(f, coding)| (CHANGE.fields[f.index()].id, *coding)).collect();
    let mut rows = Rows::new(CHANGE.name, &ids);
    for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let (_, before, now): (String, Option<Map<String, Value>>, Option<Map<String, Value>>) =
            serde_json::from_slice(line).map_err(|e| e.to_string())?;
        push(&mut rows, list, read, before.as_ref(), now.as_ref());
    }
    let whose = host.to_string();
    let made = rows::batch_of(&CHANGE, &rows.finish(), tenant, (host_name, &whose), received);
    made.map_err(|e| e.to_string())
}

type Entry<'a> = Option<&'a Map<String, Value>>;

fn text(entry: Entry<'_>, name: &str) -> Option<String> {
    match entry?.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn push(rows: &mut Rows, list: &str, read: Micros, before: Entry<'_>, now: Entry<'_>) {
    let activity = match (before, now) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    };
    let either = |name: &str| text(now, name).or_else(|| text(before, name));
    let changed = match (before, now) {
        (Some(before), Some(now)) => {
            let names = now.keys().chain(before.keys().filter(|name| !now.contains_key(*name)));
            let other: Vec<&str> =
                names.filter(|name| before.get(*name) != now.get(*name)).map(String::as_str).collect();
            Some(other.join(","))
        }
        _ => None,
    };
    let whole = |entry: Entry<'_>| {
        let mut text = serde_json::to_string(entry?).ok()?;
        if text.len() > ENTRY_BYTES_MAX {
            text.truncate(text.floor_char_boundary(ENTRY_BYTES_MAX));
        }
        Some(text)
    };
    let texts = [
        Some(activity.to_owned()),
        Some(list.to_owned()),
        either("kind"),
        either("name"),
        text(now, "version"),
        text(before, "version"),
        either("user"),
        either("path"),
        changed,
        whole(now),
        whole(before),
    ];
    let cells = texts.iter().map(|text| text.as_deref().map_or(Cell::Null, Cell::Text));
    let cells: Vec<Cell<'_>> = [Cell::Time(read.0)].into_iter().chain(cells).collect();
    rows.push(&cells);
}

#[cfg(test)]
mod tests {
    use guardian_model::cell_text;
    use guardian_protocol::lists::List;
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_say_what_was_before() {
        let (mut before, mut now) = (List::default(), List::default());
        before.put("dpkg/bash", &json!({"kind": "dpkg", "name": "bash", "version": "5.1", "size_bytes": 5}));
        before.put("dpkg/vim", &json!({"kind": "dpkg", "name": "vim", "version": "9"}));
        now.put("dpkg/bash", &json!({"kind": "dpkg", "name": "bash", "version": "5.2", "size_bytes": 5}));
        now.put("dpkg/nmap", &json!({"kind": "dpkg", "name": "nmap", "version": "7"}));
        let packed = pack(&now.changes_since(&before)).unwrap();
        let at = Micros(1_767_225_600_000_000);
        let made = batch("packages", &packed, at, TenantId::DEFAULT, ("web-1", Uuid::nil()), at + 5).unwrap();
        let shown = |row: usize, field: F| cell_text(made.rows.column(field.index()), row);
        let row = |row: usize| [F::Activity, F::Name, F::Version, F::OldVersion, F::Changed].map(|f| shown(row, f));
        assert_eq!(row(0), ["changed", "bash", "5.2", "5.1", "version"]);
        assert_eq!(row(1)[..3], ["added", "nmap", "7"]);
        assert_eq!(row(2)[..2], ["removed", "vim"]);
        assert_eq!(shown(2, F::OldEntry), r#"{"kind":"dpkg","name":"vim","version":"9"}"#);
        assert_eq!((shown(0, F::Host).as_str(), shown(0, F::List).as_str()), ("web-1", "packages"));
    }
}
