//! What osquery's logger brings, as rows of the class `logs`: the same as those of the agent's own scheduled queries, so that
//! rules, hunts and alerts need not know who asked.

use guardian_catalog::Host;
use guardian_model::{Micros, Origin};
use guardian_osquery::Line;
use guardian_protocol::classes::{LOGS, LogColumn as L};
use guardian_protocol::{Cell, Events, Rows};
use uuid::Uuid;

use super::OsqueryError;
use crate::intake::Gate;
use crate::rows::batch;
use crate::state::Fleet;

/// Who sends these rows: no host has this id.
const SENDER: Uuid = Uuid::from_u128(0x6775_6172_6469_616e_2d6f_7371_7565_7279);
/// Syslog severities: a notice for rows, and what osquery's own words are, from information to the last one.
const NOTICE: u64 = 5;
const SEVERITIES: [u64; 4] = [6, 4, 3, 2];

/// The rows of lines that came at `now`.
pub(super) fn of(lines: &[Line], now: Micros) -> Events {
    let mut rows: Rows = LOGS.rows();
    let time = |time_s: &Option<i64>| time_s.and_then(|s| s.checked_mul(Micros::SECOND)).unwrap_or(now.0);
    for line in lines {
        let mut cells = [Cell::Null; L::COUNT];
        let mut set = |column: L, cell| cells[column as usize] = cell;
        let message;
        match line {
            Line::Row { query, action, time_s, row } => {
                message = format!("{query}: {action}: {row}");
                set(L::Time, Cell::Time(time(time_s)));
                set(L::Source, Cell::Text("query"));
                set(L::Severity, Cell::Number(NOTICE));
                set(L::Type, Cell::Text(action));
                set(L::Key, Cell::Text(query));
                set(L::Fields, Cell::Text(row));
                set(L::Message, Cell::Text(&message));
            }
            Line::Status { severity, time_s, file, message } => {
                set(L::Time, Cell::Time(time(time_s)));
                set(L::Source, Cell::Text("osquery"));
                set(L::Program, Cell::Text("osqueryd"));
                set(L::Severity, Cell::Number(SEVERITIES[usize::from(*severity).min(3)]));
                set(L::Key, Cell::Text(file));
                set(L::Message, Cell::Text(message));
            }
        }
        rows.push(&cells);
    }
    rows.finish()
}

impl Fleet {
    /// Stores rows of a host, and waits until they are durable.
    pub(super) async fn store_lines(&self, host: &Host, rows: &Events) -> Result<(), OsqueryError> {
        let busy = |error: &dyn std::fmt::Display| OsqueryError::Busy(error.to_string());
        let made = batch(rows, host.tenant, (&host.name, &host.id.to_string()), self.now()).map_err(|e| busy(&e))?;
        let stored = {
            let mut sequence = self.nodes().sequence.lock().await;
            *sequence += 1;
            let origin = Origin { sender: *SENDER.as_bytes(), epoch: self.nodes().epoch, lane: 0, sequence: *sequence };
            // A request is a session of its own: what it brought and was not stored, it brings again.
            self.intake().offer(vec![made], origin, Gate::default()).await.map_err(|e| busy(&e))?
        };
        stored.await.map_err(|e| busy(&e))?;
        self.counters().rows.inc(rows.rows as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use guardian_model::TenantId;

    use super::*;

    #[test]
    fn rows_look_like_those_of_the_agents_own_queries() {
        let row = |action| Line::Row { query: "users".into(), action, time_s: Some(1_767_225_600), row: "{}".into() };
        let status =
            Line::Status { severity: 2, time_s: None, file: "tls.cpp".into(), message: "cannot connect".into() };
        let late = Line::Row { query: "q".into(), action: "added", time_s: Some(i64::MAX), row: "{}".into() };
        let now = Micros(1_767_225_601_000_000);
        let events = of(&[row("added"), row("snapshot"), status, late], now);
        let made = batch(&events, TenantId::DEFAULT, ("web-1", "id"), now).unwrap();
        let shown = |row, name| guardian_model::cell_text(made.rows.column(made.class.index_of(name).unwrap()), row);
        let line = |n| ["source", "type", "key", "message", "fields", "severity"].map(|name| shown(n, name));
        assert_eq!(line(0), ["query", "added", "users", "users: added: {}", "{}", "5"]);
        assert_eq!((shown(1, "type").as_str(), shown(1, "host").as_str()), ("snapshot", "web-1"));
        assert_eq!((shown(2, "source").as_str(), shown(2, "severity").as_str()), ("osquery", "3"));
        assert_eq!(made.rows.num_rows(), 4);
    }
}
