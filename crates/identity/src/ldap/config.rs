//! What the operator says of the directory.

use std::path::PathBuf;

use guardian_kit::config::{Duration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::GroupRole;
use crate::external::Admission;

/// What the catalog calls the directory.
pub(crate) const PROVIDER: &str = "ldap";

/// A directory (LDAP, Active Directory) whose people sign in with their name and password there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LdapConfig {
    /// Where it is: `ldaps://dc1.example.com`, or `ldap://…` with `starttls`. Empty for no directory.
    pub url: String,
    /// Whether a connection to `ldap://` is made secure before anything is said.
    pub starttls: bool,
    /// Whether passwords may travel in the clear over `ldap://`, for a directory on this machine.
    pub plaintext: bool,
    /// PEM file with the authority of its certificate; empty takes those of the system.
    pub ca: PathBuf,
    /// Who looks people up: a distinguished name, or `name@domain` in Active Directory. Empty asks anonymously.
    pub bind_dn: String,
    /// The password of `bind_dn`; `@file:PATH` reads a file.
    pub bind_password: Secret,
    /// Where people are looked for.
    pub base: String,
    /// Who may be found; `{name}` is the name that was typed. Active Directory:
    /// `(&(objectCategory=person)(objectClass=user)(sAMAccountName={name})(!(userAccountControl:1.2.840.113556.1.4.803:=2)))`.
    pub user_filter: String,
    /// The attribute that never changes: `entryUUID`, in Active Directory `objectGUID`.
    pub subject: String,
    /// The attribute with the name for people.
    pub display_name: String,
    /// The attribute with the mail address.
    pub email: String,
    /// Where groups are looked for; empty takes `base`.
    pub group_base: String,
    /// The groups of somebody; `{dn}` is their distinguished name.
    pub group_filter: String,
    /// Whether groups inside groups count.
    pub nested_groups: Nested,
    /// Which groups give which roles, by name (`cn`) or distinguished name; in each tenant the first that fits counts.
    pub roles: Vec<GroupRole>,
    /// The role in the main tenant of those whose groups give none; empty keeps them out.
    pub default_role: String,
    /// Whether accounts are made for those who come for the first time.
    pub create_accounts: bool,
    /// How often the directory is asked whether its people still have their groups; those who lost them are disabled.
    pub refresh: Duration,
    /// How long one question may take.
    pub timeout: Duration,
}

/// Whether groups inside groups count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nested {
    /// No.
    #[default]
    No,
    /// Yes, and the directory finds them itself: Active Directory, by its matching rule in chain.
    MatchingRule,
    /// Yes, by asking for the groups of each group: any directory, ten levels deep.
    Walk,
}

impl Default for LdapConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            starttls: false,
            plaintext: false,
            ca: PathBuf::new(),
            bind_dn: String::new(),
            bind_password: Secret::default(),
            base: String::new(),
            user_filter: "(&(objectClass=inetOrgPerson)(uid={name}))".to_owned(),
            subject: "entryUUID".to_owned(),
            display_name: "cn".to_owned(),
            email: "mail".to_owned(),
            group_base: String::new(),
            group_filter: "(member={dn})".to_owned(),
            nested_groups: Nested::No,
            roles: Vec::new(),
            default_role: String::new(),
            create_accounts: true,
            refresh: Duration::secs(15 * 60),
            timeout: Duration::secs(10),
        }
    }
}

impl LdapConfig {
    /// Whether there is a directory.
    pub fn is_set(&self) -> bool {
        !self.url.is_empty()
    }

    pub(crate) fn admission(&self) -> Admission<'_> {
        Admission {
            provider: PROVIDER,
            roles: &self.roles,
            default_role: &self.default_role,
            create: self.create_accounts,
        }
    }

    /// What is wrong with it, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        if !self.is_set() {
            return None;
        }
        let of = |text: &str| Some(format!("identity.ldap: {text}"));
        match self.url.split_once("://").map(|(scheme, _)| scheme) {
            Some("ldaps") if self.starttls => return of("`starttls` goes with ldap://, not with ldaps://"),
            Some("ldap") if !self.starttls && !self.plaintext => {
                return of("passwords would travel in the clear: use ldaps://, or set `starttls`");
            }
            Some("ldaps" | "ldap") => {}
            _ => return of("`url` is such as ldaps://dc1.example.com"),
        }
        if self.base.is_empty() {
            return of("`base` is missing: where people are looked for, such as ou=people,dc=example,dc=com");
        }
        if !self.user_filter.contains("{name}") {
            return of("`user_filter` does not contain {name}, so that everybody would be the first who is found");
        }
        if !self.group_filter.contains("{dn}") {
            return of("`group_filter` does not contain {dn}");
        }
        None
    }

    /// Finds the person of this name. Whatever the name contains, it stays a value.
    pub(super) fn filter_by_name(&self, name: &str) -> String {
        self.user_filter.replace("{name}", &ldap3::ldap_escape(name))
    }

    /// Finds the person whom the directory calls `subject` for ever, if they still are one of those who may be found.
    pub(super) fn filter_by_subject(&self, subject: &str) -> String {
        let value = match subject.strip_prefix("hex:") {
            Some(hex) => hex.as_bytes().chunks(2).map(|two| format!("\\{}", String::from_utf8_lossy(two))).collect(),
            None => ldap3::ldap_escape(subject).into_owned(),
        };
        format!("(&{}({}={value}))", self.user_filter.replace("{name}", "*"), self.subject)
    }

    /// Finds the groups that whoever has this distinguished name is in.
    pub(super) fn filter_of_groups(&self, dn: &str) -> String {
        let filter = match self.nested_groups {
            Nested::MatchingRule => self.group_filter.replace("member=", "member:1.2.840.113556.1.4.1941:="),
            Nested::No | Nested::Walk => self.group_filter.clone(),
        };
        filter.replace("{dn}", &ldap3::ldap_escape(dn))
    }

    /// Where groups are looked for.
    pub(super) fn groups_at(&self) -> &str {
        if self.group_base.is_empty() { &self.base } else { &self.group_base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_stays_a_value() {
        let config = LdapConfig::default();
        assert_eq!(config.filter_by_name("ann"), "(&(objectClass=inetOrgPerson)(uid=ann))");
        let evil = config.filter_by_name("*)(uid=root)\\\0");
        assert_eq!(evil, "(&(objectClass=inetOrgPerson)(uid=\\2a\\29\\28uid=root\\29\\5c\\00))");
        assert_eq!(config.filter_by_subject("a-b*"), "(&(&(objectClass=inetOrgPerson)(uid=*))(entryUUID=a-b\\2a))");
        let directory = LdapConfig { subject: "objectGUID".into(), ..LdapConfig::default() };
        assert!(directory.filter_by_subject("hex:00ff").ends_with("(objectGUID=\\00\\ff))"));
    }

    #[test]
    fn active_directory_finds_groups_in_groups() {
        let config = LdapConfig { nested_groups: Nested::MatchingRule, ..LdapConfig::default() };
        let filter = config.filter_of_groups("CN=Ann (SOC),DC=example");
        assert_eq!(filter, "(member:1.2.840.113556.1.4.1941:=CN=Ann \\28SOC\\29,DC=example)");
    }

    #[test]
    fn what_is_unsafe_is_said_at_the_start() {
        let good = LdapConfig {
            url: "ldaps://dc1.example.com".into(),
            base: "dc=example,dc=com".into(),
            ..LdapConfig::default()
        };
        assert_eq!(good.problem(), None);
        assert_eq!(LdapConfig::default().problem(), None, "no directory");
        for (bad, word) in [
            (LdapConfig { url: "ldap://dc1".into(), ..good.clone() }, "in the clear"),
            (LdapConfig { url: "dc1".into(), ..good.clone() }, "url"),
            (LdapConfig { starttls: true, ..good.clone() }, "starttls"),
            (LdapConfig { base: String::new(), ..good.clone() }, "base"),
            (LdapConfig { user_filter: "(uid=*)".into(), ..good.clone() }, "{name}"),
            (LdapConfig { group_filter: "(cn=*)".into(), ..good.clone() }, "{dn}"),
        ] {
            assert!(bad.problem().is_some_and(|text| text.contains(word)), "{word}");
        }
    }
}
