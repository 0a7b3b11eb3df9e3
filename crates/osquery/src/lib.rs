//! What osquery's programs say to their server (its TLS plugins: enroll, config, log, distributed read and write; and its
//! carver), read into plain values, and what a server answers. Written from osquery's documentation of remote deployment and
//! of file carving.
//!
//! All that is read was written by somebody else: it is bounded, and what cannot be read is refused or counted, never
//! guessed. This crate does no I/O, knows no host and no store, and trusts nothing that is said about who speaks.

mod answers;
mod carve;
mod enrol;
mod logs;
pub mod reply;

pub use answers::{Answer, Answers, answers};
pub use carve::{CarveBlock, CarveStart, asks_to_carve, carve_block, carve_start};
pub use enrol::{Enrol, enrol};
pub use logs::{Line, Logs, logs};
use serde::Deserialize;
use serde_json::Value;

/// Bounds of what is read.
pub mod limits {
    /// Longest body of a request that brings rows, in bytes and without compression.
    pub const ROWS_BYTES_MAX: usize = 8 << 20;
    /// Longest body of any other request.
    pub const BODY_BYTES_MAX: usize = 256 << 10;
    /// Lines of one request of the logger.
    pub const LINES_MAX: usize = 50_000;
    /// Longest row, or message, of a line; a longer one is left out and counted.
    pub const LINE_BYTES_MAX: usize = 64 << 10;
    /// Queries that one request answers.
    pub const ANSWERS_MAX: usize = 64;
    /// Columns of an answer.
    pub const COLUMNS_MAX: usize = 512;
    /// Values of an answer, those that are absent included.
    pub const CELLS_MAX: usize = 2_000_000;
    /// Longest block of a carve.
    pub const BLOCK_BYTES_MAX: u64 = 4 << 20;
    /// Blocks of a carve.
    pub const BLOCKS_MAX: u64 = 1 << 20;
    /// Longest name, in characters; longer ones are cut.
    pub const NAME_CHARS_MAX: usize = 200;
}

/// Why a request is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It is no JSON, or not of the right shape.
    #[error("this is not what osquery sends: {0}")]
    Json(String),
    /// There is too much of something.
    #[error("{0}: there is too much")]
    Limit(&'static str),
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    // A list would be read as the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Malformed::Json("it is no object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| Malformed::Json(error.to_string()))
}

/// A request that says only who asks.
#[derive(Deserialize)]
struct Asks {
    #[serde(default)]
    node_key: String,
}

/// The key of the node that asks for its configuration, or for questions.
pub fn node_key(body: &[u8]) -> Result<String, Malformed> {
    Ok(read::<Asks>(body)?.node_key)
}

/// A text of what may be a text, a number, or nothing.
fn text_of(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// A number of what may be one, or the text of one.
fn number_of(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A name as it is kept: cut, and without control characters.
fn name(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(limits::NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_read_and_the_rest_is_no_matter() {
        assert_eq!(node_key(br#"{"node_key": "k", "more": [1]}"#), Ok("k".into()));
        assert_eq!(node_key(b"{}"), Ok(String::new()));
        for wrong in [b"".as_slice(), b"[", b"[]", br#"{"node_key": 1}"#, b"\xff"] {
            assert!(matches!(node_key(wrong), Err(Malformed::Json(_))), "{wrong:?}");
        }
        let deep = format!("{{\"x\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        // What is passed over takes no stack, however deep it is.
        assert_eq!(node_key(deep.as_bytes()), Ok(String::new()));
    }
}
