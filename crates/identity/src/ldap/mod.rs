//! Signing in with a name and a password that a directory (LDAP, Active Directory) knows: the person is looked up, their
//! password tried there, and their account here made or brought into line with their groups. Who loses the groups is
//! found out at the next sign-in or the next round, whichever comes first.

mod client;
mod config;

use guardian_catalog::{Credentials, ExternalIdentity};
use tokio::sync::Semaphore;

use self::client::{Directory, Found, is_password};
pub(crate) use self::config::PROVIDER;
pub use self::config::{LdapConfig, Nested};
use crate::{Identity, IdentityError};

/// Questions to the directory at once; further ones are told to come back.
pub(crate) const ASKING_MAX: usize = 32;

/// A gate for questions to the directory.
pub(crate) fn gate() -> Semaphore {
    Semaphore::new(ASKING_MAX)
}

impl Identity {
    /// Whether the directory, rather than a password kept here, decides about somebody who signs in: they are nobody here,
    /// or their account came from there. An account of this installation is never the directory's, whatever its name.
    pub(crate) async fn directory_decides(&self, known: Option<&Credentials>) -> Result<bool, IdentityError> {
        let Some(known) = known.filter(|_| self.inner.config.ldap.is_set()) else {
            return Ok(self.inner.config.ldap.is_set());
        };
        Ok(known.password_hash.is_none() && self.directory_name(known).await?.is_some())
    }

    /// The account of this name and password in the directory.
    pub(crate) async fn directory_account(
        &self,
        name: &str,
        password: &str,
        known: Option<&Credentials>,
    ) -> Result<Option<Credentials>, IdentityError> {
        let config = &self.inner.config.ldap;
        let _asking = self.inner.asking.try_acquire().map_err(|_| IdentityError::Busy)?;
        let filter = match known {
            // The account here may have been renamed, there it is the same.
            Some(known) => match self.directory_name(known).await? {
                Some(identity) => config.filter_by_subject(&identity.subject),
                None => return Ok(None),
            },
            None => config.filter_by_name(name),
        };
        let Some(Found { dn, mut vouched }) = self.look_up(&filter).await? else { return Ok(None) };
        if !is_password(config, &dn, password).await? {
            return Ok(None);
        }
        name.clone_into(&mut vouched.name);
        match self.admit(&config.admission(), &vouched).await {
            Ok(credentials) => Ok(Some(credentials)),
            Err(error @ (IdentityError::NoAccount | IdentityError::NoRole | IdentityError::AccountDisabled)) => {
                tracing::info!(name, %error, "the directory knows somebody who may not come in");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether this is the password that the directory knows for an account.
    pub(crate) async fn directory_password(&self, known: &Credentials, password: &str) -> Result<bool, IdentityError> {
        let config = &self.inner.config.ldap;
        let Some(identity) = self.directory_name(known).await?.filter(|_| config.is_set()) else { return Ok(false) };
        let _asking = self.inner.asking.try_acquire().map_err(|_| IdentityError::Busy)?;
        match self.look_up(&config.filter_by_subject(&identity.subject)).await? {
            Some(found) => is_password(config, &found.dn, password).await,
            None => Ok(false),
        }
    }

    /// Asks the directory about everybody who came from it: disables those who are gone or have no role any more, and
    /// gives the others the roles of their groups. Answers how many were disabled. A directory that does not answer
    /// changes nothing.
    pub async fn follow_directory(&self) -> Result<u64, IdentityError> {
        let config = &self.inner.config.ldap;
        if !config.is_set() {
            return Ok(0);
        }
        let (admission, mut disabled) = (config.admission(), 0);
        for known in self.inner.catalog.system().managed_by(PROVIDER).await? {
            let outcome = match self.look_up(&config.filter_by_subject(&known.subject)).await? {
                Some(found) => self.follow(&admission, &known, &found.vouched).await,
                None => self.suspend(PROVIDER, &known).await.and(Err(IdentityError::NoRole)),
            };
            match outcome {
                Err(IdentityError::NoRole) if !known.suspended => disabled += 1,
                Ok(()) | Err(IdentityError::NoRole | IdentityError::AccountDisabled | IdentityError::LastAdmin) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(disabled)
    }

    /// How often [`Identity::follow_directory`] should be called; none without a directory.
    pub fn directory_refresh(&self) -> Option<std::time::Duration> {
        let config = &self.inner.config.ldap;
        config.is_set().then(|| config.refresh.get().max(std::time::Duration::from_secs(1)))
    }

    async fn look_up(&self, filter: &str) -> Result<Option<Found>, IdentityError> {
        let mut directory = Directory::open(&self.inner.config.ldap).await?;
        let found = directory.find(filter).await;
        directory.close().await;
        found
    }

    async fn directory_name(&self, known: &Credentials) -> Result<Option<ExternalIdentity>, IdentityError> {
        let held = self.inner.catalog.system().external_identities_of(known.user.id).await?;
        Ok(held.into_iter().find(|identity| identity.provider == PROVIDER))
    }
}
