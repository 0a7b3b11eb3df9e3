//! Packs of evidence: hosts collect them, sealed for a key that only the server can open, and each session fetches what its
//! host has, a part at a time, going on after the last byte that came before. The bytes stay sealed on the disk.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use guardian_catalog::{CatalogError, EvidenceKey, EvidencePack, PackState, evidence_secret};
use guardian_evidence::{EvidenceError, KEY_BYTES, Opener, PublicKey, SecretKey, Unlock};
use guardian_identity::{IdentityError, random_bytes};
use guardian_model::TenantId;
use guardian_protocol::message::{Action, Command, FetchPack, PackPart};
use guardian_protocol::{FromServer, limits};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use crate::releases::private_folder;
use crate::state::Fleet;

/// Packs of one host that are looked up at once.
const AT_ONCE: u64 = 16;
/// Longest pack: what is collected may not compress, and sealing it adds a little.
const BYTES_MAX: u64 = limits::PACK_BYTES_MAX + limits::PACK_BYTES_MAX / 64;

/// Why a pack cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// It is not here, or not whole.
    #[error("the pack is not here")]
    Missing,
    /// The key of the machine's owner was pinned there, or the server's key is another by now.
    #[error("the pack is sealed for another key than this server's: take it sealed, and open it where that key is")]
    OtherKey,
    /// It is no pack.
    #[error("what the host sent is no pack of evidence")]
    Broken,
    /// The key cannot be opened.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<EvidenceError> for PackError {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::OtherKey => Self::OtherKey,
            EvidenceError::Io(error) => Self::Io(error),
            _ => Self::Broken,
        }
    }
}

impl Fleet {
    pub(crate) fn pack_path(&self, tenant: TenantId, pack: Uuid) -> PathBuf {
        self.packs_folder().join(tenant.to_string()).join(format!("{pack}.pack"))
    }

    /// The key that evidence of a tenant's hosts is sealed for; made when it is first wanted.
    pub(crate) async fn evidence_key(&self, tenant: TenantId) -> Result<SecretKey, PackError> {
        let (system, about) = (self.catalog().system(), evidence_secret(tenant));
        if system.evidence_key(tenant).await?.is_none() {
            let fresh = random_bytes::<KEY_BYTES>()?;
            let secret = self.identity().seal(&about, fresh.as_slice()).await?;
            let public = HEXLOWER.encode(&SecretKey::new(*fresh).public().0);
            system.add_evidence_key(tenant, &EvidenceKey { public, secret }).await?;
        }
        // Another node may have been faster.
        let kept = system.evidence_key(tenant).await?.ok_or(CatalogError::NotFound("evidence key"))?;
        let secret = self.identity().unseal(&about, &kept.secret).await?;
        let bytes: [u8; KEY_BYTES] = secret.as_slice().try_into().map_err(|_| PackError::Broken)?;
        Ok(SecretKey::new(bytes))
    }

    /// Says for whom evidence is to be sealed, where the command does not.
    pub(crate) async fn name_recipient(&self, tenant: TenantId, command: &mut Command) -> Result<(), PackError> {
        if let Some(Action::Collect(collect)) = &mut command.action
            && collect.recipient == [0; KEY_BYTES]
        {
            let PublicKey(public) = self.evidence_key(tenant).await?.public();
            collect.recipient = public;
        }
        Ok(())
    }

    /// A pack as it came, sealed, and its length.
    pub async fn sealed_pack(&self, pack: &EvidencePack) -> Result<(File, u64), PackError> {
        let missing = |_| PackError::Missing;
        if pack.state != PackState::Kept {
            return Err(PackError::Missing);
        }
        let file = File::open(self.pack_path(pack.tenant, pack.id)).await.map_err(missing)?;
        let bytes = file.metadata().await?.len();
        Ok((file, bytes))
    }

    /// What is in a pack: a tar archive under zstd. Reading it blocks.
    pub async fn opened_pack(&self, pack: &EvidencePack) -> Result<Box<dyn Read + Send>, PackError> {
        let (file, _) = self.sealed_pack(pack).await?;
        let (file, key) = (file.into_std().await, self.evidence_key(pack.tenant).await?);
        Ok(Box::new(Opener::new(io::BufReader::new(file), &Unlock::Secret(key))?))
    }

    /// Deletes the bytes of a pack.
    pub async fn remove_pack(&self, pack: &EvidencePack) -> io::Result<()> {
        match fs::remove_file(self.pack_path(pack.tenant, pack.id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What one session fetches.
pub(crate) struct Packs {
    fleet: Fleet,
    tenant: TenantId,
    host: Uuid,
    waiting: VecDeque<EvidencePack>,
    current: Option<Current>,
}

struct Current {
    pack: EvidencePack,
    file: File,
    path: PathBuf,
    offset: u64,
}

impl Packs {
    pub(crate) fn new(fleet: &Fleet, tenant: TenantId, host: Uuid) -> Self {
        Self { fleet: fleet.clone(), tenant, host, waiting: VecDeque::new(), current: None }
    }

    /// Looks for what the host has, unless something is on its way; answers what is to be asked for.
    pub(crate) async fn look(&mut self) -> Option<FromServer> {
        if self.current.is_some() {
            return None;
        }
        if self.waiting.is_empty() {
            match self.fleet.catalog().system().waiting_packs(self.host, AT_ONCE).await {
                Ok(waiting) => self.waiting = waiting.into(),
                Err(error) => self.complain(&error),
            }
        }
        while let Some(pack) = self.waiting.pop_front() {
            match self.begin(pack).await {
                Ok(Some(word)) => return Some(word),
                Ok(None) => {}
                Err(error) => self.complain(&error),
            }
        }
        None
    }

    /// It is tried again at the next connection.
    fn complain(&mut self, error: &dyn std::fmt::Display) {
        self.current = None;
        self.fleet.counters().packs_failed.inc(1);
        tracing::warn!(%error, host = %self.host, "a pack of evidence could not be fetched now");
    }

    async fn begin(&mut self, pack: EvidencePack) -> Result<Option<FromServer>, PackError> {
        let system = self.fleet.catalog().system();
        let most = self.fleet.config().evidence_bytes_max.0;
        let held = system.pack_bytes(self.tenant).await?;
        let refused = if pack.bytes > BYTES_MAX {
            Some("the host says that it is longer than a pack may be".to_owned())
        } else if held.saturating_add(pack.bytes) > most {
            Some(format!("all packs together would take more than {most} bytes (`fleet.evidence_bytes_max`)"))
        } else {
            None
        };
        if let Some(text) = refused {
            system.settle_pack(&pack, PackState::Lost, &text).await?;
            return Ok(None);
        }
        let path = self.fleet.pack_path(pack.tenant, pack.id).with_extension("part");
        if let Some(folder) = path.parent() {
            private_folder(folder).await?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(&path).await?;
        let mut offset = file.metadata().await?.len();
        if offset >= pack.bytes {
            // It was whole, or never of this pack: begun again, because nothing says which.
            file.set_len(0).await?;
            offset = 0;
        }
        let word = ask(&pack, offset);
        self.current = Some(Current { pack, file, path, offset });
        Ok(Some(word))
    }

    /// Takes a part; answers what is to be said.
    pub(crate) async fn take(&mut self, part: PackPart) -> Vec<FromServer> {
        let Some(current) = self.current.take() else { return Vec::new() };
        if part.command != *current.pack.id.as_bytes() || part.offset != current.offset {
            // An answer to what was asked before the one before: what is asked now is still to come.
            self.current = Some(current);
            return Vec::new();
        }
        let mut words = Vec::new();
        match self.store(current, part).await {
            Ok(Some(word)) => words.push(word),
            Ok(None) => {}
            Err(error) => {
                self.complain(&error);
                return words;
            }
        }
        words.extend(self.look().await);
        words
    }

    async fn store(&mut self, mut current: Current, part: PackPart) -> Result<Option<FromServer>, PackError> {
        let system = self.fleet.catalog().system();
        let after = current.offset + part.content.0.len() as u64;
        let odd = part.bytes != current.pack.bytes || part.content.0.is_empty() || after > current.pack.bytes;
        if part.error.is_some() || odd {
            let text = part.error.unwrap_or_else(|| "the host has something else than it said".to_owned());
            fs::remove_file(&current.path).await.ok();
            system.settle_pack(&current.pack, PackState::Lost, &text).await?;
            return Ok(None);
        }
        current.file.write_all(&part.content.0).await?;
        current.offset = after;
        if after < current.pack.bytes {
            let word = ask(&current.pack, after);
            self.current = Some(current);
            return Ok(Some(word));
        }
        current.file.sync_all().await?;
        let path = current.path.clone();
        let found = tokio::task::spawn_blocking(move || blake3_of(&path)).await.map_err(io::Error::other)??;
        if found != current.pack.hash {
            fs::remove_file(&current.path).await?;
            let text = format!("what came hashes to {found}");
            system.settle_pack(&current.pack, PackState::Lost, &text).await?;
            return Ok(None);
        }
        let place = self.fleet.pack_path(current.pack.tenant, current.pack.id);
        fs::rename(&current.path, &place).await?;
        if let Some(folder) = place.parent() {
            File::open(folder).await?.sync_all().await?;
        }
        system.settle_pack(&current.pack, PackState::Kept, "").await?;
        self.fleet.counters().packs.inc(1);
        let command = *current.pack.id.as_bytes();
        Ok(Some(FromServer::FetchPack(FetchPack { command, kept: true, ..FetchPack::default() })))
    }
}

fn ask(pack: &EvidencePack, offset: u64) -> FromServer {
    let command = *pack.id.as_bytes();
    FromServer::FetchPack(FetchPack { command, offset, bytes_max: limits::PACK_PART_BYTES_MAX as u32, kept: false })
}

fn blake3_of(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}
