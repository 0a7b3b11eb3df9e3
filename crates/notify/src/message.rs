//! A message as the outbox keeps it: everything that mail and webhook are made of.

use guardian_catalog::Language;
use guardian_model::{Micros, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The language of its words.
    pub language: Language,
    /// In a line.
    pub title: String,
    /// In a few more words; possibly empty.
    pub text: String,
    /// Where to look in the console, without the server.
    pub link: String,
    /// Messages with the same thread belong together.
    pub thread: Option<String>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// Who made it happen.
    pub by: Option<String>,
    /// When it happened.
    pub time: Micros,
    /// Name of the tenant.
    pub tenant: String,
    /// The thing itself, for programs.
    pub data: Value,
    /// Whether pseudonyms stand in the place of personal data.
    #[serde(default)]
    pub masked: bool,
}
