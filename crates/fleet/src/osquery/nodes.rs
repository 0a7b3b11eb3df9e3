//! The nodes of osquery: their keys, when each was last heard, and how often each may ask.
//!
//! A key names its host, so that nothing has to be searched, and holds 256 random bits, of which a hash is kept.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guardian_catalog::Host;
use guardian_identity::{IdentityError, random_bytes};
use guardian_model::{Ip, Micros};
use hashbrown::HashMap;
use parking_lot::Mutex;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::OsqueryError;
use super::again::Brought;

/// What every key of a node begins with.
pub const NODE_KEY_PREFIX: &str = "gdo_";
/// Requests of one node in a stretch, and how long that is.
const REQUESTS_MAX: u32 = 600;
const ENROLMENTS_MAX: u32 = 60;
const STRETCH: i64 = Micros::SECOND * 60;
/// A node that was silent for longer than this comes anew.
const SILENT: i64 = Micros::SECOND * 90;
/// Nodes and addresses that are remembered; those that were silent longest go first, all at once.
const KNOWN_MAX: usize = 50_000;

/// A node whose key is good.
pub(crate) struct Node {
    pub(crate) host: Host,
}

/// The key of a node.
pub(super) struct Key {
    text: Zeroizing<String>,
    host: Uuid,
}

impl Key {
    /// Makes the key of a host.
    pub(super) fn make(host: Uuid) -> Result<Self, IdentityError> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()?.as_slice()));
        let text = Zeroizing::new(format!("{NODE_KEY_PREFIX}{}.{}", host.as_simple(), secret.as_str()));
        Ok(Self { text, host })
    }

    /// A text that has the form of a key.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (host, secret) = text.strip_prefix(NODE_KEY_PREFIX)?.split_once('.')?;
        let whole = host.len() == 32 && secret.len() == 43;
        let host = Uuid::try_parse(host).ok().filter(|_| whole)?;
        Some(Self { text: Zeroizing::new(text.to_owned()), host })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn host(&self) -> Uuid {
        self.host
    }

    /// What is kept of it.
    pub(super) fn hash(&self) -> String {
        self.hashed().to_hex().to_string()
    }

    /// Whether it is the one of which this was kept; takes as long whatever differs.
    pub(super) fn fits(&self, kept: &str) -> bool {
        blake3::Hash::from_hex(kept).is_ok_and(|kept| kept == self.hashed())
    }

    fn hashed(&self) -> blake3::Hash {
        blake3::Hash::from_bytes(blake3::derive_key("guardian secret v1 osquery node", self.text.as_bytes()))
    }
}

/// How often something was asked since a stretch began.
#[derive(Clone, Copy)]
struct Asked {
    since: Micros,
    times: u32,
}

/// What is known of nodes while the program runs.
pub(crate) struct Nodes {
    asked: Mutex<HashMap<Uuid, Asked>>,
    enrolments: Mutex<HashMap<Option<Ip>, Asked>>,
    heard: Mutex<HashMap<Uuid, Micros>>,
    /// What came last, so that nothing counts twice.
    pub(super) brought: Brought,
    /// A start is an epoch: what was counted before says nothing about it.
    pub(super) epoch: u64,
    /// The last sequence that was given, which also keeps rows in the order of their sequences.
    pub(super) sequence: tokio::sync::Mutex<u64>,
}

impl Nodes {
    pub(crate) fn new(now: Micros) -> Self {
        Self {
            asked: Mutex::default(),
            enrolments: Mutex::default(),
            heard: Mutex::default(),
            brought: Brought::default(),
            epoch: now.0.cast_unsigned(),
            sequence: tokio::sync::Mutex::new(0),
        }
    }

    /// Counts a request that names a host.
    pub(super) fn allow(&self, host: Uuid, now: Micros) -> Result<(), OsqueryError> {
        allow(&mut self.asked.lock(), host, REQUESTS_MAX, now)
    }

    /// Counts an enrolment.
    pub(super) fn allow_enrolment(&self, address: Option<Ip>, now: Micros) -> Result<(), OsqueryError> {
        allow(&mut self.enrolments.lock(), address, ENROLMENTS_MAX, now)
    }

    /// Remembers that a node was heard. Whether it comes anew.
    pub(super) fn heard(&self, host: Uuid, now: Micros) -> bool {
        let mut heard = self.heard.lock();
        if heard.len() >= KNOWN_MAX {
            heard.retain(|_, last| now.0 - last.0 <= SILENT);
        }
        heard.insert(host, now).is_none_or(|last| now.0 - last.0 > SILENT)
    }
}

fn allow<K: Eq + std::hash::Hash>(
    asked: &mut HashMap<K, Asked>,
    who: K,
    most: u32,
    now: Micros,
) -> Result<(), OsqueryError> {
    if asked.len() >= KNOWN_MAX && !asked.contains_key(&who) {
        asked.retain(|_, asked| now.0 - asked.since.0 < STRETCH);
        if asked.len() >= KNOWN_MAX {
            return Err(OsqueryError::TooMany);
        }
    }
    let asked = asked.entry(who).or_insert(Asked { since: now, times: 0 });
    if now.0 - asked.since.0 >= STRETCH {
        *asked = Asked { since: now, times: 0 };
    }
    asked.times += 1;
    if asked.times > most { Err(OsqueryError::TooMany) } else { Ok(()) }
}

impl crate::state::Fleet {
    /// A node was heard, and has nothing to say about itself.
    pub(super) fn note_heard(&self, (tenant, id): (guardian_model::TenantId, Uuid), every: Duration) {
        let now = self.now();
        let until = now + 3 * every.as_micros() as i64;
        self.presence().note((tenant, id), (now, until), |_| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_was_made_fits() {
        let host = Uuid::now_v7();
        let made = Key::make(host).unwrap();
        let shown = Key::of(made.text()).unwrap();
        assert_eq!(shown.host(), host);
        assert!(shown.fits(&made.hash()) && !shown.fits(&Key::make(host).unwrap().hash()) && !shown.fits(""));
        let other = made.text().replace(&host.as_simple().to_string(), &Uuid::now_v7().as_simple().to_string());
        assert!(!Key::of(&other).unwrap().fits(&made.hash()), "a secret is of one host");
        let secret = "s".repeat(43);
        for wrong in [String::new(), format!("gdo_{host}.{secret}"), format!("gdo_{}.x", host.as_simple()), secret] {
            assert!(Key::of(&wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn who_asks_too_often_waits() {
        let nodes = Nodes::new(Micros(0));
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for _ in 0..REQUESTS_MAX {
            nodes.allow(one, Micros(5)).unwrap();
        }
        assert!(matches!(nodes.allow(one, Micros(6)), Err(OsqueryError::TooMany)));
        assert!(nodes.allow(other, Micros(6)).is_ok());
        assert!(nodes.allow(one, Micros(5 + STRETCH)).is_ok());
    }

    #[test]
    fn a_node_comes_once_until_it_was_silent() {
        let nodes = Nodes::new(Micros(0));
        let one = Uuid::from_u128(1);
        let heard = [0, SILENT, 2 * SILENT + 1].map(|at| nodes.heard(one, Micros(at)));
        assert_eq!(heard, [true, false, true]);
    }
}
