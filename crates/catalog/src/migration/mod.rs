//! Schema changes, forward only. A released migration is never edited; a change that an older node could not live with
//! is made in two releases: expand (add what is new, write both), then contract (drop what is old).

mod build;
mod m20261122_alert_splits;
mod m20261122_certificates;
mod m20261122_external;
mod m20261122_fleet;
mod m20261122_identity;
mod m20261122_incidents;
mod m20261122_initial;
mod m20261122_notify;
mod m20261122_passkeys;
mod m20261122_rule_exceptions;
mod m20261122_saved;
mod m20261122_triage;
mod m20261123_baselines;
mod m20261123_carves;
mod m20261123_evidence_packs;
mod m20261123_findings;
mod m20261123_findings_reasons;
mod m20261123_images;
mod m20261123_inventory;
mod m20261123_live_queries;
mod m20261123_osquery;
mod m20261123_policies;
mod m20261123_rollouts;

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, EntityTrait, QuerySelect, Statement, TransactionTrait,
};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager, async_trait, seaql_migrations};

use crate::CatalogError;

/// Number of the advisory lock that keeps two nodes from migrating one PostgreSQL database at once.
const MIGRATION_LOCK: i64 = 0x6775_6172_6469_616e;

/// Every migration, oldest first. Adding one is a file and a line here.
struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_initial::Migration),
            Box::new(m20261122_identity::Migration),
            Box::new(m20261122_triage::Migration),
            Box::new(m20261122_incidents::Migration),
            Box::new(m20261122_saved::Migration),
            Box::new(m20261122_rule_exceptions::Migration),
            Box::new(m20261122_alert_splits::Migration),
            Box::new(m20261122_notify::Migration),
            Box::new(m20261122_passkeys::Migration),
            Box::new(m20261122_external::Migration),
            Box::new(m20261122_certificates::Migration),
            Box::new(m20261122_fleet::Migration),
            Box::new(m20261123_policies::Migration),
            Box::new(m20261123_inventory::Migration),
            Box::new(m20261123_evidence_packs::Migration),
            Box::new(m20261123_rollouts::Migration),
            Box::new(m20261123_findings::Migration),
            Box::new(m20261123_live_queries::Migration),
            Box::new(m20261123_osquery::Migration),
            Box::new(m20261123_findings_reasons::Migration),
            Box::new(m20261123_images::Migration),
            Box::new(m20261123_carves::Migration),
            Box::new(m20261123_baselines::Migration),
        ]
    }
}

/// Brings the schema up to this program's, or says that the database is ahead of it. All or nothing.
pub(crate) async fn run(db: &DatabaseConnection) -> Result<(), CatalogError> {
    let tx = db.begin().await.map_err(CatalogError::from)?;
    if tx.get_database_backend() == DatabaseBackend::Postgres {
        let lock = Statement::from_sql_and_values(
            DatabaseBackend::Postgres,
            "SELECT pg_advisory_xact_lock($1)",
            [MIGRATION_LOCK.into()],
        );
        tx.execute_raw(lock).await?;
    }
    refuse_newer(&tx).await?;
    Migrator::up(&tx, None).await.map_err(CatalogError::Migrate)?;
    tx.commit().await?;
    Ok(())
}

/// A migration that is applied but unknown was made by a newer program, whose data this one could damage.
async fn refuse_newer(db: &sea_orm::DatabaseTransaction) -> Result<(), CatalogError> {
    if !SchemaManager::new(db).has_table("seaql_migrations").await? {
        return Ok(());
    }
    let known: Vec<String> = Migrator::migrations().iter().map(|m| m.name().to_owned()).collect();
    let applied: Vec<String> = seaql_migrations::Entity::find()
        .select_only()
        .column(seaql_migrations::Column::Version)
        .into_tuple()
        .all(db)
        .await?;
    let mut unknown: Vec<String> = applied.into_iter().filter(|version| !known.contains(version)).collect();
    unknown.sort();
    match unknown.pop() {
        Some(found) => Err(CatalogError::DatabaseNewer { found, known: known.last().cloned().unwrap_or_default() }),
        None => Ok(()),
    }
}
