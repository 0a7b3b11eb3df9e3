//! The evidence store: files under the data directory, one a piece of evidence, readable by the server's account only.
//! A file is written beside its place, hashed on the way, made durable and then moved into place, so that what is there
//! is whole. It must never change a file that is there.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use guardian_model::TenantId;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

/// Largest file, in bytes.
pub const EVIDENCE_BYTES_MAX: u64 = 256 << 20;
/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// What can go wrong with a file.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It is larger than the store takes.
    #[error("a file is at most {} MiB", EVIDENCE_BYTES_MAX >> 20)]
    TooLarge,
    /// It is not there, although the catalog says so.
    #[error("the bytes of this evidence are missing from the store")]
    Missing,
    /// The disk failed.
    #[error("the evidence store: {0}")]
    Io(#[from] std::io::Error),
}

/// Where the bytes of evidence are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EvidenceStore {
    root: PathBuf,
}

/// A file that is being written. Dropping it unfinished removes it.
#[derive(Debug)]
pub struct Upload {
    file: Option<File>,
    temporary: PathBuf,
    place: PathBuf,
    hash: Sha256,
    size: u64,
}

impl EvidenceStore {
    /// A store below `root`, which is made when the first file comes.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn place(&self, tenant: TenantId, id: Uuid) -> PathBuf {
        self.root.join(tenant.to_string()).join(id.to_string())
    }

    /// Begins a file.
    pub async fn begin(&self, tenant: TenantId, id: Uuid) -> Result<Upload, StoreError> {
        let place = self.place(tenant, id);
        if let Some(folder) = place.parent() {
            make_private(folder).await?;
        }
        let temporary = place.with_extension("part");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(&temporary).await?;
        Ok(Upload { file: Some(file), temporary, place, hash: Sha256::new(), size: 0 })
    }

    /// Opens a file for reading.
    pub async fn open(&self, tenant: TenantId, id: Uuid) -> Result<File, StoreError> {
        File::open(self.place(tenant, id)).await.map_err(missing)
    }

    /// Reads a file and answers its hexadecimal SHA-256.
    pub async fn hash(&self, tenant: TenantId, id: Uuid) -> Result<String, StoreError> {
        let mut file = self.open(tenant, id).await?;
        let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
        loop {
            let read = file.read(&mut piece).await?;
            if read == 0 {
                return Ok(HEXLOWER.encode(&hash.finalize()));
            }
            hash.update(&piece[..read]);
        }
    }

    /// Removes a file; one that is not there is no error.
    pub async fn remove(&self, tenant: TenantId, id: Uuid) -> Result<(), StoreError> {
        match fs::remove_file(self.place(tenant, id)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Upload {
    /// Adds bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        if self.size > EVIDENCE_BYTES_MAX {
            return Err(StoreError::TooLarge);
        }
        self.hash.update(bytes);
        if let Some(file) = &mut self.file {
            file.write_all(bytes).await?;
        }
        Ok(())
    }

    /// Makes the file durable and puts it in its place. Answers its size and hexadecimal SHA-256.
    pub async fn finish(mut self) -> Result<(u64, String), StoreError> {
        if let Some(mut file) = self.file.take() {
            file.flush().await?;
            file.sync_all().await?;
        }
        fs::rename(&self.temporary, &self.place).await?;
        if let Some(folder) = self.place.parent() {
            File::open(folder).await?.sync_all().await?;
        }
        Ok((self.size, HEXLOWER.encode(&std::mem::take(&mut self.hash).finalize())))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // After `finish` it has moved, and there is nothing to remove.
        std::fs::remove_file(&self.temporary).ok();
    }
}

async fn make_private(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder).await?;
    #[cfg(unix)]
    for part in folder.ancestors().take(2) {
        fs::set_permissions(part, std::os::unix::fs::PermissionsExt::from_mode(0o700)).await?;
    }
    Ok(())
}

fn missing(error: std::io::Error) -> StoreError {
    if error.kind() == std::io::ErrorKind::NotFound { StoreError::Missing } else { StoreError::Io(error) }
}

#[cfg(test)]
mod tests {
    use guardian_model::TenantId;
    use uuid::Uuid;

    use super::{EVIDENCE_BYTES_MAX, EvidenceStore, StoreError};

    #[tokio::test]
    async fn files_are_whole_private_and_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let store = EvidenceStore::new(dir.path().join("evidence"));
        let (tenant, id) = (TenantId::DEFAULT, Uuid::from_u128(7));
        let mut upload = store.begin(tenant, id).await.unwrap();
        upload.write(b"hello ").await.unwrap();
        upload.write(b"world").await.unwrap();
        assert!(matches!(store.open(tenant, id).await, Err(StoreError::Missing)), "not before it is whole");
        let (size, sha256) = upload.finish().await.unwrap();
        assert_eq!(size, 11);
        assert_eq!(sha256, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
        assert_eq!(store.hash(tenant, id).await.unwrap(), sha256);
        let place = store.place(tenant, id);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(std::fs::metadata(place.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        }
        std::fs::write(&place, b"tampered").unwrap();
        assert_ne!(store.hash(tenant, id).await.unwrap(), sha256);
        store.remove(tenant, id).await.unwrap();
        store.remove(tenant, id).await.unwrap();
        assert!(matches!(store.hash(tenant, id).await, Err(StoreError::Missing)));
    }

    #[tokio::test]
    async fn what_is_not_finished_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = EvidenceStore::new(dir.path().into());
        let (tenant, id) = (TenantId::DEFAULT, Uuid::from_u128(7));
        let mut upload = store.begin(tenant, id).await.unwrap();
        upload.size = EVIDENCE_BYTES_MAX;
        assert!(matches!(upload.write(b"x").await, Err(StoreError::TooLarge)));
        drop(upload);
        let left = std::fs::read_dir(dir.path().join(tenant.to_string())).unwrap().count();
        assert_eq!(left, 0);
    }
}
