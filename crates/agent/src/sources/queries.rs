//! Scheduled queries: asked of this machine again and again, and told as rows of the class `logs`: all of an answer, or what is
//! different in it since the one before.
//!
//! What a query answered last lies on the disk, so that a restart tells nothing twice. An answer that is cut off is not
//! compared: what it lacks would look as if it had gone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use guardian_protocol::classes::{LOGS, LogColumn as L};
use guardian_protocol::message::Query;
use guardian_protocol::{Cell, answer};
use rand::RngExt as _;
use serde_json::{Map, Value};

use crate::outbox::Outbox;
use crate::queries::worker;
use crate::sources::batcher::Batcher;

/// How often it is looked whether a query is due.
const LOOK: Duration = Duration::from_millis(200);
/// Rows and bytes of one answer.
const ROWS_MAX: u32 = 20_000;
const BYTES_MAX: u64 = 8 << 20;
/// How long a query may take.
const TIME_MAX: Duration = Duration::from_secs(60);
/// The first time of a query is within this of the start, so that not all begin at once.
const SPREAD: Duration = Duration::from_secs(10);
/// The level of compression of what is kept.
const LEVEL: i32 = 3;
/// Syslog severities: a notice, and an error.
const NOTICE: u64 = 5;
const ERROR: u64 = 3;

/// A query and how often it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// The statement.
    pub sql: String,
    /// How often.
    pub every: Duration,
    /// Whether all of each answer is told, instead of what is different.
    pub snapshot: bool,
}

/// Rows as texts of JSON objects, each with how often it is there.
type Rows = BTreeMap<String, u64>;

struct Plan {
    query: Scheduled,
    due: Instant,
}

/// The source. One thread drives it.
pub struct Queries {
    plans: Vec<Plan>,
    folder: PathBuf,
    batcher: Batcher,
}

impl Queries {
    /// Begins; what was answered before lies in `folder`. What is kept of queries that are there no more goes.
    pub fn start(outbox: Outbox, folder: PathBuf, queries: &[Scheduled]) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for kept in fs::read_dir(&folder)?.flatten() {
            let known = queries.iter().any(|query| kept.file_name() == query.name.as_str());
            if !known {
                fs::remove_file(kept.path())?;
            }
        }
        let now = Instant::now();
        let plan = |query: &Scheduled| {
            let after = SPREAD.min(query.every).mul_f64(rand::rng().random_range(0.0..1.0));
            Plan { query: query.clone(), due: now + after }
        };
        let plans = queries.iter().map(plan).collect();
        Ok(Self { plans, folder, batcher: Batcher::new(outbox, &LOGS) })
    }

    /// Works until it is told to stop.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if let Some(at) = self.plans.iter().position(|plan| plan.due <= now) {
                self.plans[at].due = now + self.plans[at].query.every;
                let query = self.plans[at].query.clone();
                self.ask(&query, stop)?;
            }
            self.batcher.tick();
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn ask(&mut self, query: &Scheduled, stop: &AtomicBool) -> io::Result<()> {
        let asked = Query {
            id: rand::random(),
            sql: query.sql.clone(),
            timeout_ms: TIME_MAX.as_millis() as u32,
            rows_max: ROWS_MAX,
            bytes_max: BYTES_MAX,
        };
        let (mut columns, mut rows, mut wrong) = (Vec::new(), Rows::new(), None);
        worker::ask(&asked, stop, &mut |part| {
            if part.part == 0 {
                columns.clone_from(&part.columns);
            }
            match answer::check(&part, columns.len()) {
                Ok(found) => found.into_iter().for_each(|row| *rows.entry(object(&columns, row)).or_default() += 1),
                Err(error) => wrong = Some(error.to_string()),
            }
            if part.more {
                wrong = Some(format!("it answers more than {ROWS_MAX} rows or {} MiB", BYTES_MAX >> 20));
            }
            wrong = wrong.take().or(part.error);
            true
        });
        match wrong {
            // The agent stops; the query is asked again at its next start.
            Some(_) if stop.load(Ordering::Relaxed) => Ok(()),
            Some(text) => {
                // What it would have told is lost, and counted as such.
                self.batcher.lose(&LOGS, rows.values().sum());
                self.tell(query, "error", &text, None);
                Ok(())
            }
            None => self.compare(query, &rows),
        }
    }

    fn compare(&mut self, query: &Scheduled, rows: &Rows) -> io::Result<()> {
        if query.snapshot {
            for (row, times) in rows {
                (0..*times).for_each(|_| self.tell(query, "snapshot", row, Some(row)));
            }
            return Ok(());
        }
        let before = self.kept(query);
        for (activity, row, times) in changes(&before, rows) {
            (0..times).for_each(|_| self.tell(query, activity, row, Some(row)));
        }
        // What is told must be safe before it counts as told; else it is told again.
        if before != *rows && self.batcher.flush_durably() {
            self.keep(query, rows)?;
        }
        Ok(())
    }

    fn tell(&mut self, query: &Scheduled, activity: &str, text: &str, row: Option<&str>) {
        let mut cells = [Cell::Null; L::COUNT];
        let mut set = |column: L, cell| cells[column as usize] = cell;
        let message = format!("{}: {activity}: {text}", query.name);
        set(L::Time, Cell::Time(crate::now()));
        set(L::Source, Cell::Text("query"));
        set(L::Severity, Cell::Number(if row.is_some() { NOTICE } else { ERROR }));
        set(L::Message, Cell::Text(&message));
        set(L::Type, Cell::Text(activity));
        set(L::Key, Cell::Text(&query.name));
        if let Some(row) = row {
            set(L::Fields, Cell::Text(row));
        }
        self.batcher.push(&cells);
    }

    /// What the same statement answered last.
    fn kept(&self, query: &Scheduled) -> Rows {
        let read = || {
            let bytes = zstd::decode_all(fs::read(self.folder.join(&query.name)).ok()?.as_slice()).ok()?;
            let (sql, rows): (String, Rows) = serde_json::from_slice(&bytes).ok()?;
            (sql == query.sql).then_some(rows)
        };
        read().unwrap_or_default()
    }

    fn keep(&self, query: &Scheduled, rows: &Rows) -> io::Result<()> {
        let bytes = serde_json::to_vec(&(&query.sql, rows))?;
        let (path, fresh) = (self.folder.join(&query.name), self.folder.join(format!("{}.new", query.name)));
        fs::write(&fresh, zstd::encode_all(bytes.as_slice(), LEVEL)?)?;
        fs::rename(fresh, path)
    }
}

fn object(columns: &[String], row: Vec<Value>) -> String {
    Value::Object(columns.iter().cloned().zip(row).collect::<Map<_, _>>()).to_string()
}

/// What came and what went, and how often.
fn changes<'a>(before: &'a Rows, now: &'a Rows) -> Vec<(&'static str, &'a str, u64)> {
    let more = |activity: &'static str, than: &'a Rows, these: &'a Rows| {
        let surplus = move |(row, times): (&'a String, &'a u64)| {
            let surplus = times.saturating_sub(than.get(row).copied().unwrap_or(0));
            (surplus > 0).then_some((activity, row.as_str(), surplus))
        };
        these.iter().filter_map(surplus).collect::<Vec<_>>()
    };
    let mut all = more("removed", now, before);
    all.extend(more("added", before, now));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(all: &[(&str, u64)]) -> Rows {
        all.iter().map(|(row, times)| ((*row).to_owned(), *times)).collect()
    }

    #[test]
    fn what_is_different_is_counted_row_by_row() {
        let (before, now) = (rows(&[("a", 1), ("b", 2), ("c", 1)]), rows(&[("a", 1), ("b", 1), ("d", 2)]));
        assert_eq!(changes(&before, &now), [("removed", "b", 1), ("removed", "c", 1), ("added", "d", 2)]);
        assert!(changes(&now, &now).is_empty());
    }

    #[test]
    fn what_was_told_is_kept_for_the_same_statement_alone() {
        let folder = tempfile::tempdir().unwrap();
        let query = |sql: &str| Scheduled { name: "q".into(), sql: sql.into(), every: LOOK, snapshot: false };
        let (outbox, _inbox) = Outbox::new();
        let queries = Queries::start(outbox.clone(), folder.path().to_owned(), &[query("SELECT 1")]).unwrap();
        queries.keep(&query("SELECT 1"), &rows(&[("a", 3)])).unwrap();
        assert_eq!(queries.kept(&query("SELECT 1")), rows(&[("a", 3)]));
        assert!(queries.kept(&query("SELECT 2")).is_empty());
        let later = Queries::start(outbox, folder.path().to_owned(), &[]).unwrap();
        assert!(later.kept(&query("SELECT 1")).is_empty(), "what is asked no more is forgotten");
    }
}
