//! A fresh catalog for each test, on a clock that the test moves.

use std::path::Path;
use std::sync::Arc;

use guardian_catalog::{Actor, ActorKind, Catalog, CatalogConfig, Opening, SignInMethod, Tenant, Tx, Upserted};
use guardian_kit::clock::ManualClock;
use guardian_kit::config::Secret;
use guardian_model::{AlertKey, AlertState, Entity, EntityKind, EventRef, Micros, RuleRef, Scope, Severity, TenantId};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;

pub(crate) const START: Micros = Micros(1_767_225_600_000_000);
pub(crate) const PASSWORD: Opening<'static> = Opening::with(SignInMethod::Password);

pub(crate) struct Db {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) config: CatalogConfig,
    pub(crate) dir: TempDir,
    schema: Option<(String, String)>,
}

impl Db {
    pub(crate) async fn sqlite() -> Self {
        Self::open(CatalogConfig::default(), None).await
    }

    /// A schema of its own in the database that the environment names.
    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(url) = std::env::var("GUARDIAN_TEST_POSTGRES_URL") else {
            let required = std::env::var("GUARDIAN_TEST_REQUIRE_POSTGRES").is_ok_and(|v| v == "1");
            assert!(!required, "GUARDIAN_TEST_POSTGRES_URL is not set, and this run must test PostgreSQL");
            return None;
        };
        let schema = format!("guardian_test_{}", uuid::Uuid::now_v7().simple());
        let admin = connect(&url).await;
        admin.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await.unwrap();
        let sign = if url.contains('?') { '&' } else { '?' };
        let config = CatalogConfig {
            url: Secret::new(format!("{url}{sign}options[search_path]={schema}")),
            read_connections: 2,
            write_connections: 4,
            ..CatalogConfig::default()
        };
        Some(Self::open(config, Some((url, schema))).await)
    }

    async fn open(config: CatalogConfig, schema: Option<(String, String)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let catalog = Catalog::connect(&config, dir.path(), clock.clone()).await.unwrap();
        Self { catalog, clock, config, dir, schema }
    }

    /// Another process on the same database.
    pub(crate) async fn reopen(&self, change: impl FnOnce(&mut CatalogConfig)) -> Catalog {
        let mut config = self.config.clone();
        change(&mut config);
        Catalog::connect(&config, self.dir.path(), self.clock.clone()).await.unwrap()
    }

    /// The database behind the catalog's back.
    pub(crate) async fn raw(&self) -> DatabaseConnection {
        let file = format!("sqlite:{}", self.dir.path().join("catalog.sqlite").display());
        let url = if self.schema.is_some() { self.config.url.expose().to_owned() } else { file };
        connect(&url).await
    }

    pub(crate) async fn tamper(&self, sql: &str) {
        let done = self.raw().await.execute_unprepared(sql).await.unwrap();
        assert!(done.rows_affected() > 0, "`{sql}` changed nothing");
    }

    pub(crate) async fn drop_schema(self) {
        self.catalog.close().await.unwrap();
        if let Some((url, schema)) = &self.schema {
            let admin = connect(url).await;
            admin.execute_unprepared(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
        }
    }

    pub(crate) async fn tenant(&self, slug: &str) -> Tenant {
        self.catalog.system().create_tenant(Actor::system("test"), slug, slug).await.unwrap()
    }

    pub(crate) async fn begin(&self, tenant: TenantId) -> Tx {
        self.catalog.scoped(&Scope::of(tenant)).begin(tenant, ann()).await.unwrap()
    }

    pub(crate) async fn upsert(&self, states: &[AlertState]) -> Vec<Upserted> {
        self.catalog.system().upsert_alerts(states).await.unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    Box::pin(Database::connect(url)).await.unwrap()
}

pub(crate) const HOME: TenantId = TenantId::DEFAULT;

pub(crate) fn home() -> Scope {
    Scope::of(HOME)
}

pub(crate) fn ann() -> Actor {
    Actor {
        kind: ActorKind::User,
        id: None,
        name: "ann".into(),
        ip: Some("192.0.2.7".parse().unwrap()),
        request_id: Some("r-1".into()),
    }
}

/// The alert number `n` of a tenant, as it stood when its condition had held `count` times.
pub(crate) fn state(tenant: TenantId, n: u32, count: u64) -> AlertState {
    let severity = Severity::ALL[n as usize % 5];
    let start = START + i64::from(n) * Micros::SECOND;
    AlertState {
        key: AlertKey::new(tenant, "rule-1", "hash", &format!("src_ip=10.0.0.{n}"), start),
        tenant,
        rule: Arc::new(RuleRef {
            id: format!("rule-{}", n % 3),
            hash: "hash".into(),
            title: format!("Port scan {n}"),
            attack: vec!["t1046".into(), "discovery".into()],
            severity,
            next_steps: vec!["Look at the source.".into()],
        }),
        entity: Entity { site: String::new(), kind: EntityKind::Ip, value: format!("10.0.0.{n}") },
        group_key: format!("src_ip=10.0.0.{n}"),
        window_start: start,
        first_seen: start,
        last_seen: start + count as i64 * Micros::SECOND,
        count,
        summary: format!("10.0.0.{n} tried {count} ports"),
        measures: vec![("ports".into(), count.into()), ("attempts".into(), (count * 2).into())],
        evidence: (0..count.min(120))
            .map(|row| (EventRef { batch: 7, row: row as u32 }, serde_json::json!({ "dst_port": row, "a": 1 })))
            .collect(),
        replay: None,
        retro: false,
    }
}
