//! Tokens and keys: 256 random bits from the operating system, shown once, kept as a hash. A fast hash is enough,
//! because nobody guesses 256 bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::IdentityError;

/// Fills `N` bytes from the operating system's generator.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, IdentityError> {
    let mut bytes = Zeroizing::new([0; N]);
    SysRng.try_fill_bytes(bytes.as_mut_slice()).map_err(|error| IdentityError::Random(error.to_string()))?;
    Ok(bytes)
}

/// 256 random bits as 43 characters that need no escaping anywhere.
pub(crate) fn token() -> Result<Zeroizing<String>, IdentityError> {
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(random::<32>()?.as_slice())))
}

/// A short random name of 16 lower-case characters; no secret.
pub(crate) fn public_id() -> Result<String, IdentityError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    Ok(random::<16>()?.iter().map(|b| LETTERS[usize::from(b % 32)] as char).collect())
}

/// A password that a person can type once: 20 letters and digits in groups of five, 100 bits.
pub fn generated_password() -> Result<Zeroizing<String>, IdentityError> {
    let letters = format!("{}{}", public_id()?, public_id()?);
    let groups: Vec<&str> = (0..4).map(|n| &letters[n * 5..n * 5 + 5]).collect();
    Ok(Zeroizing::new(groups.join("-")))
}

/// The hash that is kept of a secret; `purpose` keeps one sort of secret from passing for another.
pub(crate) fn hash(purpose: &str, secret: &str) -> Vec<u8> {
    blake3::derive_key(&format!("guardian secret v1 {purpose}"), secret.as_bytes()).to_vec()
}

/// Compares in a time that does not depend on where the two differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_alike() {
        let (a, b) = (token().unwrap(), token().unwrap());
        assert_eq!((a.len(), a == b), (43, false));
        assert_eq!(public_id().unwrap().len(), 16);
        assert_eq!(generated_password().unwrap().len(), 23);
        assert_ne!(hash("session", &a), hash("setup", &a));
        assert!(same(&hash("session", &a), &hash("session", &a)));
        assert!(!same(&hash("session", &a), &hash("session", &b)));
    }
}
