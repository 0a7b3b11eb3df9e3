//! Signed cursors: they carry filter, order and place, and cannot be made up by clients.

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
        word.extend_from_slice(&body);
        Ok(URL_SAFE_NO_PAD.encode(word))
    }

    /// Opens a word that [`Cursors::seal`] made.
    pub fn open<T: DeserializeOwned>(&self, text: &str) -> ApiResult<T> {
        let refused = || ApiError::invalid("this cursor is not (or no longer) valid: start again from the first page");
        if text.len() > TEXT_MAX {
            return Err(refused());
        }
        let word = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (tag, body) = word.split_at_checked(TAG_BYTES).ok_or_else(refused)?;
        // blake3's own comparison takes the same time whatever differs.
        let mut padded = [0; 32];
        let expected = blake3::keyed_hash(&self.key, body);
        padded.copy_from_slice(expected.as_bytes());
        padded[..TAG_BYTES].copy_from_slice(tag);
        if blake3::Hash::from_bytes(padded) != expected {
            return Err(refused());
        }
        serde_json::from_slice(body).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::Cursors;

    #[test]
    fn only_our_own_cursors_open() {
        let cursors = Cursors::new([7; 32]);
        let word = cursors.seal(&("newest", 42)).unwrap();
        assert_eq!(cursors.open::<(String, i32)>(&word).unwrap(), ("newest".to_owned(), 42));
        assert!(Cursors::new([8; 32]).open::<(String, i32)>(&word).is_err());
        for i in 0..word.len() {
            let mut other: Vec<char> = word.chars().collect();
            other[i] = if other[i] == 'A' { 'B' } else { 'A' };
            let other: String = other.into_iter().collect();
            assert!(other == word || cursors.open::<(String, i32)>(&other).is_err(), "changed at {i}");
        }
    }
}
