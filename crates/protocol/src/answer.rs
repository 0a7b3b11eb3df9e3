//! Rows of a live query as they travel: each a JSON array with a value for every column, one a line, compressed.

use serde_json::Value;

use crate::limits::{ANSWER_COLUMNS_MAX, ANSWER_PART_BYTES_MAX};
use crate::message::Answer;
use crate::wire::{Blob, WireError};

/// The level of compression: somebody waits.
const LEVEL: i32 = 3;

/// Packs lines into a part.
pub fn pack(lines: &[u8]) -> Result<(u32, Blob), WireError> {
    if lines.len() > ANSWER_PART_BYTES_MAX {
        return Err(WireError::Limit("the length of a part of an answer"));
    }
    let packed = zstd::bulk::compress(lines, LEVEL).map_err(|_| WireError::Compression)?;
    Ok((lines.len() as u32, Blob(packed)))
}

/// The lines of packed rows.
pub fn lines(raw_bytes: u32, rows: &Blob) -> Result<Vec<u8>, WireError> {
    let raw_bytes = raw_bytes as usize;
    if raw_bytes > ANSWER_PART_BYTES_MAX {
        return Err(WireError::Limit("the length of a part of an answer"));
    }
    if raw_bytes == 0 {
        return Ok(Vec::new());
    }
    let lines = zstd::bulk::decompress(&rows.0, raw_bytes).map_err(|_| WireError::Compression)?;
    if lines.len() == raw_bytes { Ok(lines) } else { Err(WireError::Compression) }
}

/// The rows of lines; each has `columns` plain values, or all are refused.
pub fn rows(lines: &[u8], columns: usize) -> Result<Vec<Vec<Value>>, WireError> {
    let row = |line: &[u8]| {
        let row: Vec<Value> = serde_json::from_slice(line).map_err(|_| WireError::Malformed("a row of an answer"))?;
        let plain = row.len() == columns && !row.iter().any(|value| value.is_object() || value.is_array());
        if plain { Ok(row) } else { Err(WireError::Malformed("a row of an answer")) }
    };
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(row).collect()
}

/// Whether what an answer says about itself can be meant: its columns, and its rows where `columns` are known. Answers
/// with the rows.
pub fn check(answer: &Answer, columns: usize) -> Result<Vec<Vec<Value>>, WireError> {
    if answer.columns.len() > ANSWER_COLUMNS_MAX {
        return Err(WireError::Limit("the number of columns of an answer"));
    }
    let rows = rows(&lines(answer.raw_bytes, &answer.rows)?, columns)?;
    if rows.len() == answer.count as usize { Ok(rows) } else { Err(WireError::Malformed("the count of an answer")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(lines: &str, count: u32) -> Answer {
        let (raw_bytes, rows) = pack(lines.as_bytes()).unwrap();
        Answer { raw_bytes, rows, count, ..Answer::default() }
    }

    #[test]
    fn rows_go_there_and_back() {
        let rows = check(&part("[1,\"a\",null]\n[2,\"b\\n\",1.5]\n", 2), 3).unwrap();
        assert_eq!(rows[1], [Value::from(2), Value::from("b\n"), Value::from(1.5)]);
        assert_eq!(check(&Answer::default(), 3), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_row_of_these_columns_is_refused() {
        for (lines, count, columns) in
            [("[1]\n", 1, 2), ("[1,2]\n", 2, 2), ("{}\n", 1, 0), ("[[1]]\n", 1, 1), ("[{}]\n", 1, 1), ("x\n", 1, 1)]
        {
            assert!(check(&part(lines, count), columns).is_err(), "{lines}");
        }
        let mut bomb = part(&"[1]\n".repeat(1_000), 1_000);
        bomb.raw_bytes = 100;
        assert_eq!(check(&bomb, 1), Err(WireError::Compression));
        assert!(pack(&vec![b' '; ANSWER_PART_BYTES_MAX + 1]).is_err());
    }
}
