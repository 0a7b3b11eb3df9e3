//! Keys of encrypted files. Every file has a random data key of its own, which stands in the file, wrapped by a lake
//! key; lake keys come from outside and are never written. So a lake key is replaced without touching a file, and a
//! data key is never used for two files.
//!
//! What is sealed with a data key is bound to where it is, so that files cannot be swapped or renamed unnoticed. The
//! wrapped key itself is not: a file that does not open is told from a key that is another one.

use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use parquet::encryption::decrypt::{FileDecryptionProperties, KeyRetriever};
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::ParquetError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::LakeError;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// The sort of Parquet files.
const PARQUET: &str = "parquet";
/// What a wrapped data key begins with: a word and a version.
const MAGIC: [u8; 4] = *b"GLK1";
/// Longest id of a lake key.
const ID_BYTES_MAX: usize = 64;
/// Bytes that sealing adds.
pub(crate) const TAG_BYTES: usize = 16;
/// Longest wrapped data key.
pub(crate) const WRAPPED_BYTES_MAX: usize = MAGIC.len() + 1 + ID_BYTES_MAX + NONCE_LEN + KEY_BYTES + TAG_BYTES;

/// The lake keys: what wraps the data keys of encrypted files. Clones share them, so that a running lake learns of a
/// new key by [`LakeKeys::replace`].
#[derive(Clone, Default)]
pub struct LakeKeys {
    known: Arc<RwLock<Vec<(String, LessSafeKey)>>>,
}

impl fmt::Debug for LakeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.read().iter().map(|(id, _)| id)).finish()
    }
}

/// A new data key.
pub(crate) struct FileKey {
    /// Id of the lake key that wraps it.
    pub(crate) id: String,
    pub(crate) bytes: Zeroizing<[u8; KEY_BYTES]>,
    pub(crate) wrapped: Vec<u8>,
}

impl LakeKeys {
    /// No keys: what is not encrypted can be read and written.
    pub fn none() -> Self {
        Self::default()
    }

    /// Keys by their ids; new files use the first. Ids have 1 to 64 bytes.
    pub fn new(keys: &[(String, Zeroizing<[u8; KEY_BYTES]>)]) -> Result<Self, LakeError> {
        let fresh = Self::default();
        fresh.replace(keys)?;
        Ok(fresh)
    }

    /// Uses these keys from now on.
    pub fn replace(&self, keys: &[(String, Zeroizing<[u8; KEY_BYTES]>)]) -> Result<(), LakeError> {
        let known = keys.iter().map(|(id, bytes)| {
            if id.is_empty() || id.len() > ID_BYTES_MAX {
                return Err(LakeError::Data(format!("the id of a lake key has 1 to {ID_BYTES_MAX} bytes")));
            }
            Ok((id.clone(), cipher(bytes)?))
        });
        *self.known.write() = known.collect::<Result<_, _>>()?;
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.read().is_empty()
    }

    /// Fails where the lake key of a file is not there.
    pub(crate) fn check(&self, file: &str, id: &str) -> Result<(), LakeError> {
        let known = self.known.read().iter().any(|(known, _)| known == id);
        known.then_some(()).ok_or_else(|| missing(file, id))
    }

    /// A data key for a sort of file.
    pub(crate) fn fresh(&self, sort: &str) -> Result<FileKey, LakeError> {
        let known = self.known.read();
        let (id, key) = known.first().ok_or_else(|| LakeError::Data("there is no lake key to encrypt with".into()))?;
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let mut nonce = [0; NONCE_LEN];
        random(bytes.as_mut_slice())?;
        random(&mut nonce)?;
        let mut sealed = bytes.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound(sort), &mut sealed)
            .map_err(|_| LakeError::Data("a data key could not be wrapped".into()))?;
        let mut wrapped = Vec::with_capacity(WRAPPED_BYTES_MAX);
        wrapped.extend_from_slice(&MAGIC);
        wrapped.push(id.len() as u8);
        wrapped.extend_from_slice(id.as_bytes());
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(&sealed);
        Ok(FileKey { id: id.clone(), bytes, wrapped })
    }

    /// The data key of a file; `sort` as it was for [`LakeKeys::fresh`].
    pub(crate) fn unwrap(
        &self,
        file: &str,
        sort: &str,
        wrapped: &[u8],
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, LakeError> {
        let (id, nonce, sealed) = parts(wrapped).ok_or_else(|| {
            LakeError::Data(format!("{file} is encrypted in a way that this version does not know, or is damaged"))
        })?;
        let known = self.known.read();
        let (_, key) = known.iter().find(|(known, _)| known == id).ok_or_else(|| missing(file, id))?;
        let refused =
            || LakeError::Key { file: file.to_owned(), key: id.to_owned(), why: "which does not open this file" };
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let bytes = key.open_in_place(nonce, bound(sort), &mut opened).map_err(|_| refused())?;
        Ok(Zeroizing::new(<[u8; KEY_BYTES]>::try_from(&*bytes).map_err(|_| refused())?))
    }

    /// How to write the Parquet file at `path`, below the lake's directory, and the id of its lake key.
    pub(crate) fn writing(&self, path: &str) -> Result<(String, Arc<FileEncryptionProperties>), LakeError> {
        let key = self.fresh(PARQUET)?;
        let properties = FileEncryptionProperties::builder(key.bytes.to_vec())
            .with_footer_key_metadata(key.wrapped)
            .with_aad_prefix(path.as_bytes().to_vec())
            .build()
            .map_err(LakeError::data)?;
        Ok((key.id, properties))
    }

    /// How to read the Parquet file at `path`, below the lake's directory.
    pub(crate) fn reading(&self, path: &str) -> Result<Reading, LakeError> {
        let refused = Arc::default();
        let retriever = Retriever { keys: self.clone(), path: path.to_owned(), refused: Arc::clone(&refused) };
        let properties = FileDecryptionProperties::with_key_retriever(Arc::new(retriever))
            .with_aad_prefix(path.as_bytes().to_vec())
            .build()
            .map_err(LakeError::data)?;
        Ok(Reading { properties, refused })
    }
}

/// How to read an encrypted Parquet file.
pub(crate) struct Reading {
    pub(crate) properties: Arc<FileDecryptionProperties>,
    refused: Arc<Mutex<Option<LakeError>>>,
}

impl Reading {
    /// Why the data key could not be had, if that was it; what the Parquet reader says then is about the file.
    pub(crate) fn refused(&self) -> Option<LakeError> {
        self.refused.lock().take()
    }
}

struct Retriever {
    keys: LakeKeys,
    path: String,
    refused: Arc<Mutex<Option<LakeError>>>,
}

impl KeyRetriever for Retriever {
    fn retrieve_key(&self, wrapped: &[u8]) -> parquet::errors::Result<Vec<u8>> {
        match self.keys.unwrap(&self.path, PARQUET, wrapped) {
            Ok(key) => Ok(key.to_vec()),
            Err(error) => {
                let said = ParquetError::General(error.to_string());
                *self.refused.lock() = Some(error);
                Err(said)
            }
        }
    }
}

fn missing(file: &str, id: &str) -> LakeError {
    LakeError::Key { file: file.to_owned(), key: id.to_owned(), why: "which is not among this installation's keys" }
}

fn parts(wrapped: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (length, rest) = wrapped.strip_prefix(&MAGIC)?.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(*length))?;
    let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
    Some((std::str::from_utf8(id).ok()?, nonce, sealed))
}

fn bound(sort: &str) -> Aad<Vec<u8>> {
    Aad::from([b"guardian lake\0", sort.as_bytes()].concat())
}

pub(crate) fn cipher(bytes: &[u8; KEY_BYTES]) -> Result<LessSafeKey, LakeError> {
    let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| LakeError::Data("a key has 32 bytes".into()))?;
    Ok(LessSafeKey::new(key))
}

fn random(bytes: &mut [u8]) -> Result<(), LakeError> {
    SystemRandom::new().fill(bytes).map_err(|_| LakeError::Data("the system gives no random numbers".into()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn keys(list: &[(&str, u8)]) -> LakeKeys {
        let keys: Vec<_> = list.iter().map(|(id, byte)| ((*id).to_owned(), Zeroizing::new([*byte; 32]))).collect();
        LakeKeys::new(&keys).unwrap()
    }

    #[test]
    fn a_data_key_opens_with_its_lake_key_alone() {
        let old = keys(&[("old", 1)]);
        let made = old.fresh("parquet").unwrap();
        let both = keys(&[("new", 2), ("old", 1)]);
        assert_eq!(both.unwrap("a", "parquet", &made.wrapped).unwrap(), made.bytes);
        assert_eq!(both.fresh("wal").unwrap().id, "new");
        assert!(both.unwrap("a", "wal", &made.wrapped).is_err(), "another sort");
        let said = |keys: &LakeKeys| keys.unwrap("a", "parquet", &made.wrapped).unwrap_err().to_string();
        assert!(said(&keys(&[("new", 2)])).contains("not among"), "{}", said(&keys(&[("new", 2)])));
        assert!(said(&keys(&[("old", 9)])).contains("does not open"), "a key of the same id");
        for at in 0..made.wrapped.len() {
            let mut changed = made.wrapped.clone();
            changed[at] ^= 1;
            assert!(both.unwrap("a", "parquet", &changed).is_err(), "byte {at}");
            assert!(both.unwrap("a", "parquet", &made.wrapped[..at]).is_err(), "cut at {at}");
        }
    }
}
