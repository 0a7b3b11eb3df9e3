//! What the server hears of its agents between their heartbeats. It is telemetry about telemetry, written every few
//! seconds for all of them at once; only a host that comes or goes enters the change log.

use guardian_model::{Micros, Scope, TenantId};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::hosts::Host;
use crate::entity::host;
use crate::text::clean;
use crate::{Actor, CatalogError, System, Tx};

/// Longest document about an agent's health, in bytes; a longer one loses its complaints.
const HEALTH_BYTES_MAX: usize = 16 << 10;

/// How an agent is, as it says itself and as the server measures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostHealth {
    /// How far its clock is ahead of the server's, in microseconds.
    pub clock_skew_us: i64,
    /// Length of the round to the server and back, in microseconds.
    pub round_us: u64,
    /// Bytes that wait on its disk.
    pub spool_bytes: u64,
    /// Processor time that it used since it started, in microseconds.
    pub cpu_us: u64,
    /// Its resident memory.
    pub resident_bytes: u64,
    /// What it lost since it started.
    pub lost: Vec<HostLoss>,
    /// What is wrong with it.
    pub complaints: Vec<String>,
    /// Version of the policy it runs.
    pub policy_version: Option<u64>,
    /// BLAKE3 of that policy, in hexadecimal digits.
    pub policy_hash: Option<String>,
    /// Parts of the policy that it cannot run, with reasons.
    pub policy_complaints: Vec<String>,
    /// Values that an option of its command line decides: `spool.mib_max=64`.
    pub policy_overrides: Vec<String>,
}

/// Rows that an agent lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLoss {
    /// Class of the events.
    pub class: String,
    /// Rows.
    pub rows: u64,
    /// Where.
    pub place: String,
}

/// What was heard of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSeen {
    /// Which.
    pub id: Uuid,
    /// When it was last heard.
    pub last_seen: Micros,
    /// It counts as online until then, unless it is heard again.
    pub online_until: Micros,
    /// What it said of itself when it came; absent if it only stays or goes.
    pub came: Option<HostFacts>,
    /// Whether it went.
    pub went: bool,
    /// How its agent is, if that was said.
    pub health: Option<HostHealth>,
}

/// What a host says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Operating system.
    pub platform: String,
    /// Distribution and release.
    pub system: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor architecture.
    pub architecture: String,
    /// Version of the agent's program.
    pub program: String,
    /// Where the connection comes from.
    pub address: Option<String>,
}

impl System<'_> {
    /// Stores what was heard of a tenant's hosts. Answers those that are not let in any more.
    pub async fn observe_hosts(&self, tenant: TenantId, seen: &[HostSeen]) -> Result<Vec<Uuid>, CatalogError> {
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
        let mut gone = Vec::new();
        for one in seen {
            if !tx.observe_host(one).await? {
                gone.push(one.id);
            }
        }
        tx.commit_unlogged().await?;
        Ok(gone)
    }
}

impl Tx {
    async fn observe_host(&mut self, seen: &HostSeen) -> Result<bool, CatalogError> {
        use host::Column as C;
        let mut update = host::Entity::update_many()
            .col_expr(C::LastSeen, Expr::value(seen.last_seen.0))
            .col_expr(C::OnlineUntil, Expr::value(seen.online_until.0));
        if let Some(health) = &seen.health {
            update = update.col_expr(C::Health, Expr::value(health_text(health)));
        }
        if let Some(facts) = &seen.came {
            update = update
                .col_expr(C::Platform, Expr::value(clean(&facts.platform, 40)))
                .col_expr(C::System, Expr::value(clean(&facts.system, 200)))
                .col_expr(C::Kernel, Expr::value(clean(&facts.kernel, 200)))
                .col_expr(C::Architecture, Expr::value(clean(&facts.architecture, 40)))
                .col_expr(C::Program, Expr::value(clean(&facts.program, 40)))
                .col_expr(C::Address, Expr::value(facts.address.as_deref().map(|a| clean(a, 60))));
        }
        let mine = update.filter(C::Id.eq(seen.id)).filter(C::TenantId.eq(self.tenant().0));
        let done = mine.filter(C::Revoked.is_null()).exec(self.look()).await?;
        if done.rows_affected == 0 {
            return Ok(false);
        }
        if seen.came.is_some() || seen.went {
            let row = host::Entity::find_by_id(seen.id).one(self.look()).await?;
            let host = Host::try_from(row.ok_or(CatalogError::NotFound("host"))?)?;
            let _written_above = self.host_followed(&host);
        }
        Ok(true)
    }
}

fn health_text(health: &HostHealth) -> String {
    let mut health = health.clone();
    health.lost.truncate(64);
    for texts in [&mut health.complaints, &mut health.policy_complaints, &mut health.policy_overrides] {
        texts.truncate(32);
        texts.iter_mut().for_each(|text| *text = clean(text, 300));
    }
    let text = json!(health).to_string();
    if text.len() <= HEALTH_BYTES_MAX {
        return text;
    }
    let complaints = vec!["it complains of too much to list".into()];
    let (policy_complaints, policy_overrides) = (Vec::new(), Vec::new());
    json!(HostHealth { lost: Vec::new(), complaints, policy_complaints, policy_overrides, ..health }).to_string()
}
