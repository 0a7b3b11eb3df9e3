//! The master key: what wraps the keys of the catalog, and is never in it. Operators give it as a file, as an environment
//! variable or as a systemd credential; without, it is a file of the data directory that its owner alone reads.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use data_encoding::HEXLOWER;
use guardian_kit::config::Secret;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{IdentityError, files, secret};

/// Name of the key's file in the data directory.
pub const MASTER_KEY_FILE: &str = "secrets.key";
/// The next one, while keys are wrapped anew.
const NEXT_FILE: &str = "secrets.key.next";
/// Name of the systemd credential.
const CREDENTIAL: &str = "guardian.master-key";

/// Where the master key comes from.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeysConfig {
    /// File with the master key: 32 bytes in base64, as `openssl rand -base64 32` prints. Empty: the variable
    /// `GUARDIAN_IDENTITY__KEYS__MASTER_KEY`, the systemd credential `guardian.master-key`, or `secrets.key` in the data directory,
    /// in this order.
    pub master_key_file: PathBuf,
    /// The master key itself, for the environment; a configuration file is no place for it.
    pub master_key: Secret,
    /// File with the master key that was used before, until `guardian keys rotate --master` has wrapped everything anew.
    pub previous_master_key_file: PathBuf,
}

/// A master key.
#[derive(Clone)]
pub(crate) struct Master {
    /// The first 16 hexadecimal digits of a hash of it.
    pub(crate) id: String,
    /// Where it came from, for people.
    pub(crate) source: String,
    /// Whether it is the file of the data directory, which rotation may replace by itself.
    pub(crate) ours: bool,
    key: Zeroizing<[u8; 32]>,
}

impl Master {
    fn new(text: &str, source: String) -> Result<Self, IdentityError> {
        let broken = || IdentityError::Hash(format!("{source} holds no key: 32 bytes in base64 are wanted"));
        let text = text.trim().trim_end_matches('=');
        let bytes = STANDARD_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| broken())?;
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| broken())?;
        let hash = Sha256::new().chain_update(b"guardian master key\0").chain_update(key).finalize();
        let id = HEXLOWER.encode(&hash[..8]);
        Ok(Self { id, source, ours: false, key: Zeroizing::new(key) })
    }

    fn file(path: &Path) -> Result<Self, IdentityError> {
        Self::new(&files::read_private(path)?, path.display().to_string())
    }

    /// Wraps a key; `about` says which one.
    pub(crate) fn wrap(&self, about: &str, key: &[u8]) -> Result<String, IdentityError> {
        seal(&self.key, about, key)
    }

    /// Unwraps what [`Master::wrap`] made.
    pub(crate) fn unwrap(&self, about: &str, text: &str) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        open(&self.key, about, text)
    }
}

/// Makes a key in the data directory, if none is given and none is there. Only for an installation that has no keys yet:
/// a new key cannot stand in for one that is lost.
pub(crate) fn make_first(config: &KeysConfig, data: &Path) -> Result<(), IdentityError> {
    if masters(config, data)?.is_empty() {
        let key = secret::random::<32>()?;
        files::write_private(&data.join(MASTER_KEY_FILE), &Zeroizing::new(STANDARD_NO_PAD.encode(key.as_slice())))?;
    }
    Ok(())
}

/// The master keys there are: the current one first, then those of before.
pub(crate) fn masters(config: &KeysConfig, data: &Path) -> Result<Vec<Master>, IdentityError> {
    let own = data.join(MASTER_KEY_FILE);
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|d| PathBuf::from(d).join(CREDENTIAL));
    let given = config.master_key.expose();
    let mut all = Vec::new();
    if !config.master_key_file.as_os_str().is_empty() {
        all.push(Master::file(&config.master_key_file)?);
    } else if !given.is_empty() {
        all.push(Master::new(given, "the variable GUARDIAN_IDENTITY__KEYS__MASTER_KEY".to_owned())?);
    } else if let Some(path) = credential.filter(|path| path.exists()) {
        all.push(Master::file(&path)?);
    }
    if !config.previous_master_key_file.as_os_str().is_empty() {
        all.push(Master::file(&config.previous_master_key_file)?);
    }
    for path in [own, data.join(NEXT_FILE)].iter().filter(|path| path.exists()) {
        all.push(Master { ours: true, ..Master::file(path)? });
    }
    all.dedup_by(|b, a| a.id == b.id);
    Ok(all)
}

/// Makes the next key of the data directory; [`settle_next`] puts it in the place of the present one.
pub(crate) fn make_next(data: &Path) -> Result<Master, IdentityError> {
    let path = data.join(NEXT_FILE);
    if !path.exists() {
        let key = secret::random::<32>()?;
        files::write_private(&path, &Zeroizing::new(STANDARD_NO_PAD.encode(key.as_slice())))?;
    }
    Ok(Master { ours: true, ..Master::file(&path)? })
}

/// Puts the next key in the place of the present one.
pub(crate) fn settle_next(data: &Path) -> Result<(), IdentityError> {
    let path = data.join(NEXT_FILE);
    std::fs::rename(&path, data.join(MASTER_KEY_FILE))
        .map_err(|source| IdentityError::File { path: path.display().to_string(), source })
}

/// Seals `bytes` with AES-256-GCM for `about`: nonce, ciphertext and tag in base64.
pub(crate) fn seal(key: &[u8; 32], about: &str, bytes: &[u8]) -> Result<String, IdentityError> {
    let nonce = secret::random::<NONCE_LEN>()?;
    let mut sealed = bytes.to_vec();
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(about.as_bytes()), &mut sealed)
        .map_err(|_| IdentityError::Hash("a secret could not be sealed".into()))?;
    let mut whole = nonce.to_vec();
    whole.extend_from_slice(&sealed);
    Ok(STANDARD_NO_PAD.encode(whole))
}

/// Opens what [`seal`] made.
pub(crate) fn open(key: &[u8; 32], about: &str, text: &str) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let broken = || IdentityError::Hash("a secret does not open with this installation's key".into());
    let whole = STANDARD_NO_PAD.decode(text).map_err(|_| broken())?;
    let (nonce, sealed) = whole.split_at_checked(NONCE_LEN).ok_or_else(broken)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| broken())?;
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let length =
        cipher(key)?.open_in_place(nonce, Aad::from(about.as_bytes()), &mut bytes).map_err(|_| broken())?.len();
    bytes.truncate(length);
    Ok(bytes)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, IdentityError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| IdentityError::Hash("a key cannot be used".into()))?;
    Ok(LessSafeKey::new(key))
}
