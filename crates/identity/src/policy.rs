//! What a tenant asks of its people: a setting of the tenant, versioned like every other.

use guardian_catalog::Setting;
use guardian_model::{Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Identity, IdentityError, Origin, Principal, Role};

/// The key of the setting that holds the policy.
pub const POLICY_KEY: &str = "identity.policy";

/// What a tenant asks of its people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityPolicy {
    /// Everybody needs a second factor.
    pub mfa_required: bool,
    /// Whoever has one of these roles needs a second factor.
    pub mfa_roles: Vec<String>,
    /// Whoever has one of these roles has to show a client certificate of theirs.
    pub certificate_roles: Vec<String>,
    /// Strangers may register themselves; an administrator lets them in or not.
    pub self_registration: bool,
    /// The role that an administrator is offered for somebody who registered.
    pub registration_role: String,
}

impl Default for SecurityPolicy {
    fn default() -> Self {
        Self {
            mfa_required: false,
            mfa_roles: Vec::new(),
            certificate_roles: Vec::new(),
            self_registration: false,
            registration_role: Role::Viewer.as_str().to_owned(),
        }
    }
}

impl Identity {
    /// The policy of a tenant and its version; 0 while it was never set.
    pub async fn policy(&self, tenant: TenantId) -> Result<(i32, SecurityPolicy), IdentityError> {
        let setting = self.inner.catalog.scoped(&Scope::of(tenant)).setting(tenant, POLICY_KEY).await?;
        Ok(setting.map_or_else(|| (0, SecurityPolicy::default()), |setting| (setting.version, read(&setting))))
    }

    /// Sets the policy of a tenant. `version` is the one the caller saw. The caller has authorised it.
    pub async fn put_policy(
        &self,
        by: &Principal,
        tenant: TenantId,
        version: i32,
        policy: &SecurityPolicy,
        origin: &Origin,
    ) -> Result<i32, IdentityError> {
        self.role_permissions(tenant, &policy.registration_role).await?;
        for role in policy.mfa_roles.iter().chain(&policy.certificate_roles) {
            self.role_permissions(tenant, role).await?;
        }
        let (held, present) = self.policy(tenant).await?;
        guardian_catalog::CatalogError::unless_at("policy", held, version)?;
        let fresh = |role: &&String| !present.certificate_roles.contains(role);
        let fresh: Vec<String> = policy.certificate_roles.iter().filter(fresh).cloned().collect();
        self.may_require_certificates(by, tenant, &fresh, origin).await?;
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        let setting = tx.put_setting(POLICY_KEY, &json!(policy), Some(version)).await?;
        tx.commit().await?;
        Ok(setting.version)
    }
}

/// A policy that cannot be read is no policy: members it lacks take their defaults.
fn read(setting: &Setting) -> SecurityPolicy {
    serde_json::from_value(setting.value.clone()).unwrap_or_default()
}
