//! What a node answers to questions: rows for each, or why there are none.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Malformed, limits, name, number_of, read, text_of};

/// The answer to one question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The question.
    pub id: String,
    /// Names of the columns, in the order in which they came.
    pub columns: Vec<String>,
    /// The rows, with a value for each column; null where a row has none.
    pub rows: Vec<Vec<Value>>,
    /// Why it could not be answered.
    pub error: Option<String>,
}

/// What a node answers at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Whose it says it is.
    pub node_key: String,
    /// The answers.
    pub answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    node_key: String,
    #[serde(default)]
    queries: Map<String, Value>,
    #[serde(default)]
    statuses: Map<String, Value>,
    #[serde(default)]
    messages: Map<String, Value>,
}

/// Reads the answers of a node.
pub fn answers(body: &[u8]) -> Result<Answers, Malformed> {
    if body.len() > limits::ROWS_BYTES_MAX {
        return Err(Malformed::Limit("the request"));
    }
    let mut request: Request = read(body)?;
    let mut ids: Vec<String> = request.queries.keys().cloned().collect();
    ids.extend(request.statuses.keys().filter(|id| !request.queries.contains_key(*id)).cloned());
    if ids.len() > limits::ANSWERS_MAX {
        return Err(Malformed::Limit("the answers"));
    }
    let mut found = Answers { node_key: request.node_key, answers: Vec::with_capacity(ids.len()) };
    for id in ids {
        let status = number_of(request.statuses.get(&id)).unwrap_or(0);
        let said = text_of(request.messages.get(&id));
        // A query that failed has an empty text in the place of its rows.
        let rows = match request.queries.remove(&id) {
            Some(Value::Array(rows)) if status == 0 => rows,
            _ => Vec::new(),
        };
        let mut answer = table(&rows)?;
        if status != 0 {
            let said = name(&said);
            answer.error = Some(if said.is_empty() { format!("osquery ended it with {status}") } else { said });
        }
        answer.id = id;
        found.answers.push(answer);
    }
    Ok(found)
}

/// Objects as rows under common columns.
fn table(rows: &[Value]) -> Result<Answer, Malformed> {
    let mut answer = Answer::default();
    let mut known = HashSet::new();
    for row in rows {
        let Some(row) = row.as_object() else { return Err(Malformed::Json("a row is no object".into())) };
        for column in row.keys() {
            if known.insert(column.as_str()) {
                answer.columns.push(column.clone());
            }
        }
        if known.len() > limits::COLUMNS_MAX {
            return Err(Malformed::Limit("the columns"));
        }
    }
    // Columns of one row are columns of all of them.
    if rows.len().saturating_mul(known.len().max(1)) > limits::CELLS_MAX {
        return Err(Malformed::Limit("the rows"));
    }
    for row in rows.iter().filter_map(Value::as_object) {
        let value = |column: &String| match row.get(column) {
            Some(value) if value.is_object() || value.is_array() => Value::String(value.to_string()),
            Some(value) => value.clone(),
            None => Value::Null,
        };
        answer.rows.push(answer.columns.iter().map(value).collect());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(body: &Value) -> Vec<Answer> {
        answers(body.to_string().as_bytes()).unwrap().answers
    }

    #[test]
    fn rows_stand_under_their_columns_in_the_order_in_which_they_came() {
        let rows = json!([{"pid": "1", "name": "init"}, {"name": "sh", "path": "/bin/sh"}]);
        let found = of(&json!({"node_key": "k", "queries": {"a": rows}, "statuses": {"a": 0}}));
        let expected = Answer {
            id: "a".into(),
            columns: vec!["pid".into(), "name".into(), "path".into()],
            rows: vec![vec![json!("1"), json!("init"), json!(null)], vec![json!(null), json!("sh"), json!("/bin/sh")]],
            error: None,
        };
        assert_eq!(found, [expected]);
        assert_eq!(of(&json!({"queries": {"a": []}})), [Answer { id: "a".into(), ..Answer::default() }]);
    }

    #[test]
    fn what_failed_is_said() {
        let body = json!({
            "queries": {"a": "", "b": [{"x": 1}]}, "statuses": {"a": "1", "b": 2, "c": 1}, "messages": {"a": "no such table"},
        });
        let errors: Vec<_> = of(&body).into_iter().map(|one| (one.id, one.rows.len(), one.error.unwrap())).collect();
        let ended = |n| format!("osquery ended it with {n}");
        assert_eq!(
            errors,
            [("a".into(), 0, "no such table".into()), ("b".into(), 0, ended(2)), ("c".into(), 0, ended(1))]
        );
    }

    #[test]
    fn there_is_an_end_to_everything() {
        let many: Map<String, Value> = (0..=limits::ANSWERS_MAX).map(|n| (n.to_string(), json!([]))).collect();
        assert_eq!(answers(json!({"queries": many}).to_string().as_bytes()), Err(Malformed::Limit("the answers")));
        let wide: Map<String, Value> = (0..=limits::COLUMNS_MAX).map(|n| (n.to_string(), json!(1))).collect();
        let body = json!({"queries": {"a": [wide]}}).to_string();
        assert_eq!(answers(body.as_bytes()), Err(Malformed::Limit("the columns")));
        let rows: Vec<Value> = (0..400).map(|n| json!({n.to_string(): n})).chain(vec![json!({}); 6_000]).collect();
        let body = json!({"queries": {"a": rows}}).to_string();
        assert_eq!(answers(body.as_bytes()), Err(Malformed::Limit("the rows")), "few bytes, many cells");
        for wrong in [json!({"queries": {"a": [1]}}), json!({"queries": []}), json!({"statuses": 1}), json!([])] {
            assert!(answers(wrong.to_string().as_bytes()).is_err(), "{wrong}");
        }
    }
}
