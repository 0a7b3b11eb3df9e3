//! Virtual tables of SQLite out of a safe trait: whoever has rows implements [`VirtualTable`], and this hands them to the
//! library, whose own traits are unsafe because of how their structures must be laid out.
//!
//! It must never know what is in a table.
#![expect(unsafe_code, reason = "the traits of rusqlite for virtual tables are unsafe to implement")]

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::marker::PhantomData;
use std::os::raw::c_int;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, VTab, VTabConnection, VTabCursor, eponymous_only_module,
    sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};

/// Conditions that one look at a table may carry; others are tested by SQLite alone.
const GIVEN_MAX: c_int = 16;

/// How a column is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// It is the value.
    Equal,
    /// It fits a pattern of `LIKE`.
    Like,
}

/// A condition of the statement that a table asked to be told of.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The column, from 0.
    pub column: usize,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub value: Value,
}

/// The rows of one look at a table; each has a value for every column.
pub type Rows = Box<dyn Iterator<Item = Vec<Value>>>;

/// A table whose rows are made when they are asked for. SQLite tests all conditions again, so that a table may answer with
/// more rows than fit.
pub trait VirtualTable: Send + Sync + 'static {
    /// `CREATE TABLE x(…)`, which names the columns.
    fn declaration(&self) -> String;
    /// Whether conditions of this kind help to answer with fewer rows.
    fn takes(&self, column: usize, operator: Operator) -> bool;
    /// Whether it has no rows without such a condition.
    fn needs(&self) -> bool;
    /// The rows for these conditions. Bit `n` of `used` says whether column `n` is looked at; the last bit stands for all
    /// from there on.
    fn rows(&self, given: &[Given], used: u64) -> std::result::Result<Rows, String>;
}

/// Makes a table known under its name.
pub fn register(connection: &Connection, name: &str, table: Arc<dyn VirtualTable>) -> Result<()> {
    connection.create_module(name, eponymous_only_module::<Tab<'_>>(), Some(table))
}

#[repr(C)]
struct Tab<'vtab> {
    /// It must be the first.
    base: sqlite3_vtab,
    table: Arc<dyn VirtualTable>,
    lives: PhantomData<&'vtab ()>,
}

// SAFETY: the structure has the layout of C, and what the library wants stands first.
unsafe impl<'vtab> VTab<'vtab> for Tab<'vtab> {
    type Aux = Arc<dyn VirtualTable>;
    type Cursor = Cursor<'vtab>;

    fn connect(_: &mut VTabConnection, table: Option<&Self::Aux>, _: &[&[u8]]) -> Result<(String, Self)> {
        let table = table.ok_or_else(|| Error::ModuleError("a table without its rows".into()))?;
        let made = Self { base: sqlite3_vtab::default(), table: Arc::clone(table), lives: PhantomData };
        Ok((table.declaration(), made))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<()> {
        let mut plan = format!("{:x}", info.col_used());
        let mut count = 0;
        for (constraint, mut usage) in info.constraints_and_usages() {
            let Ok(column) = usize::try_from(constraint.column()) else { continue };
            let (operator, letter) = match constraint.operator() {
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => (Operator::Equal, 'e'),
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LIKE => (Operator::Like, 'l'),
                _ => continue,
            };
            if count < GIVEN_MAX && constraint.is_usable() && self.table.takes(column, operator) {
                count += 1;
                usage.set_argv_index(count);
                write!(plan, " {letter}{column}").map_err(|error| Error::ModuleError(error.to_string()))?;
            }
        }
        // What needs a condition comes behind the tables that can give it.
        let (cost, rows) = match (count, self.table.needs()) {
            (1.., _) => (10.0, 10),
            (_, false) => (1e6, 100_000),
            (_, true) => (1e18, 1_000_000_000),
        };
        info.set_idx_str(&plan);
        info.set_estimated_cost(cost);
        info.set_estimated_rows(rows);
        Ok(())
    }

    fn open(&'vtab mut self) -> Result<Cursor<'vtab>> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            table: Arc::clone(&self.table),
            rows: None,
            now: None,
            lives: PhantomData,
        })
    }
}

#[repr(C)]
struct Cursor<'vtab> {
    /// It must be the first.
    base: sqlite3_vtab_cursor,
    table: Arc<dyn VirtualTable>,
    rows: Option<Rows>,
    now: Option<Vec<Value>>,
    lives: PhantomData<&'vtab ()>,
}

/// The columns that are looked at, and the conditions, as [`Tab::best_index`] wrote them.
fn read_plan(plan: &str, values: &Filters<'_>) -> Option<(u64, Vec<Given>)> {
    let mut words = plan.split(' ');
    let used = u64::from_str_radix(words.next()?, 16).ok()?;
    let given = words.enumerate().map(|(at, word)| {
        let (letter, column) = word.split_at_checked(1)?;
        let operator = if letter == "l" { Operator::Like } else { Operator::Equal };
        Some(Given { column: column.parse().ok()?, operator, value: values.get(at).ok()? })
    });
    Some((used, given.collect::<Option<_>>()?))
}

// SAFETY: the structure has the layout of C, and what the library wants stands first.
unsafe impl VTabCursor for Cursor<'_> {
    fn filter(&mut self, _: c_int, plan: Option<&str>, values: &Filters<'_>) -> Result<()> {
        let (used, given) = plan
            .and_then(|plan| read_plan(plan, values))
            .ok_or_else(|| Error::ModuleError("a condition that cannot be read".into()))?;
        self.rows = Some(self.table.rows(&given, used).map_err(Error::ModuleError)?);
        self.next()
    }

    fn next(&mut self) -> Result<()> {
        self.now = self.rows.as_mut().and_then(Iterator::next);
        Ok(())
    }

    fn eof(&self) -> bool {
        self.now.is_none()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let row = self.now.as_ref();
        let value = usize::try_from(column).ok().and_then(|column| row?.get(column));
        context.set_result(value.unwrap_or(&Value::Null))
    }

    /// The same for the same row: where a statement has alternatives SQLite looks at each, and tells by this which rows it
    /// has seen.
    fn rowid(&self) -> Result<i64> {
        let mut hasher = DefaultHasher::new();
        for value in self.now.iter().flatten() {
            match value {
                Value::Null => 0.hash(&mut hasher),
                Value::Integer(number) => number.hash(&mut hasher),
                Value::Real(number) => number.to_bits().hash(&mut hasher),
                Value::Text(text) => text.hash(&mut hasher),
                Value::Blob(bytes) => bytes.hash(&mut hasher),
            }
        }
        Ok(hasher.finish().cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Squares of numbers up to ten, or of the one that is asked for.
    struct Squares;

    impl VirtualTable for Squares {
        fn declaration(&self) -> String {
            "CREATE TABLE x(number INTEGER, square INTEGER, asked TEXT)".into()
        }
        fn takes(&self, column: usize, _: Operator) -> bool {
            column == 0
        }
        fn needs(&self) -> bool {
            false
        }
        fn rows(&self, given: &[Given], used: u64) -> std::result::Result<Rows, String> {
            let numbers: Vec<i64> = match given {
                [] => (1..=10).collect(),
                [Given { column: 0, operator: Operator::Equal, value: Value::Integer(number) }] => vec![*number],
                _ => return Err("only numbers".into()),
            };
            let asked = format!("{} {used}", given.len());
            Ok(Box::new(
                numbers
                    .into_iter()
                    .map(move |n| vec![Value::Integer(n), Value::Integer(n * n), Value::Text(asked.clone())]),
            ))
        }
    }

    fn ask(sql: &str) -> Result<Vec<(i64, String)>> {
        let connection = Connection::open_in_memory()?;
        register(&connection, "squares", Arc::new(Squares))?;
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    #[test]
    fn conditions_reach_the_table_and_joins_hand_them_on() {
        assert_eq!(ask("SELECT sum(square), max(asked) FROM squares").unwrap(), [(385, "0 6".into())]);
        assert_eq!(ask("SELECT square, asked FROM squares WHERE number = 40").unwrap(), [(1600, "1 7".into())]);
        let many = ask("SELECT square, asked FROM squares WHERE number IN (2, 30)").unwrap();
        assert_eq!(many, [(4, "1 7".into()), (900, "1 7".into())]);
        let either =
            ask("SELECT square, asked FROM squares WHERE number = 2 OR number = 30 OR number IN (2, 3)").unwrap();
        assert_eq!(either.iter().map(|(square, _)| *square).collect::<Vec<_>>(), [4, 900, 9]);
        let joined = "SELECT b.square, b.asked FROM squares a JOIN squares b ON b.number = a.square WHERE a.number = 3";
        assert_eq!(ask(joined).unwrap(), [(81, "1 7".into())]);
    }

    #[test]
    fn what_a_table_complains_of_is_the_error_of_the_statement() {
        let error = ask("SELECT square, asked FROM squares WHERE number = 'x'").unwrap_err();
        assert!(error.to_string().contains("only numbers"), "{error}");
    }
}
