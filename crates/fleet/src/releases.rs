//! The bytes of releases: one file each under the data directory, written beside its place, hashed on the way, and moved into
//! place when it is what was signed. Programs that lie beside the server's own are there without a release, for machines
//! that are enrolled with it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use guardian_model::TenantId;
use guardian_protocol::release::{Manifest, SignedManifest};
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::Digest as _;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Why a release is not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// What was signed is none, or not what came.
    #[error("{0}")]
    Invalid(String),
    /// The disk failed.
    #[error("the store of releases: {0}")]
    Io(#[from] io::Error),
}

/// What was signed, if the signature is good and this server can speak with such an agent.
pub fn read_release(signed: &SignedManifest) -> Result<Manifest, ReleaseError> {
    let invalid = |text: String| ReleaseError::Invalid(text);
    let manifest = signed.read().map_err(|error| invalid(error.to_string()))?;
    let key = UnparsedPublicKey::new(&ED25519, &signed.key.0);
    if key.verify(&signed.statement(), &signed.signature.0).is_err() {
        return Err(invalid("the signature is wrong".into()));
    }
    if manifest.protocol_min > guardian_protocol::VERSION_MAX {
        return Err(invalid(format!(
            "this release speaks version {} of the protocol at least, and this server {} at most: upgrade the server first",
            manifest.protocol_min,
            guardian_protocol::VERSION_MAX
        )));
    }
    Ok(manifest)
}

/// Makes a folder, and those above it that are missing, for the server's account alone.
pub(crate) async fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(folder).await
}

/// SHA-256 of bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&sha2::Sha256::digest(bytes))
}

/// Where the bytes of releases are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Releases {
    root: PathBuf,
    paths: Vec<PathBuf>,
    beside: Arc<OnceCell<Vec<Beside>>>,
}

/// A program of the agent that came with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Operating system.
    pub platform: String,
    /// Processor architecture.
    pub architecture: String,
    /// SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    path: PathBuf,
}

/// A program that lies beside the server's.
fn look(path: PathBuf) -> Option<Beside> {
    let bytes = std::fs::read(&path).ok()?;
    let (platform, architecture) = ("linux".to_owned(), std::env::consts::ARCH.to_owned());
    Some(Beside { platform, architecture, sha256: sha256(&bytes), size: bytes.len() as u64, path })
}

/// A file that is being written. Dropping it unfinished removes it.
pub struct Incoming {
    file: Option<File>,
    temporary: PathBuf,
    place: PathBuf,
    hash: sha2::Sha256,
    size: u64,
    wanted: Manifest,
}

impl Releases {
    /// Those below `root`, which is made when the first comes. At `beside` there may be programs that came with the server.
    pub fn open(root: PathBuf, beside: Vec<PathBuf>) -> Self {
        Self { root, paths: beside, beside: Arc::default() }
    }

    /// Programs that came with the server. They are read when somebody first asks.
    pub async fn beside(&self) -> &[Beside] {
        let paths = self.paths.clone();
        let reading = async move || {
            let read = tokio::task::spawn_blocking(move || paths.into_iter().filter_map(look).collect());
            // A panic there is a program that is not handed out.
            read.await.unwrap_or_default()
        };
        self.beside.get_or_init(reading).await
    }

    fn place(&self, tenant: TenantId, id: Uuid) -> PathBuf {
        self.root.join(tenant.to_string()).join(id.to_string())
    }

    /// Begins to take the bytes of a release in.
    pub async fn begin(&self, tenant: TenantId, id: Uuid, wanted: Manifest) -> Result<Incoming, ReleaseError> {
        let place = self.place(tenant, id);
        let folder = place.parent().unwrap_or(&self.root);
        private_folder(folder).await?;
        let temporary = place.with_extension("part");
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary).await?;
        Ok(Incoming { file: Some(file), temporary, place, hash: sha2::Sha256::default(), size: 0, wanted })
    }

    /// A part of the bytes of a release; empty behind their end.
    pub async fn read(&self, tenant: TenantId, id: Uuid, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.place(tenant, id)).await?;
        file.seek(io::SeekFrom::Start(offset)).await?;
        let mut bytes = Vec::with_capacity(length);
        file.take(length as u64).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    /// The whole of a release, to be read from its beginning.
    pub async fn whole(&self, tenant: TenantId, id: Uuid) -> io::Result<File> {
        File::open(self.place(tenant, id)).await
    }

    /// A program that came with the server, by its hash.
    pub async fn whole_beside(&self, sha256: &str) -> Option<io::Result<File>> {
        let found = self.beside().await.iter().find(|program| program.sha256 == sha256)?;
        Some(File::open(&found.path).await)
    }

    /// Removes the bytes of a release.
    pub async fn remove(&self, tenant: TenantId, id: Uuid) -> io::Result<()> {
        match fs::remove_file(self.place(tenant, id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Incoming {
    /// Takes bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ReleaseError> {
        self.size += bytes.len() as u64;
        if self.size > self.wanted.size {
            return Err(ReleaseError::Invalid(format!("there are more than the {} bytes signed", self.wanted.size)));
        }
        self.hash.update(bytes);
        if let Some(file) = &mut self.file {
            file.write_all(bytes).await?;
        }
        Ok(())
    }

    /// Puts the bytes in their place, if they are what was signed.
    pub async fn finish(mut self) -> Result<(), ReleaseError> {
        let sha256 = HEXLOWER.encode(&std::mem::take(&mut self.hash).finalize());
        if self.size != self.wanted.size || sha256 != self.wanted.sha256 {
            let text = format!("the program is not what was signed: {} bytes, SHA-256 {sha256}", self.size);
            return Err(ReleaseError::Invalid(text));
        }
        if let Some(mut file) = self.file.take() {
            file.flush().await?;
            file.sync_all().await?;
        }
        fs::rename(&self.temporary, &self.place).await?;
        let folder = self.place.parent().unwrap_or(Path::new("/")).to_owned();
        File::open(folder).await?.sync_all().await?;
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Whatever is left is of no use, and has another name than a release.
            std::fs::remove_file(&self.temporary).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_was_signed_comes_in() {
        let folder = tempfile::tempdir().unwrap();
        let releases = Releases::open(folder.path().join("releases"), Vec::new());
        let (tenant, id) = (TenantId::DEFAULT, Uuid::from_u128(7));
        let bytes = b"a program".as_slice();
        let wanted = Manifest {
            size: bytes.len() as u64,
            sha256: HEXLOWER.encode(&sha2::Sha256::digest(bytes)),
            ..Manifest::default()
        };
        for wrong in [b"a progrum".as_slice(), b"a prog", b"a program that is longer"] {
            let mut incoming = releases.begin(tenant, id, wanted.clone()).await.unwrap();
            let done = match incoming.write(wrong).await {
                Ok(()) => incoming.finish().await,
                Err(error) => {
                    drop(incoming);
                    Err(error)
                }
            };
            assert!(matches!(done, Err(ReleaseError::Invalid(_))));
            assert!(releases.read(tenant, id, 0, 9).await.is_err());
        }
        let mut incoming = releases.begin(tenant, id, wanted).await.unwrap();
        incoming.write(&bytes[..4]).await.unwrap();
        incoming.write(&bytes[4..]).await.unwrap();
        incoming.finish().await.unwrap();
        assert_eq!(releases.read(tenant, id, 2, 4).await.unwrap(), b"prog");
        assert_eq!(releases.read(tenant, id, 9, 4).await.unwrap(), b"");
        releases.remove(tenant, id).await.unwrap();
        releases.remove(tenant, id).await.unwrap();
    }
}
