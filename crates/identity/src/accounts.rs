//! Making and mending accounts, by administrators and by the command line (`guardian user add`, `guardian user reset`).
//! Two rules hold whoever asks: nobody takes over or changes an account that may do more than they may, and no tenant
//! loses its last administrator.

use guardian_catalog::{CatalogError, Credentials, NewUser, Tx, User, UserChange};
use guardian_model::{Scope, TenantId, UserId};
use uuid::Uuid;

use crate::roles::permissions;
use crate::setup::SETUP_TOKEN_FILE;
use crate::{Identity, IdentityError, Origin, Permission, Principal, Role, files};

/// An account to make.
#[derive(Clone)]
pub struct NewAccount {
    /// The name to sign in with.
    pub name: String,
    /// The name for people; empty takes the sign-in name.
    pub display_name: String,
    /// Where to write to.
    pub email: Option<String>,
    /// The password; none for an account that cannot sign in with one.
    pub password: Option<String>,
    /// Its role in the tenant: a built-in one or one of the tenant's own.
    pub role: String,
}

/// What to change of an account; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// The version that the caller saw.
    pub version: i32,
    /// What is changed of the account itself, at its home tenant only.
    pub account: UserChange,
    /// Its role in the tenant.
    pub role: Option<String>,
}

impl Identity {
    /// Makes an account at home in `tenant`. The caller has authorised it. The first account ends first-run set-up.
    pub async fn add_user(
        &self,
        by: &Principal,
        tenant: TenantId,
        new: &NewAccount,
        origin: &Origin,
    ) -> Result<User, IdentityError> {
        self.may_give(by, tenant, &new.role).await?;
        let password_hash = match &new.password {
            Some(password) => {
                self.check_new_password(password, &new.name).await?;
                Some(self.inner.hasher.hash(password).await?)
            }
            None => None,
        };
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        let user = tx
            .create_user(&NewUser {
                name: new.name.clone(),
                display_name: new.display_name.clone(),
                email: new.email.clone(),
                password_hash,
                role: new.role.clone(),
            })
            .await?;
        tx.commit().await?;
        files::remove(&self.inner.data.join(SETUP_TOKEN_FILE))?;
        Ok(user)
    }

    /// Sets a new password for the account of this sign-in name, wherever it is at home, and ends its sessions. For the
    /// command line; see [`Identity::set_password`] for administrators of one tenant.
    pub async fn reset_password(
        &self,
        by: &Principal,
        name: &str,
        password: &str,
        origin: &Origin,
    ) -> Result<User, IdentityError> {
        let found = self.inner.catalog.system().credentials_by_name(name).await?;
        let user = found.ok_or_else(|| IdentityError::Invalid(format!("there is no user `{name}`")))?.user;
        self.set_password(by, user.home_tenant, user.id, password, origin).await
    }

    /// Sets a new password for an account at home in `tenant` and ends its sessions. The caller has authorised it.
    pub async fn set_password(
        &self,
        by: &Principal,
        tenant: TenantId,
        id: UserId,
        password: &str,
        origin: &Origin,
    ) -> Result<User, IdentityError> {
        let target = self.manageable(by, tenant, id).await?;
        self.refuse_managed(id, "change the password").await?;
        self.check_new_password(password, &target.user.name).await?;
        let hash = self.inner.hasher.hash(password).await?;
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        let user = tx.set_password(id, hash, None).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Changes an account: itself at its home tenant, its role in any tenant that it is a member of. The caller has
    /// authorised it.
    pub async fn change_user(
        &self,
        by: &Principal,
        tenant: TenantId,
        id: UserId,
        change: &AccountChange,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        if change.account.disabled == Some(true) && by.user == Some(id) {
            return Err(IdentityError::Forbidden("you cannot disable your own account".into()));
        }
        let account = change.account != UserChange::default();
        let target = if account { self.manageable(by, tenant, id).await? } else { self.visible(tenant, id).await? };
        CatalogError::unless_at("account", target.user.version, change.version)?;
        if let Some(role) = &change.role {
            Self::may_change_role(by, tenant, &target)?;
            self.may_give(by, tenant, role).await?;
        }
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        let guard = LastAdmin::before(&tx).await?;
        if account {
            tx.update_user(id, change.version, &change.account).await?;
        }
        if let Some(role) = &change.role {
            tx.set_membership(id, Some(role)).await?;
        }
        guard.after(&tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Lets an account that registered itself in, with a role. The caller has authorised it.
    pub async fn approve_user(
        &self,
        by: &Principal,
        tenant: TenantId,
        id: UserId,
        role: &str,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        self.may_give(by, tenant, role).await?;
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        tx.approve_user(id, role).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes an account that is at home in `tenant`, or the membership there of one that is not. The caller has
    /// authorised it.
    pub async fn remove_user(
        &self,
        by: &Principal,
        tenant: TenantId,
        id: UserId,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        if by.user == Some(id) {
            return Err(IdentityError::Forbidden("you cannot delete your own account".into()));
        }
        let target = self.visible(tenant, id).await?;
        let home = target.user.home_tenant == tenant;
        if home {
            self.manageable(by, tenant, id).await?;
        } else {
            Self::may_change_role(by, tenant, &target)?;
        }
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        let guard = LastAdmin::before(&tx).await?;
        if home {
            tx.delete_user(id).await?;
        } else {
            tx.set_membership(id, None).await?;
        }
        guard.after(&tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives an account a role in `tenant`, or takes it away. The account must be known in a tenant of `known`, which the
    /// caller may see. The caller has authorised it.
    pub async fn set_membership(
        &self,
        by: &Principal,
        tenant: TenantId,
        id: UserId,
        role: Option<&str>,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        let known = by.scope_for(Permission::UsersRead);
        let target = self.inner.catalog.system().credentials(id).await?.ok_or(CatalogError::NotFound("user"))?;
        Self::may_change_role(by, tenant, &target)?;
        if let Some(role) = role {
            self.may_give(by, tenant, role).await?;
        }
        let scope = Scope::of_all(known.tenants().iter().copied().chain([tenant]));
        let mut tx = self.inner.catalog.scoped(&scope).begin(tenant, by.actor(origin)).await?;
        let guard = LastAdmin::before(&tx).await?;
        let changed = tx.set_membership(id, role).await?;
        if role.is_none() && !changed {
            return Err(CatalogError::NotFound("membership").into());
        }
        guard.after(&tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends the sessions of an account at home in `tenant`, or one of them. The caller has authorised it.
    pub async fn end_sessions_of(
        &self,
        by: &Principal,
        tenant: TenantId,
        id: UserId,
        session: Option<Uuid>,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        self.manageable(by, tenant, id).await?;
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        match session {
            Some(session) => tx.close_session(id, session).await?,
            None => tx.close_sessions(id, None).await.map(drop)?,
        }
        tx.commit().await?;
        Ok(())
    }

    /// An account at home in or a member of `tenant`.
    async fn visible(&self, tenant: TenantId, id: UserId) -> Result<Credentials, IdentityError> {
        self.inner.catalog.scoped(&Scope::of(tenant)).user(id).await?;
        let found = self.inner.catalog.system().credentials(id).await?;
        Ok(found.ok_or(CatalogError::NotFound("user"))?)
    }

    /// An account at home in `tenant` that may nowhere do more than `by`: whoever could set its password could become it.
    /// Whoever manages the installation's tenants may manage everybody who is at home where they may.
    pub(crate) async fn manageable(
        &self,
        by: &Principal,
        tenant: TenantId,
        id: UserId,
    ) -> Result<Credentials, IdentityError> {
        let target = self.visible(tenant, id).await?;
        if target.user.home_tenant != tenant {
            return Err(IdentityError::Forbidden(
                "this account belongs to another tenant: here only its role can be changed".into(),
            ));
        }
        let runs_all = by.permissions(TenantId::DEFAULT).contains(Permission::TenantsManage);
        let held = permissions(&target);
        let beyond = held.iter().any(|(at, theirs)| !by.permissions(*at).covers(*theirs));
        let stronger_here = !by.permissions(tenant).covers(held.get(&tenant).copied().unwrap_or_default());
        if stronger_here || (beyond && !runs_all) {
            return Err(IdentityError::Forbidden("this account may do more than you: ask an administrator".into()));
        }
        Ok(target)
    }

    /// Refuses to change the role of somebody who may do more in `tenant` than `by`.
    fn may_change_role(by: &Principal, tenant: TenantId, target: &Credentials) -> Result<(), IdentityError> {
        let theirs = permissions(target).get(&tenant).copied().unwrap_or_default();
        if by.permissions(tenant).covers(theirs) {
            return Ok(());
        }
        Err(IdentityError::Forbidden("this account may do more than you: ask an administrator".into()))
    }
}

/// Sees to it that a change leaves the tenant an administrator, if it had one.
pub(crate) struct LastAdmin(u64);

impl LastAdmin {
    pub(crate) async fn before(tx: &Tx) -> Result<Self, IdentityError> {
        Ok(Self(tx.members_with(Role::Admin.as_str()).await?))
    }

    pub(crate) async fn after(self, tx: &Tx) -> Result<(), IdentityError> {
        if self.0 > 0 && tx.members_with(Role::Admin.as_str()).await? == 0 {
            return Err(IdentityError::LastAdmin);
        }
        Ok(())
    }
}
