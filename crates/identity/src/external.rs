//! Accounts that another system vouches for, whichever way it does: the account is found by what that system calls it,
//! made at the first sign-in if the operator wants that, and follows the system's groups. Whoever loses the last group
//! that gives a role is disabled, and comes back with the group.

use std::collections::{BTreeMap, BTreeSet};

use guardian_catalog::{
    Actor, CatalogError, Credentials, ExternalIdentity, Membership, NewUser, User, UserChange, user_name,
};
use guardian_model::{Scope, TenantId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::accounts::LastAdmin;
use crate::sign_in::{active_session, may_sign_in};
use crate::{Identity, IdentityError, Origin, Principal};

/// Most groups of one person that are looked at.
const GROUPS_MAX: usize = 2_000;

/// A group of another system, and the role that it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// The group as the other system names it: the value of a claim, or a group's name or distinguished name.
    pub group: String,
    /// The short name of the tenant in which it gives the role.
    #[serde(default = "main_tenant")]
    pub tenant: String,
    /// The role: a built-in one, or one that the tenant made.
    pub role: String,
}

fn main_tenant() -> String {
    "main".to_owned()
}

/// What another system says of somebody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vouched {
    /// What it calls them, for ever.
    pub(crate) subject: String,
    /// The name to sign in with.
    pub(crate) name: String,
    /// The name for people.
    pub(crate) display_name: Option<String>,
    /// Where to write to.
    pub(crate) email: Option<String>,
    /// Their groups.
    pub(crate) groups: Vec<String>,
}

/// How the operator wants a system's people treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission<'a> {
    /// The system, as the catalog names it.
    pub(crate) provider: &'a str,
    /// Which groups give which roles; in each tenant the first that fits counts.
    pub(crate) roles: &'a [GroupRole],
    /// The role in the main tenant for those whose groups give none; empty for none.
    pub(crate) default_role: &'a str,
    /// Whether accounts are made for those who have none.
    pub(crate) create: bool,
}

impl Identity {
    /// The account of whoever a system vouches for, brought into line with what the system says. Errors are
    /// [`IdentityError::NoAccount`], [`IdentityError::NoRole`] and [`IdentityError::AccountDisabled`] for those who may
    /// not come in.
    pub(crate) async fn admit(
        &self,
        admission: &Admission<'_>,
        vouched: &Vouched,
    ) -> Result<Credentials, IdentityError> {
        let system = self.inner.catalog.system();
        let known = match system.external_identity(admission.provider, &vouched.subject).await? {
            Some(known) => known,
            None if admission.create => self.make_account(admission, vouched).await?,
            None => return Err(IdentityError::NoAccount),
        };
        if known.managed {
            self.follow(admission, &known, vouched).await?;
        }
        let credentials = system.credentials(known.user).await?.ok_or(IdentityError::NoAccount)?;
        if !may_sign_in(&credentials) {
            return Err(IdentityError::AccountDisabled);
        }
        system.touch_external_identity(known.id).await?;
        Ok(credentials)
    }

    /// Brings a managed account into line with what its system says now: its roles, its name for people, its address,
    /// and whether it may sign in at all.
    pub(crate) async fn follow(
        &self,
        admission: &Admission<'_>,
        known: &ExternalIdentity,
        vouched: &Vouched,
    ) -> Result<(), IdentityError> {
        let wanted = self.wanted_roles(admission, &vouched.groups).await?;
        if wanted.is_empty() {
            return match self.suspend(admission.provider, known).await {
                // A tenant keeps its last administrator, whatever a group says.
                Err(IdentityError::LastAdmin) => Ok(()),
                done => done.and(Err(IdentityError::NoRole)),
            };
        }
        let found = self.inner.catalog.system().credentials(known.user).await?;
        let account = found.ok_or(IdentityError::NoAccount)?;
        let user = &account.user;
        if user.disabled && !known.suspended {
            return Err(IdentityError::AccountDisabled);
        }
        let mut tx = self.begin_external(admission.provider, user, user.home_tenant).await?;
        if known.suspended {
            tx.suspend_identity(user.id, known.id, false).await?;
        }
        let change = UserChange {
            name: None,
            display_name: vouched.display_name.clone().filter(|name| !name.trim().is_empty()),
            email: vouched.email.clone().map(Some),
            disabled: known.suspended.then_some(false),
        };
        tx.update_user(user.id, user.version, &change).await?;
        tx.commit().await?;
        self.set_roles(admission.provider, user, &account.memberships, &wanted).await
    }

    /// Disables an account that its system gives no role any more, and ends its sessions.
    pub(crate) async fn suspend(&self, provider: &str, known: &ExternalIdentity) -> Result<(), IdentityError> {
        let found = self.inner.catalog.system().credentials(known.user).await?;
        let Some(user) = found.map(|account| account.user).filter(|user| !user.disabled) else { return Ok(()) };
        let mut tx = self.begin_external(provider, &user, user.home_tenant).await?;
        let guard = LastAdmin::before(&tx).await?;
        tx.suspend_identity(user.id, known.id, true).await?;
        let change = UserChange { disabled: Some(true), ..UserChange::default() };
        tx.update_user(user.id, user.version, &change).await?;
        guard.after(&tx).await?;
        tx.commit().await?;
        tracing::info!(user = user.name, provider, "the account has no role there any more and was disabled");
        Ok(())
    }

    /// Makes the account of somebody who comes for the first time.
    async fn make_account(
        &self,
        admission: &Admission<'_>,
        vouched: &Vouched,
    ) -> Result<ExternalIdentity, IdentityError> {
        let wanted = self.wanted_roles(admission, &vouched.groups).await?;
        let home =
            if wanted.contains_key(&TenantId::DEFAULT) { Some(&TenantId::DEFAULT) } else { wanted.keys().next() };
        let home = *home.ok_or(IdentityError::NoRole)?;
        let name = self.free_name(admission.provider, vouched).await?;
        let new = NewUser {
            name,
            display_name: vouched.display_name.clone().unwrap_or_default(),
            email: vouched.email.clone(),
            password_hash: None,
            role: wanted[&home].clone(),
        };
        let mut tx = self.begin(home, Actor::system(admission.provider)).await?;
        let user = tx.create_user(&new).await?;
        let identity = tx.link_identity(user.id, admission.provider, &vouched.subject, true).await?;
        tx.commit().await?;
        Ok(identity)
    }

    /// A sign-in name that nobody has: an account that is there already belongs to whoever has it, however the other
    /// system names its people.
    async fn free_name(&self, provider: &str, vouched: &Vouched) -> Result<String, IdentityError> {
        let short = provider.rsplit(':').next().unwrap_or(provider);
        let plain: String = vouched.name.split_whitespace().collect::<Vec<_>>().join(".");
        let plain: String = plain.chars().take(60).collect();
        for name in [plain.clone(), format!("{plain}@{short}")] {
            let Ok(name) = user_name(&name) else { continue };
            if self.inner.catalog.system().credentials_by_name(&name).await?.is_none() {
                return Ok(name);
            }
        }
        Err(IdentityError::NoAccount)
    }

    /// The role that somebody's groups give, by tenant.
    async fn wanted_roles(
        &self,
        admission: &Admission<'_>,
        groups: &[String],
    ) -> Result<BTreeMap<TenantId, String>, IdentityError> {
        let mut wanted = BTreeMap::new();
        let system = self.inner.catalog.system();
        // Directories do not tell upper from lower case; two groups that differ in it alone would help nobody.
        let groups: BTreeSet<String> = groups.iter().take(GROUPS_MAX).map(|group| group.to_lowercase()).collect();
        for line in admission.roles.iter().filter(|line| groups.contains(&line.group.to_lowercase())) {
            let tenant = system.tenant_by_slug(&line.tenant).await?.filter(|t| !t.disabled);
            let Some(tenant) = tenant else {
                tracing::warn!(provider = admission.provider, tenant = line.tenant, "a group's tenant does not exist");
                continue;
            };
            if self.role_permissions(tenant.id, &line.role).await.is_err() {
                tracing::warn!(provider = admission.provider, role = line.role, "a group's role does not exist");
                continue;
            }
            wanted.entry(tenant.id).or_insert_with(|| line.role.clone());
        }
        if wanted.is_empty() && !admission.default_role.is_empty() {
            wanted.insert(TenantId::DEFAULT, admission.default_role.to_owned());
        }
        Ok(wanted)
    }

    /// Gives an account these roles and no others. A tenant keeps its last administrator, whatever a group says.
    async fn set_roles(
        &self,
        provider: &str,
        user: &User,
        held: &[Membership],
        wanted: &BTreeMap<TenantId, String>,
    ) -> Result<(), IdentityError> {
        let gone = held.iter().filter(|m| !wanted.contains_key(&m.tenant)).map(|m| (m.tenant, None));
        let given = wanted.iter().map(|(tenant, role)| (*tenant, Some(role.as_str())));
        for (tenant, role) in given.chain(gone) {
            if held.iter().any(|m| m.tenant == tenant && Some(m.role.as_str()) == role) {
                continue;
            }
            let mut tx = self.begin_external(provider, user, tenant).await?;
            let guard = LastAdmin::before(&tx).await?;
            tx.set_membership(user.id, role).await?;
            match guard.after(&tx).await {
                Ok(()) => tx.commit().await.map(drop)?,
                Err(IdentityError::LastAdmin) => {
                    tracing::warn!(user = user.name, provider, %tenant, "the last administrator keeps the role");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn begin_external(
        &self,
        provider: &str,
        user: &User,
        tenant: TenantId,
    ) -> Result<guardian_catalog::Tx, IdentityError> {
        let scope = Scope::of_all([user.home_tenant, tenant]);
        Ok(self.inner.catalog.scoped(&scope).begin(tenant, Actor::system(provider)).await?)
    }

    /// Refuses what only another system may change of an account.
    pub(crate) async fn refuse_managed(&self, user: UserId, what: &str) -> Result<(), IdentityError> {
        let held = self.inner.catalog.system().external_identities_of(user).await?;
        match held.iter().find(|identity| identity.managed) {
            Some(identity) => Err(IdentityError::Forbidden(format!(
                "this account belongs to `{}`: {what} there",
                identity.provider.rsplit(':').next().unwrap_or_default()
            ))),
            None => Ok(()),
        }
    }

    /// The systems that the principal's own account is known to, oldest first.
    pub async fn own_identities(&self, principal: &Principal) -> Result<Vec<ExternalIdentity>, IdentityError> {
        let (user, _) = active_session(principal)?;
        Ok(self.inner.catalog.system().external_identities_of(user).await?)
    }

    /// Forgets what a system calls the principal's own account. Refused if they could not sign in any more, and for
    /// those that a system manages.
    pub async fn unlink_identity(&self, principal: &Principal, id: Uuid, origin: &Origin) -> Result<(), IdentityError> {
        let (user, _) = active_session(principal)?;
        self.require_recent(principal)?;
        let system = self.inner.catalog.system();
        let held = system.external_identities_of(user).await?;
        let gone = held.iter().find(|i| i.id == id).ok_or(CatalogError::NotFound("identity"))?;
        if gone.managed {
            self.refuse_managed(user, "leave it").await?;
        }
        let known = system.credentials(user).await?.ok_or(IdentityError::NotSignedIn)?;
        let passkey = system.factors(user).await?.iter().any(|f| f.kind == guardian_catalog::FactorKind::Passkey);
        if held.len() == 1 && known.password_hash.is_none() && !passkey {
            return Err(
                CatalogError::Conflict("this is the account's only way in: add another one first".into()).into()
            );
        }
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        tx.unlink_identity(user, id).await?;
        tx.commit().await?;
        Ok(())
    }
}
