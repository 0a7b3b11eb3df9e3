//! Checkpoints of the audit trail: what its head was, signed with Ed25519. Whoever can write the database could write a
//! whole trail anew; without the key they cannot write its checkpoints, and a checkpoint that was copied to another
//! machine cannot be taken back by anybody.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use guardian_catalog::{Actor, Checkpoint, Verification};
use guardian_model::{Micros, Scope, TenantId};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use crate::signing::{self, Fresh};
use crate::{Identity, IdentityError, files};

/// Where the keys are, below the data directory.
const KEY_DIR: &str = "audit";
/// The private key: PKCS #8 in base64, readable by its owner only.
const KEY_FILE: &str = "audit/signing.key";
/// Longest public key file, in bytes.
const PUBLIC_BYTES_MAX: u64 = 200;
/// Most public keys that are read.
const PUBLIC_KEYS_MAX: usize = 100;
/// A checkpoint is made after so many new entries, or after [`EVERY`] if there are any.
const ENTRIES: i64 = 1_000;
/// See [`ENTRIES`].
const EVERY: i64 = Micros::HOUR;
/// Most checkpoints that a verification reads from the database.
const CHECKPOINTS_MAX: u64 = 100_000;

/// The public half of the key that signs checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditKey {
    /// The first 16 hexadecimal digits of the SHA-256 of the public key.
    pub id: String,
    /// The public key, 32 bytes.
    pub public: Vec<u8>,
}

impl AuditKey {
    fn new(public: &[u8]) -> Self {
        Self { id: HEXLOWER.encode(&Sha256::digest(public)[..8]), public: public.to_vec() }
    }
}

/// What is signed: the words, the tenant's 16 bytes, number and time as 8 bytes each (little-endian), and the hash.
fn message(checkpoint: &Checkpoint) -> Option<Vec<u8>> {
    let mut bytes = b"guardian audit checkpoint v1\0".to_vec();
    bytes.extend_from_slice(checkpoint.tenant.0.as_bytes());
    bytes.extend_from_slice(&checkpoint.seq.to_le_bytes());
    bytes.extend_from_slice(&checkpoint.time.0.to_le_bytes());
    bytes.extend_from_slice(&HEXLOWER.decode(checkpoint.hash.as_bytes()).ok()?);
    Some(bytes)
}

/// Whether one of `keys` signed `checkpoint`.
fn is_signed(checkpoint: &Checkpoint, keys: &[AuditKey]) -> bool {
    let signature = HEXLOWER.decode(checkpoint.signature.as_bytes());
    let (Some(message), Ok(signature)) = (message(checkpoint), signature) else { return false };
    let key = keys.iter().find(|key| key.id == checkpoint.key_id);
    key.is_some_and(|key| UnparsedPublicKey::new(&ED25519, &key.public).verify(&message, &signature).is_ok())
}

impl Identity {
    /// Signs what the head of `tenant`'s trail is now and keeps it. None while the trail is empty.
    pub async fn checkpoint(&self, tenant: TenantId, actor: Actor) -> Result<Option<Checkpoint>, IdentityError> {
        let scope = Scope::of(tenant);
        let (seq, hash) = self.inner.catalog.scoped(&scope).audit_head(tenant).await?;
        if seq == 0 {
            return Ok(None);
        }
        let pair = self.signing_key()?;
        let key = AuditKey::new(pair.public_key().as_ref());
        let time = self.inner.clock.now();
        let mut made = Checkpoint { tenant, seq, hash, time, key_id: key.id, signature: String::new() };
        let message = message(&made).ok_or_else(|| IdentityError::Hash("the trail's head is no hash".into()))?;
        made.signature = HEXLOWER.encode(pair.sign(&message).as_ref());
        let mut tx = self.begin(tenant, actor).await?;
        tx.put_checkpoint(&made).await?;
        tx.commit().await?;
        Ok(Some(made))
    }

    /// Makes the checkpoints that are due. Call it now and then. Returns how many it made.
    pub async fn checkpoint_due(&self) -> Result<usize, IdentityError> {
        let mut made = 0;
        for tenant in self.inner.catalog.system().tenants().await? {
            let scope = Scope::of(tenant.id);
            let scoped = self.inner.catalog.scoped(&scope);
            let (seq, _) = scoped.audit_head(tenant.id).await?;
            let last = scoped.checkpoints(tenant.id, 1).await?.pop();
            let (at, time) = last.map_or((0, Micros(0)), |last| (last.seq, last.time));
            // The entry that tells of a checkpoint is no reason for the next one.
            let fresh = seq - at - 1;
            let due = fresh >= ENTRIES || (fresh > 0 && self.inner.clock.now() - time >= EVERY);
            if due && self.checkpoint(tenant.id, Actor::system("audit")).await?.is_some() {
                made += 1;
            }
        }
        Ok(made)
    }

    /// Reads the whole trail of `tenant` and compares it with its checkpoints and with `anchors`, checkpoints that were
    /// kept elsewhere. Names the first entry that is not as it was written.
    pub async fn verify_audit(&self, tenant: TenantId, anchors: &[Checkpoint]) -> Result<Verification, IdentityError> {
        let scope = Scope::of(tenant);
        let scoped = self.inner.catalog.scoped(&scope);
        let mut all = scoped.checkpoints(tenant, CHECKPOINTS_MAX).await?;
        all.extend(anchors.iter().filter(|anchor| anchor.tenant == tenant).cloned());
        let keys = self.audit_keys()?;
        let (good, bad): (Vec<_>, Vec<_>) = all.into_iter().partition(|checkpoint| is_signed(checkpoint, &keys));
        let verdict = scoped.verify_audit(tenant, &good).await?;
        let forged = bad.iter().map(|checkpoint| checkpoint.seq).min();
        Ok(match (verdict, forged) {
            (Verification::Broken { seq, problem }, Some(at)) if seq <= at => Verification::Broken { seq, problem },
            (_, Some(seq)) => Verification::Broken {
                seq,
                problem: "its checkpoint is not signed by a key of this installation".into(),
            },
            (verdict, None) => verdict,
        })
    }

    /// The key that signs checkpoints, made when there is none yet.
    pub fn audit_key(&self) -> Result<AuditKey, IdentityError> {
        Ok(AuditKey::new(self.signing_key()?.public_key().as_ref()))
    }

    fn signing_key(&self) -> Result<Ed25519KeyPair, IdentityError> {
        let path = self.inner.data.join(KEY_FILE);
        if path.exists() {
            return signing::read(&path);
        }
        let fresh = Fresh::make()?;
        let public = AuditKey::new(fresh.pair().public_key().as_ref());
        // The public half first: a key whose checkpoints nobody could check must never sign.
        let name = self.inner.data.join(KEY_DIR).join(format!("{}.pub", public.id));
        files::write_private(&name, &STANDARD.encode(&public.public))?;
        fresh.keep(&path)
    }

    /// The public keys that this installation has signed with: those of `audit/*.pub`.
    fn audit_keys(&self) -> Result<Vec<AuditKey>, IdentityError> {
        let directory = self.inner.data.join(KEY_DIR);
        let failed = |source| IdentityError::File { path: directory.display().to_string(), source };
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ext| ext == "pub"))
            .filter(|path| path.metadata().is_ok_and(|meta| meta.len() <= PUBLIC_BYTES_MAX))
            .take(PUBLIC_KEYS_MAX)
            .collect();
        let mut keys = Vec::new();
        for path in paths {
            let text = files::read_private(&path)?;
            if let Ok(public) = STANDARD.decode(text.as_bytes()) {
                keys.push(AuditKey::new(&public));
            }
        }
        Ok(keys)
    }
}
