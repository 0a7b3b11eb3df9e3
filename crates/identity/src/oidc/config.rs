//! What the operator says of a provider of OpenID Connect.

use guardian_kit::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::GroupRole;
use crate::external::Admission;

/// A provider of OpenID Connect: another system that signs people in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OidcProvider {
    /// Its short name, in addresses and in the audit trail: a-z, 0-9 and `-`. Accounts are remembered by it.
    pub name: String,
    /// What the button says; empty takes the short name.
    pub label: String,
    /// Its issuer, exactly as it calls itself: `https://login.example.com/realms/main`.
    pub issuer: String,
    /// What it calls this installation.
    pub client_id: String,
    /// What it gave this installation as proof; empty for a public client. `@file:PATH` reads a file.
    pub client_secret: Secret,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that holds the name to sign in with; without it the address or the subject is taken.
    pub name_claim: String,
    /// The claim that holds the groups: a list of texts or one text; dots lead inwards, such as `realm_access.roles`.
    pub groups_claim: String,
    /// Which groups give which roles; in each tenant the first that fits counts.
    pub roles: Vec<GroupRole>,
    /// The role in the main tenant of those whose groups give none; empty keeps them out.
    pub default_role: String,
    /// Whether accounts are made for those who come for the first time. Those whom it is off for link their account in
    /// their profile.
    pub create_accounts: bool,
    /// Whether the provider's word counts for a second factor.
    pub second_factor: FactorTrust,
    /// Whether signing out here also ends the session at the provider.
    pub sign_out: bool,
}

/// Whether another system's word counts for a second factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FactorTrust {
    /// No: whoever needs or has a second factor proves it here.
    #[default]
    Ask,
    /// If it says so: the claim `amr` contains `mfa`.
    Amr,
    /// Always, because it lets nobody in with less.
    Trusted,
}

impl Default for OidcProvider {
    fn default() -> Self {
        Self {
            name: String::new(),
            label: String::new(),
            issuer: String::new(),
            client_id: String::new(),
            client_secret: Secret::default(),
            scopes: vec!["profile".to_owned(), "email".to_owned()],
            name_claim: "preferred_username".to_owned(),
            groups_claim: "groups".to_owned(),
            roles: Vec::new(),
            default_role: String::new(),
            create_accounts: true,
            second_factor: FactorTrust::default(),
            sign_out: false,
        }
    }
}

impl OidcProvider {
    /// What the button says.
    pub fn shown(&self) -> &str {
        if self.label.is_empty() { &self.name } else { &self.label }
    }

    /// What the catalog calls it.
    pub(crate) fn key(&self) -> String {
        format!("oidc:{}", self.name)
    }

    pub(crate) fn admission<'a>(&'a self, key: &'a str) -> Admission<'a> {
        Admission { provider: key, roles: &self.roles, default_role: &self.default_role, create: self.create_accounts }
    }

    /// What is wrong with it, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let of = |text: &str| Some(format!("identity.oidc: `{}`: {text}", self.name));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(plain) {
            return of("`name` is 1 to 40 of a-z, 0-9 and -");
        }
        let secure = self.issuer.starts_with("https://")
            || ["http://127.0.0.1", "http://[::1]", "http://localhost"].iter().any(|own| self.issuer.starts_with(own));
        if !secure {
            return of("`issuer` is an https:// address");
        }
        if self.client_id.is_empty() {
            return of("`client_id` is missing: the provider gives it when you register Guardian there");
        }
        None
    }
}
