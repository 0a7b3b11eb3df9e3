//! What one query sees: the files and the batches in memory of the tenants in its scope, taken at one moment.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray, TimestampMicrosecondArray, UInt64Array};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use guardian_model::{ALL_CLASSES, Class, Kind, Scope};
use hashbrown::HashMap;

use crate::store::Store;
use crate::store::state::{HotBatch, LiveFile};

/// Name of the column that tells whose a row is.
pub(crate) const TENANT: &str = "tenant";

/// A class's part of a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClassRows {
    pub(crate) files: Vec<Arc<LiveFile>>,
    pub(crate) hot: Vec<Arc<HotBatch>>,
}

/// What one query sees, by class uid. Nothing of other tenants is in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) classes: HashMap<u32, ClassRows>,
}

impl Snapshot {
    pub(crate) fn take(store: &Store, scope: &Scope) -> Self {
        let state = store.state.read();
        let mut classes: HashMap<u32, ClassRows> = HashMap::new();
        for class in ALL_CLASSES {
            let rows = classes.entry(class.uid).or_default();
            for &tenant in scope.tenants() {
                let key = (tenant, class.uid);
                rows.files.extend(state.files.get(&key).into_iter().flatten().cloned());
                rows.hot.extend(state.hot.get(&key).into_iter().flat_map(|p| p.batches.iter().cloned()));
            }
        }
        Self { classes }
    }

    pub(crate) fn files(&self) -> Vec<Arc<LiveFile>> {
        self.classes.values().flat_map(|c| c.files.iter().cloned()).collect()
    }
}

/// What is known of a file or a batch before it is read.
struct Container {
    tenant: String,
    ids: (u64, u64),
    times: Vec<(String, i64, i64)>,
    rows: u64,
}

/// Bounds of files and batches, in the form that DataFusion prunes by.
pub(crate) struct Bounds {
    class: &'static Class,
    containers: Vec<Container>,
}

impl Bounds {
    pub(crate) fn of_files(class: &'static Class, files: &[Arc<LiveFile>]) -> Self {
        let containers = files.iter().map(|f| Container {
            tenant: f.meta.tenant.to_string(),
            ids: f.meta.ids,
            times: f.meta.times.clone(),
            rows: f.meta.rows,
        });
        Self { class, containers: containers.collect() }
    }

    pub(crate) fn of_hot(class: &'static Class, hot: &[Arc<HotBatch>]) -> Self {
        let containers = hot.iter().map(|b| Container {
            tenant: b.tenant.to_string(),
            ids: (b.id, b.id),
            times: b.times.iter().map(|&(name, low, high)| (name.to_owned(), low, high)).collect(),
            rows: b.rows.num_rows() as u64,
        });
        Self { class, containers: containers.collect() }
    }

    fn values(&self, column: &Column, high: bool) -> Option<ArrayRef> {
        let pick = |(low, up): (i64, i64)| if high { up } else { low };
        if column.name == TENANT {
            return Some(Arc::new(StringArray::from_iter_values(self.containers.iter().map(|c| &c.tenant))));
        }
        if column.name == "batch" {
            let ids = self.containers.iter().map(|c| if high { c.ids.1 } else { c.ids.0 });
            return Some(Arc::new(UInt64Array::from_iter_values(ids)));
        }
        let field = &self.class.fields[self.class.index_of(&column.name)?];
        if field.kind != Kind::Time || field.personal {
            return None;
        }
        let times = self
            .containers
            .iter()
            .map(|c| c.times.iter().find(|(name, ..)| name == field.name).map(|&(_, low, high)| pick((low, high))));
        Some(Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("+00:00")))
    }
}

impl PruningStatistics for Bounds {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, false)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, true)
    }

    fn num_containers(&self) -> usize {
        self.containers.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.containers.iter().map(|c| c.rows))))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
