//! What hosts have, as their agents tell it: lists, whole or as what changed, kept in the catalog; and events of what
//! changed, in the lake. The catalog's transaction decides: changes stand in it until the lake has their events, which are
//! counted so that none is there twice.
//!
//! Whole lists are long, and ten thousand agents may have one at once: an agent sends one only when it is asked to, and
//! few are asked at a time.

mod changes;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use guardian_catalog::{CatalogError, HostListDocument, NewHostList, SoftwareItem};
use guardian_model::{Micros, Origin, TenantId};
use guardian_protocol::lists::{self, List, ListChange};
use guardian_protocol::message::{Inventory, Kept, Resend};
use guardian_protocol::{Blob, FromServer, WireError, limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::intake::Gate;
use crate::state::Fleet;

/// Whole lists that are received at once, on this node.
const WHOLE_MAX: usize = 16;
/// How long a whole list may take.
const WHOLE_TIME: Duration = Duration::from_secs(60);
/// Lists whose entries are software.
const OF_SOFTWARE: [&str; 2] = ["packages", "libraries"];
/// Changes of one list at one time that become events.
const CHANGES_MAX: usize = 20_000;

/// What sessions share.
pub(crate) struct Transfers {
    whole: Arc<Semaphore>,
}

impl Default for Transfers {
    fn default() -> Self {
        Self { whole: Arc::new(Semaphore::new(WHOLE_MAX)) }
    }
}

/// A list that is coming in parts.
struct Coming {
    list: String,
    base: Option<Vec<u8>>,
    hash: Vec<u8>,
    next: u32,
    lines: Vec<u8>,
    time: i64,
}

/// Leave to send one whole list.
struct Leave {
    list: String,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

/// The lists of one session's host.
pub(crate) struct Lists {
    fleet: Fleet,
    tenant: TenantId,
    host: Uuid,
    host_name: String,
    /// Hashes of what is kept; none before it was looked at.
    known: Option<HashMap<String, Vec<u8>>>,
    wanted: VecDeque<String>,
    leave: Option<Leave>,
    coming: Option<Coming>,
}

/// What was read out of lines.
struct Read {
    list: List,
    changes: Vec<ListChange>,
    document: Vec<u8>,
    pending: Option<Vec<u8>>,
    software: Option<Vec<SoftwareItem>>,
}

impl Lists {
    pub(crate) fn new(fleet: &Fleet, tenant: TenantId, host: Uuid, host_name: &str) -> Self {
        Self {
            fleet: fleet.clone(),
            tenant,
            host,
            host_name: host_name.to_owned(),
            known: None,
            wanted: VecDeque::new(),
            leave: None,
            coming: None,
        }
    }

    /// Resolves when the agent may send a whole list. Safe to cancel.
    pub(crate) async fn ready(&mut self) -> FromServer {
        loop {
            match (&self.leave, self.wanted.front()) {
                (Some(leave), _) => {
                    sleep_until(leave.until).await;
                    // It did not come: the next one may.
                    (self.leave, self.coming) = (None, None);
                }
                (None, None) => return std::future::pending().await,
                (None, Some(list)) => {
                    let list = list.clone();
                    let whole = Arc::clone(&self.fleet.transfers().whole);
                    let Ok(place) = whole.acquire_owned().await else { return std::future::pending().await };
                    self.wanted.pop_front();
                    let until = Instant::now() + WHOLE_TIME;
                    self.leave = Some(Leave { list: list.clone(), until, _place: place });
                    return FromServer::Resend(Resend { list });
                }
            }
        }
    }

    fn want(&mut self, list: &str) {
        let asked = self.leave.as_ref().is_some_and(|leave| leave.list == list);
        if !asked && !self.wanted.iter().any(|wanted| wanted == list) {
            self.wanted.push_back(list.to_owned());
        }
    }

    /// Takes a part; what the agent is to be told, if anything is now. An error is not to be forgiven.
    pub(crate) async fn take(&mut self, part: Inventory) -> Result<Option<FromServer>, WireError> {
        if !lists::is_list_name(&part.list) {
            return Err(WireError::Malformed("the name of a list"));
        }
        let known = match self.known().await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, host = %self.host, "the inventory cannot be looked at; the agent asks again");
                return Ok(None);
            }
        };
        if !known.contains_key(&part.list) && known.len() >= limits::LISTS_MAX {
            return Err(WireError::Limit("the number of lists"));
        }
        let here = known.get(&part.list).cloned();
        let asks = part.part == 0 && part.last && part.base.as_ref() == Some(&part.hash);
        if asks {
            if here.as_ref() == Some(&part.hash.0) {
                return Ok(Some(kept(part.list, part.hash.0)));
            }
            self.want(&part.list);
            return Ok(None);
        }
        let base = part.base.as_ref().map(|b| b.0.clone());
        // A change of another list than ours, or a whole one that nobody asked for.
        let expected = match &base {
            Some(base) => here.as_ref() == Some(base),
            None => self.leave.as_ref().is_some_and(|leave| leave.list == part.list),
        };
        if !expected {
            self.want(&part.list);
            return Ok(None);
        }
        let Some(whole) = self.gather(&part, base)? else { return Ok(None) };
        let list = whole.list.clone();
        let told = self.finish(whole).await;
        if self.leave.as_ref().is_some_and(|leave| leave.list == list) {
            self.leave = None;
        }
        Ok(told)
    }

    async fn known(&mut self) -> Result<&HashMap<String, Vec<u8>>, CatalogError> {
        if self.known.is_none() {
            self.tell_pending().await?;
            let all = self.fleet.catalog().system().host_lists(self.host).await?;
            self.known = Some(all.into_iter().map(|list| (list.list, list.hash)).collect());
        }
        Ok(self.known.get_or_insert_default())
    }

    /// Puts a part behind those before it; the whole when it was the last.
    fn gather(&mut self, part: &Inventory, base: Option<Vec<u8>>) -> Result<Option<Coming>, WireError> {
        let hash = part.hash.0.clone();
        if part.part == 0 {
            let lines = Vec::new();
            self.coming = Some(Coming { list: part.list.clone(), base, hash, next: 0, lines, time: part.time });
        }
        let fits = |c: &Coming| c.list == part.list && c.hash == part.hash.0 && c.next == part.part;
        let Some(mut coming) = self.coming.take().filter(fits) else {
            // The middle of something whose beginning was dropped.
            return Ok(None);
        };
        let lines = lists::lines_of(part)?;
        if coming.lines.len() + lines.len() > limits::LIST_RAW_BYTES_MAX {
            return Err(WireError::Limit("the length of a list"));
        }
        coming.lines.extend(lines);
        coming.next += 1;
        if part.last {
            return Ok(Some(coming));
        }
        self.coming = Some(coming);
        Ok(None)
    }

    /// Keeps a list that has come whole.
    async fn finish(&mut self, coming: Coming) -> Option<FromServer> {
        let (list, hash) = (coming.list.clone(), coming.hash.clone());
        match self.keep(coming).await {
            Ok(true) => {
                self.known.get_or_insert_default().insert(list.clone(), hash.clone());
                self.fleet.counters().lists.inc(1);
                Some(kept(list, hash))
            }
            Ok(false) => {
                // Somebody else kept another one meanwhile, or the sums differ.
                self.known = None;
                self.want(&list);
                None
            }
            Err(error) => {
                tracing::warn!(%error, host = %self.host, list, "a list of the inventory could not be kept");
                self.known = None;
                None
            }
        }
    }

    async fn keep(&mut self, coming: Coming) -> Result<bool, CatalogError> {
        self.tell_pending().await?;
        let catalog = self.fleet.catalog().clone();
        let present = catalog.system().host_list(self.host, &coming.list).await?;
        let (base, time, hash) = (coming.base.clone(), coming.time, coming.hash.clone());
        let before = present.as_ref().map(|p| p.list.hash.clone());
        if base.is_some() && base != before {
            return Ok(false);
        }
        let name = coming.list.clone();
        let reading = tokio::task::spawn_blocking(move || read(&coming, present.as_ref()));
        let read = match reading.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                tracing::warn!(%error, host = %self.host, list = name, "a list of the inventory cannot be read");
                return Ok(false);
            }
            Err(error) => return Err(CatalogError::Config(error.to_string())),
        };
        if read.list.hash().as_slice() != hash.as_slice() {
            tracing::warn!(host = %self.host, list = name, "a list of the inventory has another hash than was said");
            return Ok(false);
        }
        let count = read.changes.len() as u64;
        let new = NewHostList {
            host: self.host,
            list: name,
            hash,
            base: before,
            entries: u32::try_from(read.list.len()).unwrap_or(u32::MAX),
            read: Micros(time),
            document: read.document,
            pending: read.pending.clone(),
            software: read.software,
        };
        let kept = match catalog.system().keep_host_list(self.tenant, new).await {
            Ok(kept) => kept,
            Err(CatalogError::Conflict(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        if let Some(pending) = read.pending {
            let document = HostListDocument { list: kept, document: Vec::new(), pending: Some(pending) };
            self.tell(&document).await;
            self.fleet.counters().list_changes.inc(count);
        }
        Ok(true)
    }

    /// Makes the events that were still to be made when somebody was interrupted.
    async fn tell_pending(&mut self) -> Result<(), CatalogError> {
        let mut pending = self.fleet.catalog().system().pending_host_lists(self.host).await?;
        pending.sort_by_key(|p| p.list.received);
        for document in pending {
            self.tell(&document).await;
        }
        Ok(())
    }

    /// Makes the events of the changes of one revision, once. What fails is tried again with the next list.
    async fn tell(&self, document: &HostListDocument) {
        let list = &document.list;
        let Some(pending) = &document.pending else { return };
        let of = (self.host_name.as_str(), self.host);
        let made = changes::batch(&list.list, pending, list.read, self.tenant, of, self.fleet.now());
        let batch = match made {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(error, host = %self.host, list = list.list, "changes cannot be read back");
                return self.settle(document).await;
            }
        };
        let origin = Origin { sender: *self.host.as_bytes(), epoch: list.epoch, lane: 0, sequence: list.revision };
        let stored = async { self.fleet.intake().offer(vec![batch], origin, Gate::default()).await?.await };
        match stored.await {
            Ok(()) => self.settle(document).await,
            Err(error) => tracing::warn!(%error, host = %self.host, "changes of the inventory wait for the store"),
        }
    }

    async fn settle(&self, document: &HostListDocument) {
        let (list, revision) = (&document.list.list, document.list.revision);
        if let Err(error) = self.fleet.catalog().system().settle_host_list(self.host, list, revision).await {
            tracing::warn!(%error, host = %self.host, list, "told changes could not be settled; they are told once");
        }
    }
}

fn kept(list: String, hash: Vec<u8>) -> FromServer {
    FromServer::Kept(Kept { list, hash: Blob(hash) })
}

/// The list that lines make, and what changed.
fn read(coming: &Coming, present: Option<&HostListDocument>) -> Result<Read, WireError> {
    let before = present.map(|p| List::open(&p.document)).transpose()?;
    let mut list = match (&coming.base, &before) {
        (Some(_), Some(before)) => before.clone(),
        _ => List::default(),
    };
    list.take(&coming.lines)?;
    let mut changes = before.map(|before| list.changes_since(&before)).unwrap_or_default();
    changes.truncate(CHANGES_MAX);
    let pending = if changes.is_empty() { None } else { Some(changes::pack(&changes)?) };
    let software = OF_SOFTWARE.contains(&coming.list.as_str()).then(|| software(&list));
    Ok(Read { document: lists::pack(&list.lines())?, list, changes, pending, software })
}

fn software(list: &List) -> Vec<SoftwareItem> {
    let item = |entry: &str| {
        let entry: serde_json::Value = serde_json::from_str(entry).ok()?;
        let text = |name: &str| entry.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let licences = entry.get("licences").and_then(|v| v.as_array());
        let licences: Vec<&str> = licences.into_iter().flatten().filter_map(|l| l.as_str()).collect();
        Some(SoftwareItem {
            kind: text("kind"),
            name: text("name"),
            version: text("version"),
            architecture: text("architecture"),
            source: text("source"),
            source_version: text("source_version"),
            vendor: text("vendor"),
            licences: licences.join(", "),
        })
    };
    list.iter().filter_map(|(_, entry)| item(entry)).filter(|item| !item.name.is_empty()).collect()
}
