//! One statement over the tables: checked, bounded, and read row by row into parts of an answer.
//!
//! The statement is hostile. It can read the tables and call functions that only calculate: there is no file behind the
//! database, nothing can be attached, written, loaded or set.

use std::io;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use guardian_protocol::message::{Answer, Query};
use guardian_protocol::{answer, limits};
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, ErrorCode, OpenFlags, Row};
use serde_json::Value;

/// Memory that SQLite may have: sorting and grouping happen there, never on the disk.
const HEAP_BYTES_MAX: i64 = 256 << 20;
/// Instructions of SQLite between two looks at the clock.
const STEPS: i32 = 10_000;
/// A part is sent when it is this long, or after this time.
const PART_BYTES: usize = 128 << 10;
const PART_TIME: Duration = Duration::from_millis(500);
/// Bytes of one row.
const ROW_BYTES_MAX: usize = 256 << 10;
/// Bytes of an answer where nobody says.
const BYTES_USUAL: u64 = 16 << 20;
/// Functions that reach beyond calculating.
const NO_FUNCTIONS: [&str; 3] = ["load_extension", "fts3_tokenizer", "sqlite_log"];

/// Runs a query and sends its answer in parts; the last one says how it ended. An error is one of sending.
pub fn run(query: &Query, send: &mut dyn FnMut(Answer) -> io::Result<()>) -> io::Result<()> {
    let begun = Instant::now();
    let mut telling = Telling::new(query, send);
    let time = Duration::from_millis(u64::from(query.timeout_ms.clamp(1, limits::QUERY_MS_MAX)));
    let error = match ask(&query.sql, begun + time, &mut telling) {
        Ok(()) => None,
        Err(Failed::Sending(error)) => return Err(error),
        Err(Failed::Query(text)) => Some(text),
    };
    telling.end(error, begun.elapsed())
}

/// Why there are no more rows.
enum Failed {
    Query(String),
    Sending(io::Error),
}

fn failed(error: &rusqlite::Error) -> Failed {
    Failed::Query(match error {
        rusqlite::Error::SqliteFailure(found, _) if found.code == ErrorCode::OperationInterrupted => {
            "stopped: its time was over".to_owned()
        }
        rusqlite::Error::SqliteFailure(found, _) if found.code == ErrorCode::OutOfMemory => {
            "stopped: it wanted too much memory".to_owned()
        }
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, offset, .. } if *offset >= 0 => {
            format!("{msg} (at character {})", offset + 1)
        }
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    })
}

fn open(until: Instant) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_in_memory_with_flags(flags)?;
    connection.query_row(&format!("PRAGMA hard_heap_limit = {HEAP_BYTES_MAX}"), [], |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, 16 << 20),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, limits::QUERY_BYTES_MAX as i32),
        (Limit::SQLITE_LIMIT_COLUMN, limits::ANSWER_COLUMNS_MAX as i32),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (Limit::SQLITE_LIMIT_VDBE_OP, 100_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 64),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 4_096),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    super::register(&connection)?;
    connection.authorizer(Some(allowed))?;
    connection.progress_handler(STEPS, Some(move || Instant::now() >= until))?;
    Ok(connection)
}

/// What a statement may do: select, read, recur, calculate.
fn allowed(asked: AuthContext<'_>) -> Authorization {
    let may = match asked.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => !NO_FUNCTIONS.iter().any(|no| no.eq_ignore_ascii_case(function_name)),
        _ => false,
    };
    if may { Authorization::Allow } else { Authorization::Deny }
}

fn ask(sql: &str, until: Instant, telling: &mut Telling<'_>) -> Result<(), Failed> {
    let query = |error: rusqlite::Error| failed(&error);
    if sql.len() > limits::QUERY_BYTES_MAX || sql.contains('\0') {
        return Err(Failed::Query("the statement is too long, or no text".into()));
    }
    let connection = open(until).map_err(query)?;
    let mut statements = Batch::new(&connection, sql);
    let none = || Failed::Query("there is no statement".into());
    let mut statement = statements.next().map_err(query)?.ok_or_else(none)?;
    if !matches!(statements.next(), Ok(None)) {
        return Err(Failed::Query("one statement at a time".into()));
    }
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(Failed::Query("only SELECT can be asked".into()));
    }
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let width = columns.len();
    telling.columns = columns;
    let mut rows = statement.query([]).map_err(query)?;
    while let Some(row) = rows.next().map_err(query)? {
        let line = line(row, width).map_err(query)?;
        if line.len() > ROW_BYTES_MAX {
            return Err(Failed::Query(format!("a row is longer than {} KiB", ROW_BYTES_MAX >> 10)));
        }
        if !telling.add(&line).map_err(Failed::Sending)? {
            break;
        }
    }
    Ok(())
}

/// A row as a JSON array.
fn line(row: &Row<'_>, width: usize) -> rusqlite::Result<Vec<u8>> {
    let mut values = Vec::with_capacity(width);
    for at in 0..width {
        values.push(match row.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            // What is no number is none.
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            ValueRef::Blob(bytes) => HEXLOWER.encode(bytes).into(),
        });
    }
    let mut line = Value::Array(values).to_string().into_bytes();
    line.push(b'\n');
    Ok(line)
}

/// Parts of an answer as they become full.
struct Telling<'a> {
    query: &'a Query,
    send: &'a mut dyn FnMut(Answer) -> io::Result<()>,
    columns: Vec<String>,
    part: u32,
    lines: Vec<u8>,
    count: u32,
    /// What was told, and what is wanted at most.
    rows: u32,
    rows_max: u32,
    bytes: u64,
    bytes_max: u64,
    more: bool,
    sent: Instant,
}

impl<'a> Telling<'a> {
    fn new(query: &'a Query, send: &'a mut dyn FnMut(Answer) -> io::Result<()>) -> Self {
        let rows_max = query.rows_max.clamp(1, limits::ANSWER_ROWS_MAX);
        let bytes_max = if query.bytes_max == 0 { BYTES_USUAL } else { query.bytes_max.min(limits::ANSWER_BYTES_MAX) };
        Self {
            query,
            send,
            columns: Vec::new(),
            part: 0,
            lines: Vec::new(),
            count: 0,
            rows: 0,
            rows_max,
            bytes: 0,
            bytes_max,
            more: false,
            sent: Instant::now(),
        }
    }

    /// Takes a row; whether there is room for another.
    fn add(&mut self, line: &[u8]) -> io::Result<bool> {
        if self.rows >= self.rows_max || self.bytes + line.len() as u64 > self.bytes_max {
            self.more = true;
            return Ok(false);
        }
        if self.lines.len() + line.len() > limits::ANSWER_PART_BYTES_MAX {
            self.flush()?;
        }
        self.lines.extend_from_slice(line);
        (self.rows, self.count) = (self.rows + 1, self.count + 1);
        self.bytes += line.len() as u64;
        if self.lines.len() >= PART_BYTES || self.sent.elapsed() >= PART_TIME {
            self.flush()?;
        }
        Ok(true)
    }

    fn next_part(&mut self) -> io::Result<Answer> {
        let (raw_bytes, rows) = answer::pack(&self.lines).map_err(io::Error::other)?;
        let part = Answer {
            query: self.query.id,
            part: self.part,
            columns: if self.part == 0 { std::mem::take(&mut self.columns) } else { Vec::new() },
            raw_bytes,
            rows,
            count: self.count,
            ..Answer::default()
        };
        self.part += 1;
        self.lines.clear();
        (self.count, self.sent) = (0, Instant::now());
        Ok(part)
    }

    fn flush(&mut self) -> io::Result<()> {
        let part = self.next_part()?;
        (self.send)(part)
    }

    fn end(mut self, error: Option<String>, took: Duration) -> io::Result<()> {
        let part = self.next_part()?;
        let took_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        (self.send)(Answer { last: true, error, more: self.more, took_ms, ..part })
    }
}
