//! Telling the server of lists, one at a time: as a difference to what it has where that is short, else by asking whether it
//! has it and waiting until it wants the whole. What is under way when the connection ends begins again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use guardian_protocol::limits::LIST_PART_BYTES_MAX;
use guardian_protocol::lists::{self, List};
use guardian_protocol::message::{Inventory, Kept};
use guardian_protocol::{FromAgent, lists::announcement};
use tokio::time::{Instant, sleep_until};

use super::keep::Folder;
use super::told::Told;

/// How long the server may take to answer; it takes the lists of many.
const ANSWER_MAX: Duration = Duration::from_secs(300);
/// A list is asked about again after this long, whether the server has it still.
const AGAIN: Duration = Duration::from_secs(24 * 3_600);

/// A list that is under way.
struct UnderWay {
    name: &'static str,
    hash: [u8; 32],
    time: i64,
    packed: Vec<u8>,
    until: Instant,
}

/// What the conversation tells of lists.
pub(crate) struct Telling {
    folder: Folder,
    told: Arc<Told>,
    waiting: VecDeque<Inventory>,
    under_way: Option<UnderWay>,
    /// What the server has, and since when that is known from itself.
    known: BTreeMap<&'static str, ([u8; 32], Instant)>,
}

impl Telling {
    /// Nothing is under way.
    pub(crate) fn new(folder: Folder, told: Arc<Told>) -> Self {
        Self { folder, told, waiting: VecDeque::new(), under_way: None, known: BTreeMap::new() }
    }

    /// A connection begins: what was under way on the one before is lost.
    pub(crate) fn begin(&mut self) {
        self.waiting.clear();
        self.under_way = None;
    }

    /// The next message, when there is one. Safe to cancel.
    pub(crate) async fn next(&mut self) -> FromAgent {
        loop {
            if let Some(part) = self.waiting.pop_front() {
                return FromAgent::Inventory(part);
            }
            if let Some(under_way) = &self.under_way {
                sleep_until(under_way.until).await;
                self.under_way = None;
                continue;
            }
            if !self.choose() {
                // Once a while all is asked about again.
                tokio::select! {
                    () = self.told.written.notified() => {}
                    () = tokio::time::sleep(Duration::from_secs(60)) => {}
                }
            }
        }
    }

    /// Takes up the next list that the server may not have; whether there is one.
    fn choose(&mut self) -> bool {
        for (name, (hash, time)) in self.told.all() {
            let known = self.known.get(name).is_some_and(|(known, at)| *known == hash && at.elapsed() < AGAIN);
            if known {
                continue;
            }
            if let Some((hash, packed)) = self.folder.now(name) {
                self.begin_list(name, hash, time, packed);
                return true;
            }
        }
        false
    }

    fn begin_list(&mut self, name: &'static str, hash: [u8; 32], time: i64, packed: Vec<u8>) {
        let short = (self.folder.kept_hash(name) != Some(hash)).then(|| self.difference(name, hash, time, &packed));
        match short.flatten() {
            Some(parts) => self.waiting.extend(parts),
            None => self.waiting.push_back(announcement(name, hash, time)),
        }
        self.under_way = Some(UnderWay { name, hash, time, packed, until: Instant::now() + ANSWER_MAX });
    }

    /// What changed since the list that the server has, if that is short.
    fn difference(&self, name: &str, hash: [u8; 32], time: i64, packed: &[u8]) -> Option<Vec<Inventory>> {
        let (base, before) = self.folder.kept(name)?;
        let lines = List::open(packed).ok()?.lines_since(&before);
        if lines.is_empty() || lines.len() > LIST_PART_BYTES_MAX {
            return None;
        }
        lists::parts(name, Some(base), hash, time, &lines).ok()
    }

    /// The server has a list.
    pub(crate) fn kept(&mut self, kept: &Kept) {
        let Some(done) = self.under_way.take_if(|u| u.name == kept.list && u.hash.as_slice() == kept.hash.0) else {
            return;
        };
        self.waiting.clear();
        self.known.insert(done.name, (done.hash, Instant::now()));
        if self.folder.kept_hash(done.name) != Some(done.hash)
            && let Err(error) = self.folder.keep(done.name, done.hash, &done.packed)
        {
            // The next change is asked about instead of sent as a difference.
            crate::run::say(&format!("the inventory cannot be kept: {error}"));
        }
    }

    /// The server wants the whole of a list.
    pub(crate) fn resend(&mut self, list: &str) {
        let Some(under_way) = self.under_way.as_mut().filter(|u| u.name == list) else {
            // Not the one that is under way: it comes when it is its turn.
            self.known.remove(list);
            return;
        };
        under_way.until = Instant::now() + ANSWER_MAX;
        let lines = List::open(&under_way.packed).map(|whole| whole.lines());
        let parts = lines.and_then(|lines| lists::parts(list, None, under_way.hash, under_way.time, &lines));
        match parts {
            Ok(parts) => self.waiting = parts.into(),
            Err(error) => crate::run::say(&format!("the list {list} cannot be sent: {error}")),
        }
    }
}
