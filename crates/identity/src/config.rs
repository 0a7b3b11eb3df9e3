//! How long sessions and tokens live.

use guardian_kit::config::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AnchorsConfig, BreachedPasswords, KeysConfig, LdapConfig, OidcProvider};

/// Sign-in, sessions and keys.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// A session that was not used for this long ends.
    pub session_idle: Duration,
    /// A session ends after this long, used or not.
    pub session_max: Duration,
    /// How long the token of first-run set-up is valid.
    pub setup_token: Duration,
    /// Longest life of an API key; a key must expire.
    pub api_key_max: Duration,
    /// How long after proving themselves somebody may do what is sensitive without being asked again.
    pub step_up: Duration,
    /// How long an access token is good.
    pub access_token: Duration,
    /// How long a program may go on refreshing its tokens before it has to sign in again.
    pub refresh_max: Duration,
    /// Requests that one API key or program may send in a minute, and at once.
    pub key_requests_per_minute: u32,
    /// Where the master key comes from.
    pub keys: KeysConfig,
    /// Where signed checkpoints of the audit trail are kept outside this machine.
    pub anchors: AnchorsConfig,
    /// Providers of OpenID Connect that people may sign in by, in the order in which they are offered.
    pub oidc: Vec<OidcProvider>,
    /// A directory whose people sign in with their name and password there.
    pub ldap: LdapConfig,
    /// Passwords that are known from break-ins elsewhere and refused.
    pub breached_passwords: BreachedPasswords,
}

impl IdentityConfig {
    /// What is wrong with it, if anything, in the operator's words.
    pub fn problem(&self) -> Option<String> {
        let twice = |n: usize| self.oidc[..n].iter().any(|other| other.name == self.oidc[n].name);
        let found = self.oidc.iter().find_map(OidcProvider::problem);
        found.or_else(|| self.ldap.problem()).or_else(|| self.breached_passwords.problem()).or_else(|| {
            let n = (0..self.oidc.len()).find(|n| twice(*n))?;
            Some(format!("identity.oidc: there are two providers `{}`", self.oidc[n].name))
        })
    }
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            session_idle: Duration::secs(12 * 3_600),
            session_max: Duration::days(7),
            setup_token: Duration::secs(30 * 60),
            api_key_max: Duration::days(366),
            step_up: Duration::secs(10 * 60),
            access_token: Duration::secs(10 * 60),
            refresh_max: Duration::days(30),
            key_requests_per_minute: 3_000,
            keys: KeysConfig::default(),
            anchors: AnchorsConfig::default(),
            oidc: Vec::new(),
            ldap: LdapConfig::default(),
            breached_passwords: BreachedPasswords::default(),
        }
    }
}
