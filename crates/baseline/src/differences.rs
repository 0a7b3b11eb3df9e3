//! Two states of the same folders, record by record.

use std::cmp::Ordering;

use crate::block::Records;
use crate::record::join_bytes;
use crate::{BaselineError, Kind, Record};

/// A file that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its path.
    pub path: Vec<u8>,
    /// As it was; none where it is new.
    pub before: Option<Record>,
    /// As it is; none where it is gone.
    pub now: Option<Record>,
}

impl Difference {
    /// What differs, in words. Times, sizes and numbers are none: they differ where nothing of worth does.
    pub fn properties(&self) -> Vec<&'static str> {
        let (Some(was), Some(is)) = (&self.before, &self.now) else { return Vec::new() };
        let hashes = [(was.blake3, is.blake3), (was.sha256, is.sha256)];
        let both = hashes.into_iter().find_map(|(was, is)| Some((was?, is?)));
        let of = [
            ("kind", was.kind != is.kind),
            ("content", both.is_some_and(|(was, is)| was != is)),
            ("mode", was.mode != is.mode),
            ("owner", (was.uid, was.gid) != (is.uid, is.gid)),
            ("target", was.target != is.target),
            ("attributes", was.attributes != is.attributes),
            ("device", was.device != is.device),
            // What may only grow is not hashed.
            ("size", both.is_none() && was.kind == Kind::Regular && is.size < was.size),
        ];
        of.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// Whether it is there on one side only, or differs in what counts.
    pub fn counts(&self) -> bool {
        self.before.is_none() || self.now.is_none() || !self.properties().is_empty()
    }
}

/// Both states of one folder, before compression.
#[derive(Clone, Copy, Debug, Default)]
pub struct Folders<'a> {
    /// As it was; none where it was not there.
    pub before: Option<&'a [u8]>,
    /// As it is.
    pub now: Option<&'a [u8]>,
}

impl Folders<'_> {
    /// Hands over each file that is another, until `each` has enough.
    pub fn compare(self, path: &[u8], each: &mut dyn FnMut(Difference) -> bool) -> Result<(), BaselineError> {
        let mut old = Side::new(self.before)?;
        let mut new = Side::new(self.now)?;
        if old.failed()? || new.failed()? {
            // Of a folder that could not be read nothing is known.
            return Ok(());
        }
        loop {
            let order = match (&old.record, &new.record) {
                (Some(old), Some(new)) => old.name.cmp(&new.name),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Ok(()),
            };
            let before = if order == Ordering::Greater { None } else { old.take()? };
            let now = if order == Ordering::Less { None } else { new.take()? };
            let Some(name) = before.as_ref().or(now.as_ref()).map(|record| &record.name) else { return Ok(()) };
            let difference = Difference { path: join_bytes(path, name), before, now };
            if difference.counts() && !each(difference) {
                return Ok(());
            }
        }
    }
}

/// One state of a folder, with its next record.
struct Side<'a> {
    raw: Option<&'a [u8]>,
    records: Option<Records<'a>>,
    record: Option<Record>,
}

impl<'a> Side<'a> {
    fn new(raw: Option<&'a [u8]>) -> Result<Self, BaselineError> {
        let mut side = Self { raw, records: raw.map(Records::new).transpose()?, record: None };
        side.take()?;
        Ok(side)
    }

    /// Whether the folder could not be read.
    fn failed(&self) -> Result<bool, BaselineError> {
        let Some(raw) = self.raw else { return Ok(false) };
        let mut records = Records::new(raw)?;
        while records.next()?.is_some() {}
        Ok(records.error()?.is_some())
    }

    fn take(&mut self) -> Result<Option<Record>, BaselineError> {
        let next = match &mut self.records {
            Some(records) => records.next()?,
            None => None,
        };
        Ok(std::mem::replace(&mut self.record, next))
    }
}
