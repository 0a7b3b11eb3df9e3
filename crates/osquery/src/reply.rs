//! What a server answers, as osquery reads it.

use serde_json::{Map, Value, json};

/// A query that a node is to ask itself again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// The statement.
    pub sql: String,
    /// How often, in seconds.
    pub every_s: u32,
    /// Whether all of each answer is told, instead of what is different.
    pub snapshot: bool,
}

/// Nothing to say.
pub fn nothing() -> Value {
    json!({})
}

/// The node is not known, or not any more: it enrols again.
pub fn invalid() -> Value {
    json!({"node_invalid": true})
}

/// The node is let in, and shows this key from now on.
pub fn enrolled(node_key: &str) -> Value {
    json!({"node_key": node_key, "node_invalid": false})
}

/// The configuration of a node: what it asks itself, and how often it asks the server for questions.
pub fn config(scheduled: &[Scheduled], poll_s: u64) -> Value {
    let schedule: Map<String, Value> = scheduled
        .iter()
        .map(|one| {
            let query = json!({
                "query": one.sql, "interval": one.every_s, "snapshot": one.snapshot, "removed": !one.snapshot,
            });
            (one.name.clone(), query)
        })
        .collect();
    json!({
        "schedule": schedule,
        "options": {"distributed_interval": poll_s, "logger_tls_period": poll_s},
        "node_invalid": false,
    })
}

/// Questions to a node, each under its id.
pub fn questions(all: impl IntoIterator<Item = (String, String)>) -> Value {
    let queries: Map<String, Value> = all.into_iter().map(|(id, sql)| (id, Value::String(sql))).collect();
    json!({"queries": queries, "node_invalid": false})
}

/// A carve is taken: its blocks come under this session.
pub fn session(session: &str) -> Value {
    json!({"session_id": session})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_what_a_file_of_osquery_would_say() {
        let one = Scheduled { name: "users".into(), sql: "SELECT 1".into(), every_s: 60, snapshot: true };
        let made = config(&[one], 10);
        let query = json!({"query": "SELECT 1", "interval": 60, "snapshot": true, "removed": false});
        assert_eq!(made["schedule"], json!({"users": query}));
        assert_eq!(config(&[], 10)["schedule"], json!({}));
        assert_eq!(questions([("a".into(), "SELECT 1".into())])["queries"], json!({"a": "SELECT 1"}));
    }
}
