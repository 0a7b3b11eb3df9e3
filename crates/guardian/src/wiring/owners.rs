//! The connections of hosts as they were before the start: read back from the lake, beside everything else, so that flows
//! have their processes again although agents tell of a connection only once.

use std::sync::Arc;
use std::time::Duration;

use guardian_catalog::Catalog;
use guardian_lake::{Lake, LakeError, QueryLimits};
use guardian_model::{Micros, Scope, TenantId};
use guardian_pipeline::Owners;

/// How far back: what opened earlier and is open still has no process until it is told again.
const BACK: i64 = 24 * 3_600 * Micros::SECOND;
/// Connections of one tenant that are read back, newest first.
const ROWS_MAX: usize = 300_000;
const TIME_MAX: Duration = Duration::from_secs(60);

/// Reads them back; ends by itself.
pub(super) fn recall(owners: Arc<Owners>, lake: Lake, catalog: Catalog, now: Micros) {
    tokio::spawn(async move {
        let tenants = match catalog.system().tenants().await {
            Ok(tenants) => tenants,
            Err(error) => return tracing::warn!(%error, "connections of hosts could not be read back"),
        };
        for tenant in tenants {
            if let Err(error) = of_tenant(&owners, &lake, tenant.id, now).await {
                tracing::warn!(%error, tenant = %tenant.id, "connections of hosts could not be read back");
            }
        }
    });
}

async fn of_tenant(owners: &Owners, lake: &Lake, tenant: TenantId, now: Micros) -> Result<(), LakeError> {
    let from = Micros(now.0 - BACK);
    // The order does not matter: each row says when it began and ended.
    let sql = format!(
        "SELECT * FROM connections WHERE received >= TIMESTAMP '{from}' AND replay IS NULL \
         ORDER BY received DESC LIMIT {ROWS_MAX}"
    );
    let limits = QueryLimits { time: Some(TIME_MAX), rows: Some(ROWS_MAX), ..QueryLimits::default() };
    let (_, batches, _) = lake.query(&Scope::of(tenant), &sql, limits).await?.collect_all().await?;
    for rows in &batches {
        owners.learn_rows(tenant, rows);
    }
    Ok(())
}
