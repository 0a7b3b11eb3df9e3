//! Which policy each host is to run: worked out anew when something changes, kept with the host under the next version, and
//! handed to the sessions of this node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use guardian_catalog::{Action, CatalogError, ChangeEntry, Changes, Host, HostSelection, HostStanding, Subject};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Scope, TenantId};
use guardian_protocol::Blob;
use guardian_protocol::message::Policy;
use hashbrown::HashMap;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::policy::{Book, Effective};
use crate::state::Fleet;

/// How often new tenants are looked for.
const ROUND: Duration = Duration::from_secs(15);
/// Pause after the catalog failed.
const RETRY: Duration = Duration::from_secs(2);
/// Hosts that are worked out and written at once.
const HOSTS_AT_ONCE: u64 = 500;

/// The policy that a host is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) version: u64,
    pub(crate) hash: String,
    pub(crate) text: String,
    /// How often the agent is to be heard; none where the server's settings say.
    pub(crate) heartbeat: Option<Duration>,
}

impl Assigned {
    fn new(version: i32, effective: &Effective) -> Self {
        let heartbeat = effective.document.intervals.heartbeat_s.map(|s| Duration::from_secs(u64::from(s)));
        let (hash, text) = (effective.hash.clone(), effective.text.clone());
        Self { version: u64::try_from(version).unwrap_or_default(), hash, text, heartbeat }
    }

    pub(crate) fn message(&self) -> Policy {
        let hash = Blob(blake3::hash(self.text.as_bytes()).as_bytes().to_vec());
        Policy { version: self.version, hash, document: Blob(self.text.clone().into_bytes()) }
    }
}

/// The books of the tenants, for as long as nothing in them changes.
#[derive(Default)]
pub(crate) struct Books {
    open: Mutex<HashMap<TenantId, Arc<Book>>>,
}

impl Fleet {
    async fn book(&self, tenant: TenantId, fresh: bool) -> Result<Arc<Book>, CatalogError> {
        let known = self.books().open.lock().get(&tenant).cloned();
        if let Some(book) = known.filter(|_| !fresh) {
            return Ok(book);
        }
        let scope = Scope::of(tenant);
        let scoped = self.catalog().scoped(&scope);
        let (groups, policies) = (scoped.host_groups(tenant).await?, scoped.policies(tenant).await?);
        let order = scoped.policy_order(tenant).await?;
        let book = Arc::new(Book::new(&groups, &policies, &order.items, self.now()));
        self.books().open.lock().insert(tenant, Arc::clone(&book));
        Ok(book)
    }

    /// What holds for a host by what the catalog says now, and where it comes from.
    pub async fn effective_policy(&self, host: &Host) -> Result<Effective, CatalogError> {
        Ok(self.book(host.tenant, true).await?.effective(host, self.now()))
    }

    /// What holds for a host, by the book that is open.
    pub(crate) async fn standing_policy(&self, host: &Host) -> Result<Effective, CatalogError> {
        Ok(self.book(host.tenant, false).await?.effective(host, self.now()))
    }

    /// The policy that a host is to run that connects now; none where nobody ever said anything.
    pub(crate) async fn assigned(&self, host: &Host) -> Result<Option<Arc<Assigned>>, CatalogError> {
        let effective = self.standing_policy(host).await?;
        let Some(standing) = standing(host, &effective) else { return Ok(kept(host, &effective)) };
        let changed = self.catalog().system().settle_hosts(host.tenant, &[standing]).await?;
        match changed.first() {
            Some(host) => Ok(kept(host, &effective)),
            // Somebody else was quicker.
            None => Ok(self.catalog().system().host(host.id).await?.and_then(|host| kept(&host, &effective))),
        }
    }

    /// Follows every tenant until the program ends.
    pub(crate) fn follow_policies(&self, shutdown: &Shutdown) {
        let (fleet, mut rounds) = (self.clone(), shutdown.rounds(ROUND));
        tokio::spawn(async move {
            let mut following = HashMap::new();
            while rounds.next().await {
                match fleet.catalog().system().tenants().await {
                    Ok(tenants) => {
                        for tenant in tenants {
                            if following.get(&tenant.id).is_none_or(tokio::task::JoinHandle::is_finished) {
                                following.insert(tenant.id, tokio::spawn(fleet.clone().follow_tenant(tenant.id)));
                            }
                        }
                    }
                    Err(error) => tracing::warn!(%error, "policies wait; trying again"),
                }
            }
        });
    }

    async fn follow_tenant(self, tenant: TenantId) {
        let token = self.shutdown().token();
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                ended = self.follow_once(tenant) => match ended {
                    Err(CatalogError::NotFound("tenant")) => return,
                    Err(error) => tracing::warn!(%error, "policies wait; trying again"),
                    Ok(()) => {}
                }
            }
            tokio::select! {
                () = token.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn follow_once(&self, tenant: TenantId) -> Result<(), CatalogError> {
        let scope = Scope::of(tenant);
        let scoped = self.catalog().scoped(&scope);
        let mut follower = scoped.follow(tenant, scoped.latest_seq(tenant).await?)?;
        // What changed while nobody followed.
        self.settle_all(tenant).await?;
        loop {
            match follower.next().await? {
                Changes::Entries { entries, .. } => self.take_changes(tenant, &entries).await?,
                Changes::ResyncNeeded { .. } => self.settle_all(tenant).await?,
            }
        }
    }

    async fn take_changes(&self, tenant: TenantId, entries: &[ChangeEntry]) -> Result<(), CatalogError> {
        let of_book = |s: Subject| matches!(s, Subject::HostGroup | Subject::Policy | Subject::PolicyOrder);
        let commands = entries.iter().filter(|entry| entry.subject == Subject::Command);
        for id in commands.filter_map(|entry| entry.id.parse().ok()) {
            self.tell_of_command(id).await?;
        }
        let queries = entries.iter().filter(|e| e.subject == Subject::LiveQuery && e.action != Action::Deleted);
        for id in queries.filter_map(|entry| entry.id.parse().ok()) {
            self.tell_of_live_query(id).await?;
        }
        if entries.iter().any(|entry| of_book(entry.subject)) {
            return self.settle_all(tenant).await;
        }
        let hosts = entries.iter().filter(|e| e.subject == Subject::Host && e.action != Action::Deleted);
        let ids: BTreeSet<Uuid> = hosts.filter_map(|entry| entry.id.parse().ok()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let selection = HostSelection { ids: ids.into_iter().collect(), ..HostSelection::default() };
        let most = selection.ids.len() as u64;
        let hosts = self.catalog().scoped(&Scope::of(tenant)).selected_hosts(&selection, most).await?;
        let book = self.book(tenant, false).await?;
        self.settle_some(tenant, &book, &hosts).await
    }

    async fn settle_all(&self, tenant: TenantId) -> Result<(), CatalogError> {
        let book = self.book(tenant, true).await?;
        let scope = Scope::of(tenant);
        let mut after = None;
        loop {
            let hosts = self.catalog().scoped(&scope).hosts_after(after, HOSTS_AT_ONCE).await?;
            let Some(last) = hosts.last() else { return Ok(()) };
            after = Some(last.id);
            self.settle_some(tenant, &book, &hosts).await?;
        }
    }

    /// Works out where hosts stand, keeps what is new, and tells the sessions of this node.
    async fn settle_some(&self, tenant: TenantId, book: &Book, hosts: &[Host]) -> Result<(), CatalogError> {
        let mut wanted = Vec::new();
        let mut effective: HashMap<Uuid, Effective> = HashMap::new();
        for host in hosts {
            let one = book.effective(host, self.now());
            match standing(host, &one) {
                Some(standing) => {
                    wanted.push(standing);
                    effective.insert(host.id, one);
                }
                None => self.tell_policy(host.id, kept(host, &one)),
            }
        }
        for some in wanted.chunks(HOSTS_AT_ONCE as usize) {
            self.catalog().system().settle_hosts(tenant, some).await?;
            // Read again, because another node may have been quicker with some of them.
            let selection = HostSelection { ids: some.iter().map(|s| s.id).collect(), ..HostSelection::default() };
            let now = self.catalog().scoped(&Scope::of(tenant)).selected_hosts(&selection, HOSTS_AT_ONCE).await?;
            for host in now {
                if let Some(one) = effective.get(&host.id) {
                    self.tell_policy(host.id, kept(&host, one));
                }
            }
        }
        Ok(())
    }
}

/// Where a host stands from now on; none where nothing changes. As long as nobody ever said anything, no policy is there.
fn standing(host: &Host, effective: &Effective) -> Option<HostStanding> {
    let unsaid = host.policy_version == 0 && effective.origins.is_empty();
    let policy_hash = if unsaid { String::new() } else { effective.hash.clone() };
    let standing = HostStanding { id: host.id, matched: effective.matched.clone(), policy_hash };
    (standing.matched != host.matched || standing.policy_hash != host.policy_hash).then_some(standing)
}

/// What a host that is settled is to run.
fn kept(host: &Host, effective: &Effective) -> Option<Arc<Assigned>> {
    let settled = host.policy_version > 0 && host.policy_hash == effective.hash;
    settled.then(|| Arc::new(Assigned::new(host.policy_version, effective)))
}
