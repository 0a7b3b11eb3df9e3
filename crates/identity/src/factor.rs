//! Second factors: codes of an authenticator app, and recovery codes for the day the telephone is gone; passkeys are in
//! [`crate::passkey`]. Who needs one is said by the tenant's policy and by its roles; the strictest of an account's tenants
//! counts.

use guardian_catalog::{CatalogError, Credentials, FactorKind, SecondFactor, Tx};
use guardian_model::{TenantId, UserId};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::limiter::{ACCOUNT, PAIR};
use crate::service::address;
use crate::sign_in::{active_session, own_session};
use crate::{Identity, IdentityError, Origin, Principal, SessionState, SignedIn, secret, totp};

/// How many recovery codes there are.
const RECOVERY_CODES: usize = 10;

/// An authenticator app to be.
pub struct BegunTotp {
    /// The factor; it counts once it is confirmed.
    pub factor: SecondFactor,
    /// The secret in base 32: shown once.
    pub secret: Zeroizing<String>,
    /// The secret as a URI for a QR code.
    pub uri: Zeroizing<String>,
}

/// What an account has beside its password.
#[derive(Clone, Debug)]
pub struct Factors {
    /// The confirmed ones, oldest first.
    pub factors: Vec<SecondFactor>,
    /// How many recovery codes are left.
    pub recovery_codes_left: u64,
}

impl Identity {
    /// The principal's own second factors.
    pub async fn factors(&self, principal: &Principal) -> Result<Factors, IdentityError> {
        let (user, _) = own_session(principal)?;
        let system = self.inner.catalog.system();
        let factors = system.factors(user).await?.into_iter().filter(|f| f.confirmed).collect();
        Ok(Factors { factors, recovery_codes_left: system.recovery_codes_left(user).await? })
    }

    /// Begins to add an authenticator app to the principal's own account.
    pub async fn begin_totp(
        &self,
        principal: &Principal,
        name: &str,
        origin: &Origin,
    ) -> Result<BegunTotp, IdentityError> {
        let (user, _) = enrolling_session(principal)?;
        self.require_recent(principal)?;
        let bytes = secret::random::<{ totp::SECRET_BYTES }>()?;
        let sealed = self.seal(&user.to_string(), bytes.as_slice()).await?;
        let name = if name.trim().is_empty() { "Authenticator app" } else { name };
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let factor = tx.add_factor(user, FactorKind::Totp, name, sealed).await?;
        tx.commit().await?;
        let secret = Zeroizing::new(totp::base32(bytes.as_slice()));
        let uri = Zeroizing::new(totp::uri(&secret, &principal.name));
        Ok(BegunTotp { factor, secret, uri })
    }

    /// Confirms an authenticator app by its first code. With the first factor of an account come its recovery codes, and
    /// its other sessions end, because they were opened with less.
    pub async fn confirm_totp(
        &self,
        principal: &Principal,
        id: Uuid,
        code: &str,
        origin: &Origin,
    ) -> Result<Vec<Zeroizing<String>>, IdentityError> {
        let (user, session) = enrolling_session(principal)?;
        self.require_recent(principal)?;
        self.count_code(&principal.name, origin)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let all = tx.factors_of(user).await?;
        let new = all
            .iter()
            .find(|f| f.id == id && !f.confirmed && f.kind == FactorKind::Totp)
            .ok_or(CatalogError::NotFound("factor"))?;
        let step = self.step_of(new, code).await?.ok_or(IdentityError::BadCode)?;
        let first = !all.iter().any(|f| f.confirmed);
        tx.confirm_factor(user, id, step).await?;
        let codes = if first { put_recovery_codes(&mut tx, user).await? } else { Vec::new() };
        tx.prove_session(user, session, true, None).await?;
        if first {
            tx.close_sessions(user, Some(session)).await?;
        }
        tx.commit().await?;
        self.forgive_code(&principal.name, origin);
        Ok(codes)
    }

    /// Takes one of the principal's own factors away.
    pub async fn remove_factor(&self, principal: &Principal, id: Uuid, origin: &Origin) -> Result<(), IdentityError> {
        let (user, _) = active_session(principal)?;
        self.require_recent(principal)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        tx.remove_factor(user, id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Replaces the principal's own recovery codes.
    pub async fn new_recovery_codes(
        &self,
        principal: &Principal,
        origin: &Origin,
    ) -> Result<Vec<Zeroizing<String>>, IdentityError> {
        let (user, _) = active_session(principal)?;
        self.require_recent(principal)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        if !tx.factors_of(user).await?.iter().any(|f| f.confirmed) {
            return Err(IdentityError::Invalid("recovery codes go with a second factor: add one first".into()));
        }
        let codes = put_recovery_codes(&mut tx, user).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// Takes all factors of an account at home in `tenant` away, for somebody whose telephone is gone, and ends its
    /// sessions. The caller has authorised it.
    pub async fn reset_factors(
        &self,
        by: &Principal,
        tenant: TenantId,
        id: UserId,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        self.manageable(by, tenant, id).await?;
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        tx.reset_factors(id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Completes a sign-in, or proves oneself once more, with a code. The session gets a new token.
    pub async fn prove_factor(
        &self,
        principal: &Principal,
        code: &str,
        origin: &Origin,
    ) -> Result<SignedIn, IdentityError> {
        let (user, session) = own_session(principal)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        match self.use_code(&mut tx, user, &principal.name, code, origin).await {
            Err(IdentityError::BadCode) => {
                drop(tx);
                self.note_bad_code(principal, origin).await?;
                return Err(IdentityError::BadCode);
            }
            done => done?,
        }
        let token = secret::token()?;
        let session = tx.prove_session(user, session, true, Some(secret::hash("session", &token))).await?;
        tx.commit().await?;
        self.forgive_code(&principal.name, origin);
        let principal = self.session_from(&token, origin).await?;
        Ok(SignedIn { token, session, principal })
    }

    /// Uses up a code of an authenticator app or a recovery code. A wrong one is counted and audited.
    pub(crate) async fn use_code(
        &self,
        tx: &mut Tx,
        user: UserId,
        name: &str,
        code: &str,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        self.count_code(name, origin)?;
        let held = tx.factors_of(user).await?;
        for factor in held.iter().filter(|f| f.confirmed && f.kind == FactorKind::Totp) {
            if let Some(step) = self.step_of(factor, code).await? {
                return Ok(tx.use_factor(user, factor.id, step).await?);
            }
        }
        let hash = recovery_hash(user, code);
        match tx.use_recovery_code(user, &hash).await {
            Ok(()) => Ok(()),
            Err(CatalogError::NotFound(_)) => Err(IdentityError::BadCode),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an account has to have a second factor.
    pub(crate) async fn needs_factor(&self, credentials: &Credentials) -> Result<bool, IdentityError> {
        for membership in &credentials.memberships {
            let own = |r: &&guardian_catalog::CustomRole| r.tenant == membership.tenant && r.name == membership.role;
            let policy = self.policy(membership.tenant).await?.1;
            if policy.mfa_required
                || policy.mfa_roles.contains(&membership.role)
                || credentials.roles.iter().find(own).is_some_and(|role| role.mfa_required)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn step_of(&self, factor: &SecondFactor, code: &str) -> Result<Option<i64>, IdentityError> {
        let secret = self.unseal(&factor.user.to_string(), &factor.secret).await?;
        let now_secs = self.inner.clock.now().0.div_euclid(guardian_model::Micros::SECOND);
        Ok(totp::matching_step(&secret, code, now_secs, factor.counter))
    }

    /// Six digits are guessed in a day if nobody counts.
    fn count_code(&self, name: &str, origin: &Origin) -> Result<(), IdentityError> {
        let ip = address(origin.ip);
        let attempts: [(_, &[&[u8]]); 2] =
            [(&PAIR, &[b"code", name.as_bytes(), &ip]), (&ACCOUNT, &[b"code", name.as_bytes()])];
        let waited = self.inner.limiter.attempt(&attempts, self.inner.clock.monotonic());
        waited.map_err(|retry_after| IdentityError::Locked { retry_after })
    }

    pub(crate) fn forgive_code(&self, name: &str, origin: &Origin) {
        let (ip, now) = (address(origin.ip), self.inner.clock.monotonic());
        self.inner.limiter.forgive(&PAIR, &[b"code", name.as_bytes(), &ip], true, now);
        self.inner.limiter.forgive(&ACCOUNT, &[b"code", name.as_bytes()], true, now);
    }

    /// Audits a wrong code.
    pub(crate) async fn note_bad_code(&self, principal: &Principal, origin: &Origin) -> Result<(), IdentityError> {
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let user = principal.user.map(|u| u.to_string()).unwrap_or_default();
        tx.note("session.failed", guardian_catalog::Subject::User, &user, json!({ "factor": true }));
        tx.commit().await?;
        Ok(())
    }
}

/// A session that may add a factor: one that is complete, or one that is waiting for its owner to add the first.
pub(crate) fn enrolling_session(principal: &Principal) -> Result<(UserId, Uuid), IdentityError> {
    match principal.state {
        SessionState::FactorRequired => Err(IdentityError::FactorRequired),
        SessionState::CertificateRequired => Err(IdentityError::CertificateRequired),
        SessionState::Active | SessionState::EnrolmentRequired => own_session(principal),
    }
}

pub(crate) async fn put_recovery_codes(tx: &mut Tx, user: UserId) -> Result<Vec<Zeroizing<String>>, IdentityError> {
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let letters = secret::public_id()?;
        codes.push(Zeroizing::new(format!(
            "{}-{}-{}-{}",
            &letters[..4],
            &letters[4..8],
            &letters[8..12],
            &letters[12..]
        )));
    }
    let hashes = codes.iter().map(|code| recovery_hash(user, code)).collect();
    tx.put_recovery_codes(user, hashes).await?;
    Ok(codes)
}

/// A fast hash is enough: a code has 80 random bits.
fn recovery_hash(user: UserId, code: &str) -> Vec<u8> {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    secret::hash("recovery code", &format!("{user}:{plain}"))
}
