//! First-run set-up: until there is an account, a single-use token, known to whoever reads the server's terminal or
//! data directory, makes the first administrator. The API takes it from loopback only.

use std::path::PathBuf;

use guardian_catalog::{Actor, CatalogError, NewUser, Opening, SignInMethod};
use guardian_model::{Micros, TenantId};
use zeroize::Zeroizing;

use crate::limiter::ADDRESS;
use crate::service::address;
use crate::{Identity, IdentityError, Origin, Role, SignedIn, files, secret};

/// Name of the token's file in the data directory.
pub const SETUP_TOKEN_FILE: &str = "setup-token";

/// The token to show on the terminal.
#[derive(Debug)]
pub struct SetupToken {
    /// The token itself.
    pub token: Zeroizing<String>,
    /// Until when it is valid.
    pub expires: Micros,
    /// The file that holds it, readable by its owner only.
    pub path: PathBuf,
}

impl Identity {
    /// Call at start: while there is no account, the token to make the first one with. One that a former start made
    /// and that is still valid is kept, an expired or lost one is replaced. Once there is an account: none, and the
    /// file is gone.
    pub async fn prepare_setup(&self) -> Result<Option<SetupToken>, IdentityError> {
        let path = self.inner.data.join(SETUP_TOKEN_FILE);
        if self.inner.catalog.system().has_users().await? {
            files::remove(&path)?;
            return Ok(None);
        }
        let mut tx = self.begin(TenantId::DEFAULT, Actor::system("set-up")).await?;
        if let Ok(token) = files::read_private(&path)
            && let Some(expires) = tx.setup_token_expiry(&secret::hash("setup", &token)).await?
            && expires > tx.now()
        {
            return Ok(Some(SetupToken { token, expires, path }));
        }
        let token = secret::token()?;
        let expires = tx.now() + self.inner.config.setup_token.as_micros();
        tx.put_setup_token(secret::hash("setup", &token), expires).await?;
        files::write_private(&path, &token)?;
        tx.commit().await?;
        Ok(Some(SetupToken { token, expires, path }))
    }

    /// Whether set-up is still open.
    pub async fn needs_setup(&self) -> Result<bool, IdentityError> {
        Ok(!self.inner.catalog.system().has_users().await?)
    }

    /// Makes the first administrator with the set-up token, and signs them in. The token is used up by it, whoever
    /// else tries at the same moment.
    pub async fn redeem_setup(
        &self,
        token: &str,
        name: &str,
        display_name: &str,
        password: &str,
        origin: &Origin,
    ) -> Result<SignedIn, IdentityError> {
        let ip = address(origin.ip);
        let attempts: [(_, &[&[u8]]); 1] = [(&ADDRESS, &[b"setup", &ip])];
        let monotonic = self.inner.clock.monotonic();
        let waited = self.inner.limiter.attempt(&attempts, monotonic);
        waited.map_err(|retry_after| IdentityError::Locked { retry_after })?;
        self.check_new_password(password, name).await?;
        let hash = secret::hash("setup", token.trim());
        let actor = || Actor::anonymous(origin.ip, origin.request_id.clone());
        // Looked at before the password is hashed, so that guessing costs us nothing; decided by using it up.
        let tx = self.begin(TenantId::DEFAULT, actor()).await?;
        let valid = tx.setup_token_expiry(&hash).await?.is_some_and(|expires| expires > tx.now());
        drop(tx);
        if !valid {
            return Err(IdentityError::BadSetupToken);
        }
        let password_hash = Some(self.inner.hasher.hash(password).await?);
        let mut tx = self.begin(TenantId::DEFAULT, actor()).await?;
        tx.use_setup_token(&hash).await.map_err(|error| match error {
            CatalogError::NotFound(_) | CatalogError::Conflict(_) => IdentityError::BadSetupToken,
            other => other.into(),
        })?;
        let user = tx
            .create_user(&NewUser {
                name: name.to_owned(),
                display_name: display_name.to_owned(),
                email: None,
                password_hash,
                role: Role::Admin.as_str().to_owned(),
            })
            .await?;
        tx.commit().await?;
        self.inner.limiter.forgive(&ADDRESS, attempts[0].1, true, monotonic);
        files::remove(&self.inner.data.join(SETUP_TOKEN_FILE))?;
        let made = self.inner.catalog.system().credentials(user.id).await?;
        self.open_session(made.ok_or(IdentityError::NotSignedIn)?, Opening::with(SignInMethod::Setup), origin).await
    }
}
