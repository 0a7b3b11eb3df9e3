//! Copies of the whole catalog for backups: a SQLite file as it was at one moment, or the tables of PostgreSQL as lines of
//! JSON out of one transaction. This is beside all tenants and all scopes: the command line alone has business here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guardian_kit::clock::Clock;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseBackend, DatabaseTransaction, IsolationLevel, Statement, TransactionTrait,
};

use crate::{Catalog, CatalogConfig, CatalogError};

/// The copy of a SQLite catalog.
const FILE: &str = "catalog.sqlite";
/// The directory with the tables of a PostgreSQL catalog.
const TABLES: &str = "catalog";
/// Rows read or written at once.
const ROWS: usize = 500;
/// Tells which schema the tables have.
const MIGRATIONS: &str = "seaql_migrations";

fn failed(path: &Path) -> impl Fn(std::io::Error) -> CatalogError + '_ {
    move |error| CatalogError::Config(format!("{}: {error}", path.display()))
}

impl Catalog {
    /// Copies everything to `target` as it is now, while others go on reading and writing. Returns the files, relative to
    /// `target`.
    pub async fn dump(&self, target: &Path) -> Result<Vec<PathBuf>, CatalogError> {
        if self.is_sqlite() {
            let path = target.join(FILE);
            let quoted = path.display().to_string().replace('\'', "''");
            self.inner.write.execute_unprepared(&format!("VACUUM INTO '{quoted}'")).await?;
            return Ok(vec![PathBuf::from(FILE)]);
        }
        let directory = target.join(TABLES);
        fs::create_dir_all(&directory).map_err(failed(&directory))?;
        let tx =
            self.inner.read.begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)).await?;
        let mut files = Vec::new();
        for (at, table) in tables(&tx).await?.into_iter().enumerate() {
            let name = Path::new(TABLES).join(format!("{at:03}-{table}.jsonl"));
            dump_table(&tx, &table, &target.join(&name)).await?;
            files.push(name);
        }
        tx.commit().await?;
        Ok(files)
    }

    /// Fills the catalog that `config` names from what [`Catalog::dump`] wrote to `source`. It must be of the same sort of
    /// database, and empty.
    pub async fn restore(
        config: &CatalogConfig,
        data: &Path,
        source: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<(), CatalogError> {
        let url = config.resolved_url(data);
        let (file, tables) = (source.join(FILE), source.join(TABLES));
        if let Some(path) = url.strip_prefix("sqlite:") {
            if !file.exists() {
                return Err(CatalogError::Config(
                    "this backup is of a catalog on PostgreSQL: name one in catalog.url".into(),
                ));
            }
            let path = Path::new(path.strip_prefix("//").unwrap_or(path).split('?').next().unwrap_or_default());
            if path.exists() {
                return Err(CatalogError::Config(format!("{} is there already", path.display())));
            }
            crate::store::create_private(path)?;
            return fs::copy(&file, path).map(drop).map_err(failed(path));
        }
        if !tables.exists() {
            return Err(CatalogError::Config("this backup is of a catalog on SQLite: leave catalog.url empty".into()));
        }
        restore_postgres(config, data, &tables, clock).await
    }
}

/// Copies the lines of each table into an empty database.
async fn restore_postgres(
    config: &CatalogConfig,
    data: &Path,
    source: &Path,
    clock: Arc<dyn Clock>,
) -> Result<(), CatalogError> {
    let catalog = Catalog::connect(config, data, clock).await?;
    let users = "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM audit) AS n";
    let row = catalog.inner.write.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, users)).await?;
    if row.map(|row| row.try_get::<i64>("", "n")).transpose()?.unwrap_or_default() > 0 {
        return Err(CatalogError::Config("the database is in use: restore into an empty one".into()));
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(source).map_err(failed(source))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let tx = catalog.inner.write.begin().await?;
    // What opening it put there is in the backup as well.
    tx.execute_unprepared("DELETE FROM tenants").await?;
    for path in files {
        let name = path.file_stem().and_then(|n| n.to_str()).and_then(|n| n.split_once('-')).map(|(_, table)| table);
        let Some(table) = name.filter(|t| t.chars().all(|c| c.is_ascii_lowercase() || c == '_')) else { continue };
        if table == MIGRATIONS {
            same_schema(&tx, &path).await?;
            continue;
        }
        restore_table(&tx, table, &path).await?;
    }
    tx.commit().await?;
    catalog.close().await
}

/// The tables, each behind those that it refers to.
async fn tables(tx: &DatabaseTransaction) -> Result<Vec<String>, CatalogError> {
    let statement = |sql: &str| Statement::from_string(DatabaseBackend::Postgres, sql);
    let all = "SELECT table_name::text AS name FROM information_schema.tables \
               WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1";
    let references = "SELECT c.relname::text AS child, p.relname::text AS parent FROM pg_constraint k \
                      JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid \
                      JOIN pg_namespace n ON n.oid = c.relnamespace \
                      WHERE k.contype = 'f' AND n.nspname = current_schema() AND c.oid <> p.oid";
    let mut waiting: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in tx.query_all_raw(statement(all)).await? {
        waiting.insert(row.try_get("", "name")?, Vec::new());
    }
    for row in tx.query_all_raw(statement(references)).await? {
        let (child, parent): (String, String) = (row.try_get("", "child")?, row.try_get("", "parent")?);
        waiting.entry(child).or_default().push(parent);
    }
    let mut order: Vec<String> = Vec::new();
    while !waiting.is_empty() {
        let ready: Vec<String> = waiting
            .iter()
            .filter(|(_, parents)| parents.iter().all(|parent| order.contains(parent)))
            .map(|(table, _)| table.clone())
            .collect();
        if ready.is_empty() {
            return Err(CatalogError::Corrupt("tables refer to each other in a circle".into()));
        }
        waiting.retain(|table, _| !ready.contains(table));
        order.extend(ready);
    }
    Ok(order)
}

async fn dump_table(tx: &DatabaseTransaction, table: &str, path: &Path) -> Result<(), CatalogError> {
    let mut out = BufWriter::new(fs::File::create(path).map_err(failed(path))?);
    let cursor = format!("DECLARE dump NO SCROLL CURSOR FOR SELECT row_to_json(t)::text AS line FROM \"{table}\" t");
    tx.execute_unprepared(&cursor).await?;
    let fetch = format!("FETCH {ROWS} FROM dump");
    loop {
        let rows = tx.query_all_raw(Statement::from_string(DatabaseBackend::Postgres, fetch.clone())).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let line: String = row.try_get("", "line")?;
            writeln!(out, "{line}").map_err(failed(path))?;
        }
    }
    tx.execute_unprepared("CLOSE dump").await?;
    out.flush().map_err(failed(path))
}

async fn restore_table(tx: &DatabaseTransaction, table: &str, path: &Path) -> Result<(), CatalogError> {
    let mut lines = BufReader::new(fs::File::open(path).map_err(failed(path))?).lines();
    loop {
        let chunk: Vec<String> = lines.by_ref().take(ROWS).collect::<Result<_, _>>().map_err(failed(path))?;
        if chunk.is_empty() {
            return Ok(());
        }
        let sql = format!("INSERT INTO \"{table}\" SELECT * FROM json_populate_recordset(NULL::\"{table}\", $1::json)");
        let rows = format!("[{}]", chunk.join(","));
        tx.execute_raw(Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, [rows.into()])).await?;
    }
}

/// Refuses tables of another version: their columns may mean something else.
async fn same_schema(tx: &DatabaseTransaction, path: &Path) -> Result<(), CatalogError> {
    let sql = "SELECT version::text AS version FROM seaql_migrations ORDER BY 1";
    let rows = tx.query_all_raw(Statement::from_string(DatabaseBackend::Postgres, sql)).await?;
    let ours: Vec<String> = rows.iter().map(|row| row.try_get("", "version")).collect::<Result<_, _>>()?;
    let text = fs::read_to_string(path).map_err(failed(path))?;
    let version = |line: &str| -> Option<String> {
        serde_json::from_str::<serde_json::Value>(line).ok()?["version"].as_str().map(str::to_owned)
    };
    let mut theirs: Vec<String> = text.lines().filter_map(version).collect();
    theirs.sort();
    if ours == theirs {
        return Ok(());
    }
    Err(CatalogError::Config(
        "this backup is of another version of Guardian: restore it with that one, then upgrade".into(),
    ))
}
