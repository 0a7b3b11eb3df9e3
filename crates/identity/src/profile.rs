//! What people see and change of their own account: profile and preferences.

use guardian_catalog::{Preferences, User, UserChange};
use guardian_model::UserId;
use serde_json::Value;

use crate::sign_in::{active_session, own_session};
use crate::{ClientName, Identity, IdentityError, Origin, Principal};

impl Identity {
    /// The principal's own account.
    pub async fn profile(&self, principal: &Principal) -> Result<User, IdentityError> {
        let (user, _) = own_session(principal)?;
        let known = self.inner.catalog.system().credentials(user).await?;
        Ok(known.ok_or(IdentityError::NotSignedIn)?.user)
    }

    /// Changes how the principal's own account is shown and reached. `version` is the one they saw.
    pub async fn change_profile(
        &self,
        principal: &Principal,
        version: i32,
        display_name: Option<String>,
        email: Option<Option<String>>,
        origin: &Origin,
    ) -> Result<User, IdentityError> {
        let (user, _) = active_session(principal)?;
        if email.is_some() && (self.finds_by(ClientName::Email) || self.finds_by(ClientName::Upn)) {
            let held = self.profile(principal).await?.email;
            if email.as_ref().is_some_and(|email| *email != held) {
                return Err(IdentityError::Forbidden(
                    "accounts are found by this address in certificates: an administrator changes it".into(),
                ));
            }
        }
        let change = UserChange { name: None, display_name, email, disabled: None };
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let changed = tx.update_user(user, version, &change).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// The preferences of an account, for that account.
    pub async fn preferences(&self, user: UserId) -> Result<Preferences, IdentityError> {
        Ok(self.inner.catalog.system().preferences(user).await?)
    }

    /// Sets the principal's own preferences. `version` is the one they saw.
    pub async fn put_preferences(
        &self,
        principal: &Principal,
        version: i32,
        value: Value,
        origin: &Origin,
    ) -> Result<Preferences, IdentityError> {
        let (user, _) = active_session(principal)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let set = tx.put_preferences(user, version, value).await?;
        tx.commit().await?;
        Ok(set)
    }
}
