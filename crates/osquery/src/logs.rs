//! The logger: what scheduled queries answered, as differences or whole, and what osquery says of itself.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Malformed, limits, name, number_of, read, text_of};

/// One line of the logger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// A row of a scheduled query.
    Row {
        /// Name of the query.
        query: String,
        /// added, removed or snapshot.
        action: &'static str,
        /// When, in seconds since 1970, if that was said.
        time_s: Option<i64>,
        /// The row: a JSON object.
        row: String,
    },
    /// A word of osquery about itself.
    Status {
        /// From 0 for information to 2 for an error, and 3 for the last word.
        severity: u8,
        /// When, in seconds since 1970, if that was said.
        time_s: Option<i64>,
        /// The file of its source that says it.
        file: String,
        /// What it says.
        message: String,
    },
}

/// What a logger brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// Whose it says it is.
    pub node_key: String,
    /// Whether these are words of osquery about itself, and no rows.
    pub status: bool,
    /// The lines that were understood.
    pub lines: Vec<Line>,
    /// Rows and lines that were not, or were too long.
    pub skipped: u64,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    node_key: String,
    #[serde(default)]
    log_type: String,
    #[serde(default)]
    data: Vec<Map<String, Value>>,
}

/// Reads what a logger brings.
pub fn logs(body: &[u8]) -> Result<Logs, Malformed> {
    if body.len() > limits::ROWS_BYTES_MAX {
        return Err(Malformed::Limit("the request"));
    }
    let request: Request = read(body)?;
    let about_itself = request.log_type == "status";
    let mut found = Logs { node_key: request.node_key, status: about_itself, ..Logs::default() };
    for item in &request.data {
        match request.log_type.as_str() {
            "status" => found.push(status(item)),
            "result" => found.results(item),
            _ => found.skipped += 1,
        }
        if found.lines.len() > limits::LINES_MAX {
            return Err(Malformed::Limit("the lines"));
        }
    }
    Ok(found)
}

impl Logs {
    fn push(&mut self, line: Option<Line>) {
        match line {
            Some(line) => self.lines.push(line),
            None => self.skipped += 1,
        }
    }

    /// A result comes as one row, as all rows that came and went at once, or as a whole answer.
    fn results(&mut self, item: &Map<String, Value>) {
        let query = name(&text_of(item.get("name")));
        let time_s = number_of(item.get("unixTime"));
        if query.is_empty() {
            self.skipped += 1;
            return;
        }
        let mut all = |action: &'static str, rows: Option<&Value>| {
            for row in rows.and_then(Value::as_array).into_iter().flatten() {
                self.push(line(&query, action, time_s, row));
            }
        };
        if let Some(rows) = item.get("snapshot") {
            all("snapshot", Some(rows));
        } else if let Some(both) = item.get("diffResults") {
            all("removed", both.get("removed"));
            all("added", both.get("added"));
        } else {
            let action = match item.get("action").and_then(Value::as_str) {
                Some("added") => Some("added"),
                Some("removed") => Some("removed"),
                Some("snapshot") => Some("snapshot"),
                _ => None,
            };
            let row = action.zip(item.get("columns"));
            self.push(row.and_then(|(action, row)| line(&query, action, time_s, row)));
        }
    }
}

fn line(query: &str, action: &'static str, time_s: Option<i64>, row: &Value) -> Option<Line> {
    let plain = row.as_object()?.values().all(|value| !value.is_object() && !value.is_array());
    let row = plain.then(|| row.to_string()).filter(|text| text.len() <= limits::LINE_BYTES_MAX)?;
    Some(Line::Row { query: query.to_owned(), action, time_s, row })
}

fn status(item: &Map<String, Value>) -> Option<Line> {
    let message = text_of(item.get("message"));
    if message.is_empty() || message.len() > limits::LINE_BYTES_MAX {
        return None;
    }
    let severity = number_of(item.get("severity")).unwrap_or(0).clamp(0, 3) as u8;
    Some(Line::Status {
        severity,
        time_s: number_of(item.get("unixTime")),
        file: name(&text_of(item.get("filename"))),
        message,
    })
}

impl Line {
    /// When, in seconds since 1970, if that was said.
    pub fn time_s(&self) -> Option<i64> {
        match self {
            Self::Row { time_s, .. } | Self::Status { time_s, .. } => *time_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(kind: &str, data: Value) -> Logs {
        logs(json!({"node_key": "k", "log_type": kind, "data": data}).to_string().as_bytes()).unwrap()
    }

    fn row(action: &'static str, row: &str) -> Line {
        Line::Row { query: "users".into(), action, time_s: Some(7), row: row.into() }
    }

    #[test]
    fn rows_are_told_the_same_in_each_of_their_forms() {
        let one = json!([{"name": "users", "unixTime": "7", "action": "added", "columns": {"uid": "0"}, "epoch": 0}]);
        assert_eq!(of("result", one).lines, [row("added", r#"{"uid":"0"}"#)]);
        let both =
            json!([{"name": "users", "unixTime": 7, "diffResults": {"added": [{"a": 1}], "removed": [{"b": "2"}]}}]);
        assert_eq!(of("result", both).lines, [row("removed", r#"{"b":"2"}"#), row("added", r#"{"a":1}"#)]);
        let whole =
            json!([{"name": "users", "unixTime": 7, "action": "snapshot", "snapshot": [{"a": "1"}, {"a": "2"}]}]);
        assert_eq!(of("result", whole).lines.len(), 2);
        let said = json!([{"severity": "2", "filename": "tls.cpp", "line": 9, "message": "no", "unixTime": 7}]);
        let status = Line::Status { severity: 2, time_s: Some(7), file: "tls.cpp".into(), message: "no".into() };
        assert_eq!(of("status", said).lines, [status]);
    }

    #[test]
    fn what_is_not_understood_is_counted() {
        let odd = json!([
            {}, {"name": "q"}, {"name": "q", "action": "eaten", "columns": {}}, {"name": "q", "action": "added"},
            {"name": "q", "action": "added", "columns": {"a": {}}}, {"name": "q", "snapshot": [1, []]},
            {"name": "q", "action": "added", "columns": {"a": "x".repeat(limits::LINE_BYTES_MAX)}},
        ]);
        let found = of("result", odd);
        assert_eq!((found.lines.len(), found.skipped), (0, 8));
        assert_eq!(of("other", json!([{"a": 1}])).skipped, 1);
        assert_eq!(of("status", json!([{"severity": 0}])).skipped, 1);
        assert!(logs(br#"{"data": [1]}"#).is_err());
        let many = json!([{"name": "q", "snapshot": vec![json!({}); limits::LINES_MAX + 1]}]);
        let body = json!({"log_type": "result", "data": many}).to_string();
        assert_eq!(logs(body.as_bytes()), Err(Malformed::Limit("the lines")));
    }
}
