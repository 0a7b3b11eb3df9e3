//! Keys that are not typed by people: API keys for programs (`gdn_` + public part + secret), and the operator key
//! (`gdo_` + secret), by which the command line on the server's machine proves that it runs as the same user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use guardian_catalog::{ApiKey, ApiKeyChange, NewApiKey, Subject};
use guardian_model::{Micros, TenantId};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::roles::permissions;
use crate::sign_in::TOUCH_EVERY;
use crate::{Identity, IdentityError, Origin, Permission, PermissionSet, Principal, PrincipalKind, secret};
use crate::{files, jwt};

/// What every API key begins with.
pub const API_KEY_PREFIX: &str = "gdn_";

/// What every operator key begins with.
pub const OPERATOR_KEY_PREFIX: &str = "gdo_";

/// An API key that was just made.
pub struct MadeApiKey {
    /// The key for the program: shown once, kept nowhere.
    pub text: Zeroizing<String>,
    /// What is kept of it.
    pub key: ApiKey,
}

/// What to change of an API key; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// The version that the caller saw.
    pub version: i32,
    /// What it is for.
    pub name: Option<String>,
    /// What it is limited to.
    pub allowed: Option<Vec<Permission>>,
    /// Until when.
    pub expires: Option<Micros>,
}

impl Identity {
    /// Who has this bearer token: an API key or the operator key. A key that is refused is written to the audit trail.
    pub async fn bearer(&self, token: &str, origin: &Origin) -> Result<Principal, IdentityError> {
        let found = if let Some(key) = token.strip_prefix(API_KEY_PREFIX) {
            self.api_key(key, origin).await
        } else if token.starts_with(OPERATOR_KEY_PREFIX) {
            self.operator(token).await
        } else if jwt::is_token(token) {
            self.access_token(token, origin).await
        } else {
            Err(IdentityError::NotSignedIn)
        };
        if matches!(found, Err(IdentityError::NotSignedIn)) && self.may_note(origin) {
            let kind = if token.starts_with(OPERATOR_KEY_PREFIX) { "operator key" } else { "API key" };
            let actor = guardian_catalog::Actor::anonymous(origin.ip, origin.request_id.clone());
            let mut tx = self.begin(TenantId::DEFAULT, actor).await?;
            tx.note("key.refused", Subject::ApiKey, "", json!({ "kind": kind }));
            tx.commit().await?;
        }
        found
    }

    /// Makes an API key for a program, working in `tenant` with `allowed`, until `expires`. The maker must hold
    /// everything the key is given; the key loses what its maker loses. The caller has authorised it.
    pub async fn create_api_key(
        &self,
        maker: &Principal,
        tenant: TenantId,
        name: &str,
        allowed: &[Permission],
        expires: Micros,
        origin: &Origin,
    ) -> Result<MadeApiKey, IdentityError> {
        let invalid = |text: &str| Err(IdentityError::Invalid(text.to_owned()));
        let Some(user) = maker.user else { return invalid("an API key belongs to an account: sign in with one") };
        if name.trim().is_empty() {
            return invalid("an API key needs a name");
        }
        self.check_key(maker, tenant, Some(allowed), Some(expires))?;
        let (public_id, secret_text) = (secret::public_id()?, secret::token()?);
        let text = Zeroizing::new(format!("{API_KEY_PREFIX}{public_id}_{}", secret_text.as_str()));
        let mut tx = self.begin(tenant, maker.actor(origin)).await?;
        let key = tx
            .create_api_key(&NewApiKey {
                public_id,
                secret_hash: secret::hash("api key", &secret_text),
                user,
                name: name.to_owned(),
                scopes: allowed.iter().map(|p| p.name().to_owned()).collect(),
                expires: Some(expires),
            })
            .await?;
        tx.commit().await?;
        Ok(MadeApiKey { text, key })
    }

    /// Changes an API key of `tenant`. The caller has authorised it; nobody gives a key what they do not hold.
    pub async fn change_api_key(
        &self,
        principal: &Principal,
        tenant: TenantId,
        id: Uuid,
        change: &KeyChange,
        origin: &Origin,
    ) -> Result<ApiKey, IdentityError> {
        if change.name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            return Err(IdentityError::Invalid("an API key needs a name".into()));
        }
        self.check_key(principal, tenant, change.allowed.as_deref(), change.expires)?;
        let catalog = ApiKeyChange {
            name: change.name.clone(),
            scopes: change.allowed.as_ref().map(|all| all.iter().map(|p| p.name().to_owned()).collect()),
            expires: change.expires,
        };
        let mut tx = self.begin(tenant, principal.actor(origin)).await?;
        let key = tx.update_api_key(id, change.version, &catalog).await?;
        tx.commit().await?;
        Ok(key)
    }

    fn check_key(
        &self,
        maker: &Principal,
        tenant: TenantId,
        allowed: Option<&[Permission]>,
        expires: Option<Micros>,
    ) -> Result<(), IdentityError> {
        let invalid = |text: &str| Err(IdentityError::Invalid(text.to_owned()));
        let now = self.inner.clock.now();
        if expires.is_some_and(|at| at <= now || at - now > self.inner.config.api_key_max.as_micros()) {
            return invalid("an API key expires in the future, and not later than the configuration allows");
        }
        if allowed.is_some_and(<[Permission]>::is_empty) {
            return invalid("an API key needs at least one permission");
        }
        let missing = allowed.into_iter().flatten().find(|p| !maker.permissions(tenant).contains(**p));
        if let Some(missing) = missing {
            return Err(IdentityError::Invalid(format!("you cannot give {missing}, which you do not hold")));
        }
        Ok(())
    }

    /// Revokes an API key of `tenant`. The caller has authorised it.
    pub async fn revoke_api_key(
        &self,
        principal: &Principal,
        tenant: TenantId,
        id: Uuid,
        origin: &Origin,
    ) -> Result<ApiKey, IdentityError> {
        let mut tx = self.begin(tenant, principal.actor(origin)).await?;
        let key = tx.revoke_api_key(id).await?;
        tx.commit().await?;
        Ok(key)
    }

    /// Lets the holder of `key` in as the local operator, until another key or the end of the process.
    pub fn accept_operator(&self, key: OperatorKey) {
        *self.inner.operator.write() = Some(key);
    }

    async fn api_key(&self, text: &str, origin: &Origin) -> Result<Principal, IdentityError> {
        let (public_id, secret_text) = text.split_once('_').ok_or(IdentityError::NotSignedIn)?;
        let system = self.inner.catalog.system();
        let (key, hash) = system.api_key(public_id).await?.ok_or(IdentityError::NotSignedIn)?;
        let now = self.inner.clock.now();
        let ended = key.revoked.is_some() || key.expires.is_some_and(|expires| now >= expires);
        if !secret::same(&hash, &secret::hash("api key", secret_text)) || ended {
            return Err(IdentityError::NotSignedIn);
        }
        let maker = system.credentials(key.user).await?.filter(|c| !c.user.disabled);
        let maker = maker.ok_or(IdentityError::NotSignedIn)?;
        self.require_of_program(&maker, origin).await?;
        let given: PermissionSet = key.scopes.iter().filter_map(|name| name.parse::<Permission>().ok()).collect();
        let held = permissions(&maker).get(&key.tenant).copied().unwrap_or_default().intersection(given);
        if key.last_used.is_none_or(|used| now - used >= TOUCH_EVERY) {
            system.touch_api_key(key.id).await?;
        }
        let kind = PrincipalKind::ApiKey { key: key.id };
        Ok(Principal::new(kind, Some(key.user), key.name, key.tenant, BTreeMap::from([(key.tenant, held)])))
    }

    async fn operator(&self, text: &str) -> Result<Principal, IdentityError> {
        let given = secret::hash("operator", text);
        let accepted = self.inner.operator.read().as_ref().is_some_and(|key| secret::same(&key.hash, &given));
        if !accepted {
            return Err(IdentityError::NotSignedIn);
        }
        self.local_operator("local operator").await
    }

    /// The principal that the command line is when it works on the catalog itself, without a server: whoever may
    /// write the data directory may do everything. `name` goes into the audit trail.
    pub async fn local_operator(&self, name: &str) -> Result<Principal, IdentityError> {
        let tenants = self.inner.catalog.system().tenants().await?;
        let everything = tenants.into_iter().map(|tenant| (tenant.id, PermissionSet::all())).collect();
        Ok(Principal::new(PrincipalKind::LocalOperator, None, name.to_owned(), TenantId::DEFAULT, everything))
    }
}

/// The key by which the command line on this machine is let in: new at each start, in a file that only this
/// operating-system user can read. The file goes when the key does.
#[derive(Debug)]
pub struct OperatorKey {
    hash: Vec<u8>,
    path: PathBuf,
}

impl OperatorKey {
    /// Makes a new key and writes it to `path` (mode 0600, its directory 0700), replacing an older one.
    pub fn create(path: &Path) -> Result<Self, IdentityError> {
        let text = Zeroizing::new(format!("{OPERATOR_KEY_PREFIX}{}", secret::token()?.as_str()));
        files::write_private(path, &text)?;
        Ok(Self { hash: secret::hash("operator", &text), path: path.to_owned() })
    }

    /// Reads the key that a running server wrote to `path`; for the command line.
    pub fn read(path: &Path) -> Result<Zeroizing<String>, IdentityError> {
        files::read_private(path)
    }
}

impl Drop for OperatorKey {
    fn drop(&mut self) {
        // Another server may have started meanwhile and written its own key there.
        let ours = files::read_private(&self.path).is_ok_and(|text| secret::hash("operator", &text) == self.hash);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the operator key's file could not be removed");
        }
    }
}
