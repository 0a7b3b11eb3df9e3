//! Reading a store where it lies.

use std::fs::File;
use std::path::Path;

use guardian_sys::map::Map;

use super::write::flag;
use super::{Error, Given, HEADER_BYTES, MAGIC, TABLES, Table, VERSION, key};
use crate::advisory::{Exploitation, Of, Status};
use crate::cvss::Rating;

/// What holds the bytes of a store.
#[derive(Debug)]
pub enum Opened {
    /// A mapped file.
    Map(Map),
    /// Memory.
    Bytes(Vec<u8>),
}

impl std::ops::Deref for Opened {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Map(map) => map,
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    bytes: Opened,
    tables: [(usize, usize); TABLES],
    built_s: i64,
    body_crc: u32,
}

impl Store {
    /// Opens the file; reads its header and nothing else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |e| Error::File(path.to_path_buf(), e);
        let file = File::open(path).map_err(wrong)?;
        Self::of(Opened::Map(Map::new(&file).map_err(wrong)?))
            .map_err(|what| Error::Malformed(path.to_path_buf(), what))
    }

    /// Opens what is in memory.
    pub fn of(bytes: Opened) -> Result<Self, &'static str> {
        let header = bytes.get(..HEADER_BYTES).ok_or("it is shorter than a header")?;
        if &header[..8] != MAGIC {
            return Err("it is no advisory store");
        }
        if u32_at(header, 8) != VERSION {
            return Err("it is of another version: build it anew");
        }
        if u32_at(header, 12) != crc32fast::hash(&header[16..]) {
            return Err("its header is damaged");
        }
        if u64_at(header, 24) != bytes.len() as u64 {
            return Err("it is not whole");
        }
        let mut tables = [(0, 0); TABLES];
        for (i, table) in tables.iter_mut().enumerate() {
            let (at, len) = (u64_at(header, 40 + i * 16) as usize, u64_at(header, 48 + i * 16) as usize);
            if at.checked_add(len).is_none_or(|end| end > bytes.len()) {
                return Err("its header is damaged");
            }
            *table = (at, len);
        }
        let (built_s, body_crc) = (u64_at(header, 16) as i64, u32_at(header, 32));
        Ok(Self { bytes, tables, built_s, body_crc })
    }

    /// Whether all of it is as it was written; reads all of it.
    pub fn is_whole(&self) -> bool {
        let mut body = crc32fast::Hasher::new();
        for (at, len) in self.tables {
            body.update(&self.bytes[at..at + len]);
        }
        body.finalize() == self.body_crc
    }

    /// When it was built, in seconds since the epoch.
    pub const fn built_s(&self) -> i64 {
        self.built_s
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn rows(&self, table: Table) -> usize {
        self.tables[table as usize].1 / (table.words() * 4)
    }

    /// A word of a row; 0 behind the end.
    fn word(&self, table: Table, row: usize, word: usize) -> u32 {
        let (at, len) = self.tables[table as usize];
        let offset = (row * table.words() + word) * 4;
        if offset + 4 > len { 0 } else { u32_at(&self.bytes, at + offset) }
    }

    /// A text by its number; empty where there is none.
    fn text(&self, number: u32) -> &str {
        let number = number as usize;
        let (start, end) =
            (self.word(Table::Offsets, number, 0) as usize, self.word(Table::Offsets, number + 1, 0) as usize);
        let (at, len) = self.tables[Table::Texts as usize];
        if start > end || end > len {
            return "";
        }
        std::str::from_utf8(&self.bytes[at + start..at + end]).unwrap_or_default()
    }

    fn list(&self, at: u32, count: u32) -> impl Iterator<Item = &str> {
        let end = (at as usize).saturating_add(count as usize).min(self.rows(Table::Lists));
        (at as usize..end).map(|row| self.text(self.word(Table::Lists, row, 0)))
    }

    /// Everything that is said of a package.
    pub fn statements(&self, ecosystem: &str, package: &str) -> impl Iterator<Item = StatementRef<'_>> {
        let wanted = key(ecosystem, package);
        let hash =
            |row: usize| u64::from(self.word(Table::Keys, row, 0)) << 32 | u64::from(self.word(Table::Keys, row, 1));
        let first = halve(self.rows(Table::Keys), |row| hash(row) < wanted);
        let same = (first..self.rows(Table::Keys)).take_while(|row| hash(*row) == wanted).find(|row| {
            self.text(self.word(Table::Keys, *row, 2)) == ecosystem
                && self.text(self.word(Table::Keys, *row, 3)) == package
        });
        let rows = same.map_or(0..0, |row| {
            let at = self.word(Table::Keys, row, 4) as usize;
            at..at.saturating_add(self.word(Table::Keys, row, 5) as usize).min(self.rows(Table::Statements))
        });
        rows.map(|row| StatementRef { store: self, row })
    }

    /// Whether anything is said of any package of an ecosystem. Reads every key.
    pub fn ecosystems(&self) -> std::collections::BTreeMap<&str, usize> {
        let mut counts = std::collections::BTreeMap::new();
        for row in 0..self.rows(Table::Keys) {
            *counts.entry(self.text(self.word(Table::Keys, row, 2))).or_default() += 1;
        }
        counts
    }

    /// Every advisory that has the name, or says that it is about what has it.
    pub fn named(&self, name: &str) -> impl Iterator<Item = AdvisoryRef<'_>> {
        let text = |row: usize| self.text(self.word(Table::Names, row, 0));
        let first = halve(self.rows(Table::Names), |row| text(row) < name);
        let same = (first..self.rows(Table::Names)).take_while(move |row| text(*row) == name);
        let advisories: Vec<u32> = same.map(|row| self.word(Table::Names, row, 1)).collect();
        advisories.into_iter().map(|row| AdvisoryRef { store: self, row: row as usize })
    }

    /// What is known of a vulnerability by its CVE name.
    pub fn cve(&self, name: &str) -> Option<CveRef<'_>> {
        let text = |row: usize| self.text(self.word(Table::Cves, row, 0));
        let row = halve(self.rows(Table::Cves), |row| text(row) < name);
        (row < self.rows(Table::Cves) && text(row) == name).then_some(CveRef { store: self, row })
    }

    /// How many advisories, statements, packages and vulnerabilities it has.
    pub fn counts(&self) -> [usize; 4] {
        [Table::Advisories, Table::Statements, Table::Keys, Table::Cves].map(|table| self.rows(table))
    }

    /// What each source gave.
    pub fn given(&self) -> Vec<Given> {
        let word = |row: usize, word: usize| self.word(Table::Sources, row, word);
        (0..self.rows(Table::Sources))
            .map(|row| Given {
                source: self.text(word(row, 0)).to_owned(),
                documents: word(row, 1),
                advisories: word(row, 2),
                signals: word(row, 3),
                malformed: word(row, 4),
                empty: word(row, 5),
            })
            .collect()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The first of `count` rows for which `before` does not hold.
fn halve(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// A statement in a store.
#[derive(Clone, Copy, Debug)]
pub struct StatementRef<'a> {
    store: &'a Store,
    row: usize,
}

/// The end of a range in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndRef<'a> {
    /// Nowhere yet.
    Open,
    /// Before this version.
    Fixed(&'a str),
    /// With this version.
    LastAffected(&'a str),
}

impl<'a> StatementRef<'a> {
    fn word(&self, word: usize) -> u32 {
        self.store.word(Table::Statements, self.row, word)
    }

    /// The advisory that says it.
    pub fn advisory(&self) -> AdvisoryRef<'a> {
        AdvisoryRef { store: self.store, row: self.word(0) as usize }
    }

    /// What the name is of.
    pub fn of(&self) -> Of {
        if self.word(1) & 0xff == Of::Binary as u32 { Of::Binary } else { Of::Source }
    }

    /// What is said.
    pub fn status(&self) -> Status {
        Status::ALL.get((self.word(1) >> 8 & 0xff) as usize).copied().unwrap_or_default()
    }

    /// The module, or empty.
    pub fn module(&self) -> &'a str {
        self.store.text(self.word(2))
    }

    /// Why.
    pub fn reason(&self) -> &'a str {
        self.store.text(self.word(3))
    }

    /// Ranges: the first version, and the end.
    pub fn ranges(&self) -> impl Iterator<Item = (&'a str, EndRef<'a>)> + use<'a> {
        let store = self.store;
        let at = self.word(4) as usize;
        let end = at.saturating_add(self.word(5) as usize).min(store.rows(Table::Ranges));
        (at..end).map(move |row| {
            let text = |word| store.text(store.word(Table::Ranges, row, word));
            let end = match store.word(Table::Ranges, row, 2) {
                1 => EndRef::Fixed(text(1)),
                2 => EndRef::LastAffected(text(1)),
                _ => EndRef::Open,
            };
            (text(0), end)
        })
    }

    /// Versions, one by one.
    pub fn versions(&self) -> impl Iterator<Item = &'a str> {
        self.store.list(self.word(6), self.word(7))
    }
}

/// An advisory in a store.
#[derive(Clone, Copy, Debug)]
pub struct AdvisoryRef<'a> {
    store: &'a Store,
    row: usize,
}

impl<'a> AdvisoryRef<'a> {
    fn word(&self, word: usize) -> u32 {
        self.store.word(Table::Advisories, self.row, word)
    }

    /// Its name.
    pub fn id(&self) -> &'a str {
        self.store.text(self.word(0))
    }

    /// The name of its source.
    pub fn source(&self) -> &'static str {
        crate::sources::ALL.get((self.word(1) & 0xff) as usize).map_or("", |source| source.name())
    }

    /// How bad, in words.
    pub fn rating(&self) -> Rating {
        const ALL: [Rating; 6] =
            [Rating::Unknown, Rating::None, Rating::Low, Rating::Medium, Rating::High, Rating::Critical];
        ALL.get((self.word(1) >> 8 & 0xff) as usize).copied().unwrap_or_default()
    }

    /// Taken back.
    pub fn withdrawn(&self) -> bool {
        self.word(1) >> 16 & 1 == 1
    }

    /// One line.
    pub fn summary(&self) -> &'a str {
        self.store.text(self.word(2))
    }

    /// When it came out; 0 where it does not say.
    pub fn published_s(&self) -> i64 {
        i64::from(self.word(3))
    }

    /// When it changed; 0 where it does not say.
    pub fn modified_s(&self) -> i64 {
        i64::from(self.word(4))
    }

    fn counts(&self) -> [u32; 3] {
        let counts = self.word(6);
        [counts & 0xff, counts >> 8 & 0xff, counts >> 16 & 0xff]
    }

    /// Its other names.
    pub fn aliases(&self) -> impl Iterator<Item = &'a str> {
        self.store.list(self.word(5), self.counts()[0])
    }

    /// Its vectors.
    pub fn vectors(&self) -> impl Iterator<Item = &'a str> {
        let [aliases, vectors, _] = self.counts();
        self.store.list(self.word(5) + aliases, vectors)
    }

    /// Where to read on.
    pub fn references(&self) -> impl Iterator<Item = &'a str> {
        let [aliases, vectors, references] = self.counts();
        self.store.list(self.word(5) + aliases + vectors, references)
    }
}

/// What is known of a vulnerability.
#[derive(Clone, Copy, Debug)]
pub struct CveRef<'a> {
    store: &'a Store,
    row: usize,
}

impl<'a> CveRef<'a> {
    fn word(&self, word: usize) -> u32 {
        self.store.word(Table::Cves, self.row, word)
    }

    fn has(&self, bit: u32) -> bool {
        self.word(5) & bit != 0
    }

    /// Probability that it is used within 30 days, and percentile (EPSS).
    pub fn epss(&self) -> Option<(f32, f32)> {
        self.has(flag::EPSS).then(|| (f32::from_bits(self.word(1)), f32::from_bits(self.word(2))))
    }

    /// Day on which it came into a catalogue of those that are used, where it is in one.
    pub fn known_since_day(&self) -> Option<i32> {
        self.has(flag::KNOWN).then(|| self.word(3) as i32)
    }

    /// Day by which agencies must have it fixed.
    pub fn due_day(&self) -> Option<i32> {
        Some(self.word(4) as i32).filter(|day| *day != 0)
    }

    /// Known to be used for ransom.
    pub fn ransomware(&self) -> bool {
        self.has(flag::RANSOM)
    }

    /// How far an exploit is.
    pub fn exploitation(&self) -> Exploitation {
        match self.word(5) >> flag::EXPLOITATION_SHIFT & 0xff {
            1 => Exploitation::None,
            2 => Exploitation::Poc,
            3 => Exploitation::Active,
            _ => Exploitation::Unknown,
        }
    }

    /// Whether an attack can be automated, where somebody says.
    pub fn automatable(&self) -> Option<bool> {
        self.has(flag::AUTOMATABLE_KNOWN).then(|| self.has(flag::AUTOMATABLE))
    }

    /// Whether the attacker gets all of the software, where somebody says.
    pub fn total_impact(&self) -> Option<bool> {
        self.has(flag::TOTAL_KNOWN).then(|| self.has(flag::TOTAL))
    }

    /// A vector, or empty.
    pub fn vector(&self) -> &'a str {
        self.store.text(self.word(6))
    }

    /// Where exploits are published.
    pub fn exploits(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.store.list(self.word(7), self.word(8))
    }
}
