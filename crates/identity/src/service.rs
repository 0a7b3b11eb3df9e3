//! The service that other crates use: it holds the catalog, the clock, the hasher and the limiter, and says who
//! somebody is and whether they may. Signing in and out is in [`crate::sign_in`], keys in [`crate::keys`], set-up in
//! [`crate::setup`], accounts in [`crate::accounts`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guardian_catalog::{Catalog, Credentials, Subject, Tx};
use guardian_kit::clock::Clock;
use guardian_model::{Ip, Scope, TenantId};
use parking_lot::RwLock;
use serde_json::{Value, json};

use crate::limiter::{Limiter, NOTED};
use crate::password::Hasher;
use crate::{
    IdentityConfig, IdentityError, OperatorKey, Origin, Permission, PermissionSet, Principal, Refusal, Role, authorise,
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
                catalog,
                clock,
                config,
                data: data.to_owned(),
                hasher: Hasher::new(),
                limiter: Limiter::default(),
                operator: RwLock::new(None),
            }),
        }
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

    /// How many keys the limiter of failed attempts forgot early, because too many failed at once.
    pub fn attempts_forgotten(&self) -> u64 {
        self.inner.limiter.forgotten()
    }

    /// Ends what ended by itself: removes sessions past their limits. Call it now and then. Returns how many.
    pub async fn sweep(&self) -> Result<u64, IdentityError> {
        let idle_since = self.inner.clock.now() - self.inner.config.session_idle.as_micros();
        Ok(self.inner.catalog.system().drop_ended_sessions(idle_since).await?)
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

/// What an account may do, by tenant. A role that this program does not know allows nothing.
pub(crate) fn permissions(credentials: &Credentials) -> BTreeMap<TenantId, PermissionSet> {
    let role = |text: &str| text.parse::<Role>().map(Role::permissions).unwrap_or_default();
    credentials.memberships.iter().map(|m| (m.tenant, role(&m.role))).collect()
}
