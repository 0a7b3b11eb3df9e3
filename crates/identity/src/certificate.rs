//! Client certificates of people. Whoever accepts connections checks what is shown there: that it comes from one of the
//! operator's authorities, is valid now and was not revoked. Here it is asked whose it is and what that is worth:
//!
//! - A certificate alone signs in, as one factor; beside a password it is the second.
//! - It shows itself, without its holder doing anything, and so proves nothing for what is sensitive.
//! - A session that was opened with one, and every session of a role that asks for one, is good only where one of the
//!   account's own is shown.

use data_encoding::HEXLOWER;
use guardian_catalog::{
    CatalogError, ClientCertificate, Credentials, NewCertificate, Opening, RoleDraft, SignInMethod, Subject, Tx,
};
use guardian_model::{Micros, Scope, TenantId, UserId};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Digest as _;
use uuid::Uuid;
use x509_parser::asn1_rs::{Any, FromDer as _, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::sign_in::{active_session, may_sign_in, own_session};
use crate::{Identity, IdentityError, Origin, POLICY_KEY, Principal, SignedIn};

/// The user principal name of Active Directory among the further names of a certificate.
const UPN: &str = "1.3.6.1.4.1.311.20.2.3";
/// Most names of one certificate that are looked at.
const NAMES_MAX: usize = 20;
/// Longest certificate in PEM that is looked at, in bytes.
const PEM_BYTES_MAX: usize = 64 * 1_024;

/// The name in a certificate by which its holder's account is found, if it opens none by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientName {
    /// None: an account opens to the certificates that were added to it, and to no others.
    #[default]
    None,
    /// The mail address among its further names.
    Email,
    /// The user principal name of Active Directory.
    Upn,
    /// The common name of its subject.
    CommonName,
}

/// How client certificates are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateSettings {
    /// The name by which accounts are found.
    pub name: ClientName,
    /// Whether API keys and tokens are good without the certificate that the role of their owner asks for.
    pub exempt_programs: bool,
}

/// A certificate that the other end of a connection showed, and proved to hold the key of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    /// SHA-256 of the certificate, in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Whom it is for, as the authority wrote it.
    pub subject: String,
    /// The authority.
    pub issuer: String,
    /// Its number there.
    pub serial: String,
    /// Until when it is valid.
    pub not_after: Micros,
    emails: Vec<String>,
    principal_names: Vec<String>,
    common_names: Vec<String>,
}

impl ShownCertificate {
    /// Reads a certificate in DER. None if it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
        Some(Self::of(&parsed, der))
    }

    fn of(parsed: &X509Certificate<'_>, der: &[u8]) -> Self {
        let (mut emails, mut principal_names) = (Vec::new(), Vec::new());
        if let Ok(Some(further)) = parsed.subject_alternative_name() {
            for name in further.value.general_names.iter().take(NAMES_MAX) {
                match name {
                    GeneralName::RFC822Name(text) => emails.push((*text).to_owned()),
                    GeneralName::OtherName(kind, value) if kind.to_id_string() == UPN => {
                        principal_names.extend(principal_name(value));
                    }
                    _ => {}
                }
            }
        }
        let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        let digest = sha2::Sha256::digest(der);
        Self {
            fingerprint: HEXLOWER.encode(&digest),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            serial: parsed.raw_serial_as_string(),
            not_after: Micros(parsed.validity().not_after.timestamp().saturating_mul(Micros::SECOND)),
            emails,
            principal_names,
            common_names: common.take(NAMES_MAX).map(str::to_owned).collect(),
        }
    }

    fn names(&self, kind: ClientName) -> &[String] {
        match kind {
            ClientName::None => &[],
            ClientName::Email => &self.emails,
            ClientName::Upn => &self.principal_names,
            ClientName::CommonName => &self.common_names,
        }
    }

    fn to_add(&self, name: &str) -> NewCertificate {
        NewCertificate {
            name: if name.trim().is_empty() { "Certificate".to_owned() } else { name.to_owned() },
            fingerprint: self.fingerprint.clone(),
            subject: self.subject.clone(),
            issuer: self.issuer.clone(),
            serial: self.serial.clone(),
            not_after: self.not_after,
        }
    }

    fn told(&self) -> Value {
        json!({ "fingerprint": self.fingerprint, "subject": self.subject, "serial": self.serial })
    }
}

/// `[0] EXPLICIT UTF8String` (RFC 5280, 4.2.1.6).
fn principal_name(value: &[u8]) -> Option<String> {
    let (_, outer) = Any::from_der(value).ok()?;
    let (_, inner) = Any::from_der(outer.data).ok()?;
    if inner.tag() != Tag::Utf8String {
        return None;
    }
    std::str::from_utf8(inner.data).ok().map(str::to_owned)
}

/// Reads a certificate that somebody pasted, and refuses what could never sign anybody in.
fn pasted(pem: &str, now: Micros) -> Result<ShownCertificate, IdentityError> {
    let invalid = |text: &str| IdentityError::Invalid(text.to_owned());
    if pem.len() > PEM_BYTES_MAX {
        return Err(invalid("this is too long for a certificate"));
    }
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| invalid("this is no certificate in PEM form (-----BEGIN CERTIFICATE-----)"))?;
    let (_, parsed) =
        x509_parser::parse_x509_certificate(&der).map_err(|_| invalid("this certificate cannot be read"))?;
    let read = ShownCertificate::of(&parsed, &der);
    if read.not_after <= now {
        return Err(IdentityError::Invalid(format!("this certificate ended on {}", read.not_after)));
    }
    if parsed.is_ca() {
        return Err(invalid("this is the certificate of an authority, not of a person"));
    }
    if !for_clients(&parsed) {
        return Err(invalid("this certificate is not for signing in (it lacks the use `clientAuth`)"));
    }
    Ok(read)
}

fn for_clients(certificate: &X509Certificate<'_>) -> bool {
    match certificate.extended_key_usage() {
        Ok(Some(uses)) => uses.value.client_auth || uses.value.any,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Whose a certificate is, and the row that says so; none where a name in it does.
struct Holder {
    user: UserId,
    row: Option<Uuid>,
}

/// What is asked of a caller's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateDemand {
    /// One of their roles asks for one.
    pub required: bool,
    /// Their connection shows one of theirs.
    pub presented: bool,
}

impl Identity {
    /// Takes client certificates from now on. The first call counts.
    pub fn accept_certificates(&self, settings: CertificateSettings) {
        self.inner.certificates.set(settings).ok();
    }

    /// Whether accounts are found by this name in certificates; then people do not choose it themselves.
    pub(crate) fn finds_by(&self, name: ClientName) -> bool {
        self.inner.certificates.get().is_some_and(|settings| settings.name == name)
    }

    async fn holder(&self, shown: &ShownCertificate) -> Result<Option<Holder>, IdentityError> {
        let Some(settings) = self.inner.certificates.get() else { return Ok(None) };
        if self.inner.clock.now() >= shown.not_after {
            return Ok(None);
        }
        let system = self.inner.catalog.system();
        if let Some(known) = system.certificate(&shown.fingerprint).await? {
            return Ok(Some(Holder { user: known.user, row: Some(known.id) }));
        }
        let mut found = None;
        for name in shown.names(settings.name) {
            match (system.user_called(TenantId::DEFAULT, name).await?, found) {
                (None, _) => {}
                (Some(user), None) => found = Some(user),
                (Some(user), Some(other)) if user == other => {}
                // The names of two people: nobody's.
                (Some(_), Some(_)) => return Ok(None),
            }
        }
        Ok(found.map(|user| Holder { user, row: None }))
    }

    /// Whether the connection shows a certificate of this account.
    pub(crate) async fn shows_own(&self, user: UserId, origin: &Origin) -> Result<bool, IdentityError> {
        let Some(shown) = origin.certificate.as_deref() else { return Ok(false) };
        Ok(self.holder(shown).await?.is_some_and(|holder| holder.user == user))
    }

    /// Whether a role of an account asks for a certificate.
    pub(crate) async fn needs_certificate(&self, credentials: &Credentials) -> Result<bool, IdentityError> {
        for membership in &credentials.memberships {
            let own = |r: &&guardian_catalog::CustomRole| r.tenant == membership.tenant && r.name == membership.role;
            if credentials.roles.iter().find(own).is_some_and(|role| role.certificate_required)
                || self.policy(membership.tenant).await?.1.certificate_roles.contains(&membership.role)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses the key or token of somebody whose role asks for a certificate, where none of theirs is shown.
    pub(crate) async fn require_of_program(&self, owner: &Credentials, origin: &Origin) -> Result<(), IdentityError> {
        let exempt = self.inner.certificates.get().is_some_and(|settings| settings.exempt_programs);
        if exempt || !self.needs_certificate(owner).await? || self.shows_own(owner.user.id, origin).await? {
            return Ok(());
        }
        Err(IdentityError::CertificateRequired)
    }

    /// Refuses to ask certificates of roles where nobody can show one, and by somebody who would shut themselves out.
    pub(crate) async fn may_require_certificates(
        &self,
        by: &Principal,
        tenant: TenantId,
        roles: &[String],
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        if roles.is_empty() {
            return Ok(());
        }
        if self.inner.certificates.get().is_none() {
            return Err(IdentityError::Invalid(
                "nobody can show a certificate: the operator has to name the authorities in server.tls.client_ca"
                    .into(),
            ));
        }
        let Some(user) = by.user else { return Ok(()) };
        let known = self.inner.catalog.system().credentials(user).await?.ok_or(IdentityError::NotSignedIn)?;
        let own = known.memberships.iter().find(|m| m.tenant == tenant).is_some_and(|m| roles.contains(&m.role));
        if own && !self.shows_own(user, origin).await? {
            return Err(IdentityError::Invalid(
                "you would shut yourself out: your connection shows no certificate of yours".into(),
            ));
        }
        Ok(())
    }

    /// Signs in whoever's certificate the connection shows.
    pub async fn certificate_sign_in(&self, origin: &Origin) -> Result<SignedIn, IdentityError> {
        let known = match origin.certificate.as_deref() {
            Some(shown) => self.holder(shown).await?,
            None => return Err(IdentityError::BadCertificate),
        };
        let known = match known {
            Some(holder) => self.inner.catalog.system().credentials(holder.user).await?,
            None => None,
        };
        match known {
            Some(known) if may_sign_in(&known) => {
                self.open_session(known, Opening::with(SignInMethod::Certificate), origin).await
            }
            refused => {
                if self.may_note(origin) {
                    let account = refused.map(|known| known.user.name).unwrap_or_default();
                    self.note_failure("session.failed", &account, origin).await?;
                }
                Err(IdentityError::BadCertificate)
            }
        }
    }

    /// Writes down that an account was opened on a connection that shows a certificate of its own. Answers the
    /// certificate's row to [touch](guardian_catalog::System::touch_certificate), if it has one.
    pub(crate) async fn note_certificate(
        &self,
        tx: &mut Tx,
        user: UserId,
        origin: &Origin,
    ) -> Result<Option<Uuid>, IdentityError> {
        let Some(shown) = origin.certificate.as_deref() else { return Ok(None) };
        let Some(holder) = self.holder(shown).await?.filter(|holder| holder.user == user) else { return Ok(None) };
        tx.note("certificate.use", Subject::User, &user.to_string(), shown.told());
        Ok(holder.row)
    }

    /// What is asked of the principal's certificate.
    pub async fn certificate_demand(
        &self,
        principal: &Principal,
        origin: &Origin,
    ) -> Result<CertificateDemand, IdentityError> {
        let (user, _) = own_session(principal)?;
        let known = self.inner.catalog.system().credentials(user).await?.ok_or(IdentityError::NotSignedIn)?;
        Ok(CertificateDemand {
            required: self.needs_certificate(&known).await?,
            presented: self.shows_own(user, origin).await?,
        })
    }

    /// The principal's own certificates, oldest first.
    pub async fn own_certificates(&self, principal: &Principal) -> Result<Vec<ClientCertificate>, IdentityError> {
        let (user, _) = active_session(principal)?;
        Ok(self.inner.catalog.system().certificates_of(user).await?)
    }

    /// Adds the certificate that the connection shows to the principal's own account.
    pub async fn add_own_certificate(
        &self,
        principal: &Principal,
        name: &str,
        origin: &Origin,
    ) -> Result<ClientCertificate, IdentityError> {
        let (user, _) = active_session(principal)?;
        self.require_recent(principal)?;
        let shown = origin.certificate.as_deref().ok_or_else(|| {
            IdentityError::Invalid("this connection shows no certificate that this server takes".into())
        })?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let added = tx.add_certificate(user, &shown.to_add(name)).await?;
        tx.commit().await?;
        Ok(added)
    }

    /// Takes one of the principal's own certificates away, and ends their other sessions and tokens.
    pub async fn remove_own_certificate(
        &self,
        principal: &Principal,
        id: Uuid,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        let (user, session) = active_session(principal)?;
        self.require_recent(principal)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let gone = tx.remove_certificate(user, id, Some(session)).await?;
        let shown = origin.certificate.as_deref().is_some_and(|shown| shown.fingerprint == gone.fingerprint);
        if shown && self.certificate_demand(principal, origin).await?.required {
            return Err(CatalogError::Conflict(
                "your role asks for the certificate that you are here with: come with another one first".into(),
            )
            .into());
        }
        tx.commit().await?;
        Ok(())
    }

    /// Adds a certificate in PEM to an account at home in `tenant`. The caller has authorised it.
    pub async fn add_certificate(
        &self,
        by: &Principal,
        tenant: TenantId,
        user: UserId,
        name: &str,
        pem: &str,
        origin: &Origin,
    ) -> Result<ClientCertificate, IdentityError> {
        self.manageable(by, tenant, user).await?;
        let given = pasted(pem, self.inner.clock.now())?;
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        let added = tx.add_certificate(user, &given.to_add(name)).await?;
        tx.commit().await?;
        Ok(added)
    }

    /// Takes a certificate of an account at home in `tenant` away, and ends its sessions and tokens. The caller has
    /// authorised it.
    pub async fn remove_certificate(
        &self,
        by: &Principal,
        tenant: TenantId,
        user: UserId,
        id: Uuid,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        self.manageable(by, tenant, user).await?;
        let keep = by.session().filter(|_| by.user == Some(user));
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        tx.remove_certificate(user, id, keep).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Asks certificates of no role of `tenant` any more: the way back in for whoever runs the machine. Answers the roles
    /// that asked.
    pub async fn waive_certificates(
        &self,
        by: &Principal,
        tenant: TenantId,
        origin: &Origin,
    ) -> Result<Vec<String>, IdentityError> {
        let (version, mut policy) = self.policy(tenant).await?;
        let mut waived = std::mem::take(&mut policy.certificate_roles);
        let custom = self.inner.catalog.scoped(&Scope::of(tenant)).roles().await?;
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        if !waived.is_empty() {
            tx.put_setting(POLICY_KEY, &json!(policy), Some(version)).await?;
        }
        for role in custom.into_iter().filter(|role| role.certificate_required) {
            let draft = RoleDraft {
                name: role.name.clone(),
                description: role.description,
                permissions: role.permissions,
                mfa_required: role.mfa_required,
                certificate_required: false,
            };
            tx.update_role(&role.name, role.version, &draft).await?;
            waived.push(role.name);
        }
        tx.commit().await?;
        waived.sort();
        waived.dedup();
        Ok(waived)
    }
}
