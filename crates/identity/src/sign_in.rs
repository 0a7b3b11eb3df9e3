//! Signing in with a password, and sessions. A session's token is 256 random bits that only the browser has; it ends
//! after a while unused, at the latest after a fixed time, and with every change of the password.

use guardian_catalog::{Actor, Credentials, FactorKind, Opening, Session, SignInMethod, Subject, user_name};
use guardian_model::{Micros, TenantId, UserId};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::limiter::{ACCOUNT, ADDRESS, PAIR, Policy, UnderWay, Wait};
use crate::roles::{permissions, role_names};
use crate::service::address;
use crate::{Identity, IdentityError, Origin, Principal, PrincipalKind, SessionState, secret};

/// How often a session's last use is written down, in microseconds.
pub(crate) const TOUCH_EVERY: i64 = Micros::MINUTE;

/// What an attempt counts against.
type Attempt<'a> = (&'a Policy, &'a [&'a [u8]]);

/// A fresh session.
pub struct SignedIn {
    /// The token for the cookie: shown once, kept nowhere.
    pub token: Zeroizing<String>,
    /// The session.
    pub session: Session,
    /// Who signed in.
    pub principal: Principal,
}

/// What is asked of an account beside its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mfa {
    /// It has to have a second factor.
    pub required: bool,
    /// It has one.
    pub enrolled: bool,
    /// What it can prove itself with.
    pub methods: Vec<&'static str>,
}

impl Identity {
    /// Signs an account in. A name that nobody has takes as long as a wrong password and fails in the same words. The
    /// session of an account with a second factor is worth nothing until that is proved, too.
    pub async fn sign_in(&self, name: &str, password: &str, origin: &Origin) -> Result<SignedIn, IdentityError> {
        let (credentials, method) = self.authenticate(name, password, origin).await?;
        self.open_session(credentials, Opening::with(method), origin).await
    }

    /// The account of this name and password, and who knows the password: this installation or the directory. Failures
    /// are counted and audited.
    pub(crate) async fn authenticate(
        &self,
        name: &str,
        password: &str,
        origin: &Origin,
    ) -> Result<(Credentials, SignInMethod), IdentityError> {
        let account = user_name(name).unwrap_or_default();
        let ip = address(origin.ip);
        let (pair, by_address, by_account): (&[&[u8]], &[&[u8]], &[&[u8]]) =
            (&[account.as_bytes(), &ip], &[&ip], &[account.as_bytes()]);
        let attempts = [(&PAIR, pair), (&ACCOUNT, by_account)];
        let under_way = match self.begin_attempt(&attempts, by_address) {
            Ok(under_way) => under_way,
            Err(Wait::Busy) => return Err(IdentityError::Busy),
            Err(Wait::Locked(retry_after)) => {
                if self.may_note(origin) {
                    self.note_failure("session.locked", &account, origin).await?;
                }
                return Err(IdentityError::Locked { retry_after });
            }
        };
        let known = self.inner.catalog.system().credentials_by_name(&account).await?;
        let verified = if self.directory_decides(known.as_ref()).await? {
            let found = self.directory_account(&account, password, known.as_ref()).await;
            found.map(|found| found.map(|credentials| (credentials, SignInMethod::Ldap)))
        } else {
            let hash = known.as_ref().and_then(|c| c.password_hash.as_deref());
            let right = self.inner.hasher.verify(password, hash).await;
            right.map(|right| known.filter(|_| right).map(|credentials| (credentials, SignInMethod::Password)))
        };
        // What is no answer to the password is no failure of whoever typed it.
        if matches!(verified, Err(IdentityError::Busy | IdentityError::External(_))) {
            self.forgive(&attempts, false);
            under_way.forgive();
            return Err(verified.err().unwrap_or(IdentityError::Busy));
        }
        if let Some(found) = verified?.filter(|(credentials, _)| may_sign_in(credentials)) {
            self.forgive(&attempts, true);
            under_way.forgive();
            return Ok(found);
        }
        drop(under_way);
        self.note_failure("session.failed", &account, origin).await?;
        Err(IdentityError::BadCredentials)
    }

    /// Counts an attempt to sign in, unless something keeps it from beginning; then nothing is counted.
    fn begin_attempt(&self, attempts: &[Attempt<'_>], by_address: &[&[u8]]) -> Result<UnderWay<'_>, Wait> {
        let (limiter, clock) = (&self.inner.limiter, self.inner.clock.as_ref());
        let under_way = limiter.enter(&ADDRESS, by_address, clock)?;
        match limiter.attempt(attempts, clock.monotonic()) {
            Ok(()) => Ok(under_way),
            Err(locked) => {
                under_way.forgive();
                Err(Wait::Locked(locked))
            }
        }
    }

    /// As [`Identity::session_from`], on a connection that shows no client certificate.
    pub async fn session(&self, token: &str) -> Result<Principal, IdentityError> {
        self.session_from(token, &Origin::default()).await
    }

    /// Who has this session token, on the connection that the request came by. Not signed in if it is unknown or ended.
    pub async fn session_from(&self, token: &str, origin: &Origin) -> Result<Principal, IdentityError> {
        let system = self.inner.catalog.system();
        let found = system.session(&secret::hash("session", token)).await?;
        let session = found.ok_or(IdentityError::NotSignedIn)?;
        let now = self.inner.clock.now();
        if now >= session.expires || now - session.last_seen >= self.inner.config.session_idle.as_micros() {
            return Err(IdentityError::NotSignedIn);
        }
        let credentials = system.credentials(session.user).await?.filter(may_sign_in);
        let credentials = credentials.ok_or(IdentityError::NotSignedIn)?;
        if now - session.last_seen >= TOUCH_EVERY {
            system.touch_session(session.id).await?;
        }
        let state = self.state_of(&credentials, &session, origin).await?;
        Ok(principal(&credentials, &session, state))
    }

    /// Ends the principal's own session.
    pub async fn sign_out(&self, principal: &Principal, origin: &Origin) -> Result<(), IdentityError> {
        let (_, session) = own_session(principal)?;
        self.end_own_session(principal, session, origin).await
    }

    /// The sessions of the principal's own account, last used first.
    pub async fn own_sessions(&self, principal: &Principal) -> Result<Vec<Session>, IdentityError> {
        let (user, _) = own_session(principal)?;
        Ok(self.inner.catalog.system().sessions_of(user).await?)
    }

    /// Ends one of the principal's own sessions.
    pub async fn end_own_session(
        &self,
        principal: &Principal,
        session: Uuid,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        let (user, _) = own_session(principal)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        tx.close_session(user, session).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends all of the principal's own sessions but this one, and their tokens. Returns how many sessions ended.
    pub async fn end_other_sessions(&self, principal: &Principal, origin: &Origin) -> Result<u64, IdentityError> {
        let (user, session) = active_session(principal)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let ended = tx.close_sessions(user, Some(session)).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Changes the principal's own password, which ends their other sessions and their tokens. The old password is asked
    /// for, and failing it counts as failing to sign in.
    pub async fn change_password(
        &self,
        principal: &Principal,
        old: &str,
        new: &str,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        let (user, session) = active_session(principal)?;
        self.refuse_managed(user, "change the password").await?;
        self.check_new_password(new, &principal.name).await?;
        let known = self.verify_own(user, old, origin).await?;
        let hash = self.inner.hasher.hash(new).await?;
        let mut tx = self.begin(known.user.home_tenant, principal.actor(origin)).await?;
        tx.set_password(user, hash, Some(session)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Notes that the holder of a session proved their password once more, which opens what is sensitive for a while.
    /// Answers the principal as it is then.
    pub async fn prove(
        &self,
        principal: &Principal,
        password: &str,
        origin: &Origin,
    ) -> Result<Principal, IdentityError> {
        let (user, session) = own_session(principal)?;
        let known = self.verify_own(user, password, origin).await?;
        if known.factors > 0 {
            return Err(IdentityError::Invalid(
                "this account has a second factor: prove yourself with its code".into(),
            ));
        }
        let mut tx = self.begin(known.user.home_tenant, principal.actor(origin)).await?;
        let session = tx.prove_session(user, session, false, None).await?;
        tx.commit().await?;
        let mut proved = principal.clone();
        proved.proved = Some(session.proved);
        Ok(proved)
    }

    /// The account, if this is its password. Failing counts as failing to sign in.
    async fn verify_own(&self, user: UserId, password: &str, origin: &Origin) -> Result<Credentials, IdentityError> {
        let ip = address(origin.ip);
        let known = self.inner.catalog.system().credentials(user).await?.ok_or(IdentityError::NotSignedIn)?;
        let name = known.user.name.clone();
        let attempts: [(_, &[&[u8]]); 2] = [(&PAIR, &[name.as_bytes(), &ip]), (&ACCOUNT, &[name.as_bytes()])];
        let waited = self.inner.limiter.attempt(&attempts, self.inner.clock.monotonic());
        waited.map_err(|retry_after| IdentityError::Locked { retry_after })?;
        let right = if self.directory_decides(Some(&known)).await? {
            self.directory_password(&known, password).await?
        } else {
            self.inner.hasher.verify(password, known.password_hash.as_deref()).await?
        };
        if !right {
            self.note_failure("session.failed", &name, origin).await?;
            return Err(IdentityError::BadCredentials);
        }
        self.forgive(&attempts, true);
        Ok(known)
    }

    /// Whether the principal's account has a second factor and has to have one.
    pub async fn mfa(&self, principal: &Principal) -> Result<Mfa, IdentityError> {
        let (user, _) = own_session(principal)?;
        let known = self.inner.catalog.system().credentials(user).await?.ok_or(IdentityError::NotSignedIn)?;
        let held = self.inner.catalog.system().factors(user).await?;
        let has = |kind| held.iter().any(|f| f.confirmed && f.kind == kind);
        let mut methods: Vec<_> =
            FactorKind::ALL.iter().copied().filter(|kind| has(*kind)).map(FactorKind::as_str).collect();
        if self.inner.catalog.system().recovery_codes_left(user).await? > 0 {
            methods.push("recovery_code");
        }
        Ok(Mfa { required: self.needs_factor(&known).await?, enrolled: known.factors > 0, methods })
    }

    async fn state_of(
        &self,
        credentials: &Credentials,
        session: &Session,
        origin: &Origin,
    ) -> Result<SessionState, IdentityError> {
        let shown = self.shows_own(credentials.user.id, origin).await?;
        let alone = session.method == SignInMethod::Certificate;
        // What opened the session is one factor, and the certificate beside it another.
        let second = session.factor_at.is_some() && (credentials.factors > 0 || session.external_factor);
        if !(second || shown && !alone) {
            if credentials.factors > 0 {
                return Ok(SessionState::FactorRequired);
            }
            if self.needs_factor(credentials).await? {
                return self.missing_factor(credentials, shown).await;
            }
        }
        if !shown && (alone || self.needs_certificate(credentials).await?) {
            return Ok(SessionState::CertificateRequired);
        }
        Ok(SessionState::Active)
    }

    /// What somebody has to do who needs a second factor. Whoever has a certificate for one brings it, rather than
    /// adding another with a password alone.
    async fn missing_factor(&self, credentials: &Credentials, shown: bool) -> Result<SessionState, IdentityError> {
        let taken = self.inner.certificates.get().is_some();
        let held =
            taken && !shown && !self.inner.catalog.system().certificates_of(credentials.user.id).await?.is_empty();
        Ok(if held { SessionState::CertificateRequired } else { SessionState::EnrolmentRequired })
    }

    /// Takes attempts back; `proved` lets the account start anew.
    fn forgive(&self, attempts: &[Attempt<'_>], proved: bool) {
        let now = self.inner.clock.monotonic();
        for (policy, parts) in attempts {
            self.inner.limiter.forgive(policy, parts, proved, now);
        }
    }

    pub(crate) async fn open_session(
        &self,
        credentials: Credentials,
        opening: Opening<'_>,
        origin: &Origin,
    ) -> Result<SignedIn, IdentityError> {
        let user = &credentials.user;
        let token = secret::token()?;
        let mut tx = self.begin(user.home_tenant, user_actor(&credentials, origin)).await?;
        let expires = tx.now() + self.inner.config.session_max.as_micros();
        let hash = secret::hash("session", &token);
        let session = tx.open_session(user.id, hash, expires, origin.user_agent.as_deref(), opening).await?;
        let certificate = self.note_certificate(&mut tx, user.id, origin).await?;
        tx.commit().await?;
        if let Some(row) = certificate {
            self.inner.catalog.system().touch_certificate(row).await?;
        }
        let state = self.state_of(&credentials, &session, origin).await?;
        let principal = principal(&credentials, &session, state);
        Ok(SignedIn { token, session, principal })
    }

    /// Audits a failed or locked sign-in, in the home tenant of the account if there is one. A name that nobody has is not
    /// written down: it may well be a password in the wrong field.
    pub(crate) async fn note_failure(
        &self,
        action: &'static str,
        account: &str,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        let known = self.inner.catalog.system().credentials_by_name(account).await?;
        let (tenant, id, detail) = match &known {
            Some(c) => {
                (c.user.home_tenant, c.user.id.to_string(), json!({ "user": c.user.name, "disabled": c.user.disabled }))
            }
            None => (TenantId::DEFAULT, String::new(), json!({ "user": null })),
        };
        let mut tx = self.begin(tenant, Actor::anonymous(origin.ip, origin.request_id.clone())).await?;
        tx.note(action, Subject::User, &id, detail);
        tx.commit().await?;
        Ok(())
    }
}

/// The account and session of a principal who signed in; keys and the local operator have neither.
pub(crate) fn own_session(principal: &Principal) -> Result<(UserId, Uuid), IdentityError> {
    match (principal.kind, principal.user) {
        (PrincipalKind::Session { session }, Some(user)) => Ok((user, session)),
        _ => Err(IdentityError::Forbidden("this is for people who signed in, not for keys of programs".into())),
    }
}

/// As [`own_session`], of a sign-in that came all the way.
pub(crate) fn active_session(principal: &Principal) -> Result<(UserId, Uuid), IdentityError> {
    match principal.state {
        SessionState::Active => own_session(principal),
        SessionState::FactorRequired => Err(IdentityError::FactorRequired),
        SessionState::EnrolmentRequired => Err(IdentityError::EnrolmentRequired),
        SessionState::CertificateRequired => Err(IdentityError::CertificateRequired),
    }
}

pub(crate) fn may_sign_in(credentials: &Credentials) -> bool {
    !credentials.user.disabled && !credentials.user.pending
}

fn principal(credentials: &Credentials, session: &Session, state: SessionState) -> Principal {
    let user = &credentials.user;
    let kind = PrincipalKind::Session { session: session.id };
    let (permissions, roles) = match state {
        SessionState::Active => (permissions(credentials), role_names(credentials)),
        SessionState::FactorRequired | SessionState::EnrolmentRequired | SessionState::CertificateRequired => {
            Default::default()
        }
    };
    let principal = Principal::new(kind, Some(user.id), user.name.clone(), user.home_tenant, permissions);
    let mut principal = principal.with_roles(roles);
    principal.proved = Some(session.proved);
    principal.state = state;
    principal
}

/// The account as the audit trail names it before there is a session.
pub(crate) fn user_actor(credentials: &Credentials, origin: &Origin) -> Actor {
    Actor {
        kind: guardian_catalog::ActorKind::User,
        id: Some(credentials.user.id.to_string()),
        name: credentials.user.name.clone(),
        ip: origin.ip,
        request_id: origin.request_id.clone(),
    }
}
