//! Envelope encryption of what the catalog has to keep secret (seeds of second factors, passwords of outside services):
//! each secret is sealed with a data key, and data keys are in the catalog wrapped by the master key, which is not.
//! A copy of the database alone is worth nothing to a thief, and a master key is replaced without touching a secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use guardian_catalog::{Actor, Subject};
use guardian_model::{Micros, Pseudonyms, TenantId};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use crate::master::{self, Master};
use crate::{Identity, IdentityError, secret};

/// Name of the keyring among the catalog's states.
const KEYRING: &str = "keyring";
/// How a secret begins that the first Guardian sealed with the master key itself.
const FIRST: &str = "v1:";
/// How a secret begins now; the data key's id and a colon follow.
const SCHEME: &str = "v2:";
/// Once another key has taken over, a key is kept so long for programs that have not noticed.
const RETIRED_FOR: i64 = Micros::DAY;
/// Tries to change the keyring while others do.
const TRIES: usize = 10;

/// What a data key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPurpose {
    /// Secrets in the catalog.
    Secrets,
    /// Pseudonyms of personal data. It is never replaced: what people know somebody by would change.
    Pseudonyms,
    /// Files of the lake.
    Lake,
}

/// The keyring as the catalog keeps it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Keyring {
    keys: Vec<Wrapped>,
}

/// One data key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wrapped {
    id: String,
    purpose: KeyPurpose,
    created: Micros,
    /// Since when another one is used instead.
    retired: Option<Micros>,
    /// By the id of the master key.
    wraps: BTreeMap<String, String>,
}

impl Wrapped {
    fn about(&self) -> String {
        format!("data key {}", self.id)
    }
}

/// The keys, unwrapped.
pub(crate) struct Vault {
    keys: Vec<(Wrapped, Zeroizing<[u8; 32]>)>,
    masters: Vec<Master>,
}

/// A data key as `guardian keys status` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct KeyInfo {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Since when.
    pub created: String,
    /// Since when another one is used instead.
    pub retired: Option<String>,
    /// Ids of the master keys that it is wrapped by.
    pub wrapped_by: Vec<String>,
    /// How many secrets are sealed with it.
    pub secrets: usize,
}

/// The keys of the installation.
#[derive(Clone, Debug, Serialize)]
pub struct KeyStatus {
    /// Id of the master key.
    pub master: String,
    /// Where it comes from.
    pub source: String,
    /// Whether every data key is wrapped by it and by no other.
    pub settled: bool,
    /// The data keys.
    pub keys: Vec<KeyInfo>,
    /// Secrets that are still sealed as the first Guardian did.
    pub first_scheme: usize,
}

/// What a rotation did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rotated {
    /// Secrets that were sealed anew.
    pub secrets: usize,
    /// Data keys that were wrapped anew.
    pub wrapped: usize,
    /// Data keys that were forgotten, because nothing is sealed with them any more.
    pub forgotten: usize,
    /// What is left to do by hand.
    pub note: Option<String>,
}

impl Vault {
    fn active(&self, purpose: KeyPurpose) -> Option<&(Wrapped, Zeroizing<[u8; 32]>)> {
        self.keys
            .iter()
            .filter(|(key, _)| key.purpose == purpose && key.retired.is_none())
            .max_by_key(|(key, _)| key.created)
    }

    fn seal(&self, about: &str, bytes: &[u8]) -> Result<String, IdentityError> {
        let (key, bytes_of_key) = self.active(KeyPurpose::Secrets).ok_or_else(no_key)?;
        Ok(format!("{SCHEME}{}:{}", key.id, master::seal(bytes_of_key, about, bytes)?))
    }

    /// None if it was sealed with a key that is not known here.
    fn open(&self, about: &str, text: &str) -> Result<Option<Zeroizing<Vec<u8>>>, IdentityError> {
        if let Some(sealed) = text.strip_prefix(FIRST) {
            let opened = self.masters.iter().find_map(|master| master.unwrap(about, sealed).ok());
            return opened.map(Some).ok_or_else(broken);
        }
        let (id, sealed) = text.strip_prefix(SCHEME).and_then(|rest| rest.split_once(':')).ok_or_else(broken)?;
        match self.keys.iter().find(|(key, _)| key.id == id) {
            Some((_, key)) => master::open(key, about, sealed).map(Some),
            None => Ok(None),
        }
    }
}

fn broken() -> IdentityError {
    IdentityError::Hash("a secret does not open with this installation's key".into())
}

fn no_key() -> IdentityError {
    IdentityError::Hash("the catalog's keys are not there yet".into())
}

impl Identity {
    /// Makes the keys that are missing. Call it at the start, and before anything is sealed.
    pub async fn prepare_keys(&self) -> Result<(), IdentityError> {
        if self.keyring().await?.1.is_none() {
            master::make_first(&self.inner.config.keys, &self.inner.data)?;
        }
        self.change_keyring(|ring, masters, now| {
            for purpose in [KeyPurpose::Secrets, KeyPurpose::Pseudonyms, KeyPurpose::Lake] {
                if !ring.keys.iter().any(|key| key.purpose == purpose && key.retired.is_none()) {
                    ring.keys.push(fresh(purpose, masters.first().ok_or_else(no_key)?, now)?);
                }
            }
            Ok(())
        })
        .await?;
        self.reload_keys().await?;
        Ok(())
    }

    /// Seals a secret for the catalog. `about` says whose it is; it opens for the same `about` only, so that rows cannot
    /// be swapped. Not within a transaction: it may have to make a key first.
    pub async fn seal(&self, about: &str, bytes: &[u8]) -> Result<String, IdentityError> {
        let vault = self.vault().await?;
        if vault.active(KeyPurpose::Secrets).is_some() {
            return vault.seal(about, bytes);
        }
        self.prepare_keys().await?;
        self.vault().await?.seal(about, bytes)
    }

    /// Opens what [`Identity::seal`] made.
    pub async fn unseal(&self, about: &str, text: &str) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        if let Some(bytes) = self.vault().await?.open(about, text)? {
            return Ok(bytes);
        }
        // Another process may have made a new key since.
        self.reload_keys().await?.open(about, text)?.ok_or_else(broken)
    }

    /// The pseudonyms of a tenant.
    pub async fn pseudonyms(&self, tenant: TenantId) -> Result<Pseudonyms, IdentityError> {
        let vault = self.vault().await?;
        let (_, key) = vault.active(KeyPurpose::Pseudonyms).ok_or_else(no_key)?;
        let mut of_tenant = [0; 32];
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), tenant.0.as_bytes());
        of_tenant.copy_from_slice(tag.as_ref());
        Ok(Pseudonyms::new(of_tenant))
    }

    /// The keys of the lake's files by id; the one to write with is first.
    pub async fn lake_keys(&self) -> Result<Vec<(String, Zeroizing<[u8; 32]>)>, IdentityError> {
        let vault = self.vault().await?;
        let mut keys: Vec<_> = vault.keys.iter().filter(|(key, _)| key.purpose == KeyPurpose::Lake).collect();
        keys.sort_by_key(|(key, _)| (key.retired.is_some(), std::cmp::Reverse(key.created)));
        Ok(keys.into_iter().map(|(key, bytes)| (key.id.clone(), bytes.clone())).collect())
    }

    /// Reads the keys again, because another process may have changed them.
    pub async fn refresh_keys(&self) -> Result<(), IdentityError> {
        self.reload_keys().await.map(drop)
    }

    /// How things stand.
    pub async fn key_status(&self) -> Result<KeyStatus, IdentityError> {
        let vault = self.reload_keys().await?;
        let secrets = self.inner.catalog.system().sealed_secrets().await?;
        let master = vault.masters.first().ok_or_else(no_key)?;
        let sealed_with = |id: &str| secrets.iter().filter(|s| s.text.starts_with(&format!("{SCHEME}{id}:"))).count();
        let info = |key: &Wrapped| KeyInfo {
            id: key.id.clone(),
            purpose: key.purpose,
            created: key.created.to_string(),
            retired: key.retired.map(|time| time.to_string()),
            wrapped_by: key.wraps.keys().cloned().collect(),
            secrets: sealed_with(&key.id),
        };
        Ok(KeyStatus {
            master: master.id.clone(),
            source: master.source.clone(),
            settled: vault.keys.iter().all(|(key, _)| key.wraps.len() == 1 && key.wraps.contains_key(&master.id)),
            keys: vault.keys.iter().map(|(key, _)| info(key)).collect(),
            first_scheme: secrets.iter().filter(|s| s.text.starts_with(FIRST)).count(),
        })
    }

    /// Makes new data keys, for secrets and for the lake, and seals every secret of the catalog with the new one, while
    /// others go on working. Lake keys stay for as long as the installation: files and backups need them.
    pub async fn rotate_data_key(&self, actor: Actor) -> Result<Rotated, IdentityError> {
        self.prepare_keys().await?;
        self.change_keyring(|ring, masters, now| {
            let master = masters.first().ok_or_else(no_key)?;
            for purpose in [KeyPurpose::Secrets, KeyPurpose::Lake] {
                for key in ring.keys.iter_mut().filter(|key| key.purpose == purpose) {
                    key.retired = key.retired.or(Some(now));
                }
                ring.keys.push(fresh(purpose, master, now)?);
            }
            Ok(())
        })
        .await?;
        let mut done = Rotated { secrets: self.seal_all_anew().await?, ..Rotated::default() };
        let system = self.inner.catalog.system();
        let left = system.sealed_secrets().await?;
        done.forgotten = self
            .change_keyring(|ring, _, now| {
                let before = ring.keys.len();
                ring.keys.retain(|key| {
                    key.purpose != KeyPurpose::Secrets
                        || key.retired.is_none_or(|since| now - since < RETIRED_FOR)
                        || left.iter().any(|s| s.text.starts_with(&format!("{SCHEME}{}:", key.id)))
                });
                Ok(before - ring.keys.len())
            })
            .await?;
        self.reload_keys().await?;
        self.note_rotation(actor, json!({ "data_key": true, "secrets": done.secrets })).await?;
        Ok(done)
    }

    /// Wraps every data key by the current master key and by no other. If that is the file of the data directory, a new
    /// one takes its place first.
    pub async fn rotate_master_key(&self, actor: Actor) -> Result<Rotated, IdentityError> {
        self.prepare_keys().await?;
        let (config, data) = (&self.inner.config.keys, &self.inner.data);
        let current = master::masters(config, data)?.into_iter().next().ok_or_else(no_key)?;
        // What the first Guardian sealed with the master key itself has to be sealed anew before that key goes.
        let secrets = self.seal_all_anew().await?;
        let ours = current.ours;
        let next = if ours { master::make_next(data)? } else { current };
        self.wrap_all(&next, false).await?;
        if ours {
            master::settle_next(data)?;
        }
        let wrapped = self.wrap_all(&next, true).await?;
        self.reload_keys().await?;
        self.note_rotation(actor, json!({ "master_key": next.id, "secrets": secrets })).await?;
        let old = data.join(master::MASTER_KEY_FILE);
        let note = (!ours && old.exists())
            .then(|| format!("{} wraps nothing any more: keep a copy for old backups, then remove it", old.display()));
        Ok(Rotated { secrets, wrapped, forgotten: 0, note })
    }

    /// Wraps every data key by `next` as well, or by it alone.
    async fn wrap_all(&self, next: &Master, alone: bool) -> Result<usize, IdentityError> {
        self.change_keyring(|ring, masters, _| {
            for key in &mut ring.keys {
                let about = key.about();
                let bytes = unwrap(key, masters)?;
                if alone {
                    key.wraps.clear();
                }
                key.wraps.insert(next.id.clone(), next.wrap(&about, bytes.as_slice())?);
            }
            Ok(ring.keys.len())
        })
        .await
    }

    async fn seal_all_anew(&self) -> Result<usize, IdentityError> {
        let vault = self.reload_keys().await?;
        let active = vault.active(KeyPurpose::Secrets).ok_or_else(no_key)?.0.id.clone();
        let system = self.inner.catalog.system();
        let mut count = 0;
        for secret in system.sealed_secrets().await? {
            if secret.text.starts_with(&format!("{SCHEME}{active}:")) {
                continue;
            }
            let Some(bytes) = vault.open(&secret.about, &secret.text)? else { return Err(broken()) };
            let fresh = vault.seal(&secret.about, &bytes)?;
            // Whoever changed it meanwhile sealed it with some key that is still kept.
            count += usize::from(system.replace_sealed(&secret, &fresh).await?);
        }
        Ok(count)
    }

    async fn note_rotation(&self, actor: Actor, detail: serde_json::Value) -> Result<(), IdentityError> {
        let mut tx = self.begin(TenantId::DEFAULT, actor).await?;
        tx.note("keys.rotate", Subject::Installation, "", detail);
        tx.commit().await?;
        Ok(())
    }

    async fn vault(&self) -> Result<Arc<Vault>, IdentityError> {
        let known = self.inner.vault.read().clone();
        match known {
            Some(vault) => Ok(vault),
            None => self.reload_keys().await,
        }
    }

    async fn reload_keys(&self) -> Result<Arc<Vault>, IdentityError> {
        let masters = master::masters(&self.inner.config.keys, &self.inner.data)?;
        let (ring, _) = self.keyring().await?;
        let unwrapped = ring.keys.into_iter().map(|key| {
            let bytes = unwrap(&key, &masters)?;
            Ok((key, bytes))
        });
        let vault = Arc::new(Vault { keys: unwrapped.collect::<Result<_, IdentityError>>()?, masters });
        *self.inner.vault.write() = Some(Arc::clone(&vault));
        Ok(vault)
    }

    async fn keyring(&self) -> Result<(Keyring, Option<Vec<u8>>), IdentityError> {
        let bytes = self.inner.catalog.system().state(KEYRING).await?;
        let ring = match &bytes {
            Some(bytes) => {
                serde_json::from_slice(bytes).map_err(|e| IdentityError::Hash(format!("the keyring: {e}")))?
            }
            None => Keyring::default(),
        };
        Ok((ring, bytes))
    }

    /// Changes the keyring; again, if somebody else did at the same time.
    async fn change_keyring<T>(
        &self,
        change: impl Fn(&mut Keyring, &[Master], Micros) -> Result<T, IdentityError>,
    ) -> Result<T, IdentityError> {
        let masters = master::masters(&self.inner.config.keys, &self.inner.data)?;
        for _ in 0..TRIES {
            let (mut ring, before) = self.keyring().await?;
            let answer = change(&mut ring, &masters, self.inner.clock.now())?;
            let after = serde_json::to_vec(&ring).map_err(|e| IdentityError::Hash(format!("the keyring: {e}")))?;
            if before.as_deref() == Some(after.as_slice())
                || self.inner.catalog.system().swap_state(KEYRING, before.as_deref(), after).await?
            {
                return Ok(answer);
            }
        }
        Err(IdentityError::Busy)
    }
}

fn fresh(purpose: KeyPurpose, master: &Master, now: Micros) -> Result<Wrapped, IdentityError> {
    let id = HEXLOWER.encode(secret::random::<4>()?.as_slice());
    let mut key = Wrapped { id, purpose, created: now, retired: None, wraps: BTreeMap::new() };
    let text = master.wrap(&key.about(), secret::random::<32>()?.as_slice())?;
    key.wraps.insert(master.id.clone(), text);
    Ok(key)
}

fn unwrap(key: &Wrapped, masters: &[Master]) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    let found = masters.iter().find_map(|master| key.wraps.get(&master.id).map(|text| (master, text)));
    let (master, text) = found.ok_or_else(|| {
        let wanted = key.wraps.keys().cloned().collect::<Vec<_>>().join(" or ");
        IdentityError::Hash(format!("the master key {wanted} is missing: without it the catalog's secrets stay closed"))
    })?;
    let bytes = master.unwrap(&key.about(), text)?;
    Ok(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| broken())?))
}
