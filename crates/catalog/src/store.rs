//! The catalog's door: opening the database, and the two ways in, [`Catalog::scoped`] and [`Catalog::system`]. The raw
//! connections never leave this crate.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guardian_kit::clock::Clock;
use guardian_model::{Micros, Scope, TenantId};
use sea_orm::{
    ActiveValue::Set, ConnectOptions, Database, DatabaseBackend, DatabaseConnection, EntityTrait, sea_query::OnConflict,
};
use tokio::sync::watch;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::config::redact;
use crate::entity::tenant;
use crate::{CatalogConfig, CatalogError, Scoped, System, audit, migration};

/// The system of record. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Connections that only read.
    pub(crate) read: DatabaseConnection,
    /// Connections that write: exactly one on SQLite, so that writers queue instead of colliding.
    pub(crate) write: DatabaseConnection,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: CatalogConfig,
    /// The last change-log number of each tenant that somebody follows. Bounded by the number of tenants.
    nudges: Mutex<HashMap<TenantId, watch::Sender<i64>>>,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Catalog {
    /// Opens the catalog, creating it or bringing its schema up to date first. `data` is the data directory, where the
    /// SQLite file is unless the configuration names another place. Refuses a database that a newer program has
    /// changed.
    pub async fn connect(config: &CatalogConfig, data: &Path, clock: Arc<dyn Clock>) -> Result<Self, CatalogError> {
        let url = config.resolved_url(data);
        let failed = |source| CatalogError::Connect { url: redact(&url), source };
        let readers = config.read_connections.max(1);
        let (read, write) = if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            create_private(Path::new(path.split('?').next().unwrap_or_default()))?;
            (sqlite_options(&url, config, readers, true), sqlite_options(&url, config, 1, false))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            (options(&url, config, readers), options(&url, config, config.write_connections.max(1)))
        } else {
            let shown = redact(&url);
            return Err(CatalogError::Config(format!("`{shown}` is neither a sqlite: nor a postgres:// URL")));
        };
        let write = Box::pin(Database::connect(write)).await.map_err(failed)?;
        migration::run(&write).await?;
        let read = Box::pin(Database::connect(read)).await.map_err(failed)?;
        let nudges = Mutex::new(HashMap::new());
        let catalog = Self { inner: Arc::new(Inner { read, write, clock, config: config.clone(), nudges }) };
        catalog.seed().await?;
        Ok(catalog)
    }

    /// What the tenants of `scope` own, and nothing else; also where their changes begin.
    pub fn scoped(&self, scope: &Scope) -> Scoped<'_> {
        Scoped::new(self, scope.clone())
    }

    /// The handle for what happens before a scope is known or beside all scopes: authentication, start-up, and
    /// detection storing what it found. Request handlers have no business with it.
    pub fn system(&self) -> System<'_> {
        System::new(self)
    }

    /// Whether the database answers; for readiness checks.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        self.inner.read.ping().await.map_err(CatalogError::from)
    }

    /// Which database it is: `sqlite` or `postgres`.
    pub fn backend(&self) -> &'static str {
        if self.is_sqlite() { "sqlite" } else { "postgres" }
    }

    /// Closes the connections after what is under way. Later calls fail.
    pub async fn close(&self) -> Result<(), CatalogError> {
        self.inner.read.close_by_ref().await?;
        self.inner.write.close_by_ref().await?;
        Ok(())
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.inner.write.get_database_backend() == DatabaseBackend::Sqlite
    }

    pub(crate) fn now(&self) -> Micros {
        self.inner.clock.now()
    }

    /// A new row id: UUIDv7 of the catalog's own time, so that ids sort by it.
    pub(crate) fn new_id(&self) -> Uuid {
        new_id(self.now())
    }

    /// Tells the followers of `tenant` that its change log has reached `seq`. Only a nudge: they read the table.
    pub(crate) fn nudge(&self, tenant: TenantId, seq: i64) {
        let mut nudges = self.inner.nudges.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = nudges.get(&tenant)
            && sender.send(seq).is_err()
        {
            nudges.remove(&tenant);
        }
    }

    pub(crate) fn nudges(&self, tenant: TenantId) -> watch::Receiver<i64> {
        let mut nudges = self.inner.nudges.lock().unwrap_or_else(PoisonError::into_inner);
        nudges.entry(tenant).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Makes the tenant that every installation has.
    async fn seed(&self) -> Result<(), CatalogError> {
        let row = tenant_row(TenantId::DEFAULT, "main", "Main", self.now());
        tenant::Entity::insert(row)
            .on_conflict(OnConflict::column(tenant::Column::Id).do_nothing().to_owned())
            .exec_without_returning(&self.inner.write)
            .await?;
        Ok(())
    }
}

/// Counts within a millisecond, so that ids made in one transaction sort in the order they were made.
static COUNTER: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// A UUIDv7 whose time is `now`.
pub(crate) fn new_id(now: Micros) -> Uuid {
    let secs = now.0.div_euclid(Micros::SECOND).max(0) as u64;
    let nanos = now.0.rem_euclid(Micros::SECOND) as u32 * 1_000;
    let counter = COUNTER.lock().unwrap_or_else(PoisonError::into_inner);
    Uuid::new_v7(Timestamp::from_unix(&*counter, secs, nanos))
}

/// The row of a new tenant, whose logs are empty.
pub(crate) fn tenant_row(id: TenantId, slug: &str, name: &str, now: Micros) -> tenant::ActiveModel {
    tenant::ActiveModel {
        id: Set(id.0),
        slug: Set(slug.to_owned()),
        name: Set(name.to_owned()),
        created: Set(now.0),
        last_seq: Set(0),
        log_floor: Set(0),
        audit_seq: Set(0),
        audit_head: Set(audit::genesis(id).to_vec()),
        disabled: Set(false),
        version: Set(1),
    }
}

fn options(url: &str, config: &CatalogConfig, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).min_connections(1).acquire_timeout(busy_timeout(config)).sqlx_logging(false);
    options
}

/// WAL lets readers go on beside the writer; FULL makes a commit survive a power cut, which the audit trail needs.
fn sqlite_options(url: &str, config: &CatalogConfig, connections: u32, reader: bool) -> ConnectOptions {
    let mut options = options(url, config, connections);
    let busy_timeout = busy_timeout(config);
    options.idle_timeout(None).max_lifetime(None).map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite
            .create_if_missing(true)
            .busy_timeout(busy_timeout)
            .foreign_keys(true)
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "FULL")
            .pragma("temp_store", "MEMORY");
        if reader { sqlite.pragma("query_only", "ON") } else { sqlite }
    });
    options
}

fn busy_timeout(config: &CatalogConfig) -> Duration {
    config.busy_timeout.0
}

/// Creates the database file readable by its owner only; SQLite gives its `-wal` and `-shm` the same mode.
pub(crate) fn create_private(path: &Path) -> Result<(), CatalogError> {
    let explain = |error: std::io::Error| CatalogError::Config(format!("cannot write {}: {error}", path.display()));
    if path.as_os_str().is_empty() || path.starts_with(":memory:") {
        return Err(CatalogError::Config(
            "an in-memory SQLite database would forget the audit trail; name a file".into(),
        ));
    }
    if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(explain)?;
    }
    let mut open = std::fs::OpenOptions::new();
    open.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    open.open(path).map(drop).map_err(explain)
}
