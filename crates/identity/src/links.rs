//! Ways in by link: invitations, links to set a password, and self-registration with approval. A link's token is 256
//! random bits; it travels in the fragment of the URL and in request bodies, never in a path that gets logged.

use guardian_catalog::{
    AccessLink, Actor, ActorKind, CatalogError, LinkKind, NewLink, NewUser, Opening, SignInMethod, user_name,
};
use guardian_model::{Micros, Scope, TenantId, UserId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::limiter::ADDRESS;
use crate::service::address;
use crate::{Identity, IdentityError, Origin, Principal, SignedIn, secret};

/// Longest life of a link, in hours.
pub const LINK_HOURS_MAX: u32 = 30 * 24;

/// A link that was just made.
pub struct MadeLink {
    /// The token for the link: shown once, kept nowhere.
    pub token: Zeroizing<String>,
    /// What is kept of it.
    pub link: AccessLink,
}

/// Somebody to invite.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The role they get.
    pub role: String,
    /// The sign-in name they get; none lets them choose.
    pub name: Option<String>,
    /// Where the link is sent to.
    pub email: Option<String>,
    /// How long it works, in hours, at most [`LINK_HOURS_MAX`].
    pub hours: u32,
}

/// What whoever opens a link sees of it.
#[derive(Clone, Debug)]
pub struct LinkLook {
    /// The link.
    pub link: AccessLink,
    /// The name of its tenant.
    pub tenant_name: String,
}

/// Somebody who registers themselves.
#[derive(Clone)]
pub struct Registration {
    /// The short name of the tenant; none takes the installation's own.
    pub tenant: Option<String>,
    /// The name to sign in with.
    pub name: String,
    /// The name for people.
    pub display_name: String,
    /// Where to write to.
    pub email: Option<String>,
    /// The password.
    pub password: String,
}

impl Identity {
    /// Makes an invitation. The caller has authorised it.
    pub async fn invite(
        &self,
        by: &Principal,
        tenant: TenantId,
        invitation: &Invitation,
        origin: &Origin,
    ) -> Result<MadeLink, IdentityError> {
        self.may_give(by, tenant, &invitation.role).await?;
        let token = secret::token()?;
        let new = NewLink {
            kind: LinkKind::Invitation,
            token_hash: secret::hash("link", &token),
            user: None,
            role: Some(invitation.role.clone()),
            name: invitation.name.clone(),
            email: invitation.email.clone(),
            expires: self.link_end(invitation.hours)?,
        };
        self.make_link(by, tenant, token, &new, origin).await
    }

    /// Makes a link by which whoever has an account at home in `tenant` sets a new password. The caller has authorised
    /// it.
    pub async fn reset_link(
        &self,
        by: &Principal,
        tenant: TenantId,
        user: UserId,
        hours: u32,
        origin: &Origin,
    ) -> Result<MadeLink, IdentityError> {
        let target = self.manageable(by, tenant, user).await?;
        self.refuse_managed(user, "change the password").await?;
        let token = secret::token()?;
        let new = NewLink {
            kind: LinkKind::PasswordReset,
            token_hash: secret::hash("link", &token),
            user: Some(user),
            role: None,
            name: None,
            email: target.user.email,
            expires: self.link_end(hours)?,
        };
        self.make_link(by, tenant, token, &new, origin).await
    }

    async fn make_link(
        &self,
        by: &Principal,
        tenant: TenantId,
        token: Zeroizing<String>,
        new: &NewLink,
        origin: &Origin,
    ) -> Result<MadeLink, IdentityError> {
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        let link = tx.create_link(new).await?;
        tx.commit().await?;
        Ok(MadeLink { token, link })
    }

    fn link_end(&self, hours: u32) -> Result<Micros, IdentityError> {
        if !(1..=LINK_HOURS_MAX).contains(&hours) {
            return Err(IdentityError::Invalid(format!("a link works for 1 to {LINK_HOURS_MAX} hours")));
        }
        Ok(self.inner.clock.now() + i64::from(hours) * Micros::HOUR)
    }

    /// Takes a link of `tenant` back. The caller has authorised it.
    pub async fn revoke_link(
        &self,
        by: &Principal,
        tenant: TenantId,
        id: Uuid,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        let mut tx = self.begin(tenant, by.actor(origin)).await?;
        tx.revoke_link(id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What a link is for. Guessing is limited by address.
    pub async fn look_at_link(&self, token: &str, origin: &Origin) -> Result<LinkLook, IdentityError> {
        self.count_stranger(b"link", origin)?;
        let link = self.open_link(token).await?;
        self.forgive_stranger(b"link", origin);
        let scope = Scope::of(link.tenant);
        let tenants = self.inner.catalog.scoped(&scope).tenant_list().await?;
        let tenant = tenants.into_iter().next().filter(|t| !t.disabled).ok_or(IdentityError::BadLink)?;
        Ok(LinkLook { link, tenant_name: tenant.name })
    }

    /// Uses a link: makes the invited account, or sets the new password of one that is there, and signs in. `name` and
    /// `display_name` are for invitations that leave them open.
    pub async fn redeem_link(
        &self,
        token: &str,
        name: &str,
        display_name: &str,
        password: &str,
        origin: &Origin,
    ) -> Result<SignedIn, IdentityError> {
        let link = self.look_at_link(token, origin).await?.link;
        let name = user_name(link.name.as_deref().unwrap_or(name))?;
        self.check_new_password(password, &name).await?;
        let hash = self.inner.hasher.hash(password).await?;
        let actor = Actor {
            kind: ActorKind::Anonymous,
            id: None,
            name: name.clone(),
            ip: origin.ip,
            request_id: origin.request_id.clone(),
        };
        let mut tx = self.begin(link.tenant, actor).await?;
        tx.use_link(link.id).await.map_err(|error| match error {
            CatalogError::NotFound(_) => IdentityError::BadLink,
            other => other.into(),
        })?;
        let user = match (link.kind, link.user) {
            (LinkKind::PasswordReset, Some(user)) => tx.set_password(user, hash, None).await?,
            (LinkKind::PasswordReset, None) => return Err(IdentityError::BadLink),
            (LinkKind::Invitation, _) => {
                tx.create_user(&NewUser {
                    name,
                    display_name: display_name.to_owned(),
                    email: link.email.clone(),
                    password_hash: Some(hash),
                    role: link.role.clone().ok_or(IdentityError::BadLink)?,
                })
                .await?
            }
        };
        tx.commit().await?;
        let made = self.inner.catalog.system().credentials(user.id).await?;
        let made = made.filter(crate::sign_in::may_sign_in).ok_or(IdentityError::BadCredentials)?;
        self.open_session(made, Opening::with(SignInMethod::Link), origin).await
    }

    /// Whether strangers may register themselves in the installation's own tenant.
    pub async fn self_registration(&self) -> Result<bool, IdentityError> {
        Ok(self.policy(TenantId::DEFAULT).await?.1.self_registration)
    }

    /// Registers somebody who then waits for approval. A name that is taken gets the same answer, so that strangers do
    /// not learn who is here.
    pub async fn register(&self, registration: &Registration, origin: &Origin) -> Result<(), IdentityError> {
        // Never forgiven: whoever registers dozens of accounts is stopped whether they succeed or not.
        self.count_stranger(b"register", origin)?;
        let closed = || IdentityError::Forbidden("self-registration is switched off: ask for an invitation".into());
        let system = self.inner.catalog.system();
        let tenant = match &registration.tenant {
            None => TenantId::DEFAULT,
            Some(slug) => system.tenant_by_slug(slug).await?.filter(|t| !t.disabled).ok_or_else(closed)?.id,
        };
        if !self.policy(tenant).await?.1.self_registration || !system.has_users().await? {
            return Err(closed());
        }
        let name = user_name(&registration.name)?;
        self.check_new_password(&registration.password, &name).await?;
        let hash = self.inner.hasher.hash(&registration.password).await?;
        let new = NewUser {
            name,
            display_name: registration.display_name.clone(),
            email: registration.email.clone(),
            password_hash: Some(hash),
            role: String::new(),
        };
        let mut tx = self.begin(tenant, Actor::anonymous(origin.ip, origin.request_id.clone())).await?;
        match tx.register_user(&new).await {
            Ok(_) => {
                tx.commit().await?;
                Ok(())
            }
            Err(CatalogError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn open_link(&self, token: &str) -> Result<AccessLink, IdentityError> {
        let found = self.inner.catalog.system().link(&secret::hash("link", token.trim())).await?;
        found.ok_or(IdentityError::BadLink)
    }

    fn count_stranger(&self, purpose: &[u8], origin: &Origin) -> Result<(), IdentityError> {
        let ip = address(origin.ip);
        let waited = self.inner.limiter.attempt(&[(&ADDRESS, &[purpose, &ip])], self.inner.clock.monotonic());
        waited.map_err(|retry_after| IdentityError::Locked { retry_after })
    }

    fn forgive_stranger(&self, purpose: &[u8], origin: &Origin) {
        let ip = address(origin.ip);
        self.inner.limiter.forgive(&ADDRESS, &[purpose, &ip], false, self.inner.clock.monotonic());
    }
}
