//! Asking the directory (LDAP v3, RFC 4511). One connection a question: sign-ins are rare, and a connection that a
//! person's password was tried on is nobody else's.

use std::collections::BTreeSet;
use std::sync::Arc;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::config::{LdapConfig, Nested};
use crate::IdentityError;
use crate::external::Vouched;

/// Result code of a wrong name or password (RFC 4511, section 4.1.9).
const INVALID_CREDENTIALS: u32 = 49;
/// People who are let through for one name: one more than there may be.
const PEOPLE_MAX: i32 = 2;
/// Most groups of one person.
const GROUPS_MAX: i32 = 1_000;
/// How deep groups may be nested.
const DEPTH_MAX: usize = 10;

/// Somebody whom the directory knows.
pub(super) struct Found {
    pub(super) dn: String,
    pub(super) vouched: Vouched,
}

fn failed(what: &str, error: impl std::fmt::Display) -> IdentityError {
    IdentityError::External(format!("the directory: {what}: {error}"))
}

/// A connection on which somebody was looked up.
pub(super) struct Directory<'a> {
    config: &'a LdapConfig,
    ldap: Ldap,
}

impl<'a> Directory<'a> {
    /// Connects as the account that looks people up.
    pub(super) async fn open(config: &'a LdapConfig) -> Result<Self, IdentityError> {
        let mut ldap = connect(config).await?;
        if !config.bind_dn.is_empty() {
            ldap.with_timeout(config.timeout.get());
            let bound = ldap.simple_bind(&config.bind_dn, config.bind_password.expose()).await;
            bound.and_then(ldap3::LdapResult::success).map_err(|e| failed("bind_dn was not let in", e))?;
        }
        Ok(Self { config, ldap })
    }

    /// The person whom `filter` finds, with their groups. Two are none: nobody could say which it is.
    pub(super) async fn find(&mut self, filter: &str) -> Result<Option<Found>, IdentityError> {
        let config = self.config;
        let wanted = [config.subject.as_str(), &config.display_name, &config.email];
        let mut people = self.search(&config.base, filter, &wanted, PEOPLE_MAX).await?;
        let (Some(person), true) = (people.pop(), people.is_empty()) else { return Ok(None) };
        let first = |name: &str| {
            let held = person.attrs.iter().find(|(attribute, _)| attribute.eq_ignore_ascii_case(name));
            held.and_then(|(_, values)| values.first().cloned())
        };
        let binary = person.bin_attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(&config.subject));
        let hex = binary
            .and_then(|(_, values)| values.first())
            .map(|bytes| bytes.iter().fold("hex:".to_owned(), |text, byte| format!("{text}{byte:02x}")));
        let subject = hex.or_else(|| first(&config.subject));
        let subject = subject.ok_or_else(|| failed("somebody has no", format!("`{}`", config.subject)))?;
        let vouched = Vouched {
            subject,
            name: String::new(),
            display_name: first(&config.display_name),
            email: first(&config.email),
            groups: self.groups(&person.dn).await?,
        };
        Ok(Some(Found { dn: person.dn, vouched }))
    }

    /// The groups of somebody, each by its distinguished name and by its name.
    async fn groups(&mut self, dn: &str) -> Result<Vec<String>, IdentityError> {
        let (mut seen, mut names) = (BTreeSet::new(), Vec::new());
        let mut of = vec![dn.to_owned()];
        let config = self.config;
        for _ in 0..DEPTH_MAX {
            let mut next = Vec::new();
            for member in &of {
                let filter = config.filter_of_groups(member);
                for group in self.search(config.groups_at(), &filter, &["cn"], GROUPS_MAX).await? {
                    if seen.len() < GROUPS_MAX as usize && seen.insert(group.dn.to_lowercase()) {
                        names.extend(group.attrs.get("cn").into_iter().flatten().cloned());
                        names.push(group.dn.clone());
                        next.push(group.dn);
                    }
                }
            }
            if config.nested_groups != Nested::Walk || next.is_empty() {
                break;
            }
            of = next;
        }
        Ok(names)
    }

    async fn search(
        &mut self,
        base: &str,
        filter: &str,
        attributes: &[&str],
        most: i32,
    ) -> Result<Vec<SearchEntry>, IdentityError> {
        self.ldap.with_timeout(self.config.timeout.get());
        self.ldap.with_search_options(SearchOptions::new().sizelimit(most));
        let answer = self.ldap.search(base, Scope::Subtree, filter, attributes).await;
        let (found, _) = match answer.and_then(ldap3::SearchResult::success) {
            // No such object (32) is nobody, and so are more people than the one who was asked for (4).
            Err(LdapError::LdapResult { result }) if result.rc == 32 || (result.rc == 4 && most == PEOPLE_MAX) => {
                return Ok(Vec::new());
            }
            other => other.map_err(|e| failed("it could not be searched", e))?,
        };
        // Entries alone: references lead to other directories, which nobody named.
        Ok(found.into_iter().filter(|e| !e.is_ref() && !e.is_intermediate()).map(SearchEntry::construct).collect())
    }

    /// Ends the connection.
    pub(super) async fn close(mut self) {
        self.ldap.unbind().await.ok();
    }
}

/// Whether this is the password of whoever has this distinguished name. An empty one is nobody's: directories let it in
/// as anonymous (RFC 4513, section 5.1.2).
pub(super) async fn is_password(config: &LdapConfig, dn: &str, password: &str) -> Result<bool, IdentityError> {
    if password.is_empty() || dn.is_empty() {
        return Ok(false);
    }
    let mut ldap = connect(config).await?;
    ldap.with_timeout(config.timeout.get());
    let answer = ldap.simple_bind(dn, password).await.map_err(|e| failed("a password could not be tried", e))?;
    ldap.unbind().await.ok();
    match answer.rc {
        0 => Ok(true),
        INVALID_CREDENTIALS => Ok(false),
        // Locked, expired, not at this hour: the directory's own policy says no.
        other => {
            tracing::info!(code = other, text = answer.text, "the directory refused somebody");
            Ok(false)
        }
    }
}

async fn connect(config: &LdapConfig) -> Result<Ldap, IdentityError> {
    let mut settings = LdapConnSettings::new().set_conn_timeout(config.timeout.get()).set_starttls(config.starttls);
    if !config.ca.as_os_str().is_empty() {
        settings = settings.set_config(Arc::new(tls(config)?));
    }
    let connected = LdapConnAsync::with_settings(settings, &config.url).await;
    let (connection, ldap) = connected.map_err(|e| failed(&format!("{} does not answer", config.url), e))?;
    tokio::spawn(async move {
        if let Err(error) = connection.drive().await {
            tracing::debug!(%error, "a connection to the directory ended");
        }
    });
    Ok(ldap)
}

fn tls(config: &LdapConfig) -> Result<ClientConfig, IdentityError> {
    let shown = config.ca.display();
    let mut roots = RootCertStore::empty();
    let all = CertificateDer::pem_file_iter(&config.ca).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    for certificate in all.map_err(|e| failed(&format!("cannot read {shown}"), e))? {
        roots.add(certificate).map_err(|e| failed(&format!("{shown} holds no authority"), e))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| failed("TLS", e))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
