//! Sealed cursors: they carry filter, order and place, and clients can neither make them up nor read them, because a
//! place may be something that its reader may not see.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, ApiResult};

const TAG_BYTES: usize = 16;
const TEXT_MAX: usize = 8_192;

/// Signs and opens cursors. The key lives as long as the process; a cursor of an earlier one is refused.
#[derive(Clone)]
pub struct Cursors {
    key: [u8; 32],
}

impl Cursors {
    /// With this key, which must be random.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// Packs a value into an opaque word.
    pub fn seal(&self, value: &impl Serialize) -> ApiResult<String> {
        let body = serde_json::to_vec(value).map_err(ApiError::internal)?;
        let mut word = blake3::keyed_hash(&self.key, &body).as_bytes()[..TAG_BYTES].to_vec();
        let hidden = self.veil(&word, &body);
        word.extend_from_slice(&hidden);
        Ok(URL_SAFE_NO_PAD.encode(word))
    }

    /// Hides or shows a body: the tag, which is different for every body, makes the stream that covers it.
    fn veil(&self, tag: &[u8], body: &[u8]) -> Vec<u8> {
        let mut cover = vec![0; body.len()];
        let key = blake3::derive_key("guardian cursor veil v1", &self.key);
        blake3::Hasher::new_keyed(&key).update(tag).finalize_xof().fill(&mut cover);
        cover.iter_mut().zip(body).for_each(|(c, b)| *c ^= b);
        cover
    }

    /// Opens a word that [`Cursors::seal`] made.
    pub fn open<T: DeserializeOwned>(&self, text: &str) -> ApiResult<T> {
        let refused = || ApiError::invalid("this cursor is not (or no longer) valid: start again from the first page");
        if text.len() > TEXT_MAX {
            return Err(refused());
        }
        let word = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (tag, hidden) = word.split_at_checked(TAG_BYTES).ok_or_else(refused)?;
        let body = self.veil(tag, hidden);
        // blake3's own comparison takes the same time whatever differs.
        let mut padded = [0; 32];
        let expected = blake3::keyed_hash(&self.key, &body);
        padded.copy_from_slice(expected.as_bytes());
        padded[..TAG_BYTES].copy_from_slice(tag);
        if blake3::Hash::from_bytes(padded) != expected {
            return Err(refused());
        }
        serde_json::from_slice(&body).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::{Cursors, URL_SAFE_NO_PAD};

    #[test]
    fn only_our_own_cursors_open() {
        let cursors = Cursors::new([7; 32]);
        let word = cursors.seal(&("newest", 42)).unwrap();
        assert_eq!(cursors.open::<(String, i32)>(&word).unwrap(), ("newest".to_owned(), 42));
        let bytes = URL_SAFE_NO_PAD.decode(&word).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"newest"), "nobody reads it");
        assert!(Cursors::new([8; 32]).open::<(String, i32)>(&word).is_err());
        for i in 0..word.len() {
            let mut other: Vec<char> = word.chars().collect();
            other[i] = if other[i] == 'A' { 'B' } else { 'A' };
            let other: String = other.into_iter().collect();
            assert!(other == word || cursors.open::<(String, i32)>(&other).is_err(), "changed at {i}");
        }
    }
}
