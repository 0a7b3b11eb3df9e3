//! The service that other crates use: it holds the catalog, the clock, the hasher and the limiter, and says who
//! somebody is and whether they may. Signing in and out is in [`crate::sign_in`], keys in [`crate::keys`], set-up in
//! [`crate::setup`], accounts in [`crate::accounts`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use guardian_catalog::{Catalog, Subject, Tx};
use guardian_kit::clock::Clock;
use guardian_kit::egress;
use guardian_model::{Ip, Micros, Scope, TenantId};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::certificate::CertificateSettings;
use crate::limiter::{Limiter, NOTED};
use crate::oidc::{Journey, Known};
use crate::passkey::Ceremony;
use crate::password::Hasher;
use crate::pending::Pending;
use crate::rate::Rates;
use crate::vault::Vault;
use crate::{
    IdentityConfig, IdentityError, OperatorKey, Origin, Permission, Principal, PrincipalKind, Refusal, SessionState,
    authorise,
};

/// Says who somebody is and what they may do. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: IdentityConfig,
    pub(crate) data: PathBuf,
    pub(crate) hasher: Hasher,
    pub(crate) limiter: Limiter,
    pub(crate) operator: RwLock<Option<OperatorKey>>,
    pub(crate) rates: Rates,
    /// The catalog's keys, once they were needed.
    pub(crate) vault: RwLock<Option<Arc<Vault>>>,
    pub(crate) ceremonies: Pending<Ceremony>,
    pub(crate) journeys: Pending<Journey>,
    pub(crate) oidc: Known,
    /// How client certificates are taken; set once at the start, if they are.
    pub(crate) certificates: OnceLock<CertificateSettings>,
    /// Lets so many questions to the directory through.
    pub(crate) asking: Semaphore,
    /// Set once at the start; without it no other system is asked.
    pub(crate) egress: OnceLock<egress::Client>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Identity {
    /// A service over `catalog`; `data` is the data directory, where the set-up token is written.
    pub fn new(catalog: Catalog, clock: Arc<dyn Clock>, config: IdentityConfig, data: &Path) -> Self {
        Self {
            inner: Arc::new(Inner {
                rates: Rates::new(config.key_requests_per_minute),
                catalog,
                clock,
                config,
                data: data.to_owned(),
                hasher: Hasher::new(),
                limiter: Limiter::default(),
                operator: RwLock::new(None),
                vault: RwLock::new(None),
                ceremonies: Pending::default(),
                journeys: Pending::default(),
                oidc: Known::default(),
                certificates: OnceLock::new(),
                asking: crate::ldap::gate(),
                egress: OnceLock::new(),
            }),
        }
    }

    /// Lets it ask other systems, by the one client for that. The first call counts.
    pub fn reach(&self, egress: egress::Client) {
        self.inner.egress.set(egress).ok();
    }

    /// The catalog behind it.
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// Whether `principal` may do what `permission` allows in `tenant`; a refusal is written to the audit trail of the
    /// principal's home tenant.
    pub async fn authorise(
        &self,
        principal: &Principal,
        permission: Permission,
        tenant: TenantId,
        origin: &Origin,
    ) -> Result<(), Refusal> {
        let verdict = authorise(principal, permission, tenant);
        if verdict.is_err() && self.may_note(origin) {
            let detail = json!({ "permission": permission, "tenant": tenant });
            if let Err(error) = self.note_refusal(principal, origin, detail).await {
                tracing::error!(%error, %permission, who = principal.name, "a refusal could not be audited");
            }
        }
        verdict
    }

    /// Whether `principal` proved who they are recently enough for what is sensitive. Keys and the local operator did
    /// with the request itself.
    pub fn require_recent(&self, principal: &Principal) -> Result<(), IdentityError> {
        let session = matches!(principal.kind, PrincipalKind::Session { .. });
        let until = self.proved_until(principal);
        if session && until.is_none_or(|until| self.inner.clock.now() >= until) {
            return Err(IdentityError::StepUp);
        }
        Ok(())
    }

    /// Refuses a sign-in that has not come all the way.
    pub fn require_complete(&self, principal: &Principal) -> Result<(), IdentityError> {
        match principal.state {
            SessionState::Active => Ok(()),
            SessionState::FactorRequired => Err(IdentityError::FactorRequired),
            SessionState::EnrolmentRequired => Err(IdentityError::EnrolmentRequired),
            SessionState::CertificateRequired => Err(IdentityError::CertificateRequired),
        }
    }

    /// Counts a request of a program's key or token, and refuses one too many. People and the local operator are not
    /// counted.
    pub fn count_request(&self, principal: &Principal) -> Result<(), IdentityError> {
        let key = match principal.kind {
            PrincipalKind::ApiKey { key } => key,
            PrincipalKind::Token { family } => family,
            PrincipalKind::Session { .. } | PrincipalKind::LocalOperator => return Ok(()),
        };
        let counted = self.inner.rates.take(key, self.inner.clock.monotonic());
        counted.map_err(|retry_after| IdentityError::RateLimited { retry_after })
    }

    /// Until when [`Identity::require_recent`] lets `principal` through.
    pub fn proved_until(&self, principal: &Principal) -> Option<Micros> {
        principal.proved.map(|proved| proved + self.inner.config.step_up.as_micros())
    }

    /// How long a session may go unused, in seconds.
    pub fn session_idle_secs(&self) -> u64 {
        self.inner.config.session_idle.get().as_secs()
    }

    /// How many keys the limiter of failed attempts forgot early, because too many failed at once.
    pub fn attempts_forgotten(&self) -> u64 {
        self.inner.limiter.forgotten()
    }

    /// Ends what ended by itself: removes sessions past their limits. Call it now and then. Returns how many.
    pub async fn sweep(&self) -> Result<u64, IdentityError> {
        let idle_since = self.inner.clock.now() - self.inner.config.session_idle.as_micros();
        let system = self.inner.catalog.system();
        system.drop_ended_families(self.inner.clock.now() - Micros::DAY).await?;
        Ok(system.drop_ended_sessions(idle_since).await?)
    }

    async fn note_refusal(&self, principal: &Principal, origin: &Origin, detail: Value) -> Result<(), IdentityError> {
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        tx.note("access.refused", Subject::Installation, "", detail);
        tx.commit().await?;
        Ok(())
    }

    pub(crate) async fn begin(&self, tenant: TenantId, actor: guardian_catalog::Actor) -> Result<Tx, IdentityError> {
        Ok(self.inner.catalog.scoped(&Scope::of(tenant)).begin(tenant, actor).await?)
    }

    /// Whether one more refusal or bad key from this address goes to the audit trail; keeps one client from filling it.
    pub(crate) fn may_note(&self, origin: &Origin) -> bool {
        self.inner.limiter.attempt(&[(&NOTED, &[&address(origin.ip)])], self.inner.clock.monotonic()).is_ok()
    }
}

/// What addresses are counted by: IPv4 whole, IPv6 by its /64, which one customer usually has whole.
pub(crate) fn address(ip: Option<Ip>) -> [u8; 16] {
    let mut bytes = ip.map(|ip| ip.0).unwrap_or_default();
    if ip.is_some_and(|ip| !ip.is_v4()) {
        bytes[8..].fill(0);
    }
    bytes
}
