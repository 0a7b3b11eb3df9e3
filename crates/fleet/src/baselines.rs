//! Baselines of files: a host says which one it has, and its session fetches what changed since the one that is here. Each is
//! checked whole before it is kept, and signed. One that does not follow the one before it was not made by the agent that
//! made that: what it says otherwise becomes events.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use guardian_baseline::{BaselineError, Difference, History, Taken};
use guardian_catalog::{CatalogError, HostBaseline};
use guardian_model::{FILE, Micros, Origin, TenantId};
use guardian_protocol::classes::{FILES, FileColumn as C};
use guardian_protocol::message::{BaselinePart, BaselineState, FetchBaseline, KeptBaseline};
use guardian_protocol::{Blob, Cell, FromServer, limits};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::intake::Gate;
use crate::packs::PackError;
use crate::releases::private_folder;
use crate::rows;
use crate::state::Fleet;

/// How long a part may take.
const PART_TIME: Duration = Duration::from_secs(60);
/// Files of one baseline that does not follow of which events are made.
const TOLD_MAX: usize = 1_000;
/// What the key that signs is derived for.
const SIGNING: &str = "Guardian 2026-11-23 signatures over baselines of files";
/// Marks of these events are kept under this number: that of an agent's spool is random.
const EPOCH: u64 = u64::from_be_bytes(*b"baseline");

/// Why a baseline was not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// What came is none, or not what it should be.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// The host says why it gives none.
    #[error("the host gives none: {0}")]
    Given(String),
    /// The key cannot be opened.
    #[error(transparent)]
    Key(#[from] PackError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Fleet {
    /// What is kept of a host's baselines. Reading it blocks.
    pub fn baseline_history(&self, tenant: TenantId, host: Uuid) -> History {
        History::new(self.baselines_folder().join(tenant.to_string()).join(host.to_string()))
    }

    /// The key that a tenant's baselines are signed with.
    async fn baseline_key(&self, tenant: TenantId) -> Result<Ed25519KeyPair, PackError> {
        let secret = self.evidence_key(tenant).await?;
        let seed = secret.derive(SIGNING);
        Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| PackError::Broken)
    }

    async fn signed(&self, mut baseline: HostBaseline) -> Result<HostBaseline, PackError> {
        let key = self.baseline_key(baseline.tenant).await?;
        baseline.public_key = HEXLOWER.encode(key.public_key().as_ref());
        baseline.signature = HEXLOWER.encode(key.sign(baseline.statement().as_bytes()).as_ref());
        Ok(baseline)
    }
}

/// Whether a signature over a baseline is one of the key that stands beside it.
pub fn is_signed(baseline: &HostBaseline) -> bool {
    let bytes = |text: &str| {
        let pairs = text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        pairs.collect::<Option<Vec<u8>>>()
    };
    let (Some(key), Some(signature)) = (bytes(&baseline.public_key), bytes(&baseline.signature)) else { return false };
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key);
    key.verify(baseline.statement().as_bytes(), &signature).is_ok()
}

/// One that is coming.
struct Coming {
    state: BaselineState,
    file: File,
    path: PathBuf,
    offset: u64,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

/// The baselines of one session's host.
pub(crate) struct Baselines {
    fleet: Fleet,
    tenant: TenantId,
    host: Uuid,
    host_name: String,
    wanted: Option<BaselineState>,
    coming: Option<Coming>,
}

impl Baselines {
    pub(crate) fn new(fleet: &Fleet, tenant: TenantId, host: Uuid, host_name: &str) -> Self {
        let host_name = host_name.to_owned();
        Self { fleet: fleet.clone(), tenant, host, host_name, wanted: None, coming: None }
    }

    fn complain(&mut self, error: &dyn std::fmt::Display) {
        self.coming = None;
        self.fleet.counters().baselines_failed.inc(1);
        tracing::warn!(%error, host = %self.host, "a baseline of files could not be kept");
    }

    /// The host says which one it has; answers that it is here, if it is.
    pub(crate) async fn stated(&mut self, state: BaselineState) -> Option<FromServer> {
        if self.fleet.config().baselines.kept == 0 {
            return None;
        }
        match self.fleet.catalog().system().last_baseline(self.host).await {
            Ok(Some(last)) if last.root == HEXLOWER.encode(&state.root) => {
                if last.replaced && !last.told {
                    self.tell(&last).await;
                }
                self.wanted = None;
                Some(kept(&last, state.root))
            }
            Ok(_) => {
                self.wanted = Some(state);
                None
            }
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    /// Resolves when something may be fetched. Safe to cancel.
    pub(crate) async fn ready(&mut self) -> FromServer {
        loop {
            if let Some(coming) = &self.coming {
                sleep_until(coming.until).await;
                self.complain(&"the host does not send it");
                continue;
            }
            if self.wanted.is_none() {
                return std::future::pending().await;
            }
            let places = Arc::clone(self.fleet.receiving());
            let Ok(place) = places.acquire_owned().await else { return std::future::pending().await };
            let Some(state) = self.wanted.take() else { continue };
            match self.begin(state, place).await {
                Ok(word) => return word,
                Err(error) => self.complain(&error),
            }
        }
    }

    async fn begin(&mut self, state: BaselineState, place: OwnedSemaphorePermit) -> Result<FromServer, KeepError> {
        let last = self.fleet.catalog().system().last_baseline(self.host).await?;
        let folder = self.fleet.baseline_history(self.tenant, self.host).folder().to_owned();
        private_folder(&folder).await?;
        let path = folder.join("coming.part");
        let file = File::create(&path).await?;
        let history = self.fleet.baseline_history(self.tenant, self.host);
        let base = match last {
            Some(last) if is_whole(history, last.clone()).await? => {
                // Only what the agent knows can be what it compares with.
                state.chain.iter().find(|root| HEXLOWER.encode(&root.0) == last.root).cloned()
            }
            _ => None,
        };
        let word = ask(&state, base, 0);
        let until = Instant::now() + PART_TIME;
        self.coming = Some(Coming { state, file, path, offset: 0, until, _place: place });
        Ok(word)
    }

    /// Takes a part; answers what is to be said.
    pub(crate) async fn take(&mut self, part: BaselinePart) -> Option<FromServer> {
        let mut coming = self.coming.take()?;
        if part.root != coming.state.root || part.offset != coming.offset {
            self.coming = Some(coming);
            return None;
        }
        match self.store(&mut coming, part).await {
            Ok((word, true)) => Some(word),
            Ok((word, false)) => {
                self.coming = Some(coming);
                Some(word)
            }
            Err(error) => {
                fs::remove_file(&coming.path).await.ok();
                self.complain(&error);
                None
            }
        }
    }

    /// Stores a part. The word is that the baseline is kept, if that is true.
    async fn store(&self, coming: &mut Coming, part: BaselinePart) -> Result<(FromServer, bool), KeepError> {
        if let Some(error) = part.error {
            return Err(KeepError::Given(error));
        }
        let after = coming.offset + part.content.0.len() as u64;
        if part.content.0.is_empty() || after > part.bytes || part.bytes > limits::BASELINE_BYTES_MAX {
            return Err(KeepError::Given("what it sends has another length than it says".to_owned()));
        }
        coming.file.write_all(&part.content.0).await?;
        coming.offset = after;
        if after < part.bytes {
            coming.until = Instant::now() + PART_TIME;
            return Ok((ask(&coming.state, part.base, after), false));
        }
        coming.file.sync_all().await?;
        let kept = self.keep(&coming.state, coming.path.clone()).await?;
        Ok((kept, true))
    }

    /// Checks what has come, keeps and signs it.
    async fn keep(&self, state: &BaselineState, part: PathBuf) -> Result<FromServer, KeepError> {
        let system = self.fleet.catalog().system();
        let last = system.last_baseline(self.host).await?;
        let behind = last.as_ref().map_or(0, |last| last.number);
        let history = self.fleet.baseline_history(self.tenant, self.host);
        let config = self.fleet.config().baselines.clone();
        let at = history.clone();
        // Where the files of the last one are gone or damaged, this one begins anew.
        let base = match &last {
            Some(last) if is_whole(history, last.clone()).await? => behind,
            _ => 0,
        };
        let root = state.root;
        let took = move || {
            if guardian_baseline::Changes::open(std::fs::File::open(&part)?)?.root() != root {
                return Err(BaselineError::Changed("it is another than was told of".to_owned()));
            }
            let taken = at.take(&part, behind + 1, base)?;
            at.shorten(config.kept, config.host_bytes_max.0)?;
            Ok::<Taken, BaselineError>(taken)
        };
        let taken = tokio::task::spawn_blocking(took).await.map_err(io::Error::other)??;
        let follows = last.as_ref().is_none_or(|last| follows(state, &last.root));
        let baseline = HostBaseline {
            host: self.host,
            number: behind + 1,
            tenant: self.tenant,
            root: HEXLOWER.encode(&root),
            previous: last.map(|last| last.root).unwrap_or_default(),
            policy: HEXLOWER.encode(&state.policy.0[..state.policy.0.len().min(32)]),
            made: Micros(state.made),
            received: self.fleet.now(),
            folders: taken.folders,
            changed: taken.changed,
            gone: taken.gone,
            files: taken.files,
            bytes: taken.bytes,
            replaced: !follows,
            public_key: String::new(),
            signature: String::new(),
            told: false,
        };
        let baseline = self.fleet.signed(baseline).await?;
        system.add_baseline(&baseline).await?;
        self.fleet.counters().baselines.inc(1);
        if baseline.replaced {
            self.fleet.counters().baselines_replaced.inc(1);
            self.tell(&baseline).await;
        }
        Ok(kept(&baseline, root))
    }

    /// Makes the events of a baseline that does not follow the one before it. What fails is tried again when the host
    /// connects again.
    async fn tell(&self, baseline: &HostBaseline) {
        let history = self.fleet.baseline_history(self.tenant, self.host);
        let number = baseline.number;
        let compare = move || {
            let mut found = Vec::new();
            let enough = history.compare(number - 1, number, &mut |difference| {
                found.push(difference);
                found.len() < TOLD_MAX
            });
            enough.map(|()| found)
        };
        let found = match tokio::task::spawn_blocking(compare).await {
            Ok(Ok(found)) => found,
            // The one before is not kept: that it was replaced is told all the same.
            Ok(Err(BaselineError::Missing)) => Vec::new(),
            Ok(Err(error)) => return tracing::warn!(%error, host = %self.host, "baselines cannot be compared"),
            Err(error) => return tracing::warn!(%error, host = %self.host, "baselines cannot be compared"),
        };
        let whose = self.host.to_string();
        let events = events(baseline, &found);
        let now = self.fleet.now();
        let batch = match rows::batch_of(&FILE, &events, self.tenant, (&self.host_name, &whose), now) {
            Ok(batch) => batch,
            Err(error) => return tracing::error!(%error, host = %self.host, "a replaced baseline cannot be told"),
        };
        let origin = Origin { sender: *self.host.as_bytes(), epoch: EPOCH, lane: 0, sequence: number };
        let stored = async { self.fleet.intake().offer(vec![batch], origin, Gate::default()).await?.await };
        if let Err(error) = stored.await {
            return tracing::warn!(%error, host = %self.host, "a replaced baseline waits for the store");
        }
        if let Err(error) = self.fleet.catalog().system().settle_baseline(self.host, number).await {
            tracing::warn!(%error, host = %self.host, "a replaced baseline could not be settled; it is told once");
        }
    }
}

/// Whether the files of a baseline are here, and come to its root.
async fn is_whole(history: History, baseline: HostBaseline) -> io::Result<bool> {
    let look = move || history.root(baseline.number).is_ok_and(|root| HEXLOWER.encode(&root) == baseline.root);
    tokio::task::spawn_blocking(look).await.map_err(io::Error::other)
}

/// Whether a host's own account leads from the last one here to the one that it has.
fn follows(state: &BaselineState, last: &str) -> bool {
    let ends = state.chain.last().is_some_and(|root| root.0 == state.root);
    ends && state.chain.iter().any(|root| HEXLOWER.encode(&root.0) == last)
}

fn kept(baseline: &HostBaseline, root: [u8; 32]) -> FromServer {
    FromServer::KeptBaseline(KeptBaseline { root, number: baseline.number })
}

fn ask(state: &BaselineState, base: Option<Blob>, offset: u64) -> FromServer {
    let bytes_max = limits::PACK_PART_BYTES_MAX as u32;
    FromServer::FetchBaseline(FetchBaseline { root: state.root, base, offset, bytes_max })
}

/// That it was replaced, and what it says otherwise than the one before.
fn events(baseline: &HostBaseline, found: &[Difference]) -> guardian_protocol::Events {
    let mut rows = FILES.rows();
    let at = Cell::Time(baseline.received.0);
    let mut cells = [Cell::Null; C::COUNT];
    let mut set = |column: C, cell| cells[column as usize] = cell;
    let told = format!(
        "baseline {} does not follow baseline {}: the host's own was removed or changed",
        baseline.number,
        baseline.number - 1
    );
    set(C::Time, at);
    set(C::Activity, Cell::Text("modify"));
    set(C::Path, Cell::Text("the baseline of files"));
    set(C::Type, Cell::Text("baseline"));
    set(C::Blake3, Cell::Text(&baseline.root));
    set(C::Verdict, Cell::Text("replaced"));
    set(C::Expected, Cell::Bool(false));
    set(C::Diff, Cell::Text(&told));
    set(C::Source, Cell::Text("server"));
    rows.push(&cells);
    for difference in found {
        let Some(now) = difference.now.as_ref().or(difference.before.as_ref()) else { continue };
        let old = difference.before.as_ref().filter(|_| difference.now.is_some());
        let activity = match (&difference.before, &difference.now) {
            (None, _) => "create",
            (_, None) => "delete",
            _ => "modify",
        };
        let (path, properties) = (String::from_utf8_lossy(&difference.path), difference.properties().join(","));
        let (sha256, old_sha256) =
            (now.sha256.map(|h| HEXLOWER.encode(&h)), old.and_then(|r| r.sha256).map(|h| HEXLOWER.encode(&h)));
        let old_sha256 = old_sha256.filter(|old| Some(old) != sha256.as_ref());
        let mut cells = [Cell::Null; C::COUNT];
        let mut set = |column: C, cell| cells[column as usize] = cell;
        set(C::Time, at);
        set(C::Activity, Cell::Text(activity));
        set(C::Path, Cell::Text(&path));
        set(C::Changed, if properties.is_empty() { Cell::Null } else { Cell::Text(&properties) });
        set(C::Size, Cell::Number(now.size));
        set(C::Mode, Cell::Number(now.mode.into()));
        set(C::OldMode, old.filter(|r| r.mode != now.mode).map_or(Cell::Null, |r| Cell::Number(r.mode.into())));
        set(C::Uid, Cell::Number(now.uid.into()));
        set(C::Gid, Cell::Number(now.gid.into()));
        set(C::Sha256, sha256.as_deref().map_or(Cell::Null, Cell::Text));
        set(C::OldSha256, old_sha256.as_deref().map_or(Cell::Null, Cell::Text));
        set(C::Modified, Cell::Time(now.modified_ns / 1_000));
        set(C::Verdict, Cell::Text("concealed"));
        set(C::Expected, Cell::Bool(false));
        set(C::Source, Cell::Text("server"));
        rows.push(&cells);
    }
    rows.finish()
}
