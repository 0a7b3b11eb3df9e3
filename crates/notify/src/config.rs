//! How messages leave this installation. What is told to whom is not here: people and tenants set it for themselves.

use std::path::PathBuf;

use guardian_kit::config::{Duration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Messages by mail and webhook.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// Mail server that takes messages; without one, nothing is sent by mail.
    pub smtp: SmtpConfig,
    /// Pause before a message is tried a second time; it triples with each attempt.
    pub retry_first: Duration,
    /// Longest pause between two attempts.
    pub retry_longest: Duration,
    /// Attempts after which a message is given up.
    pub attempts_max: u32,
    /// How long the delivery log is kept.
    pub keep: Duration,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self {
            smtp: SmtpConfig::default(),
            retry_first: Duration::secs(10),
            retry_longest: Duration::secs(4 * 3_600),
            attempts_max: 12,
            keep: Duration::days(30),
        }
    }
}

/// The mail server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmtpConfig {
    /// Name or address; empty for none.
    pub host: String,
    /// Port; 587 is for submission with STARTTLS, 465 for TLS from the first byte.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Name to sign in with; empty for no sign-in.
    pub username: String,
    /// Password to sign in with.
    pub password: Secret,
    /// Sender, such as `Guardian <guardian@example.org>`.
    pub from: String,
    /// File with the certificate of a private authority that signed the server's, beside the system's authorities.
    pub ca: PathBuf,
    /// How long the server may take for an answer.
    pub timeout: Duration,
}

impl Default for SmtpConfig {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            security: Security::Starttls,
            username: String::new(),
            password: Secret::default(),
            from: "Guardian <guardian@localhost>".to_owned(),
            ca: PathBuf::new(),
            timeout: Duration::secs(30),
        }
    }
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// Plain at first, then TLS; refused if the server does not offer it.
    #[default]
    Starttls,
    /// Nothing: for a server on the same machine.
    None,
}
