//! Keys: a pack is sealed for the holder of an X25519 key (RFC 7748) with a fresh key of its own, or with a secret that both
//! sides have. The key of the content comes from HKDF (RFC 5869) over the head, so that no part of the head can be changed.

use curve25519_dalek::montgomery::MontgomeryPoint;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use crate::EvidenceError;

/// Bytes of every key.
pub const KEY_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"GUARDEV1";
pub(crate) const HEAD: usize = MAGIC.len() + 1 + 2 * KEY_BYTES;
const CONTEXT: &[u8] = b"guardian evidence v1";
const FOR_PUBLIC: u8 = 1;
const FOR_SHARED: u8 = 2;

/// An X25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; KEY_BYTES]);

/// An X25519 secret key: 32 random bytes.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; KEY_BYTES]>);

impl SecretKey {
    /// From random bytes.
    pub fn new(random: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(MontgomeryPoint::mul_base_clamped(*self.0).0)
    }

    /// Another secret for another purpose, which says nothing of this one.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &*self.0);
        let mut derived = Zeroizing::new([0; KEY_BYTES]);
        derived.copy_from_slice(ring::hmac::sign(&key, purpose.as_bytes()).as_ref());
        derived
    }

    /// What two sides have in common; none where the other's key is one of the few that give everybody the same.
    fn agree(&self, other: PublicKey) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
        let shared = Zeroizing::new(MontgomeryPoint(other.0).mul_clamped(*self.0).0);
        let any = shared.iter().fold(0, |any, byte| any | byte);
        (any != 0).then_some(shared)
    }
}

/// What something is sealed with.
pub enum Lock {
    /// For who holds the secret key of `recipient`; `fresh` is a new random key for this one time.
    Public {
        /// For whom.
        recipient: PublicKey,
        /// Never used again.
        fresh: SecretKey,
    },
    /// With a secret that is used with this salt only.
    Shared {
        /// 32 random bytes.
        secret: Zeroizing<[u8; KEY_BYTES]>,
        /// 32 random bytes, not secret.
        salt: [u8; KEY_BYTES],
    },
}

/// What it is opened with.
pub enum Unlock {
    /// The secret key of the recipient.
    Secret(SecretKey),
    /// The secret that both sides have.
    Shared(Zeroizing<[u8; KEY_BYTES]>),
}

fn key(head: &[u8], secret: &[u8]) -> Result<LessSafeKey, EvidenceError> {
    let failed = |_| EvidenceError::Key;
    let context = [CONTEXT];
    let extracted = Salt::new(HKDF_SHA256, head).extract(secret);
    let expanded = extracted.expand(&context, &AES_256_GCM).map_err(failed)?;
    Ok(LessSafeKey::new(UnboundKey::from(expanded)))
}

fn head(kind: u8, first: [u8; KEY_BYTES], second: [u8; KEY_BYTES]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8] = kind;
    head[9..9 + KEY_BYTES].copy_from_slice(&first);
    head[9 + KEY_BYTES..].copy_from_slice(&second);
    head
}

impl Lock {
    /// The head of the file and the key of its content.
    pub(crate) fn begin(&self) -> Result<([u8; HEAD], LessSafeKey), EvidenceError> {
        let (head, secret) = match self {
            Self::Public { recipient, fresh } => {
                let shared = fresh.agree(*recipient).ok_or(EvidenceError::Key)?;
                (head(FOR_PUBLIC, fresh.public().0, recipient.0), shared)
            }
            Self::Shared { secret, salt } => (head(FOR_SHARED, *salt, [0; KEY_BYTES]), secret.clone()),
        };
        Ok((head, key(&head, secret.as_slice())?))
    }
}

impl Unlock {
    /// The key of the content behind a head.
    pub(crate) fn begin(&self, head: &[u8; HEAD]) -> Result<LessSafeKey, EvidenceError> {
        if head[..8] != *MAGIC {
            return Err(EvidenceError::NoPack);
        }
        let part = |from: usize| -> [u8; KEY_BYTES] { std::array::from_fn(|i| head[from + i]) };
        let (first, second) = (part(9), part(9 + KEY_BYTES));
        match (self, head[8]) {
            (Self::Secret(secret), FOR_PUBLIC) => {
                if secret.public().0 != second {
                    return Err(EvidenceError::OtherKey);
                }
                let shared = secret.agree(PublicKey(first)).ok_or(EvidenceError::Key)?;
                key(head, shared.as_slice())
            }
            (Self::Shared(secret), FOR_SHARED) => key(head, secret.as_slice()),
            (_, FOR_PUBLIC | FOR_SHARED) => Err(EvidenceError::OtherKey),
            _ => Err(EvidenceError::NoPack),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    /// RFC 7748, section 6.1.
    #[test]
    fn keys_agree_as_the_rfc_says() {
        let bob = SecretKey::new(bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
        assert_eq!(bob.public().0, bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
        let alice = PublicKey(bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
        let shared = bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(*bob.agree(alice).unwrap(), shared);
        assert!(bob.agree(PublicKey([0; 32])).is_none(), "a key of small order gives everybody the same");
    }
}
