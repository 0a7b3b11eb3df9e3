//! Tokens for programs that sign in as somebody: a short-lived access token, and a refresh token that is replaced each
//! time it is used. The use of one that was replaced means that somebody has a copy; the family ends for both.

use guardian_catalog::{Refresh, TokenFamily};
use guardian_model::{Micros, UserId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::jwt::{self, Claims};
use crate::roles::{permissions, role_names};
use crate::sign_in::{active_session, may_sign_in, user_actor};
use crate::{Identity, IdentityError, Origin, Principal, PrincipalKind, secret, signing};

/// What every refresh token begins with.
pub const REFRESH_TOKEN_PREFIX: &str = "gdr_";
/// Where the key that signs access tokens is, below the data directory.
const KEY_FILE: &str = "tokens.key";

/// A pair of tokens that was just made: shown once, kept nowhere.
pub struct TokenPair {
    /// For `Authorization: Bearer`.
    pub access: Zeroizing<String>,
    /// How long the access token is good, in seconds.
    pub expires_secs: i64,
    /// For the next pair.
    pub refresh: Zeroizing<String>,
    /// The family that both belong to.
    pub family: TokenFamily,
}

impl Identity {
    /// Signs a program in with an account's name and password, and with a code if the account has a second factor.
    pub async fn issue_tokens(
        &self,
        name: &str,
        password: &str,
        code: Option<&str>,
        origin: &Origin,
    ) -> Result<TokenPair, IdentityError> {
        let (known, _) = self.authenticate(name, password, origin).await?;
        self.require_of_program(&known, origin).await?;
        let user = &known.user;
        let mut tx = self.begin(user.home_tenant, user_actor(&known, origin)).await?;
        let factor = known.factors > 0;
        if factor {
            let code = code.ok_or(IdentityError::FactorRequired)?;
            self.use_code(&mut tx, user.id, &user.name, code, origin).await?;
        } else if self.needs_factor(&known).await? {
            return Err(IdentityError::EnrolmentRequired);
        }
        let refresh = secret::token()?;
        let expires = tx.now() + self.inner.config.refresh_max.as_micros();
        let hash = secret::hash("refresh token", &refresh);
        let family = tx.begin_family(user.id, hash, expires, factor, origin.user_agent.as_deref()).await?;
        tx.commit().await?;
        if factor {
            self.forgive_code(&user.name, origin);
        }
        self.pair(&refresh, family)
    }

    /// Replaces a pair of tokens by a new one.
    pub async fn refresh_tokens(&self, refresh: &str, origin: &Origin) -> Result<TokenPair, IdentityError> {
        let text = refresh.strip_prefix(REFRESH_TOKEN_PREFIX).ok_or(IdentityError::NotSignedIn)?;
        let hash = secret::hash("refresh token", text);
        let system = self.inner.catalog.system();
        let family = system.family_of_token(&hash).await?.ok_or(IdentityError::NotSignedIn)?;
        let known = system.credentials(family.user).await?.filter(may_sign_in).ok_or(IdentityError::NotSignedIn)?;
        self.require_of_program(&known, origin).await?;
        let fresh = secret::token()?;
        let mut tx = self.begin(known.user.home_tenant, user_actor(&known, origin)).await?;
        let done = tx.rotate_token(&hash, secret::hash("refresh token", &fresh)).await?;
        tx.commit().await?;
        match done {
            Refresh::Renewed(family) => self.pair(&fresh, family),
            Refresh::Reused(family) => {
                tracing::warn!(user = known.user.name, family = %family.id, "a refresh token was used twice");
                Err(IdentityError::NotSignedIn)
            }
            Refresh::Unknown => Err(IdentityError::NotSignedIn),
        }
    }

    /// The families of the principal's own account, last used first.
    pub async fn own_families(&self, principal: &Principal) -> Result<Vec<TokenFamily>, IdentityError> {
        let (user, _) = active_session(principal)?;
        let now = self.inner.clock.now();
        let all = self.inner.catalog.system().token_families(user).await?;
        Ok(all.into_iter().filter(|family| family.revoked.is_none() && family.expires > now).collect())
    }

    /// Revokes one of the principal's own families.
    pub async fn revoke_own_family(
        &self,
        principal: &Principal,
        id: Uuid,
        origin: &Origin,
    ) -> Result<(), IdentityError> {
        let (user, _) = active_session(principal)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        tx.revoke_family(user, id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Who has this access token. Its family and its account are looked up, so that revoking works at once.
    pub(crate) async fn access_token(&self, text: &str, origin: &Origin) -> Result<Principal, IdentityError> {
        let now = self.inner.clock.now();
        let key = signing::read_or_make(&self.inner.data.join(KEY_FILE))?;
        let claims = jwt::verify(text, &key, secs(now)).ok_or(IdentityError::NotSignedIn)?;
        let system = self.inner.catalog.system();
        let family = system.token_family(claims.sid).await?.ok_or(IdentityError::NotSignedIn)?;
        if family.revoked.is_some() || family.expires <= now || family.user != UserId(claims.sub) {
            return Err(IdentityError::NotSignedIn);
        }
        let known = system.credentials(family.user).await?.filter(may_sign_in).ok_or(IdentityError::NotSignedIn)?;
        // A factor that was added, or asked for, since then is still due.
        if !family.factor && (known.factors > 0 || self.needs_factor(&known).await?) {
            return Err(IdentityError::NotSignedIn);
        }
        self.require_of_program(&known, origin).await?;
        let kind = PrincipalKind::Token { family: family.id };
        let user = &known.user;
        let principal = Principal::new(kind, Some(user.id), user.name.clone(), user.home_tenant, permissions(&known));
        Ok(principal.with_roles(role_names(&known)))
    }

    fn pair(&self, refresh: &str, family: TokenFamily) -> Result<TokenPair, IdentityError> {
        let key = signing::read_or_make(&self.inner.data.join(KEY_FILE))?;
        let life = self.inner.config.access_token.as_micros() / Micros::SECOND;
        let claims = Claims::new(family.user.0, family.id, secs(self.inner.clock.now()), life);
        let access = jwt::sign(&claims, &key).map_err(|error| IdentityError::Hash(error.to_string()))?;
        Ok(TokenPair {
            access: Zeroizing::new(access),
            expires_secs: life,
            refresh: Zeroizing::new(format!("{REFRESH_TOKEN_PREFIX}{refresh}")),
            family,
        })
    }
}

fn secs(time: Micros) -> i64 {
    time.0.div_euclid(Micros::SECOND)
}
