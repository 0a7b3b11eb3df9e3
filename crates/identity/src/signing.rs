//! Ed25519 keys in files: one signs audit checkpoints, another access tokens.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use zeroize::Zeroizing;

use crate::{IdentityError, files};

/// A key pair that was just made.
pub(crate) struct Fresh {
    pair: Ed25519KeyPair,
    text: Zeroizing<String>,
}

impl Fresh {
    /// Makes a key pair; it is kept nowhere yet.
    pub(crate) fn make() -> Result<Self, IdentityError> {
        let failed = || IdentityError::Random("no key could be made".into());
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| failed())?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| failed())?;
        Ok(Self { pair, text: Zeroizing::new(STANDARD.encode(document.as_ref())) })
    }

    /// The pair.
    pub(crate) fn pair(&self) -> &Ed25519KeyPair {
        &self.pair
    }

    /// Keeps it in a file that its owner alone reads: PKCS #8 in base64.
    pub(crate) fn keep(self, path: &Path) -> Result<Ed25519KeyPair, IdentityError> {
        files::write_private(path, &self.text)?;
        Ok(self.pair)
    }
}

/// Reads what [`Fresh::keep`] wrote.
pub(crate) fn read(path: &Path) -> Result<Ed25519KeyPair, IdentityError> {
    let broken = || IdentityError::Hash(format!("{} holds no Ed25519 key", path.display()));
    let text = files::read_private(path)?;
    let bytes = STANDARD.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| broken())?;
    Ed25519KeyPair::from_pkcs8(&bytes).map_err(|_| broken())
}

/// Reads a key pair, or makes and keeps one when there is none yet.
pub(crate) fn read_or_make(path: &Path) -> Result<Ed25519KeyPair, IdentityError> {
    if path.exists() { read(path) } else { Fresh::make()?.keep(path) }
}
