//! Making and mending accounts, by administrators and by the command line (`guardian user add`, `guardian user reset`).

use guardian_catalog::{Actor, NewUser, User};
use guardian_model::{TenantId, UserId};

use crate::setup::SETUP_TOKEN_FILE;
use crate::{Identity, IdentityError, Role, check_password, files};

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
    /// Its role in the tenant.
    pub role: Role,
}

impl Identity {
    /// Makes an account at home in `tenant`. The caller has authorised it. The first account ends first-run set-up.
    pub async fn add_user(&self, actor: Actor, tenant: TenantId, new: &NewAccount) -> Result<User, IdentityError> {
        let password_hash = match &new.password {
            Some(password) => {
                check_password(password, &new.name)?;
                Some(self.inner.hasher.hash(password).await?)
            }
            None => None,
        };
        let mut tx = self.begin(tenant, actor).await?;
        let user = tx
            .create_user(&NewUser {
                name: new.name.clone(),
                display_name: new.display_name.clone(),
                email: new.email.clone(),
                password_hash,
                role: new.role.as_str().to_owned(),
            })
            .await?;
        tx.commit().await?;
        files::remove(&self.inner.data.join(SETUP_TOKEN_FILE))?;
        Ok(user)
    }

    /// Sets a new password for the account of this sign-in name, wherever it is at home, and ends its sessions. For the
    /// command line; see [`Identity::set_password`] for administrators of one tenant.
    pub async fn reset_password(&self, actor: Actor, name: &str, password: &str) -> Result<User, IdentityError> {
        let found = self.inner.catalog.system().credentials_by_name(name).await?;
        let user = found.ok_or_else(|| IdentityError::Invalid(format!("there is no user `{name}`")))?.user;
        self.set_password(actor, user.home_tenant, user.id, password).await
    }

    /// Sets a new password for an account at home in `tenant` and ends its sessions. The caller has authorised it.
    pub async fn set_password(
        &self,
        actor: Actor,
        tenant: TenantId,
        id: UserId,
        password: &str,
    ) -> Result<User, IdentityError> {
        let (user, _) = self.inner.catalog.scoped(&guardian_model::Scope::of(tenant)).user(id).await?;
        check_password(password, &user.name)?;
        let hash = self.inner.hasher.hash(password).await?;
        let mut tx = self.begin(tenant, actor).await?;
        let user = tx.set_password(id, hash).await?;
        tx.commit().await?;
        Ok(user)
    }
}
