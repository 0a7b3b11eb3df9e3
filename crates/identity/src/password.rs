//! Passwords: what a good one is, and hashing with argon2id at OWASP's parameters (19 MiB, 2 passes, 1 lane; OWASP
//! Password Storage Cheat Sheet), off the async threads and never more than a few at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::IdentityError;

/// Shortest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 12;

/// Longest password, in bytes, so that hashing has a bounded input.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// Hashes computed at once; each takes 19 MiB and a core.
const HASHING_MAX: usize = 2;

/// Callers that may wait for a hash; further ones are told to come back.
const WAITING_MAX: usize = 64;

/// A hash of no password, with the parameters of real ones: verifying against it takes as long.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA$bm9ib2R5J3MgcGFzc3dvcmQgaXMgbm90IGFueXRoaW4";

/// Words that are no password however they are decorated.
const COMMON: &[&str] =
    &["password", "passwort", "guardian", "qwertyuiop", "1234567890", "letmein", "welcome", "administrator"];

/// Says what is wrong with a password, if anything.
pub fn check_password(password: &str, user_name: &str) -> Result<(), IdentityError> {
    let weak = |text: String| Err(IdentityError::WeakPassword(text));
    let chars = password.chars().count();
    if chars < PASSWORD_CHARS_MIN {
        return weak(format!("a password needs at least {PASSWORD_CHARS_MIN} characters; this one has {chars}"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return weak(format!("a password is at most {PASSWORD_BYTES_MAX} bytes long"));
    }
    let lower = password.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 {
        return weak("a password needs at least five different characters".into());
    }
    let name = user_name.trim().to_lowercase();
    if name.chars().count() >= 4 && lower.contains(&name) {
        return weak("a password must not contain the user name".into());
    }
    if let Some(word) = COMMON.iter().find(|word| lower.contains(**word) && chars < word.len() + 8) {
        return weak(format!("`{word}` with little around it is the first thing that is tried; use several words"));
    }
    let steps = lower.chars().zip(lower.chars().skip(1)).filter(|(a, b)| (*b as u32).abs_diff(*a as u32) <= 1).count();
    if steps + 3 >= chars {
        return weak("a password must not be a row of characters such as abcdef or 123456".into());
    }
    Ok(())
}

/// Hashes and verifies passwords, a few at once.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self { running: Arc::new(Semaphore::new(HASHING_MAX)), waiting: Arc::default() }
    }

    /// The PHC text to keep for `password`.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, IdentityError> {
        let password = Zeroizing::new(password.to_owned());
        self.run(move || {
            let hash: PasswordHash = argon2().hash_password(password.as_bytes()).map_err(|e| e.to_string())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `password` is the one that `hash` was made of. Without a hash it takes as long and is false.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, IdentityError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let known = hash.is_some();
        let (password, hash) = (Zeroizing::new(password.to_owned()), hash.unwrap_or(NOBODY).to_owned());
        self.run(move || {
            let hash = PasswordHash::new(&hash).map_err(|e| e.to_string())?;
            Ok(argon2().verify_password(password.as_bytes(), &hash).is_ok() && known)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, IdentityError> {
        let waiting = Waiting::enter(&self.waiting)?;
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|e| IdentityError::Hash(e.to_string()))?;
        drop(waiting);
        let done = tokio::task::spawn_blocking(move || {
            let _until_done = permit;
            work()
        });
        done.await.map_err(|e| IdentityError::Hash(e.to_string()))?.map_err(IdentityError::Hash)
    }
}

/// Counts a caller who waits, also when it goes away while waiting.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Result<Self, IdentityError> {
        let entered = Self(waiting);
        if waiting.fetch_add(1, Ordering::AcqRel) >= WAITING_MAX { Err(IdentityError::Busy) } else { Ok(entered) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// A key that somebody knows as a passphrase: argon2id over 64 MiB in three passes.
pub fn passphrase_key(passphrase: &str, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    let failed = |error: argon2::Error| IdentityError::Hash(error.to_string());
    let params = Params::new(64 * 1024, 3, 1, Some(32)).map_err(failed)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(failed)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_says_what_is_wrong() {
        for (password, problem) in [
            ("correct horse battery", None),
            ("Tr0ub4dor&3-xx", None),
            ("short", Some("at least 12")),
            ("aaaaaaaaaaaaaaaa", Some("five different")),
            ("ann.keller loves tea", Some("user name")),
            ("Password1234!", Some("`password`")),
            ("abcdefghijklmnop", Some("row of characters")),
            ("my old password was a poem", None),
            ("日本語の長い合言葉です今日も", None),
        ] {
            let verdict = check_password(password, "Ann.Keller").err().map(|e| e.to_string());
            match problem {
                None => assert_eq!(verdict, None, "{password}"),
                Some(text) => assert!(verdict.as_ref().is_some_and(|v| v.contains(text)), "{password}: {verdict:?}"),
            }
        }
        assert!(check_password(&"xyz ".repeat(300), "ann").is_err());
    }

    #[tokio::test]
    async fn hashes_verify_and_nobody_costs_the_same() {
        let hasher = Hasher::new();
        let hash = hasher.hash("correct horse battery").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify("correct horse battery", Some(&hash)).await.unwrap());
        assert!(!hasher.verify("correct horse batterie", Some(&hash)).await.unwrap());
        assert!(!hasher.verify("correct horse battery", None).await.unwrap());
        let (real, nobody) = (PasswordHash::new(&hash).unwrap(), PasswordHash::new(NOBODY).unwrap());
        assert_eq!(real.params, nobody.params, "verifying nobody's password must cost what a real one costs");
        assert_eq!(real.hash.unwrap().len(), nobody.hash.unwrap().len());
    }
}
