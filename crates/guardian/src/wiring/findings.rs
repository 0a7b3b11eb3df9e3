//! Vulnerabilities of the fleet, with who tells of those that are exploited: events of the class `health`, so that a rule
//! raises the alert as it does for hosts that fall silent.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use guardian_findings::{Findings, FindingsDeps, News, Teller};
use guardian_fleet::{Gate, Intake, batch};
use guardian_kit::clock::Clock;
use guardian_model::{Batch, Origin, TenantId};
use guardian_pipeline::Spine;
use guardian_protocol::classes::{HEALTH, HealthColumn as C};
use guardian_protocol::{Cell, Rows};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Ground, intake, visits};
use crate::config::Config;

/// Who sends these events: no host has this id.
const SENDER: Uuid = Uuid::from_u128(0x6775_6172_6469_616e_2d66_696e_6469_0001);

struct HealthTeller {
    intake: Arc<dyn Intake>,
    clock: Arc<dyn Clock>,
    /// A start is an epoch: what was counted before says nothing about it.
    epoch: u64,
    sequence: Mutex<u64>,
}

impl HealthTeller {
    fn batch(&self, of: (TenantId, Uuid, &str), news: &[&News]) -> Result<Batch, String> {
        let (now, (tenant, host, name)) = (self.clock.now(), of);
        let mut rows: Rows = HEALTH.rows();
        for one in news {
            let object = format!("{} in {}", one.vulnerability, one.package);
            let mut cells = [Cell::Null; C::COUNT];
            cells[C::Time as usize] = Cell::Time(now.0);
            cells[C::Metric as usize] = Cell::Text("known_exploited");
            cells[C::Object as usize] = Cell::Text(&object);
            cells[C::Value as usize] = Cell::Number(1);
            rows.push(&cells);
        }
        batch(&rows.finish(), tenant, (name, &host.to_string()), now).map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Teller for HealthTeller {
    async fn tell(&self, news: &[News]) -> Result<(), String> {
        let mut by_host: BTreeMap<(TenantId, Uuid), Vec<&News>> = BTreeMap::new();
        news.iter().for_each(|one| by_host.entry((one.tenant, one.host)).or_default().push(one));
        for ((tenant, host), news) in by_host {
            let Some(name) = news.first().map(|one| one.host_name.as_str()) else { continue };
            let made = self.batch((tenant, host, name), &news)?;
            let mut sequence = self.sequence.lock().await;
            *sequence += 1;
            let origin = Origin { sender: *SENDER.as_bytes(), epoch: self.epoch, lane: 0, sequence: *sequence };
            let stored = self.intake.offer(vec![made], origin, Gate::default()).await;
            stored.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Opens the room and has it follow hosts and advisories.
pub(super) fn start(ground: &Ground, config: &Config, spine: &Spine) -> Result<Findings> {
    let named = &config.vulnerabilities.store;
    let store = if named.as_os_str().is_empty() { config.data.join("advisories") } else { named.clone() };
    let teller = HealthTeller {
        intake: Arc::new(intake::LocalIntake::start(ground.lake.clone(), spine.input())?),
        clock: Arc::clone(&ground.clock),
        epoch: ground.clock.now().0.cast_unsigned(),
        sequence: Mutex::new(0),
    };
    let findings = Findings::new(FindingsDeps {
        catalog: ground.catalog.clone(),
        clock: Arc::clone(&ground.clock),
        store,
        teller: Arc::new(teller),
        watcher: Arc::new(visits::LakeWatcher::new(ground.lake.clone())),
        shutdown: ground.shutdown.clone(),
    });
    findings.start();
    Ok(findings)
}
