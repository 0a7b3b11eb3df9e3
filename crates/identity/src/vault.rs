//! Seals secrets that the catalog has to keep (the seeds of second factors): AES-256-GCM with a key that is not in the
//! database. The key is a file of the data directory, readable by its owner only; backups of the database alone are
//! worth nothing to a thief.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::{IdentityError, files, secret};

/// Name of the key's file in the data directory.
const KEY_FILE: &str = "secrets.key";
/// What a sealed secret begins with: the scheme, to tell later ones apart.
const SCHEME: &str = "v1:";

/// The key.
pub(crate) struct Vault(LessSafeKey);

impl Vault {
    /// Reads the key, or makes one when there is none.
    pub(crate) fn open(data: &Path) -> Result<Self, IdentityError> {
        let path = data.join(KEY_FILE);
        if !path.exists() {
            files::write_private(&path, &Zeroizing::new(STANDARD_NO_PAD.encode(secret::random::<32>()?.as_slice())))?;
        }
        let bytes = STANDARD_NO_PAD.decode(files::read_private(&path)?.as_bytes()).map(Zeroizing::new);
        let broken = || IdentityError::Hash(format!("{} holds no key", path.display()));
        let bytes = bytes.map_err(|_| broken())?;
        Ok(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| broken())?)))
    }

    /// Seals `bytes`. `about` says whose secret it is; it opens for the same `about` only, so that rows cannot be
    /// swapped.
    pub(crate) fn seal(&self, about: &str, bytes: &[u8]) -> Result<String, IdentityError> {
        let nonce = secret::random::<NONCE_LEN>()?;
        let mut sealed = bytes.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(about.as_bytes()), &mut sealed)
            .map_err(|_| IdentityError::Hash("a secret could not be sealed".into()))?;
        let mut whole = nonce.to_vec();
        whole.extend_from_slice(&sealed);
        Ok(format!("{SCHEME}{}", STANDARD_NO_PAD.encode(whole)))
    }

    /// Opens what [`Vault::seal`] made.
    pub(crate) fn open_sealed(&self, about: &str, text: &str) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        let broken = || IdentityError::Hash("a secret does not open with this installation's key".into());
        let whole = STANDARD_NO_PAD.decode(text.strip_prefix(SCHEME).ok_or_else(broken)?).map_err(|_| broken())?;
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN).ok_or_else(broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| broken())?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let length = self.0.open_in_place(nonce, Aad::from(about.as_bytes()), &mut bytes).map_err(|_| broken())?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_owner_only() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let vault = Vault::open(dir.path()).unwrap();
        let sealed = vault.seal("ann", b"secret").unwrap();
        assert!(!sealed.contains("secret"));
        assert_ne!(sealed, vault.seal("ann", b"secret").unwrap(), "never the same twice");
        let again = Vault::open(dir.path()).unwrap();
        assert_eq!(again.open_sealed("ann", &sealed).unwrap().as_slice(), b"secret");
        assert!(again.open_sealed("bob", &sealed).is_err());
        assert!(Vault::open(other.path()).unwrap().open_sealed("ann", &sealed).is_err());
        for broken in ["", "v1:", "v1:AAAA", "v2:AAAA", &sealed[..sealed.len() - 2]] {
            assert!(again.open_sealed("ann", broken).is_err(), "{broken}");
        }
    }
}
