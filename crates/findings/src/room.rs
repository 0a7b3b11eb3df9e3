//! The room on the server: follows what hosts have and which advisories hold, judges what is new, and keeps what came of it.
//!
//! One task writes; whoever asks reads the boards beside it. A host whose lists changed, or an image that was sent, is judged
//! by itself; other advisories judge every version of every package once, and then every host and image by its numbers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use guardian_catalog::{Catalog, CatalogError, HostFindings, HostLabels, ImageMark, ListMark, TermKind};
use guardian_kit::clock::Clock;
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Micros, Scope, TenantId};
use guardian_protocol::lists::List;
use guardian_vuln::risk::Exposure;
use guardian_vuln::store::{Store, folder};
use hashbrown::{HashMap, HashSet};
use parking_lot::{Mutex, RwLock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::board::{self, Board, HostBoard, Outcome};
use crate::containers::ContainersRead;
use crate::host::{Facts, LISTS};
use crate::image;
use crate::packed::Cause;
use crate::settings::FindingSettings;
use crate::watch::Watcher;

/// How often it is looked whether a host has something new.
const ROUND: Duration = Duration::from_secs(2);
/// How many rounds pass before labels and advisories are looked at again.
const SLOW_ROUNDS: u32 = 5;
/// Lists that came in the moment of the last look may have been missed: they are looked at again.
const OVERLAP: i64 = 30 * Micros::SECOND;
/// What is made of a host's lists: grows when more is made of the same ones.
const FORM: i64 = 2;
/// Hosts that are judged in one round; the others wait for the next, so that a start takes no breath.
const HOSTS_AT_ONCE: usize = 500;

/// Vulnerabilities of the fleet.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FindingsConfig {
    /// Folder of the advisory stores that `guardian vulndb build` makes; the newest one in it judges. Empty is `advisories`
    /// in the data directory.
    pub store: PathBuf,
    /// How often the server fetches advisories and builds a store of them, such as `6h`; every quarter of an hour at most.
    /// 0 is never: no connection is made that nobody asked for.
    pub update_interval: guardian_kit::config::Duration,
    /// A mirror from which everything is fetched, such as `https://mirror.example/advisories`. Empty asks the publishers.
    pub update_mirror: String,
    /// Folder that keeps what was fetched. Empty is `downloads` in the data directory.
    pub downloads: PathBuf,
    /// For how many days the last store of each day is kept, so that what was known then can be asked again.
    pub keep_days: u32,
}

impl Default for FindingsConfig {
    fn default() -> Self {
        Self {
            store: PathBuf::new(),
            update_interval: guardian_kit::config::Duration::default(),
            update_mirror: String::new(),
            downloads: PathBuf::new(),
            keep_days: 7,
        }
    }
}

/// Something that somebody should hear at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whose host.
    pub tenant: TenantId,
    /// The host.
    pub host: Uuid,
    /// Its name.
    pub host_name: String,
    /// The vulnerability, which is known to be exploited.
    pub vulnerability: String,
    /// The package that has it.
    pub package: String,
}

/// Whoever tells people of it.
#[async_trait]
pub trait Teller: Send + Sync {
    /// Tells it; an error has it told again later.
    async fn tell(&self, news: &[News]) -> Result<(), String>;
}

/// What the room is made of.
pub struct FindingsDeps {
    /// The system of record.
    pub catalog: Catalog,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Folder of the advisory stores.
    pub store: PathBuf,
    /// Whoever tells of vulnerabilities that are exploited.
    pub teller: Arc<dyn Teller>,
    /// Whoever knows who came to which host.
    pub watcher: Arc<dyn Watcher>,
    /// Tells when to end.
    pub shutdown: Shutdown,
}

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A task of ours died.
    #[error("{0}")]
    Task(String),
}

/// The room. Clones share it.
#[derive(Clone)]
pub struct Findings {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) deps: FindingsDeps,
    store: RwLock<Option<Arc<Store>>>,
    boards: RwLock<HashMap<TenantId, Arc<RwLock<Board>>>>,
    /// Hosts to which somebody came from further away than one knew.
    pub(crate) exposed: Mutex<HashSet<(TenantId, Uuid)>>,
}

/// What the one task that writes remembers.
#[derive(Default)]
pub struct Follower {
    /// Up to when lists were looked at.
    since: Micros,
    /// Hosts that are still to be looked at.
    waiting: HashSet<(TenantId, Uuid)>,
    /// Up to when images were looked at.
    images_since: Micros,
    /// Images that are still to be looked at.
    images: HashSet<(TenantId, Uuid)>,
    /// Images that were looked at of late, as they were sent then: a mark is asked for again until nobody can write an older one.
    images_taken: HashMap<Uuid, Micros>,
    /// What was read of containers.
    containers: ContainersRead,
    settings: HashMap<TenantId, FindingSettings>,
    rounds: u32,
}

impl Follower {
    /// Takes images that were sent, each once: a bill is large, and need not be read again as long as it is the same.
    fn take_images(&mut self, marks: &[ImageMark]) {
        self.images_since = marks.iter().map(|mark| mark.sent).fold(self.images_since, Micros::max);
        for mark in marks {
            if self.images_taken.insert(mark.image, mark.sent) != Some(mark.sent) {
                self.images.insert((mark.tenant, mark.image));
            }
        }
        let oldest = self.images_since - OVERLAP;
        self.images_taken.retain(|_, sent| *sent >= oldest);
    }
}

impl Findings {
    /// Opens the room. Nothing is looked at before [`Findings::start`].
    pub fn new(deps: FindingsDeps) -> Self {
        Self {
            inner: Arc::new(Inner {
                deps,
                store: RwLock::default(),
                boards: RwLock::default(),
                exposed: Mutex::default(),
            }),
        }
    }

    /// Follows hosts and advisories until the program ends.
    pub fn start(&self) {
        let (room, mut rounds) = (self.clone(), self.inner.deps.shutdown.rounds(ROUND));
        tokio::spawn(async move {
            let mut follower = Follower::default();
            while rounds.next().await {
                if let Err(error) = room.round(&mut follower).await {
                    tracing::warn!(%error, "vulnerabilities of hosts could not be judged; trying again");
                }
            }
        });
        self.watch();
    }

    /// The advisories that hold now.
    pub fn advisories(&self) -> Option<Arc<Store>> {
        self.inner.store.read().clone()
    }

    /// What is known of the hosts of a tenant.
    pub fn board(&self, tenant: TenantId) -> Arc<RwLock<Board>> {
        Arc::clone(self.inner.boards.write().entry(tenant).or_default())
    }

    /// An image is there no more: nobody is to see it before the next look at the catalog.
    pub fn forget_image(&self, tenant: TenantId, image: Uuid) {
        let board = self.board(tenant);
        let mut board = board.write();
        board.labels.remove(&image);
        board.hosts.remove(&image);
    }

    pub(crate) fn now(&self) -> Micros {
        self.inner.deps.clock.now()
    }

    /// Looks once at what is new, as [`Findings::start`] does every two seconds.
    pub async fn round(&self, follower: &mut Follower) -> Result<(), RoomError> {
        if follower.rounds.is_multiple_of(SLOW_ROUNDS) {
            self.follow_labels(follower).await?;
            self.follow_advisories(follower).await?;
        }
        let marks = self.inner.deps.catalog.system().list_marks(&LISTS, follower.since - OVERLAP).await?;
        follower.since = marks.iter().map(|mark| mark.received).max().unwrap_or(follower.since).max(follower.since);
        follower.waiting.extend(marks.iter().map(|mark| (mark.tenant, mark.host)));
        let marks = self.inner.deps.catalog.system().image_marks(follower.images_since - OVERLAP).await?;
        follower.take_images(&marks);
        self.judge_waiting(follower).await?;
        self.judge_exposed(follower).await?;
        self.follow_containers(&mut follower.containers, OVERLAP).await?;
        follower.rounds = follower.rounds.wrapping_add(1);
        Ok(())
    }

    /// Learns of tenants, of names and labels of hosts, and of what tenants set.
    async fn follow_labels(&self, follower: &mut Follower) -> Result<(), RoomError> {
        let catalog = &self.inner.deps.catalog;
        for tenant in catalog.system().tenants().await? {
            let tenant = tenant.id;
            // Whoever asks before gets an empty board, which is filled here.
            if !follower.settings.contains_key(&tenant) {
                let components = catalog.system().finding_terms(tenant, TermKind::Component).await?;
                let subjects = catalog.system().finding_terms(tenant, TermKind::Subject).await?;
                let mut hosts = catalog.system().host_findings(tenant).await?;
                hosts.extend(catalog.system().image_findings(tenant).await?);
                let board = blocking(move || Board::load(components, subjects, hosts)).await?;
                *self.board(tenant).write() = board;
            }
            let mut labels = catalog.system().host_labels(tenant).await?;
            labels.extend(catalog.system().image_labels(tenant).await?);
            let labels: HashMap<Uuid, HostLabels> = labels.into_iter().map(|l| (l.host, l)).collect();
            let scope = Scope::of(tenant);
            let (settings, _) = FindingSettings::load(&catalog.scoped(&scope), tenant).await?;
            follower.settings.insert(tenant, settings);
            let board = self.board(tenant);
            let mut board = board.write();
            board.hosts.retain(|host, _| labels.contains_key(host));
            board.labels = labels;
        }
        Ok(())
    }

    /// Opens the newest store where it is another one, and judges everything by it.
    async fn follow_advisories(&self, follower: &Follower) -> Result<(), RoomError> {
        let known = self.advisories().map(|store| store.built_s());
        let place = self.inner.deps.store.clone();
        let opened = blocking(move || {
            let newest = folder::list(&place).ok()?.pop().map(|(built, _)| built);
            (newest.is_some() && newest != known).then(|| folder::open(&place, None))
        });
        let store = match opened.await? {
            None => known.and(self.advisories()),
            Some(Ok(store)) => {
                tracing::info!(built_s = store.built_s(), "hosts are judged by other advisories");
                Some(Arc::new(store))
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the advisory store cannot be opened; the one before holds");
                self.advisories()
            }
        };
        let Some(store) = store else { return Ok(()) };
        *self.inner.store.write() = Some(Arc::clone(&store));
        for tenant in follower.settings.keys() {
            if self.board(*tenant).read().advisories_s() != store.built_s() {
                let judged = self.judge_all(*tenant, &store, follower).await;
                if judged.is_err() {
                    // What was not kept is judged again.
                    self.board(*tenant).write().unsettle();
                }
                judged?;
            }
        }
        Ok(())
    }

    /// Judges every version of every package of a tenant, and then its hosts.
    async fn judge_all(&self, tenant: TenantId, store: &Arc<Store>, follower: &Follower) -> Result<(), RoomError> {
        let (board, begun) = (self.board(tenant), self.inner.deps.clock.monotonic());
        let (reading, judging) = (Arc::clone(&board), Arc::clone(store));
        let verdicts = blocking(move || {
            let wanted: Vec<_> = {
                let board = reading.read();
                let all = board.in_use().into_iter();
                all.filter_map(|number| Some((number, board.component(number)?.clone()))).collect()
            };
            board::judge(&judging, &wanted)
        });
        let verdicts = verdicts.await?;
        self.number_subjects(tenant, &board, &verdicts).await?;
        let (writing, now, built_s) = (Arc::clone(&board), self.now(), store.built_s());
        let settings = follower.settings.get(&tenant).cloned().unwrap_or_default();
        let outcomes = blocking(move || {
            let mut board = writing.write();
            board.forget(built_s);
            board.take(verdicts);
            board.all_hosts(|host| exposure(&board, host, &settings, now), now)
        });
        let outcomes = outcomes.await?;
        let (judged, changed) = (outcomes.len(), outcomes.iter().filter(|outcome| outcome.changed).count());
        self.keep(tenant, &board, outcomes).await?;
        let took_ms = self.inner.deps.clock.monotonic().saturating_sub(begun).as_millis() as u64;
        tracing::info!(tenant = %tenant.0, judged, changed, took_ms, "hosts were judged by the advisories that hold now");
        Ok(())
    }

    /// Judges hosts whose lists changed, and images that were sent.
    async fn judge_waiting(&self, follower: &mut Follower) -> Result<(), RoomError> {
        for (hosts, of) in [(true, follower.waiting.clone()), (false, follower.images.clone())] {
            let some: Vec<(TenantId, Uuid)> = of.into_iter().take(HOSTS_AT_ONCE).collect();
            let mut by_tenant: HashMap<TenantId, Vec<Uuid>> = HashMap::new();
            some.iter().for_each(|(tenant, host)| by_tenant.entry(*tenant).or_default().push(*host));
            for (tenant, ids) in by_tenant {
                let board = self.board(tenant);
                let mut read = Vec::new();
                for id in ids {
                    let found = match hosts {
                        true => self.read_host(tenant, id, &board).await?,
                        false => self.read_image(id, &board).await?,
                    };
                    read.extend(found.map(|found| (id, found)));
                }
                let settings = follower.settings.get(&tenant).cloned().unwrap_or_default();
                self.judge_some(tenant, read, &settings).await?;
            }
            let waiting = if hosts { &mut follower.waiting } else { &mut follower.images };
            for place in &some {
                waiting.remove(place);
            }
        }
        Ok(())
    }

    /// Tells what is exploited on hosts that are reached from further away than one knew.
    async fn judge_exposed(&self, follower: &Follower) -> Result<(), RoomError> {
        let Some(store) = self.advisories() else { return Ok(()) };
        let exposed = std::mem::take(&mut *self.inner.exposed.lock());
        for (tenant, host) in exposed {
            let board = self.board(tenant);
            let settings = follower.settings.get(&tenant).cloned().unwrap_or_default();
            let outcome = {
                let board = board.read();
                // What is not judged yet is told when it is.
                let known = board.hosts.get(&host).filter(|_| board.advisories_s() == store.built_s());
                known.map(|known| {
                    let exposure = exposure(&board, known, &settings, self.now());
                    board.host(&known.row, Cause::Host, exposure, self.now())
                })
            };
            let Some(outcome) = outcome.filter(|outcome| !outcome.news.is_empty()) else { continue };
            if let Err(error) = self.keep(tenant, &board, vec![outcome]).await {
                self.inner.exposed.lock().insert((tenant, host));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Judges hosts and images that have this, each with the mark of what it was made of.
    async fn judge_some(
        &self,
        tenant: TenantId,
        read: Vec<(Uuid, (i64, Facts))>,
        settings: &FindingSettings,
    ) -> Result<(), RoomError> {
        let board = self.board(tenant);
        if read.is_empty() {
            return Ok(());
        }
        self.number_components(tenant, &board, read.iter().map(|(_, (_, facts))| facts)).await?;
        let rows: Vec<HostFindings> = {
            let board = board.read();
            read.iter().map(|(host, (lists, facts))| board.row_with(*host, *lists, facts)).collect()
        };
        let Some(store) = self.advisories() else {
            // Nobody knows anything yet; what the hosts have is kept for when somebody does.
            let unjudged = rows.into_iter().map(|row| Outcome { row, news: Vec::new(), changed: true }).collect();
            return self.keep(tenant, &board, unjudged).await;
        };
        let unjudged = {
            let board = board.read();
            board.unjudged(rows.iter().flat_map(|row| crate::packed::numbers(&row.components)))
        };
        let verdicts = blocking(move || board::judge(&store, &unjudged)).await?;
        self.number_subjects(tenant, &board, &verdicts).await?;
        let (now, settings) = (self.now(), settings.clone());
        let outcomes = {
            let mut board = board.write();
            board.take(verdicts);
            let judge = |row: &HostFindings| {
                let exposure = exposure(&board, &HostBoard::new(row.clone()), &settings, now);
                Outcome { changed: true, ..board.host(row, Cause::Host, exposure, now) }
            };
            rows.iter().map(judge).collect()
        };
        self.keep(tenant, &board, outcomes).await
    }

    /// What a host has, if it is other than what is known.
    async fn read_host(
        &self,
        tenant: TenantId,
        host: Uuid,
        board: &RwLock<Board>,
    ) -> Result<Option<(i64, Facts)>, RoomError> {
        let catalog = &self.inner.deps.catalog;
        let lists = catalog.system().host_lists(host).await?;
        let marks = lists.iter().filter(|list| LISTS.contains(&list.list.as_str())).map(|list| ListMark {
            tenant,
            host,
            list: list.list.clone(),
            epoch: list.epoch.cast_signed(),
            revision: list.revision.cast_signed(),
            received: list.received,
        });
        let hash = hash(marks);
        // Before its packages have come nothing can be said of it.
        let has_packages = lists.iter().any(|list| list.list == "packages");
        let known = board.read().hosts.get(&host).is_some_and(|known| known.row.lists == hash);
        if known || !has_packages || !self.is_named(host, board).await? {
            return Ok(None);
        }
        let mut documents: HashMap<&str, Vec<u8>> = HashMap::new();
        for name in LISTS {
            if let Some(list) = catalog.system().host_list(host, name).await? {
                documents.insert(name, list.document);
            }
        }
        let facts = blocking(move || {
            Facts::read(|name| match List::open(documents.get(name)?) {
                Ok(list) => Some(list),
                Err(error) => {
                    tracing::warn!(%error, %host, list = name, "a list of the inventory cannot be read");
                    None
                }
            })
        });
        Ok(Some((hash, facts.await?)))
    }

    /// What is in an image, if it is other than what is known.
    async fn read_image(&self, id: Uuid, board: &RwLock<Board>) -> Result<Option<(i64, Facts)>, RoomError> {
        let Some((image, inside)) = self.inner.deps.catalog.system().image(id).await? else { return Ok(None) };
        if board.read().hosts.get(&id).is_some_and(|known| known.row.lists == image.revision) {
            return Ok(None);
        }
        let labels = HostLabels { host: id, name: image.name.clone(), tags: Vec::new(), groups: Vec::new() };
        board.write().labels.insert(id, labels);
        let revision = image.revision;
        let facts = blocking(move || image::open_bill(&inside.bill).map(|scanned| image::facts(&image, scanned)));
        match facts.await? {
            Ok(facts) => Ok(Some((revision, facts))),
            Err(error) => {
                tracing::warn!(%error, image = %id, "what is kept of an image cannot be read");
                Ok(None)
            }
        }
    }

    /// Whether a host is there. One that just came in is named before anything is told of it.
    async fn is_named(&self, host: Uuid, board: &RwLock<Board>) -> Result<bool, RoomError> {
        if board.read().labels.contains_key(&host) {
            return Ok(true);
        }
        let found = self.inner.deps.catalog.system().host(host).await?;
        let Some(found) = found.filter(|found| found.revoked.is_none()) else { return Ok(false) };
        let groups = found.groups.into_iter().chain(found.matched).collect();
        let labels = HostLabels { host, name: found.name, tags: found.tags, groups };
        board.write().labels.insert(host, labels);
        Ok(true)
    }

    async fn number_components(
        &self,
        tenant: TenantId,
        board: &RwLock<Board>,
        facts: impl Iterator<Item = &Facts>,
    ) -> Result<(), RoomError> {
        let new: HashSet<_> = {
            let board = board.read();
            let all = facts.flat_map(|facts| &facts.components);
            all.filter(|component| board.component_number(component).is_none()).cloned().collect()
        };
        let new: Vec<_> = new.into_iter().collect();
        let words: Vec<String> = new.iter().map(board::component_words).collect();
        if words.is_empty() {
            return Ok(());
        }
        let system = self.inner.deps.catalog.system();
        let numbers = system.number_finding_terms(tenant, TermKind::Component, &words).await?;
        let mut board = board.write();
        numbers.into_iter().zip(new).for_each(|(number, component)| board.add_component(number, component));
        Ok(())
    }

    async fn number_subjects(
        &self,
        tenant: TenantId,
        board: &RwLock<Board>,
        verdicts: &board::Verdicts,
    ) -> Result<(), RoomError> {
        let new: HashSet<_> = {
            let board = board.read();
            let all = verdicts.subjects.iter().map(|(subject, _)| subject);
            all.filter(|subject| board.subject_number(subject).is_none()).cloned().collect()
        };
        let new: Vec<_> = new.into_iter().collect();
        let words: Vec<String> = new.iter().map(board::Subject::words).collect();
        if words.is_empty() {
            return Ok(());
        }
        let system = self.inner.deps.catalog.system();
        let numbers = system.number_finding_terms(tenant, TermKind::Subject, &words).await?;
        let mut board = board.write();
        numbers.into_iter().zip(new).for_each(|(number, subject)| board.add_subject(number, subject));
        Ok(())
    }

    /// Tells what is to be told and keeps what changed. Whoever was told once is not told again, because that stands in what
    /// is kept; what could not be told is not kept, and comes again.
    async fn keep(&self, tenant: TenantId, board: &RwLock<Board>, outcomes: Vec<Outcome>) -> Result<(), RoomError> {
        let news = news(tenant, &board.read(), &outcomes);
        if !news.is_empty()
            && let Err(error) = self.inner.deps.teller.tell(&news).await
        {
            return Err(RoomError::Task(format!("exploited vulnerabilities could not be told: {error}")));
        }
        let rows: Vec<HostFindings> =
            outcomes.iter().filter(|outcome| outcome.changed).map(|outcome| outcome.row.clone()).collect();
        self.inner.deps.catalog.system().keep_host_findings(tenant, &rows).await?;
        let mut board = board.write();
        outcomes.into_iter().for_each(|outcome| board.keep(outcome.row));
        Ok(())
    }
}

/// From where a host can be reached, with what people say of it.
fn exposure(board: &Board, host: &HostBoard, settings: &FindingSettings, now: Micros) -> Exposure {
    let seen = board.exposure(host, now.0 / Micros::SECOND);
    match board.labels.get(&host.row.host) {
        Some(labels) => settings.exposure(labels, seen),
        None => seen,
    }
}

fn news(tenant: TenantId, board: &Board, outcomes: &[Outcome]) -> Vec<News> {
    let mut all = Vec::new();
    for outcome in outcomes {
        let name = board.labels.get(&outcome.row.host).map(|labels| labels.name.clone()).unwrap_or_default();
        all.extend(outcome.news.iter().filter_map(|number| board.subject(*number)).map(|subject| News {
            tenant,
            host: outcome.row.host,
            host_name: name.clone(),
            vulnerability: subject.vulnerability.clone(),
            package: subject.package.clone(),
        }));
    }
    all
}

/// A number that is another one when any of the lists is of another revision.
fn hash(marks: impl Iterator<Item = ListMark>) -> i64 {
    let mut all: Vec<(String, i64, i64)> = marks.map(|mark| (mark.list, mark.epoch, mark.revision)).collect();
    all.sort();
    // What is made of lists is kept: where more is made of the same ones, they are read again.
    let made = (String::new(), 0, FORM);
    let bytes = all.iter().chain([&made]).flat_map(|(list, epoch, revision)| {
        list.bytes().chain([0]).chain(epoch.to_le_bytes()).chain(revision.to_le_bytes()).collect::<Vec<u8>>()
    });
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    hash.cast_signed()
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RoomError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| RoomError::Task(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_looked_at_once_each_time_that_it_is_sent() {
        let at = |second: i64| Micros(1_900_000_000_000_000 + second * Micros::SECOND);
        let mark = |id: u128, second: i64| ImageMark {
            tenant: TenantId::DEFAULT,
            image: Uuid::from_u128(id),
            sent: at(second),
        };
        let mut follower = Follower::default();
        let mut take = |marks: &[ImageMark]| {
            follower.take_images(marks);
            let mut taken: Vec<u128> = follower.images.drain().map(|(_, image)| image.as_u128()).collect();
            taken.sort_unstable();
            (taken, follower.images_taken.len(), follower.images_since)
        };
        assert_eq!(take(&[mark(1, 0), mark(2, 5)]), (vec![1, 2], 2, at(5)));
        assert_eq!(take(&[mark(1, 0), mark(2, 5)]), (vec![], 2, at(5)));
        // One that was written late, under an older time, and one that was sent again.
        assert_eq!(take(&[mark(3, 2), mark(1, 9), mark(2, 5)]), (vec![1, 3], 3, at(9)));
        // What can come no more is forgotten.
        assert_eq!(take(&[mark(4, 60)]), (vec![4], 1, at(60)));
        assert_eq!(take(&[]), (vec![], 1, at(60)));
    }
}
