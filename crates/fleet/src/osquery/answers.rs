//! What nodes answer to live queries: cut into the parts that agents send, and kept as theirs.

use guardian_catalog::{CatalogError, Host, LiveAnswer};
use guardian_model::{Ip, Scope};
use guardian_osquery::{Answer, answers, reply};
use guardian_protocol::{answer, limits};
use serde_json::Value;
use uuid::Uuid;

use super::OsqueryError;
use crate::state::Fleet;

/// Rows as lines, as many as a part takes.
struct Part {
    lines: Vec<u8>,
    rows: u32,
}

impl Fleet {
    /// Keeps what a node answers to the questions that it got.
    pub async fn osquery_write(&self, body: &[u8], address: Option<Ip>) -> Result<Value, OsqueryError> {
        let found = answers(body)?;
        let Some(node) = self.node(&found.node_key, address).await? else { return Ok(reply::invalid()) };
        for answer in found.answers {
            // What was never asked, or of somebody else, is no answer.
            let Ok(run) = answer.id.parse::<Uuid>() else { continue };
            self.keep_answer(&node.host, run, answer).await?;
        }
        Ok(reply::nothing())
    }

    async fn keep_answer(&self, host: &Host, run: Uuid, mut given: Answer) -> Result<(), OsqueryError> {
        let system = self.catalog().system();
        let Some(known) = system.live_query_run(host.id, run).await? else { return Ok(()) };
        let wanted = match self.catalog().scoped(&Scope::of(host.tenant)).live_query(known.query).await {
            Ok(query) => query.rows_max as usize,
            Err(CatalogError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // osquery knows no limit: what is more than was wanted is cut here.
        let more = given.rows.len() > wanted;
        given.rows.truncate(wanted);
        let (parts, too_long) = parts(&given.rows);
        let error = given.error.or_else(|| too_long.then(|| "a row is longer than an answer may be".to_owned()));
        let (last, mut columns) = (parts.len() - 1, Some(given.columns));
        for (at, part) in parts.into_iter().enumerate() {
            let (raw_bytes, packed) = answer::pack(&part.lines).map_err(|e| OsqueryError::Busy(e.to_string()))?;
            let kept = LiveAnswer {
                run,
                part: at as u32,
                columns: columns.take().unwrap_or_default(),
                rows: part.rows,
                raw_bytes,
                packed: packed.0,
                last: at == last,
                more: more && at == last,
                took_ms: 0,
                error: error.clone().filter(|_| at == last),
            };
            if !system.keep_live_answer(host.tenant, host.id, kept).await? {
                break;
            }
        }
        Ok(())
    }
}

/// Rows in parts, at least one; and whether one of them does not fit into any.
fn parts(rows: &[Vec<Value>]) -> (Vec<Part>, bool) {
    let mut parts = vec![Part { lines: Vec::new(), rows: 0 }];
    for row in rows {
        let mut line = Value::Array(row.clone()).to_string().into_bytes();
        line.push(b'\n');
        if line.len() > limits::ANSWER_PART_BYTES_MAX {
            return (parts, true);
        }
        let room = parts.last().is_some_and(|part| part.lines.len() + line.len() <= limits::ANSWER_PART_BYTES_MAX);
        if !room {
            parts.push(Part { lines: Vec::new(), rows: 0 });
        }
        if let Some(part) = parts.last_mut() {
            part.lines.append(&mut line);
            part.rows += 1;
        }
    }
    (parts, false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_cut_into_parts_that_can_be_read_again() {
        let rows: Vec<Vec<Value>> = (0..40).map(|n| vec![json!(n), json!("x".repeat(30_000))]).collect();
        let (made, too_long) = parts(&rows);
        assert!(made.len() > 1 && !too_long, "{} parts", made.len());
        let mut again = Vec::new();
        for part in made {
            let (raw_bytes, packed) = answer::pack(&part.lines).unwrap();
            let found = answer::rows(&answer::lines(raw_bytes, &packed).unwrap(), 2).unwrap();
            assert_eq!(found.len(), part.rows as usize);
            again.extend(found);
        }
        assert_eq!(again, rows);
        let (none, _) = parts(&[]);
        assert_eq!((none.len(), none[0].rows), (1, 0));
        let (_, too_long) = parts(&[vec![json!("x".repeat(limits::ANSWER_PART_BYTES_MAX))]]);
        assert!(too_long);
    }
}
