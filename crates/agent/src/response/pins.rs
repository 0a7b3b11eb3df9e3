//! What the machine's owner has laid down here, and the server cannot change: keys, and what is switched off. It is written
//! at enrolment, or by hand.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// What is laid down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pins {
    /// Ed25519 keys, base64: scripts that one of them signed may run. None: no script ever runs.
    pub script_keys: Vec<String>,
    /// X25519 key, base64: evidence is sealed for its holder, whatever the server asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_key: Option<String>,
    /// Ed25519 keys, base64: releases of the agent that one of them signed may take its place. None: it is never upgraded
    /// from afar.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub release_keys: Vec<String>,
    /// Actions that are never carried out, by name; `all` for all. `upgrade` for other versions of the agent.
    pub off: Vec<String>,
}

const NAME: &str = "pins.json";

/// A key of 32 bytes out of base64.
pub(crate) fn key(text: &str) -> io::Result<[u8; 32]> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "a key is 32 bytes in base64");
    STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
}

impl Pins {
    /// What is laid down in an agent's folder. A file that cannot be understood is an error, never nothing.
    pub fn read(home: &Path) -> io::Result<Self> {
        let bytes = match fs::read(home.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            bytes => bytes?,
        };
        let pins: Self = serde_json::from_slice(&bytes)?;
        pins.keys().try_for_each(|text| key(text).map(drop))?;
        Ok(pins)
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        self.script_keys.iter().chain(&self.evidence_key).chain(&self.release_keys)
    }

    /// The keys that may release.
    pub(crate) fn release_keys(&self) -> Vec<[u8; 32]> {
        self.release_keys.iter().filter_map(|text| key(text).ok()).collect()
    }

    /// Lays it down.
    pub fn write(&self, home: &Path) -> io::Result<()> {
        self.keys().try_for_each(|text| key(text).map(drop))?;
        super::write_whole(&home.join(NAME), &serde_json::to_vec_pretty(self)?)
    }
}
