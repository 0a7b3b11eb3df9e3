//! Certificates of services and people that end soon: told each time the list was read, which is twice a day.

use guardian_protocol::Cell;
use guardian_protocol::classes::{HEALTH, HealthColumn as C};
use guardian_protocol::lists::List;
use serde::Deserialize;

use crate::outbox::Outbox;
use crate::sources::batcher::Batcher;

/// The list that tells of them.
pub(super) const LIST: &str = "certificates";
/// Those that end within so many days are told.
const SOON_DAYS: i64 = 30;
/// Those that ended longer ago than so many days are old files, and told no more.
const GONE_DAYS: i64 = 30;
/// Certificates that are told at once.
const TOLD_MAX: usize = 200;
const DAY_S: i64 = 86_400;

#[derive(Deserialize)]
struct Certificate {
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    path: String,
    until_s: i64,
}

/// Those of the list that end soon: what they are, and days that are left; 0 where they have ended.
fn soon(list: &List, now_s: i64) -> Vec<(String, u64)> {
    let read = list.iter().filter_map(|(_, entry)| serde_json::from_str::<Certificate>(entry).ok());
    let mut found: Vec<(String, u64)> = read
        .filter(|one| one.kind == "certificate")
        .filter_map(|one| {
            let days = one.until_s.saturating_sub(now_s).div_euclid(DAY_S);
            let left = u64::try_from(days.max(0)).unwrap_or_default();
            (-GONE_DAYS..SOON_DAYS).contains(&days).then(|| (format!("{} ({})", one.name, one.path), left))
        })
        .collect();
    found.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    found.truncate(TOLD_MAX);
    found
}

/// Tells of them.
pub(super) fn tell(list: &List, outbox: &Outbox) {
    let now = crate::now();
    let mut batcher = Batcher::new(outbox.clone(), &HEALTH);
    for (object, days) in soon(list, now / 1_000_000) {
        let mut cells = [Cell::Null; C::COUNT];
        cells[C::Time as usize] = Cell::Time(now);
        cells[C::Metric as usize] = Cell::Text("certificate_expires");
        cells[C::Object as usize] = Cell::Text(&object);
        cells[C::Value as usize] = Cell::Number(days);
        cells[C::Unit as usize] = Cell::Text("days");
        batcher.push(&cells);
    }
    batcher.flush();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn those_are_told_that_end_soon_or_have_just_ended() {
        let mut list = List::default();
        let now = 1_800_000_000;
        for (name, kind, days) in [
            ("web", "certificate", 12),
            ("mail", "certificate", -3),
            ("later", "certificate", 31),
            ("old", "certificate", -400),
            ("root", "authority", 2),
        ] {
            let until_s = now + days * DAY_S + 60;
            list.put(name, &json!({"kind": kind, "name": name, "path": "/etc/ssl/x.pem", "until_s": until_s}));
        }
        list.put("odd", &json!({"kind": "certificate"}));
        list.put("far", &json!({"kind": "certificate", "until_s": i64::MAX}));
        list.put("ever", &json!({"kind": "certificate", "until_s": i64::MIN}));
        let told = soon(&list, now);
        assert_eq!(told, [("mail (/etc/ssl/x.pem)".to_owned(), 0), ("web (/etc/ssl/x.pem)".to_owned(), 12)]);
    }
}
