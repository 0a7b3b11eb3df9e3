//! Snapshots: the engine's whole state as bytes, to be kept with a position of the write-ahead log. Versioned and
//! checked; must never be trusted further than its checksum, and a snapshot that does not fit leaves the engine empty.
//!
//! Form: `GDS` and a version byte, 16 bytes of BLAKE3 over the rest, then postcard of [`Image`].

use std::sync::Arc;

use guardian_rules::Correlator;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::evidence::Recent;
use crate::realm::{Realm, RealmName};
use crate::register::Counters;

/// Version of the form. A snapshot of another version is refused, and detection starts empty.
pub const SNAPSHOT_VERSION: u8 = 1;
const MAGIC: [u8; 3] = *b"GDS";
const HEADER: usize = 4 + 16;

/// Why a snapshot could not be taken over. The engine is as it was made: without state.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not a snapshot.
    #[error("not a detection snapshot")]
    NotASnapshot,
    /// Of another version of the program.
    #[error("the snapshot has version {0}, this program reads version {SNAPSHOT_VERSION}")]
    Version(u8),
    /// Damaged.
    #[error("the snapshot is damaged: its checksum is wrong")]
    Damaged,
    /// Its content cannot be read.
    #[error("the snapshot cannot be read: {0}")]
    Content(#[from] postcard::Error),
}

/// What a restore could and could not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Rules and detectors whose state was taken over.
    pub rules: usize,
    /// Rules and detectors of the snapshot that are gone or have changed; their state was dropped.
    pub dropped_rules: usize,
    /// Alerts that are open again.
    pub open_alerts: usize,
}

#[derive(Serialize, Deserialize)]
struct Image {
    /// Id, hash and counters of each number.
    rules: Vec<(String, String, Counters)>,
    correlator: Vec<u8>,
    grouping: Vec<u8>,
    recent: Vec<(u32, Recent)>,
    realms: Vec<RealmImage>,
    rows: u64,
    odd_batches: u64,
    evicted_realms: u64,
}

#[derive(Serialize, Deserialize)]
struct RealmImage {
    name: RealmName,
    watermark: i64,
    next_sweep: i64,
    last_received: i64,
    prevalence: Vec<u8>,
    /// Id, version and state of each detector.
    detectors: Vec<(String, u32, Vec<u8>)>,
}

impl Engine {
    /// The whole state. Two engines in the same state give the same answer to the same batches from here on.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let register = self.register.infos.iter().zip(&self.register.entries);
        let mut recent: Vec<_> = self.recent.iter().map(|(n, r)| (*n, r.clone())).collect();
        recent.sort_unstable_by_key(|(n, _)| *n);
        let image = Image {
            rules: register.map(|(i, e)| (i.reference.id.clone(), i.reference.hash.clone(), e.counters)).collect(),
            correlator: postcard::to_stdvec(&self.correlator)?,
            grouping: self.grouping.save()?,
            recent,
            realms: self.realms.all.iter().map(|(n, r)| realm_image(n, r)).collect::<Result<_, _>>()?,
            rows: self.rows,
            odd_batches: self.odd_batches,
            evicted_realms: self.realms.evicted,
        };
        let body = postcard::to_stdvec(&image)?;
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend(MAGIC);
        bytes.push(SNAPSHOT_VERSION);
        bytes.extend_from_slice(&blake3::hash(&body).as_bytes()[..16]);
        bytes.extend(body);
        Ok(bytes)
    }

    /// Takes over the state of a snapshot. State of rules whose content has changed is dropped. After an error the
    /// engine is empty.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Restored, SnapshotError> {
        let mut fresh = Self::new(self.config.clone(), Arc::clone(&self.rules));
        let taken = fresh.take(bytes);
        if taken.is_err() {
            fresh = Self::new(self.config.clone(), Arc::clone(&self.rules));
        }
        *self = fresh;
        taken
    }

    fn take(&mut self, bytes: &[u8]) -> Result<Restored, SnapshotError> {
        let image: Image = postcard::from_bytes(body(bytes)?)?;
        let now: Vec<Option<u32>> = image.rules.iter().map(|(id, hash, _)| self.register.number(id, hash)).collect();
        let renumber = |number: u32| now.get(number as usize).copied().flatten();
        for (number, (_, _, counters)) in now.iter().zip(&image.rules) {
            if let Some(number) = number {
                self.register.entries[*number as usize].counters = *counters;
            }
        }
        let mut correlator: Correlator = postcard::from_bytes(&image.correlator)?;
        correlator.retain(&self.rules);
        self.correlator = correlator;
        self.grouping.load(&image.grouping, renumber)?;
        let recent = image.recent.into_iter().filter_map(|(n, r)| Some((renumber(n)?, r)));
        self.recent = recent.collect::<HashMap<_, _>>();
        for saved in image.realms {
            let realm = self.realm(&saved)?;
            self.realms.all.push((saved.name, realm));
        }
        self.realms.evicted = image.evicted_realms;
        (self.rows, self.odd_batches) = (image.rows, image.odd_batches);
        let rules = now.iter().flatten().count();
        Ok(Restored { rules, dropped_rules: now.len() - rules, open_alerts: self.grouping.len() })
    }

    fn realm(&self, saved: &RealmImage) -> Result<Realm, SnapshotError> {
        let mut realm = Realm::new(&self.config, &self.detectors);
        (realm.watermark, realm.next_sweep, realm.last_received) =
            (saved.watermark, saved.next_sweep, saved.last_received);
        realm.prevalence.load(&saved.prevalence)?;
        for seat in &mut realm.seats {
            let own = |(id, version, _): &&(String, u32, Vec<u8>)| {
                *id == seat.descriptor.id && *version == seat.descriptor.version
            };
            if let Some((_, _, state)) = saved.detectors.iter().find(own) {
                seat.detector.load(state)?;
            }
        }
        Ok(realm)
    }
}

fn realm_image(name: &RealmName, realm: &Realm) -> Result<RealmImage, postcard::Error> {
    let seats = realm.seats.iter();
    let detectors = seats.map(|s| Ok((s.descriptor.id.to_owned(), s.descriptor.version, s.detector.save()?)));
    Ok(RealmImage {
        name: name.clone(),
        watermark: realm.watermark,
        next_sweep: realm.next_sweep,
        last_received: realm.last_received,
        prevalence: realm.prevalence.save()?,
        detectors: detectors.collect::<Result<_, postcard::Error>>()?,
    })
}

/// The checked body of a snapshot.
fn body(bytes: &[u8]) -> Result<&[u8], SnapshotError> {
    let Some((header, body)) = bytes.split_at_checked(HEADER) else { return Err(SnapshotError::NotASnapshot) };
    if header[..3] != MAGIC {
        return Err(SnapshotError::NotASnapshot);
    }
    if header[3] != SNAPSHOT_VERSION {
        return Err(SnapshotError::Version(header[3]));
    }
    if header[4..] != blake3::hash(body).as_bytes()[..16] {
        return Err(SnapshotError::Damaged);
    }
    Ok(body)
}
