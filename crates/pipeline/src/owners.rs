//! Which process made a flow: what agents say of the connections of their hosts, kept for as long as exporters may take to
//! tell of a flow, and asked for each batch of flows. What is stored with a row is what rules saw.
//!
//! The nearest interval in time wins; what two of them claim alike is nobody's. It must never hold up decoding: a batch
//! is looked up whole, and a table that is full forgets the oldest.

mod columns;
mod table;

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use guardian_model::{Batch, CONNECTION, TenantId};
use hashbrown::HashMap;
use parking_lot::RwLock;

use self::table::Table;

/// Pairs of tenant and site that have connections of hosts.
const REALMS_MAX: usize = 1_024;

type Realms = HashMap<TenantId, Vec<(String, Arc<RwLock<Table>>)>>;

/// The connections of all hosts with an agent. Private addresses of two sites never meet.
#[derive(Debug, Default)]
pub struct Owners {
    realms: RwLock<Realms>,
}

impl Owners {
    /// Takes connections as their hosts told of them, in any order and however often; other events are left alone.
    pub fn learn(&self, batch: &Batch) {
        if batch.class.uid == CONNECTION.uid {
            self.learn_rows(batch.tenant, &batch.rows);
        }
    }

    /// As [`Self::learn`], for rows that were read back: columns are found by their names.
    pub fn learn_rows(&self, tenant: TenantId, rows: &RecordBatch) {
        // One batch is of one host, and so of one site.
        let site = columns::label(rows, "site").map(str::to_owned).unwrap_or_default();
        if columns::label(rows, "replay").is_some() {
            return;
        }
        let table = self.table(tenant, &site).or_else(|| self.add(tenant, site));
        if let (Some(table), Some(seen)) = (table, columns::Seen::of(rows)) {
            seen.each(&mut table.write());
        }
    }

    fn table(&self, tenant: TenantId, site: &str) -> Option<Arc<RwLock<Table>>> {
        let realms = self.realms.read();
        realms.get(&tenant)?.iter().find(|(name, _)| name == site).map(|(_, table)| Arc::clone(table))
    }

    fn add(&self, tenant: TenantId, site: String) -> Option<Arc<RwLock<Table>>> {
        let mut realms = self.realms.write();
        if realms.values().map(Vec::len).sum::<usize>() >= REALMS_MAX {
            return None;
        }
        let sites = realms.entry(tenant).or_default();
        // Another thread may have been first; a second table of the same name would never be asked.
        if let Some((_, table)) = sites.iter().find(|(name, _)| *name == site) {
            return Some(Arc::clone(table));
        }
        let table = Arc::new(RwLock::new(Table::default()));
        sites.push((site, Arc::clone(&table)));
        Some(table)
    }

    /// Flows with the columns of their processes filled where they are known; the schema stays the same.
    pub fn fill(&self, tenant: TenantId, site: &str, rows: RecordBatch) -> RecordBatch {
        let Some(table) = self.table(tenant, site) else { return rows };
        let table = table.read();
        if table.is_empty() {
            return rows;
        }
        columns::fill(&table, &rows).unwrap_or(rows)
    }
}
