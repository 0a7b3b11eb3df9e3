//! The checks behind `/readyz`, the dashboard's health and its notifications: what is looked at while the program runs.

use std::path::PathBuf;
use std::time::Duration;

use guardian_api::Kpis;
use guardian_catalog::Catalog;
use guardian_kit::health::{Check, Health, Scope};
use guardian_kit::shutdown::Shutdown;
use guardian_lake::Lake;
use tokio::sync::watch;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);
/// How long the catalog may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(4);
/// For how long a loss is told after it happened.
const LOSS_TOLD_FOR: u32 = 12;
/// Share of the disk that should be free, in percent.
const FREE_PERCENT: u64 = 5;
/// How full the queue to the disk may be, in percent.
const QUEUE_PERCENT: u64 = 75;

/// What is looked at.
pub(super) struct Watched {
    pub(super) lake: Lake,
    /// What may wait for the disk, in bytes.
    pub(super) queue_bytes: u64,
    pub(super) catalog: Catalog,
    pub(super) data: PathBuf,
    pub(super) kpis: watch::Receiver<Kpis>,
    pub(super) shutdown: Shutdown,
}

/// Adds the checks, well as the program is at its start, and looks until it ends.
pub(super) fn start(health: &Health, watched: Watched) {
    let check = |name| {
        let check = health.check(name, Scope::Ready);
        check.ok();
        check
    };
    let (telemetry, catalog, collection, disk) =
        (check("telemetry"), check("catalog"), check("collection"), check("disk"));
    tokio::spawn(async move {
        let mut rounds = watched.shutdown.rounds(EVERY);
        let mut losses = Losses::default();
        while rounds.next().await {
            store(&telemetry, &watched);
            set(&collection, losses.look(watched.kpis.borrow().lost_total));
            set(&disk, space(&watched.data));
            match tokio::time::timeout(PATIENCE, watched.catalog.ping()).await {
                Ok(Ok(())) => catalog.ok(),
                Ok(Err(error)) => catalog.failed(format!("the database does not answer: {error}")),
                Err(_elapsed) => catalog.failed(format!("the database has not answered for {PATIENCE:?}")),
            }
        }
    });
}

fn set(check: &Check, problem: Option<String>) {
    match problem {
        None => check.ok(),
        Some(reason) => check.degraded(reason),
    }
}

fn store(check: &Check, watched: &Watched) {
    let stats = watched.lake.stats();
    if let Some(reason) = stats.read_only {
        check.failed(format!("nothing new is stored: {reason}"));
    } else if stats.wal_lag_bytes > watched.queue_bytes / 100 * QUEUE_PERCENT {
        let waiting = stats.wal_lag_bytes >> 20;
        check.degraded(format!("the disk is too slow: {waiting} MiB wait to be written"));
    } else {
        check.ok();
    }
}

/// Little space on the disk that the data is on.
fn space(data: &std::path::Path) -> Option<String> {
    let space = guardian_sys::disk::space(data).ok()?;
    let percent = space.available_bytes.saturating_mul(100) / space.total_bytes.max(1);
    (percent < FREE_PERCENT).then(|| {
        format!(
            "{percent} % of the disk with {} is free ({} MiB): make room, or lower lake.max_size or lake.keep",
            data.display(),
            space.available_bytes >> 20
        )
    })
}

/// Rows and datagrams that were lost lately.
#[derive(Default)]
struct Losses {
    seen: Option<u64>,
    recent: u64,
    quiet_looks: u32,
}

impl Losses {
    fn look(&mut self, total: u64) -> Option<String> {
        let new = total.saturating_sub(self.seen.replace(total).unwrap_or(total));
        if new > 0 {
            self.recent += new;
            self.quiet_looks = 0;
        } else {
            self.quiet_looks += 1;
            if self.quiet_looks >= LOSS_TOLD_FOR {
                self.recent = 0;
            }
        }
        (self.recent > 0).then(|| {
            format!(
                "{} flows or datagrams were lost lately: more arrives than this machine takes (`guardian exporters` \
                 says from whom)",
                self.recent
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{LOSS_TOLD_FOR, Losses};

    #[test]
    fn a_loss_is_told_for_a_while() {
        let mut losses = Losses::default();
        assert_eq!(losses.look(7), None, "what was before the start is no news");
        assert!(losses.look(12).unwrap().starts_with("5 flows"));
        for _ in 1..LOSS_TOLD_FOR {
            assert!(losses.look(12).is_some());
        }
        assert_eq!(losses.look(12), None);
    }
}
