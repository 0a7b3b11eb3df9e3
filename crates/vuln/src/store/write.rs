//! Writing a store: advisories are gathered as rows, sorted, and written in one go.

use std::io::Write;
use std::path::Path;

use hashbrown::{HashMap, HashTable};

use super::{Error, Given, HEADER_BYTES, MAGIC, TABLES, Table, VERSION, key};
use crate::advisory::{Advisory, End, Exploitation, Signal};
use crate::limits::{LIST_MAX, ROWS_MAX, TEXTS_BYTES_MAX};

/// Texts, each once.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    known: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
}

impl Texts {
    fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        &self.bytes[self.offsets[number] as usize..self.offsets[number + 1] as usize]
    }

    fn add(&mut self, text: &str) -> u32 {
        use std::hash::BuildHasher as _;
        if self.offsets.is_empty() {
            // Number 0 is the empty text.
            self.offsets = vec![0, 0];
        }
        if text.is_empty() || self.bytes.len() + text.len() > TEXTS_BYTES_MAX {
            return 0;
        }
        let hash = self.hasher.hash_one(text.as_bytes());
        if let Some(number) = self.known.find(hash, |number| self.get(*number) == text.as_bytes()) {
            return *number;
        }
        let number = (self.offsets.len() - 1) as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        self.offsets.push(self.bytes.len() as u32);
        let (bytes, offsets, hasher) = (&self.bytes, &self.offsets, &self.hasher);
        self.known.insert_unique(hash, number, |number| {
            let number = *number as usize;
            hasher.hash_one(&bytes[offsets[number] as usize..offsets[number + 1] as usize])
        });
        number
    }
}

/// What is known of a vulnerability so far.
#[derive(Clone, Default)]
struct Cve {
    probability: f32,
    percentile: f32,
    added_day: i32,
    due_day: i32,
    flags: u32,
    vector: u32,
    vector_rank: u8,
    /// Where exploits are.
    exploits: Vec<u32>,
}

/// Bits of [`Cve::flags`].
pub(super) mod flag {
    /// Has a probability.
    pub(in super::super) const EPSS: u32 = 1;
    /// Is in a catalogue of those that are used.
    pub(in super::super) const KNOWN: u32 = 1 << 1;
    /// Used for ransom.
    pub(in super::super) const RANSOM: u32 = 1 << 2;
    /// Can be automated; and whether that is known.
    pub(in super::super) const AUTOMATABLE: u32 = 1 << 3;
    pub(in super::super) const AUTOMATABLE_KNOWN: u32 = 1 << 4;
    /// The attacker gets all; and whether that is known.
    pub(in super::super) const TOTAL: u32 = 1 << 5;
    pub(in super::super) const TOTAL_KNOWN: u32 = 1 << 6;
    /// Where the exploitation begins.
    pub(in super::super) const EXPLOITATION_SHIFT: u32 = 8;
}

/// A statement until it is sorted: hash, ecosystem, package, and its row.
type Sorted = (u64, u32, u32, [u32; 8]);

/// Gathers what sources say.
#[derive(Default)]
pub struct Builder {
    texts: Texts,
    statements: Vec<Sorted>,
    ranges: Vec<u32>,
    lists: Vec<u32>,
    advisories: Vec<u32>,
    names: Vec<(u32, u32)>,
    cves: HashMap<u32, Cve, foldhash::fast::FixedState>,
    given: Vec<Given>,
}

/// A store that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Length of the file.
    pub bytes: u64,
    /// Packages that anything is said of.
    pub packages: usize,
    /// Statements.
    pub statements: usize,
    /// Advisories.
    pub advisories: usize,
    /// Vulnerabilities of which something is known beside.
    pub cves: usize,
}

impl Builder {
    /// Notes that a source gave something.
    pub fn given(&mut self, given: Given) {
        match self.given.iter_mut().find(|known| known.source == given.source) {
            Some(known) => {
                known.documents += given.documents;
                known.advisories += given.advisories;
                known.signals += given.signals;
                known.malformed += given.malformed;
                known.empty += given.empty;
            }
            None => self.given.push(given),
        }
    }

    fn list<'a>(&mut self, texts: impl IntoIterator<Item = &'a String>) -> u32 {
        let before = self.lists.len();
        for text in texts {
            let number = self.texts.add(text);
            self.lists.push(number);
        }
        (self.lists.len() - before) as u32
    }

    /// Takes an advisory; `source` is the number of its source in [`crate::sources::ALL`].
    pub fn advisory(&mut self, source: u8, advisory: &Advisory) -> Result<(), Error> {
        if self.statements.len() + advisory.statements.len() > ROWS_MAX || self.lists.len() > ROWS_MAX {
            return Err(Error::Full("statements"));
        }
        let number = (self.advisories.len() / Table::Advisories.words()) as u32;
        let first = self.lists.len() as u32;
        let aliases = self.list(advisory.aliases.iter().take(LIST_MAX));
        let vectors = self.list(advisory.vectors.iter().take(LIST_MAX));
        let references = self.list(advisory.references.iter().take(LIST_MAX));
        let id = self.texts.add(&advisory.id);
        let about = u32::from(source) | (advisory.rating as u32) << 8 | u32::from(advisory.withdrawn) << 16;
        let time = |seconds: i64| u32::try_from(seconds).unwrap_or(0);
        let row = [
            id,
            about,
            self.texts.add(&advisory.summary),
            time(advisory.published_s),
            time(advisory.modified_s),
            first,
            aliases | vectors << 8 | references << 16,
        ];
        self.advisories.extend(row);
        self.names.push((id, number));
        for at in first..first + aliases {
            self.names.push((self.lists[at as usize], number));
        }
        for statement in &advisory.statements {
            let ecosystem = self.texts.add(statement.ecosystem.as_str());
            let package = self.texts.add(&statement.package);
            let ranges_at = self.ranges.len() / Table::Ranges.words();
            for range in &statement.ranges {
                let (kind, end) = match &range.end {
                    End::Open => (0, ""),
                    End::Fixed(version) => (1, version.as_str()),
                    End::LastAffected(version) => (2, version.as_str()),
                };
                let row = [self.texts.add(&range.from), self.texts.add(end), kind];
                self.ranges.extend(row);
            }
            let versions_at = self.lists.len() as u32;
            let versions = self.list(&statement.versions);
            let row = [
                number,
                statement.of as u32 | (statement.status as u32) << 8,
                self.texts.add(&statement.module),
                self.texts.add(&statement.reason),
                ranges_at as u32,
                statement.ranges.len() as u32,
                versions_at,
                versions,
            ];
            let hash = key(statement.ecosystem.as_str(), &statement.package);
            self.statements.push((hash, ecosystem, package, row));
        }
        Ok(())
    }

    /// Takes a signal. Of two vectors the one of the newer version stays.
    pub fn signal(&mut self, cve: &str, signal: &Signal) {
        let name = self.texts.add(cve);
        let number = match signal {
            Signal::Vector(text) | Signal::Exploit(text) => self.texts.add(text),
            _ => 0,
        };
        let known = self.cves.entry(name).or_default();
        match signal {
            Signal::Epss { probability, percentile } => {
                (known.probability, known.percentile) = (*probability, *percentile);
                known.flags |= flag::EPSS;
            }
            Signal::Known { added_day, due_day, ransomware } => {
                known.flags |= flag::KNOWN | if *ransomware { flag::RANSOM } else { 0 };
                known.added_day = *added_day;
                known.due_day = known.due_day.max(*due_day);
            }
            Signal::Decision { exploitation, automatable, total_impact } => {
                let before = known.flags >> flag::EXPLOITATION_SHIFT;
                let now = (*exploitation as u32).max(before & 0xff);
                known.flags = known.flags & ((1 << flag::EXPLOITATION_SHIFT) - 1) | now << flag::EXPLOITATION_SHIFT;
                let mut set = |answer: Option<bool>, yes: u32, known_bit: u32| {
                    if let Some(answer) = answer {
                        known.flags = known.flags & !yes | known_bit | if answer { yes } else { 0 };
                    }
                };
                set(*automatable, flag::AUTOMATABLE, flag::AUTOMATABLE_KNOWN);
                set(*total_impact, flag::TOTAL, flag::TOTAL_KNOWN);
            }
            Signal::Vector(text) => {
                let rank = text.parse::<crate::cvss::Vector>().map_or(0, |vector| vector.version() as u8 + 1);
                if rank > known.vector_rank {
                    (known.vector, known.vector_rank) = (number, rank);
                }
            }
            Signal::Exploit(_) => {
                if number != 0 && known.exploits.len() < LIST_MAX && !known.exploits.contains(&number) {
                    known.exploits.push(number);
                }
            }
        }
        debug_assert!(Exploitation::Active as u32 <= 0xff);
    }

    /// Writes the store to a file that takes the place of `path` when it is whole and safe on the disk.
    pub fn write(mut self, path: &Path, now_s: i64) -> Result<Built, Error> {
        let (tables, built) = self.tables();
        let wrong = |e| Error::File(path.to_path_buf(), e);
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(wrong)?;
        let bytes = write_tables(file.as_file_mut(), &tables, now_s).map_err(wrong)?;
        file.as_file().sync_all().map_err(wrong)?;
        file.persist(path).map_err(|e| Error::File(path.to_path_buf(), e.error))?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(wrong)?;
        Ok(Built { bytes, ..built })
    }

    fn tables(&mut self) -> ([Vec<u8>; TABLES], Built) {
        let mut sources = Vec::new();
        for given in std::mem::take(&mut self.given) {
            let name = self.texts.add(&given.source);
            sources.extend([name, given.documents, given.advisories, given.signals, given.malformed, given.empty]);
        }
        let statements = std::mem::take(&mut self.statements);
        let count = statements.len();
        let (keys, statements) = sort(&self.texts, statements);
        let texts = &self.texts;
        let by_text = |a: u32, b: u32| texts.get(a).cmp(texts.get(b));
        let mut names = std::mem::take(&mut self.names);
        names.sort_unstable_by(|a, b| by_text(a.0, b.0).then(a.1.cmp(&b.1)));
        names.dedup();
        let mut cves: Vec<(u32, Cve)> = self.cves.drain().collect();
        cves.sort_unstable_by(|a, b| by_text(a.0, b.0));
        let built = Built {
            bytes: 0,
            packages: keys.len() / Table::Keys.words(),
            statements: count,
            advisories: self.advisories.len() / Table::Advisories.words(),
            cves: cves.len(),
        };
        let rows = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut cve_rows: Vec<u32> = Vec::with_capacity(cves.len() * Table::Cves.words());
        for (name, cve) in &cves {
            let (added, due) = (cve.added_day as u32, cve.due_day as u32);
            let (first, exploits) = (self.lists.len() as u32, cve.exploits.len() as u32);
            self.lists.extend(&cve.exploits);
            let chances = [cve.probability.to_bits(), cve.percentile.to_bits()];
            cve_rows.push(*name);
            cve_rows.extend(chances);
            cve_rows.extend([added, due, cve.flags, cve.vector, first, exploits]);
        }
        let name_rows: Vec<u32> = names.iter().flat_map(|(name, advisory)| [*name, *advisory]).collect();
        let tables = [
            rows(&self.texts.offsets),
            std::mem::take(&mut self.texts.bytes),
            rows(&keys),
            rows(&statements),
            rows(&self.ranges),
            rows(&self.lists),
            rows(&self.advisories),
            rows(&name_rows),
            rows(&cve_rows),
            rows(&sources),
        ];
        (tables, built)
    }
}

/// Sorts statements by whose package they speak of; gives the rows of the keys and of the statements.
fn sort(texts: &Texts, mut statements: Vec<Sorted>) -> (Vec<u32>, Vec<u32>) {
    // By text and not by number where two packages have one hash, so that the same input makes the same file.
    statements.sort_by(|a, b| {
        a.0.cmp(&b.0).then_with(|| {
            let texts = |s: &Sorted| (texts.get(s.1), texts.get(s.2));
            if (a.1, a.2) == (b.1, b.2) { std::cmp::Ordering::Equal } else { texts(a).cmp(&texts(b)) }
        })
    });
    let (mut keys, mut rows) = (Vec::new(), Vec::with_capacity(statements.len() * Table::Statements.words()));
    for same in statements.chunk_by(|a, b| (a.0, a.1, a.2) == (b.0, b.1, b.2)) {
        let (hash, ecosystem, package, _) = same[0];
        let at = (rows.len() / Table::Statements.words()) as u32;
        keys.extend([(hash >> 32) as u32, hash as u32, ecosystem, package, at, same.len() as u32]);
        same.iter().for_each(|(_, _, _, row)| rows.extend(row));
    }
    (keys, rows)
}

fn write_tables(file: &mut std::fs::File, tables: &[Vec<u8>; TABLES], now_s: i64) -> std::io::Result<u64> {
    let mut body = crc32fast::Hasher::new();
    let mut places = Vec::with_capacity(TABLES * 16);
    let mut at = HEADER_BYTES as u64;
    for table in tables {
        body.update(table);
        // Every table begins at a multiple of eight.
        let padding = at.next_multiple_of(8) - at;
        at += padding;
        places.extend(at.to_le_bytes());
        places.extend((table.len() as u64).to_le_bytes());
        at += table.len() as u64;
    }
    let mut rest = Vec::with_capacity(HEADER_BYTES);
    rest.extend(now_s.to_le_bytes());
    rest.extend(at.to_le_bytes());
    rest.extend(body.finalize().to_le_bytes());
    rest.extend(0_u32.to_le_bytes());
    rest.extend(places);
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&crc32fast::hash(&rest).to_le_bytes())?;
    out.write_all(&rest)?;
    let mut written = HEADER_BYTES as u64;
    for table in tables {
        let padding = written.next_multiple_of(8) - written;
        out.write_all(&[0; 8][..padding as usize])?;
        out.write_all(table)?;
        written += padding + table.len() as u64;
    }
    out.flush()?;
    Ok(written)
}
