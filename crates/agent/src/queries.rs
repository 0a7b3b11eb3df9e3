//! Live queries: SQL over what the machine is right now, with the names and columns of osquery's tables. A table is a
//! function that reads the machine when it is asked, with its description beside it; SQLite does the rest.
//!
//! Statements come from others: they run in a process of their own ([`worker`]) that is bounded in time, memory, rows and
//! bytes, is locked up so that it can change nothing, and can read these tables and nothing else ([`engine`]). A table must
//! never change anything on the machine.

mod accounts;
mod certificates;
mod disks;
pub mod engine;
mod files;
mod firewall;
mod kernel;
mod languages;
mod names;
mod network;
mod packages;
mod processes;
pub(crate) mod questions;
mod read;
mod schedules;
mod secrets;
mod services;
mod sessions;
mod sockets;
mod system;
mod tunnels;
pub mod worker;

use std::sync::Arc;

use guardian_sys::virtual_table::{self, Given, Operator, Rows, VirtualTable};
use rusqlite::Connection;
use rusqlite::types::Value;

/// How SQLite shows the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A number.
    Integer,
    /// A number that may be long.
    BigInt,
}

impl Kind {
    /// Its name in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Integer => "INTEGER",
            Self::BigInt => "BIGINT",
        }
    }
}

/// Which conditions on a column make the work shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helps {
    /// None: all rows are made, and SQLite takes those that fit.
    Nothing,
    /// That it is a value.
    Equal,
    /// That it is a value, or fits a pattern of `LIKE`.
    Like,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// How its values are shown.
    pub kind: Kind,
    /// What it says.
    pub about: &'static str,
    /// Which conditions on it make the work shorter.
    pub helps: Helps,
}

impl Column {
    const fn given(self) -> Self {
        Self { helps: Helps::Equal, ..self }
    }

    const fn like(self) -> Self {
        Self { helps: Helps::Like, ..self }
    }
}

const fn column(name: &'static str, kind: Kind, about: &'static str) -> Column {
    Column { name, kind, about, helps: Helps::Nothing }
}

const fn text(name: &'static str, about: &'static str) -> Column {
    column(name, Kind::Text, about)
}

const fn int(name: &'static str, about: &'static str) -> Column {
    column(name, Kind::Integer, about)
}

const fn big(name: &'static str, about: &'static str) -> Column {
    column(name, Kind::BigInt, about)
}

type Answered = Result<Rows, String>;

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub about: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// Whether a statement has to give a condition on one of the columns that help: all rows would be the whole disk.
    pub needs: bool,
    rows: fn(&Asked<'_>) -> Answered,
}

/// Every table. Adding one is a table in a file below, and a line here.
pub const ALL: &[&Table] = &[
    &packages::APT_SOURCES,
    &network::ARP_CACHE,
    &accounts::AUTHORIZED_KEYS,
    &disks::BLOCK_DEVICES,
    &certificates::CERTIFICATES,
    &system::CPU_INFO,
    &system::CPU_TIME,
    &schedules::CRONTAB,
    &packages::DEB_PACKAGES,
    &names::DNS_RESOLVERS,
    &names::ETC_HOSTS,
    &names::ETC_PROTOCOLS,
    &names::ETC_SERVICES,
    &files::EXTENDED_ATTRIBUTES,
    &files::FILE,
    &accounts::GROUPS,
    &files::HASH,
    &network::INTERFACE_ADDRESSES,
    &network::INTERFACE_DETAILS,
    &firewall::IPTABLES,
    &kernel::KERNEL_INFO,
    &kernel::KERNEL_MODULES,
    &secrets::KNOWN_HOSTS,
    &sessions::LAST,
    &sockets::LISTENING_PORTS,
    &system::LOAD_AVERAGE,
    &sessions::LOGGED_IN_USERS,
    &system::MEMORY_INFO,
    &disks::MOUNTS,
    &languages::NPM_PACKAGES,
    &system::OS_VERSION,
    &system::OSQUERY_INFO,
    &processes::PROCESS_ENVS,
    &processes::PROCESS_MEMORY_MAP,
    &processes::PROCESS_NAMESPACES,
    &processes::PROCESS_OPEN_FILES,
    &sockets::PROCESS_OPEN_SOCKETS,
    &processes::PROCESSES,
    &languages::PYTHON_PACKAGES,
    &network::ROUTES,
    &packages::RPM_PACKAGES,
    &accounts::SHADOW,
    &secrets::SHELL_HISTORY,
    &services::STARTUP_ITEMS,
    &accounts::SUDOERS,
    &files::SUID_BIN,
    &kernel::SYSTEM_CONTROLS,
    &system::SYSTEM_INFO,
    &services::SYSTEMD_UNITS,
    &system::TIME,
    &system::UPTIME,
    &accounts::USER_GROUPS,
    &secrets::USER_SSH_KEYS,
    &accounts::USERS,
    &tunnels::WIREGUARD_PEERS,
];

/// What a look at a table is told of the statement.
#[derive(Debug)]
struct Asked<'a> {
    table: &'static Table,
    given: &'a [Given],
    used: u64,
}

impl Asked<'_> {
    fn value(&self, name: &str, operator: Operator) -> Option<&Value> {
        let of = |given: &&Given| {
            given.operator == operator && self.table.columns.get(given.column).is_some_and(|c| c.name == name)
        };
        self.given.iter().find(of).map(|given| &given.value)
    }

    /// The text that a column must be.
    fn text(&self, name: &str) -> Option<&str> {
        match self.value(name, Operator::Equal)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The pattern of `LIKE` that a column must fit.
    fn pattern(&self, name: &str) -> Option<&str> {
        match self.value(name, Operator::Like)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number that a column must be.
    fn number(&self, name: &str) -> Option<i64> {
        match self.value(name, Operator::Equal)? {
            Value::Integer(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether the statement looks at a column.
    fn uses(&self, name: &str) -> bool {
        let at = self.table.columns.iter().position(|column| column.name == name);
        at.is_some_and(|at| self.used >> at.min(63) & 1 == 1)
    }
}

/// A value of a row.
trait Cell {
    fn cell(self) -> Value;
}

impl Cell for Value {
    fn cell(self) -> Value {
        self
    }
}

impl Cell for &str {
    fn cell(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl Cell for String {
    fn cell(self) -> Value {
        Value::Text(self)
    }
}

impl Cell for bool {
    fn cell(self) -> Value {
        Value::Integer(i64::from(self))
    }
}

impl Cell for u64 {
    fn cell(self) -> Value {
        Value::Integer(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

macro_rules! cells {
    ($($kind:ty),*) => {$(
        impl Cell for $kind {
            fn cell(self) -> Value {
                Value::Integer(i64::from(self))
            }
        }
    )*};
}

cells!(i32, u32, u16, u8, i64);

impl<T: Cell> Cell for Option<T> {
    fn cell(self) -> Value {
        self.map_or(Value::Null, Cell::cell)
    }
}

/// The values of a row, in the order of the columns.
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::queries::Cell::cell($value)),*] };
}
use row;

/// Rows that are there already.
#[expect(clippy::unnecessary_wraps, reason = "what most tables end with, and some of them fail")]
fn all(rows: Vec<Vec<Value>>) -> Answered {
    Ok(Box::new(rows.into_iter()))
}

/// A table as SQLite sees it.
struct Live(&'static Table);

impl VirtualTable for Live {
    fn declaration(&self) -> String {
        let columns: Vec<String> =
            self.0.columns.iter().map(|c| format!("\"{}\" {}", c.name, c.kind.as_str())).collect();
        format!("CREATE TABLE x({})", columns.join(", "))
    }

    fn takes(&self, column: usize, operator: Operator) -> bool {
        let helps = self.0.columns.get(column).map_or(Helps::Nothing, |column| column.helps);
        match operator {
            Operator::Equal => helps != Helps::Nothing,
            Operator::Like => helps == Helps::Like,
        }
    }

    fn needs(&self) -> bool {
        self.0.needs
    }

    fn rows(&self, given: &[Given], used: u64) -> Answered {
        if self.0.needs && given.is_empty() {
            let helping = self.0.columns.iter().filter(|c| c.helps != Helps::Nothing).map(|c| format!("`{}`", c.name));
            let columns: Vec<String> = helping.collect();
            return Err(format!("the table {} wants a condition on {}", self.0.name, columns.join(" or ")));
        }
        (self.0.rows)(&Asked { table: self.0, given, used })
    }
}

/// Makes every table known.
fn register(connection: &Connection) -> rusqlite::Result<()> {
    ALL.iter().try_for_each(|table| virtual_table::register(connection, table.name, Arc::new(Live(table))))
}

/// The tables with their columns, as the server hands them on to those who write statements.
pub fn described() -> serde_json::Value {
    let column = |column: &Column| {
        serde_json::json!({
            "name": column.name,
            "kind": column.kind.as_str().to_lowercase(),
            "about": column.about,
            "helps": column.helps != Helps::Nothing,
        })
    };
    let tables = ALL.iter().map(|table| {
        serde_json::json!({
            "name": table.name,
            "about": table.about,
            "needs": table.needs,
            "columns": table.columns.iter().map(column).collect::<Vec<_>>(),
        })
    });
    tables.collect()
}

/// Tables that look into other processes.
const INTO_PROCESSES: &[&Table] = &[
    &sockets::LISTENING_PORTS,
    &processes::PROCESS_ENVS,
    &processes::PROCESS_MEMORY_MAP,
    &processes::PROCESS_NAMESPACES,
    &processes::PROCESS_OPEN_FILES,
    &sockets::PROCESS_OPEN_SOCKETS,
    &processes::PROCESSES,
];
/// Tables that show what a program says.
const OF_PROGRAMS: &[(&Table, &read::Program)] = &[
    (&firewall::IPTABLES, &firewall::PROGRAM),
    (&services::STARTUP_ITEMS, &services::PROGRAM),
    (&services::SYSTEMD_UNITS, &services::PROGRAM),
];

/// What a statement needs beyond reading files. It is known by the names that stand in it: no table is reached without its
/// own.
#[derive(Clone, Copy, Debug)]
struct Needs<'a>(&'a str);

impl Needs<'_> {
    fn names(self, table: &Table) -> bool {
        let name = table.name.as_bytes();
        self.0.as_bytes().windows(name.len()).any(|part| part.eq_ignore_ascii_case(name))
    }

    /// Whether it looks into other processes.
    fn processes(self) -> bool {
        INTO_PROCESSES.iter().any(|table| self.names(table))
    }

    /// Asks the programs whose words it may want, as long as programs can be run.
    fn ask_programs(self) {
        OF_PROGRAMS.iter().filter(|(table, _)| self.names(table)).for_each(|(_, program)| {
            program.said();
        });
    }
}

#[cfg(test)]
mod tests;
