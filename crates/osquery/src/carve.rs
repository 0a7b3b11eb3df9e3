//! File carving: a node packs files into an archive and brings it block by block. The first request says how long it is and
//! gets a session; the others bring blocks under that session and say no more who speaks.
//!
//! osquery makes up the id of a carve and of its request by itself: neither says which question asked for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::{Malformed, limits, name, number_of, read, text_of};

/// A node begins to bring an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CarveStart {
    /// Whose it says it is.
    pub node_key: String,
    /// What osquery calls the carve.
    pub carve: String,
    /// What osquery calls the request for it.
    pub request: String,
    /// How many blocks there are.
    pub blocks: u64,
    /// Length of each but the last, in bytes.
    pub block_bytes: u64,
    /// Length of all, in bytes.
    pub bytes: u64,
}

/// A block of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarveBlock {
    /// The session that the node got.
    pub session: String,
    /// Which block, from 0.
    pub number: u64,
    /// What is in it.
    pub bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    node_key: String,
    #[serde(default)]
    carve_id: Value,
    #[serde(default)]
    request_id: Value,
    #[serde(default)]
    block_count: Value,
    #[serde(default)]
    block_size: Value,
    #[serde(default)]
    carve_size: Value,
}

/// Reads the beginning of a carve. The numbers fit each other when this answers.
pub fn carve_start(body: &[u8]) -> Result<CarveStart, Malformed> {
    if body.len() > limits::BODY_BYTES_MAX {
        return Err(Malformed::Limit("the request"));
    }
    let request: Start = read(body)?;
    let number = |value: &Value| number_of(Some(value)).and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    let found = CarveStart {
        node_key: request.node_key,
        carve: name(&text_of(Some(&request.carve_id))),
        request: name(&text_of(Some(&request.request_id))),
        blocks: number(&request.block_count),
        block_bytes: number(&request.block_size),
        bytes: number(&request.carve_size),
    };
    if found.carve.is_empty() || found.bytes == 0 || found.block_bytes == 0 {
        return Err(Malformed::Json("a carve has an id, a length and a length of its blocks".to_owned()));
    }
    if found.block_bytes > limits::BLOCK_BYTES_MAX || found.blocks > limits::BLOCKS_MAX {
        return Err(Malformed::Limit("the blocks"));
    }
    if found.bytes.div_ceil(found.block_bytes) != found.blocks {
        return Err(Malformed::Json("the blocks do not make up the length".to_owned()));
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Block {
    #[serde(default)]
    session_id: Value,
    #[serde(default)]
    block_id: Value,
    #[serde(default)]
    data: String,
}

/// Reads a block.
pub fn carve_block(body: &[u8]) -> Result<CarveBlock, Malformed> {
    if body.len() > limits::ROWS_BYTES_MAX {
        return Err(Malformed::Limit("the request"));
    }
    let request: Block = read(body)?;
    let number = number_of(Some(&request.block_id)).and_then(|number| u64::try_from(number).ok());
    let number = number.ok_or_else(|| Malformed::Json("a block has a number".to_owned()))?;
    let bytes = STANDARD.decode(request.data.as_bytes());
    let bytes = bytes.map_err(|_| Malformed::Json("a block is not in base64".to_owned()))?;
    if bytes.is_empty() || bytes.len() as u64 > limits::BLOCK_BYTES_MAX {
        return Err(Malformed::Limit("the block"));
    }
    Ok(CarveBlock { session: text_of(Some(&request.session_id)), number, bytes })
}

/// Whether a statement asks for a carve: it names the table `carves` and its column `carve`. What stands in texts and in
/// comments does not count; a name may be quoted as SQLite allows it.
pub fn asks_to_carve(sql: &str) -> bool {
    let (mut table, mut column) = (false, false);
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => quoted(rest, '\''),
            '"' | '`' => quoted(rest, first),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ if is_word(first) => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        let word = token.trim_matches(['"', '`', '[', ']']);
        table |= first != '\'' && word.eq_ignore_ascii_case("carves");
        column |= first != '\'' && word.eq_ignore_ascii_case("carve");
        rest = behind;
    }
    table && column
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of what stands in quotes, which are doubled within.
fn quoted(text: &str, quote: char) -> usize {
    let mut marks = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = marks.next() {
        if c == quote && marks.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn start(blocks: u64, block: u64, bytes: u64) -> Result<CarveStart, Malformed> {
        let body = json!({
            "node_key": "k", "block_count": blocks, "block_size": block, "carve_size": bytes, "carve_id": "c",
            "request_id": "r",
        });
        carve_start(body.to_string().as_bytes())
    }

    #[test]
    fn a_carve_says_how_long_it_is() {
        let found = start(3, 10, 21).unwrap();
        let expected = CarveStart {
            node_key: "k".into(),
            carve: "c".into(),
            request: "r".into(),
            blocks: 3,
            block_bytes: 10,
            bytes: 21,
        };
        assert_eq!(found, expected);
        let texts = br#"{"carve_id": "c", "block_count": "1", "block_size": "8192", "carve_size": "5"}"#;
        assert_eq!(carve_start(texts).map(|found| (found.blocks, found.bytes)), Ok((1, 5)));
        let most = limits::BLOCK_BYTES_MAX;
        for (blocks, block, bytes) in
            [(0, 10, 0), (0, 0, 10), (2, 10, 21), (4, 10, 21), (u64::MAX, 1, u64::MAX), (1, most + 1, 5)]
        {
            assert!(start(blocks, block, bytes).is_err(), "{blocks} {block} {bytes}");
        }
        let nameless = br#"{"carve_id": "", "block_count": 1, "block_size": 10, "carve_size": 5}"#;
        assert!(carve_start(nameless).is_err() && carve_start(b"{}").is_err() && carve_start(b"[]").is_err());
    }

    #[test]
    fn a_block_is_in_base64() {
        let of = |body: Value| carve_block(body.to_string().as_bytes());
        let found = of(json!({"session_id": "s", "block_id": 7, "request_id": "r", "data": "aGVsbG8="})).unwrap();
        assert_eq!(found, CarveBlock { session: "s".into(), number: 7, bytes: b"hello".to_vec() });
        for (number, data) in [(json!(-1), "aA=="), (json!(null), "aA=="), (json!(1), ""), (json!(1), "a")] {
            assert!(of(json!({"session_id": "s", "block_id": number, "data": data})).is_err(), "{number} {data}");
        }
        let long = STANDARD.encode(vec![0; limits::BLOCK_BYTES_MAX as usize + 1]);
        assert_eq!(of(json!({"session_id": "s", "block_id": 1, "data": long})), Err(Malformed::Limit("the block")));
        let full = STANDARD.encode(vec![0; limits::BLOCK_BYTES_MAX as usize]);
        assert!(of(json!({"session_id": "s", "block_id": 1, "data": full})).is_ok(), "the largest fits its request");
    }

    #[test]
    fn a_statement_asks_for_a_carve_or_only_looks() {
        for asks in [
            "SELECT * FROM carves WHERE path LIKE '/tmp/%' AND carve=1",
            "select * from CARVES where path = '/etc/passwd' and Carve = 1;",
            "SELECT * FROM \"carves\" WHERE [carve] = 1",
            "SELECT * FROM `carves` c WHERE c.carve/**/=1",
            "SELECT 'it''s', * FROM carves WHERE carve IN (1)",
        ] {
            assert!(asks_to_carve(asks), "{asks}");
        }
        for looks in [
            "SELECT * FROM carves",
            "SELECT carve FROM other",
            "SELECT 'carves', \"carve\" FROM x",
            "SELECT * FROM carves -- where carve = 1",
            "SELECT * FROM carves /* carve = 1",
            "SELECT * FROM carves_2 WHERE carve = 1",
            "",
            "'",
            "[",
            "ä\"",
        ] {
            assert!(!asks_to_carve(looks), "{looks}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(sql in "\\PC{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            asks_to_carve(&sql);
            carve_start(&bytes).ok();
            carve_block(&bytes).ok();
        }
    }
}
