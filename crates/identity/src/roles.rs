//! Roles: the built-in ones and those that a tenant makes of named permissions. Nobody makes a role, or gives one, that
//! may do what they may not do themselves.

use std::collections::BTreeMap;

use guardian_catalog::{Credentials, CustomRole, RoleDraft};
use guardian_model::{Micros, Scope, TenantId};

use crate::{Identity, IdentityError, Origin, Permission, PermissionSet, Principal, Role};

/// A role as people see it.
#[derive(Clone, Debug)]
pub struct RoleInfo {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether it is the same in every tenant and cannot be changed.
    pub built_in: bool,
    /// What it may do.
    pub permissions: PermissionSet,
    /// Whether whoever has it needs a second factor, whatever the policy says.
    pub mfa_required: bool,
    /// Whether whoever has it has to show a client certificate, whatever the policy says.
    pub certificate_required: bool,
    /// Its version; 0 for built-in ones.
    pub version: i32,
    /// How many members have it.
    pub members: u64,
    /// Since when.
    pub created: Option<Micros>,
    /// When it last changed.
    pub updated: Option<Micros>,
}

/// What an account may do, by tenant. A role that this program does not know allows nothing.
pub(crate) fn permissions(credentials: &Credentials) -> BTreeMap<TenantId, PermissionSet> {
    let of = |tenant, role: &str| resolve(role, tenant, &credentials.roles).unwrap_or_default();
    credentials.memberships.iter().map(|m| (m.tenant, of(m.tenant, &m.role))).collect()
}

/// The name of an account's role, by tenant.
pub(crate) fn role_names(credentials: &Credentials) -> BTreeMap<TenantId, String> {
    credentials.memberships.iter().map(|m| (m.tenant, m.role.clone())).collect()
}

/// What a role of a tenant may do, by its name and the custom roles there are. A role that is not known allows nothing.
pub fn role_permissions(role: &str, tenant: TenantId, custom: &[CustomRole]) -> PermissionSet {
    resolve(role, tenant, custom).unwrap_or_default()
}

fn resolve(role: &str, tenant: TenantId, custom: &[CustomRole]) -> Option<PermissionSet> {
    if let Ok(role) = role.parse::<Role>() {
        return Some(role.permissions());
    }
    custom.iter().find(|r| r.tenant == tenant && r.name == role).map(|r| held(&r.permissions))
}

/// Names that this program does not know (any more) allow nothing.
fn held(names: &[String]) -> PermissionSet {
    names.iter().filter_map(|name| name.parse::<Permission>().ok()).collect()
}

impl Identity {
    /// The roles of a tenant, built-in ones first.
    pub async fn roles(&self, tenant: TenantId) -> Result<Vec<RoleInfo>, IdentityError> {
        let scope = Scope::of(tenant);
        let scoped = self.inner.catalog.scoped(&scope);
        let members = scoped.role_members(tenant).await?;
        let count = |name: &str| members.iter().find(|(role, _)| role == name).map_or(0, |(_, n)| *n);
        let built_in = Role::ALL.iter().map(|role| RoleInfo {
            name: role.to_string(),
            description: role.description().to_owned(),
            built_in: true,
            permissions: role.permissions(),
            mfa_required: false,
            certificate_required: false,
            version: 0,
            members: count(role.as_str()),
            created: None,
            updated: None,
        });
        let custom = scoped.roles().await?.into_iter().map(|role| RoleInfo {
            members: count(&role.name),
            permissions: held(&role.permissions),
            name: role.name,
            description: role.description,
            built_in: false,
            mfa_required: role.mfa_required,
            certificate_required: role.certificate_required,
            version: role.version,
            created: Some(role.created),
            updated: Some(role.updated),
        });
        Ok(built_in.chain(custom).collect())
    }

    /// One role of a tenant.
    pub async fn role(&self, tenant: TenantId, name: &str) -> Result<RoleInfo, IdentityError> {
        let found = self.roles(tenant).await?.into_iter().find(|role| role.name == name);
        found.ok_or_else(|| guardian_catalog::CatalogError::NotFound("role").into())
    }

    /// Makes a role. The caller has authorised it.
    pub async fn create_role(
        &self,
        by: &Principal,
        tenant: TenantId,
        draft: &RoleDraft,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        let draft = checked(by, tenant, draft, PermissionSet::default())?;
        if draft.certificate_required {
            self.may_require_certificates(by, tenant, std::slice::from_ref(&draft.name), origin).await?;
        }
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        tx.create_role(&draft).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Changes a role; what it has already may stay, what is new must be the caller's to give. The caller has authorised
    /// it.
    pub async fn update_role(
        &self,
        by: &Principal,
        tenant: TenantId,
        name: &str,
        version: i32,
        draft: &RoleDraft,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        refuse_built_in(name)?;
        let present = self.role(tenant, name).await?;
        let draft = checked(by, tenant, draft, present.permissions)?;
        if draft.certificate_required && !present.certificate_required {
            self.may_require_certificates(by, tenant, &[name.to_owned()], origin).await?;
        }
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        tx.update_role(name, version, &draft).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes a role that nobody has. The caller has authorised it.
    pub async fn delete_role(
        &self,
        by: &Principal,
        tenant: TenantId,
        name: &str,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        refuse_built_in(name)?;
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        tx.delete_role(name).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What a role may do in a tenant; refused if there is none of this name.
    pub(crate) async fn role_permissions(&self, tenant: TenantId, role: &str) -> Result<PermissionSet, IdentityError> {
        let custom = self.inner.catalog.scoped(&Scope::of(tenant)).roles().await?;
        resolve(role, tenant, &custom).ok_or_else(|| IdentityError::Invalid(format!("there is no role `{role}`")))
    }

    /// Refuses a role that does not exist or that may do more than whoever gives it.
    pub(crate) async fn may_give(&self, by: &Principal, tenant: TenantId, role: &str) -> Result<(), IdentityError> {
        let given = self.role_permissions(tenant, role).await?;
        if by.permissions(tenant).covers(given) {
            return Ok(());
        }
        Err(IdentityError::Forbidden(format!("you cannot give the role `{role}`, which may do more than you")))
    }
}

fn refuse_built_in(name: &str) -> Result<(), IdentityError> {
    if name.parse::<Role>().is_ok() {
        return Err(IdentityError::Invalid(format!("`{name}` is a built-in role and stays as it is")));
    }
    Ok(())
}

fn checked(
    by: &Principal,
    tenant: TenantId,
    draft: &RoleDraft,
    present: PermissionSet,
) -> Result<RoleDraft, IdentityError> {
    refuse_built_in(&draft.name)?;
    let mut set = Vec::new();
    for name in &draft.permissions {
        let permission = name.parse::<Permission>().map_err(IdentityError::Invalid)?;
        if !by.permissions(tenant).contains(permission) && !present.contains(permission) {
            return Err(IdentityError::Forbidden(format!("you cannot give {permission}, which you do not hold")));
        }
        set.push(permission);
    }
    // In the order of the table, each once.
    let set: PermissionSet = set.into_iter().collect();
    Ok(RoleDraft { permissions: set.iter().map(|p| p.name().to_owned()).collect(), ..draft.clone() })
}
