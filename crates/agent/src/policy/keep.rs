//! The policy as it comes and as it lies on the disk.

use std::fs;
use std::io;

use guardian_protocol::message::Policy;
use guardian_protocol::policy::Document;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::home::Home;

/// Longest document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// A policy on the disk, so that a start without the server runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its version.
    pub version: u64,
    /// The document as it came.
    pub document: String,
}

impl Kept {
    pub(super) fn of(sent: &Policy) -> Self {
        Self { version: sent.version, document: String::from_utf8_lossy(&sent.document.0).into_owned() }
    }

    pub(super) fn hash(&self) -> Vec<u8> {
        blake3::hash(self.document.as_bytes()).as_bytes().to_vec()
    }

    pub(crate) fn load(home: &Home) -> io::Result<Option<Self>> {
        match fs::read(home.policy()) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn store(&self, home: &Home) -> io::Result<()> {
        home.write(&home.policy(), &serde_json::to_vec(self)?, true)
    }
}

/// A document, and what of it this version cannot run. A part with something unknown in it stays at its defaults: the
/// other parts hold, because a newer server must not leave an older agent without any policy.
pub fn read(bytes: &[u8]) -> (Document, Vec<String>) {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return (Document::default(), vec![format!("it is longer than {DOCUMENT_BYTES_MAX} bytes")]);
    }
    let parts = match serde_json::from_slice(bytes) {
        Ok(Value::Object(parts)) => parts,
        Ok(_) => return (Document::default(), vec!["it is no JSON object".to_owned()]),
        Err(error) => return (Document::default(), vec![format!("it is no JSON: {error}")]),
    };
    let (mut document, mut complaints) = (Document::default(), Vec::new());
    for (name, part) in parts {
        let alone = Value::Object([(name.clone(), part)].into_iter().collect());
        match serde_json::from_value::<Document>(alone) {
            Ok(part) => {
                let problems = part.problems();
                if problems.is_empty() {
                    document.add(&part);
                }
                complaints.extend(problems);
            }
            Err(error) => complaints.push(format!("{name}: {error}")),
        }
    }
    (document, complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_server_says_leaves_the_rest_standing() {
        let text = br#"{"intervals": {"health_s": 60}, "spool": {"mib_max": 64, "color": "red"}, "dreams": {}}"#;
        let (document, complaints) = read(text);
        assert_eq!(document.intervals.health_s, Some(60));
        assert_eq!(document.spool.mib_max, None);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints.iter().any(|c| c.contains("unknown field `color`")), "{complaints:?}");
        assert!(complaints.iter().any(|c| c.starts_with("dreams: unknown field `dreams`")), "{complaints:?}");
        assert_eq!(read(b"[]").1, ["it is no JSON object"]);
        let (document, complaints) = read(br#"{"intervals": {"heartbeat_s": 0, "health_s": 5}}"#);
        assert_eq!((document, complaints.len()), (Document::default(), 1));
    }
}
