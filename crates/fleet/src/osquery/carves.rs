//! Archives of files that nodes bring ("carves"): who may bring one, how far each has come, and how it becomes evidence.
//!
//! osquery makes up the ids of a carve and of its request by itself, so that they do not say who asked. What counts is that
//! this server told the node a live query that asks for a carve, within the last day, and that the node has not brought
//! more than a statement can make of it. Blocks come without a key: the session is a secret of its own, of one node.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use guardian_catalog::{EvidencePack, Host, PackState, PendingLiveQuery};
use guardian_evidence::{Lock, Manifest, SecretKey};
use guardian_identity::random_bytes;
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Ip, Micros, TenantId};
use guardian_osquery::{CarveStart, asks_to_carve, carve_block, carve_start, reply};
use guardian_protocol::limits;
use hashbrown::HashMap;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::fs;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::OsqueryError;
use super::archive::{Archive, Put, new_file};
use crate::config::CarveRule;
use crate::packs::PackError;
use crate::releases::private_folder;
use crate::state::Fleet;

/// How long after a node was told of a statement it may begin to bring what was asked.
const ASKED: i64 = Micros::DAY;
/// Live queries of one node that are looked through for one that asked.
const ASKED_MAX: u64 = 200;
/// Archives that one statement may make on a node: osquery makes one each time that it reads its table.
const OF_ONE_MAX: u64 = 8;
/// Archives that come at once from one node, and from all.
const OF_NODE_MAX: usize = 2;
const AT_ONCE_MAX: usize = 64;
/// An archive of which nothing was heard for so long is given up, and so is one that takes longer altogether.
const SILENT: i64 = Micros::SECOND * 600;
const AGE_MAX: i64 = Micros::DAY;
/// How often it is looked for those.
const ROUND: Duration = Duration::from_secs(30);
/// Archives that a server which ended left behind, and that are given up in one round.
const LEFT_MAX: u64 = 1_000;
/// How long the request that brings the last block waits until the pack is made; osquery waits no longer for an answer.
const MADE_WITHIN: Duration = Duration::from_secs(20);

/// Why a carve, or a block of one, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CarveRefusal {
    /// Nobody here asked for it.
    #[error("nobody asked for this carve")]
    NotAsked,
    /// It is longer than the settings allow.
    #[error("the carve is too long")]
    TooLong,
    /// Too many come at once, or there is no more room for evidence.
    #[error("there is no room for a carve now")]
    NoRoom,
    /// There is no such session, or not any more.
    #[error("no such session of a carve")]
    Unknown,
    /// There is no such block.
    #[error("this is no block of the carve")]
    Odd,
}

/// What comes now, by the hash of its session.
#[derive(Default)]
pub(crate) struct Carves {
    open: Mutex<HashMap<[u8; 32], Arc<Carve>>>,
}

/// One that comes.
struct Carve {
    session: Zeroizing<String>,
    start: CarveStart,
    host: Host,
    pack: EvidencePack,
    /// Who asked.
    author: String,
    path: PathBuf,
    begun: Micros,
    heard: Mutex<Micros>,
    work: Arc<Mutex<Work>>,
}

/// How far it has come. Held while a block is written, beside the runtime's threads.
enum Work {
    Coming {
        archive: Box<Archive>,
        requests: u64,
    },
    /// All blocks are here; whatever comes again has no effect.
    Whole,
    /// It came to nothing.
    Lost,
}

/// The name under which a session is kept: whoever reads memory by accident finds no session.
fn hashed(session: &str) -> [u8; 32] {
    blake3::derive_key("guardian secret v1 osquery carve", session.as_bytes())
}

impl Carves {
    fn find(&self, session: &str) -> Option<Arc<Carve>> {
        self.open.lock().get(&hashed(session)).cloned()
    }

    fn forget(&self, carve: &Carve) {
        self.open.lock().remove(&hashed(&carve.session));
    }

    /// The session of a node that begins the same carve again, because an answer got lost.
    fn begun(&self, host: Uuid, start: &CarveStart) -> Option<Arc<Carve>> {
        let open = self.open.lock();
        let same = |one: &&Arc<Carve>| one.host.id == host && one.start.carve == start.carve && !one.is_lost();
        open.values().find(same).cloned()
    }

    /// Takes a place for a carve, where there is `room` for all that come to its tenant now.
    fn enter(&self, carve: &Arc<Carve>, room: impl Fn(u64) -> bool) -> Result<(), CarveRefusal> {
        let mut open = self.open.lock();
        let coming = || open.values().filter(|one| !one.is_over());
        let of_node = coming().filter(|one| one.host.id == carve.host.id).count();
        let bytes = coming().filter(|one| one.pack.tenant == carve.pack.tenant).map(|one| one.start.bytes);
        let bytes = bytes.fold(carve.start.bytes, u64::saturating_add);
        if coming().count() >= AT_ONCE_MAX || of_node >= OF_NODE_MAX || !room(bytes) {
            return Err(CarveRefusal::NoRoom);
        }
        open.insert(hashed(&carve.session), Arc::clone(carve));
        Ok(())
    }

    fn stale(&self, now: Micros) -> Vec<Arc<Carve>> {
        let old = |one: &&Arc<Carve>| now.0 - one.heard.lock().0 > SILENT || now.0 - one.begun.0 > AGE_MAX;
        self.open.lock().values().filter(old).cloned().collect()
    }
}

impl Carve {
    fn is_lost(&self) -> bool {
        self.work.try_lock().is_some_and(|work| matches!(*work, Work::Lost))
    }

    fn is_over(&self) -> bool {
        // Whoever holds it is writing a block.
        self.work.try_lock().is_some_and(|work| !matches!(*work, Work::Coming { .. }))
    }
}

impl Fleet {
    /// Whether nodes may bring carves at all.
    pub fn takes_carves(&self) -> bool {
        self.config().osquery.carves != CarveRule::Off
    }

    /// A node begins to bring a carve.
    pub async fn osquery_carve(&self, body: &[u8], address: Option<Ip>) -> Result<Value, OsqueryError> {
        let start = carve_start(body)?;
        let Some(node) = self.node(&start.node_key, address).await? else { return Ok(reply::invalid()) };
        if let Some(known) = self.carves().begun(node.host.id, &start) {
            let same = known.start.bytes == start.bytes && known.start.block_bytes == start.block_bytes;
            return if same { Ok(reply::session(&known.session)) } else { Err(CarveRefusal::Odd.into()) };
        }
        let most = self.config().osquery.carve_bytes_max.0.min(limits::PACK_BYTES_MAX);
        if start.bytes > most {
            return Err(CarveRefusal::TooLong.into());
        }
        let asked = self.who_asked(&node.host, &start).await?;
        if asked.is_none() && self.config().osquery.carves != CarveRule::Any {
            tracing::warn!(host = %node.host.name, carve = start.carve, "a node brings a carve that nobody asked for");
            return Err(CarveRefusal::NotAsked.into());
        }
        let carve = Arc::new(self.new_carve(node.host, start, asked).await?);
        let held = self.catalog().system().pack_bytes(carve.pack.tenant).await?;
        let room = |bytes: u64| held.saturating_add(bytes) <= self.config().evidence_bytes_max.0;
        if let Err(refusal) = self.carves().enter(&carve, room) {
            fs::remove_file(&carve.path).await.ok();
            return Err(refusal.into());
        }
        if let Err(error) = self.catalog().system().begin_carve(&carve.pack).await {
            self.carves().forget(&carve);
            fs::remove_file(&carve.path).await.ok();
            return Err(error.into());
        }
        Ok(reply::session(&carve.session))
    }

    /// The live query that asked a node for a carve, if there is one from which more may come.
    async fn who_asked(&self, host: &Host, start: &CarveStart) -> Result<Option<PendingLiveQuery>, OsqueryError> {
        let system = self.catalog().system();
        let mut told = system.told_live_queries(host.id, Micros(self.now().0 - ASKED), ASKED_MAX).await?;
        told.retain(|one| asks_to_carve(&one.query.sql));
        // A node that does say which question it answers is believed; else the newest it is.
        told.sort_by_key(|one| one.run.id.to_string() != start.request);
        for one in told {
            if system.carves_of(one.query.id, host.id).await? < OF_ONE_MAX {
                return Ok(Some(one));
            }
        }
        Ok(None)
    }

    async fn new_carve(
        &self,
        host: Host,
        start: CarveStart,
        asked: Option<PendingLiveQuery>,
    ) -> Result<Carve, OsqueryError> {
        let busy = |error: &dyn std::fmt::Display| OsqueryError::Busy(error.to_string());
        let now = self.now();
        let pack = EvidencePack {
            id: Uuid::now_v7(),
            tenant: host.tenant,
            command: asked.as_ref().map_or(Uuid::nil(), |one| one.query.id),
            carve: start.carve.clone(),
            host: host.id,
            host_name: host.name.clone(),
            state: PackState::Waiting,
            bytes: start.bytes,
            hash: String::new(),
            entries: 1,
            raw_bytes: start.bytes,
            left_out: 0,
            text: String::new(),
            told: now,
            updated: now,
        };
        let path = self.carve_path(pack.tenant, pack.id);
        if let Some(folder) = path.parent() {
            private_folder(folder).await.map_err(|e| busy(&e))?;
        }
        let (place, shape) = (path.clone(), (start.blocks, start.block_bytes, start.bytes));
        let made = tokio::task::spawn_blocking(move || Archive::create(&place, shape)).await;
        let archive = made.map_err(|e| busy(&e))?.map_err(|e| busy(&e))?;
        let random = random_bytes::<32>().map_err(|e| busy(&e))?;
        Ok(Carve {
            session: Zeroizing::new(HEXLOWER.encode(random.as_slice())),
            start,
            author: asked.map_or_else(|| "osquery".to_owned(), |one| one.query.author),
            host,
            pack,
            path,
            begun: now,
            heard: Mutex::new(now),
            work: Arc::new(Mutex::new(Work::Coming { archive: Box::new(archive), requests: 0 })),
        })
    }

    fn carve_path(&self, tenant: TenantId, pack: Uuid) -> PathBuf {
        self.pack_path(tenant, pack).with_extension("carve")
    }

    /// A node brings a block.
    pub async fn osquery_carve_block(&self, body: &[u8]) -> Result<Value, OsqueryError> {
        let block = carve_block(body)?;
        let carve = self.carves().find(&block.session).ok_or(CarveRefusal::Unknown)?;
        let host = self.catalog().system().host(carve.host.id).await?;
        if !host.is_some_and(|host| host.revoked.is_none() && host.tenant == carve.pack.tenant) {
            self.give_up(&carve, "the host was shut out").await;
            return Err(CarveRefusal::Unknown.into());
        }
        *carve.heard.lock() = self.now();
        self.counters().node_requests.inc(1);
        let (work, most) = (Arc::clone(&carve.work), carve.start.blocks.saturating_mul(4) + 64);
        let put = tokio::task::spawn_blocking(move || put(&mut work.lock(), most, block.number, &block.bytes)).await;
        match put.map_err(|e| OsqueryError::Busy(e.to_string()))? {
            Ok(None) => Ok(reply::nothing()),
            Ok(Some(archive)) => {
                let (fleet, of) = (self.clone(), Arc::clone(&carve));
                let making = tokio::spawn(async move { fleet.end(&of, archive).await });
                match tokio::time::timeout(MADE_WITHIN, making).await {
                    Ok(Ok(false)) => Err(OsqueryError::Busy("the carve could not be kept".to_owned())),
                    // It takes longer than osquery waits; what becomes of it is told elsewhere.
                    _ => Ok(reply::nothing()),
                }
            }
            Err(Failed::Refused(refusal)) => Err(refusal.into()),
            Err(Failed::Disk(text)) => {
                self.give_up(&carve, &text).await;
                Err(OsqueryError::Busy(text))
            }
        }
    }

    /// Makes evidence of an archive that is whole. Whether it is kept.
    async fn end(&self, carve: &Arc<Carve>, archive: Box<Archive>) -> bool {
        let kept = self.keep_carve(carve, archive).await;
        fs::remove_file(&carve.path).await.ok();
        match kept {
            Ok(()) => {
                self.counters().carves.inc(1);
                self.counters().packs.inc(1);
                true
            }
            Err(error) => {
                tracing::warn!(%error, host = %carve.host.name, "a carve could not be kept");
                fs::remove_file(self.pack_path(carve.pack.tenant, carve.pack.id)).await.ok();
                *carve.work.lock() = Work::Lost;
                self.lose(&carve.pack, "it came whole, but could not be kept").await;
                false
            }
        }
    }

    async fn keep_carve(&self, carve: &Arc<Carve>, archive: Box<Archive>) -> Result<(), PackError> {
        let place = self.pack_path(carve.pack.tenant, carve.pack.id);
        let part = place.with_extension("part");
        let recipient = self.evidence_key(carve.pack.tenant).await?.public();
        let lock = Lock::Public { recipient, fresh: SecretKey::new(*random_bytes::<32>()?) };
        let manifest = Manifest {
            host: carve.host.id.to_string(),
            command: carve.pack.command.to_string(),
            by: carve.author.clone(),
            begun: carve.begun.0,
            ended: self.now().0,
            ..Manifest::default()
        };
        let note =
            format!("as osquery packed it; its carve {}, its request {}", carve.start.carve, carve.start.request);
        let to = part.clone();
        let made = tokio::task::spawn_blocking(move || archive.pack(new_file(&to)?, &lock, manifest, note));
        let made = made.await.map_err(std::io::Error::other)?;
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                fs::remove_file(&part).await.ok();
                return Err(std::io::Error::other(error).into());
            }
        };
        fs::rename(&part, &place).await?;
        if let Some(folder) = place.parent() {
            fs::File::open(folder).await?.sync_all().await?;
        }
        let kept = EvidencePack { bytes: made.bytes, hash: HEXLOWER.encode(&made.blake3), ..carve.pack.clone() };
        self.catalog().system().settle_pack(&kept, PackState::Kept, "").await?;
        Ok(())
    }

    /// A carve will not come to its end.
    async fn give_up(&self, carve: &Carve, why: &str) {
        self.carves().forget(carve);
        let before = std::mem::replace(&mut *carve.work.lock(), Work::Lost);
        let missing = match before {
            Work::Coming { archive, .. } => archive.missing(),
            // It came to an end before, and was only remembered.
            ended => {
                *carve.work.lock() = ended;
                return;
            }
        };
        fs::remove_file(&carve.path).await.ok();
        let text = format!("{why}; {missing} of {} blocks had not come", carve.start.blocks);
        self.lose(&carve.pack, &text).await;
    }

    async fn lose(&self, pack: &EvidencePack, why: &str) {
        self.counters().carves_lost.inc(1);
        if let Err(error) = self.catalog().system().settle_pack(pack, PackState::Lost, why).await {
            tracing::warn!(%error, "that a carve is lost could not be noted");
        }
    }

    /// Gives up what a server that ended left behind, and then what nothing more is heard of, until the program ends.
    pub(crate) fn follow_carves(&self, shutdown: &Shutdown) {
        let (fleet, mut rounds) = (self.clone(), shutdown.rounds(ROUND));
        tokio::spawn(async move {
            let mut left = true;
            while rounds.next().await {
                if left {
                    let looked = fleet.give_up_left().await;
                    left = looked.inspect_err(|error| tracing::warn!(%error, "carves are left on their way")).is_err();
                }
                for carve in fleet.carves().stale(fleet.now()) {
                    fleet.give_up(&carve, "nothing more was heard of it").await;
                }
            }
        });
    }

    async fn give_up_left(&self) -> Result<(), PackError> {
        for pack in self.catalog().system().open_carves(LEFT_MAX).await? {
            let comes = self.carves().open.lock().values().any(|one| one.pack.id == pack.id);
            if !comes {
                for path in [self.carve_path(pack.tenant, pack.id), self.pack_path(pack.tenant, pack.id)] {
                    fs::remove_file(path.with_extension("part")).await.ok();
                    fs::remove_file(path).await.ok();
                }
                self.lose(&pack, "the server ended while it was on its way").await;
            }
        }
        Ok(())
    }
}

enum Failed {
    Refused(CarveRefusal),
    Disk(String),
}

/// Keeps a block; the archive, where it was the last one.
fn put(work: &mut Work, requests_max: u64, number: u64, bytes: &[u8]) -> Result<Option<Box<Archive>>, Failed> {
    let put = match work {
        Work::Whole => return Ok(None),
        Work::Lost => return Err(Failed::Refused(CarveRefusal::Unknown)),
        Work::Coming { archive, requests } => {
            *requests += 1;
            if *requests > requests_max {
                return Err(Failed::Disk("the node brought the same again and again".to_owned()));
            }
            archive.put(number, bytes).map_err(|error| Failed::Disk(error.to_string()))?
        }
    };
    match put {
        Put::Odd => Err(Failed::Refused(CarveRefusal::Odd)),
        Put::Kept => Ok(None),
        Put::Whole => match std::mem::replace(work, Work::Whole) {
            Work::Coming { archive, .. } => Ok(Some(archive)),
            _ => Ok(None),
        },
    }
}
