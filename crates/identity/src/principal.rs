//! Who is asking, and what they may do where. Pure: the table decides, this module applies it.

use std::collections::BTreeMap;
use std::sync::Arc;

use guardian_catalog::{Actor, ActorKind};
use guardian_model::{Ip, Micros, Scope, TenantId, UserId};
use thiserror::Error;
use uuid::Uuid;

use crate::{Permission, PermissionSet, ShownCertificate};

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The address of the other end.
    pub ip: Option<Ip>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// The client certificate that the connection shows, as long as it holds.
    pub certificate: Option<Arc<ShownCertificate>>,
}

/// How a principal proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A browser session.
    Session {
        /// Its id, for signing out.
        session: Uuid,
    },
    /// An API key.
    ApiKey {
        /// Its id.
        key: Uuid,
    },
    /// An access token of a program that signed in.
    Token {
        /// The family that it belongs to.
        family: Uuid,
    },
    /// The command line on the server's own machine, run by the same operating-system user.
    LocalOperator,
}

/// How far a sign-in has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionState {
    /// All the way.
    #[default]
    Active,
    /// The password was right; a code of the second factor is due. Nothing is allowed until then.
    FactorRequired,
    /// The account has to have a second factor and has none; adding one is all that is allowed.
    EnrolmentRequired,
    /// The session is good only on connections that show a client certificate of the account.
    CertificateRequired,
}

impl SessionState {
    /// The word it is shown as.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::FactorRequired => "factor_required",
            Self::EnrolmentRequired => "enrolment_required",
            Self::CertificateRequired => "certificate_required",
        }
    }
}

/// Somebody who proved who they are, and what they may do.
#[derive(Clone, Debug)]
pub struct Principal {
    /// How they proved it.
    pub kind: PrincipalKind,
    /// The account behind it; the local operator has none.
    pub user: Option<UserId>,
    /// Their name, for people and the audit trail.
    pub name: String,
    /// The tenant whose audit trail tells of what belongs to no other.
    pub home: TenantId,
    /// When they last proved who they are, in a session.
    pub proved: Option<Micros>,
    /// How far the sign-in has come; whoever has not come all the way holds no permission.
    pub state: SessionState,
    permissions: BTreeMap<TenantId, PermissionSet>,
    roles: BTreeMap<TenantId, String>,
}

/// Why something is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The tenant does not exist for this principal; do not tell more.
    #[error("no such tenant")]
    NoSuchTenant,
    /// The principal may see the tenant but not do this.
    #[error("this needs the permission {0}")]
    Missing(Permission),
}

impl Principal {
    pub(crate) fn new(
        kind: PrincipalKind,
        user: Option<UserId>,
        name: String,
        home: TenantId,
        permissions: BTreeMap<TenantId, PermissionSet>,
    ) -> Self {
        Self { kind, user, name, home, proved: None, state: SessionState::Active, permissions, roles: BTreeMap::new() }
    }

    pub(crate) fn with_roles(mut self, roles: BTreeMap<TenantId, String>) -> Self {
        self.roles = roles;
        self
    }

    /// The session, if it is one.
    pub fn session(&self) -> Option<Uuid> {
        match self.kind {
            PrincipalKind::Session { session } => Some(session),
            PrincipalKind::ApiKey { .. } | PrincipalKind::Token { .. } | PrincipalKind::LocalOperator => None,
        }
    }

    /// Their role in `tenant`, by name; keys and the local operator have none.
    pub fn role(&self, tenant: TenantId) -> Option<&str> {
        self.roles.get(&tenant).map(String::as_str)
    }

    /// The tenants they may see anything of.
    pub fn scope(&self) -> Scope {
        self.scope_where(|set| !set.is_empty())
    }

    /// The tenants in which they hold `permission`: the scope to list across tenants with. May be empty.
    pub fn scope_for(&self, permission: Permission) -> Scope {
        self.scope_where(|set| set.contains(permission))
    }

    /// What they may do in `tenant`.
    pub fn permissions(&self, tenant: TenantId) -> PermissionSet {
        self.permissions.get(&tenant).copied().unwrap_or_default()
    }

    /// Who they are to the audit trail.
    pub fn actor(&self, origin: &Origin) -> Actor {
        let (kind, id) = match self.kind {
            PrincipalKind::Session { .. } | PrincipalKind::Token { .. } => {
                (ActorKind::User, self.user.map(|u| u.to_string()))
            }
            PrincipalKind::ApiKey { key } => (ActorKind::ApiKey, Some(key.to_string())),
            PrincipalKind::LocalOperator => (ActorKind::LocalOperator, None),
        };
        Actor { kind, id, name: self.name.clone(), ip: origin.ip, request_id: origin.request_id.clone() }
    }

    fn scope_where(&self, wanted: impl Fn(&PermissionSet) -> bool) -> Scope {
        Scope::of_all(self.permissions.iter().filter(|(_, set)| wanted(set)).map(|(tenant, _)| *tenant))
    }
}

/// Whether `principal` may do what `permission` allows in `tenant`. [`crate::Identity::authorise`] also audits refusals.
pub fn authorise(principal: &Principal, permission: Permission, tenant: TenantId) -> Result<(), Refusal> {
    let held = principal.permissions(tenant);
    if held.is_empty() {
        Err(Refusal::NoSuchTenant)
    } else if held.contains(permission) {
        Ok(())
    } else {
        Err(Refusal::Missing(permission))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    #[test]
    fn permissions_hold_in_their_tenant_only() {
        let [ours, theirs, strange] = [1, 2, 3].map(|n| TenantId(Uuid::from_u128(n)));
        let permissions = BTreeMap::from([(ours, Role::Operator.permissions()), (theirs, Role::Viewer.permissions())]);
        let kind = PrincipalKind::LocalOperator;
        let principal = Principal::new(kind, None, "x".into(), ours, permissions);
        for (permission, tenant, expected) in [
            (Permission::AlertsTriage, ours, Ok(())),
            (Permission::AlertsTriage, theirs, Err(Refusal::Missing(Permission::AlertsTriage))),
            (Permission::AlertsRead, theirs, Ok(())),
            (Permission::AlertsRead, strange, Err(Refusal::NoSuchTenant)),
            (Permission::UsersManage, ours, Err(Refusal::Missing(Permission::UsersManage))),
        ] {
            assert_eq!(authorise(&principal, permission, tenant), expected, "{permission} in {tenant}");
        }
        assert_eq!(principal.scope().tenants(), [ours, theirs]);
        assert_eq!(principal.scope_for(Permission::AlertsTriage).tenants(), [ours]);
        assert_eq!(principal.scope_for(Permission::AuditRead).tenants(), []);
    }
}
