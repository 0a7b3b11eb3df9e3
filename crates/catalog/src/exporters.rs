//! Exporters: the devices that send flows, when they were last heard and how well. Their counters are telemetry about
//! telemetry, written every few seconds; only an exporter that is new or changes its state enters the change log.

use std::collections::HashMap;
use std::fmt;

use guardian_model::{Ip, Micros, Scope, TenantId};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, InsertMany, PaginatorTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::entity::exporter;
use crate::text::clean;
use crate::tx::{Audit, CHUNK, Change};
use crate::{Action, Actor, CatalogError, Scoped, Subject, System, Tx};

/// How an exporter is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ExporterState {
    /// Its flows are understood.
    Receiving,
    /// It sends data whose template has not come yet.
    WaitingForTemplate {
        /// Records held until then.
        held: u64,
    },
    /// Nothing came for a while.
    Silent,
}

impl ExporterState {
    fn word(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::WaitingForTemplate { .. } => "waiting_for_template",
            Self::Silent => "silent",
        }
    }
}

impl fmt::Display for ExporterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receiving => f.write_str("receiving"),
            Self::WaitingForTemplate { held: 1 } => f.write_str("waiting for its template, 1 record held"),
            Self::WaitingForTemplate { held } => write!(f, "waiting for its template, {held} records held"),
            Self::Silent => f.write_str("silent"),
        }
    }
}

/// An exporter as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exporter {
    /// Whose.
    pub tenant: TenantId,
    /// Where it sends from.
    pub address: Ip,
    /// Its observation domain, source id or sub-agent.
    pub domain: u32,
    /// What it speaks: `netflow_v9`, `ipfix`, `sflow_v5`.
    pub protocol: String,
    /// When it was first heard.
    pub first_seen: Micros,
    /// When it was last heard.
    pub last_seen: Micros,
    /// How it is heard.
    #[serde(flatten)]
    pub state: ExporterState,
    /// Its counters by name: packets, flows, losses by reason.
    pub counters: Value,
}

/// What reception saw of an exporter; absolute, so that storing it twice changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ExporterSeen {
    /// Where it sends from.
    pub address: Ip,
    /// Its observation domain.
    pub domain: u32,
    /// What it speaks.
    pub protocol: String,
    /// When it was last heard.
    pub last_seen: Micros,
    /// How it is heard.
    pub state: ExporterState,
    /// Its counters.
    pub counters: Value,
}

type Key = (String, i64, String);

impl TryFrom<exporter::Model> for Exporter {
    type Error = CatalogError;

    fn try_from(row: exporter::Model) -> Result<Self, CatalogError> {
        let corrupt = |what: &str| CatalogError::Corrupt(format!("exporters.{what}"));
        Ok(Self {
            tenant: TenantId(row.tenant_id),
            address: row.address.parse().map_err(|_| corrupt("address"))?,
            domain: row.domain as u32,
            protocol: row.protocol,
            first_seen: Micros(row.first_seen),
            last_seen: Micros(row.last_seen),
            state: match row.state.as_str() {
                "receiving" => ExporterState::Receiving,
                "waiting_for_template" => ExporterState::WaitingForTemplate { held: row.held.max(0) as u64 },
                "silent" => ExporterState::Silent,
                _ => return Err(corrupt("state")),
            },
            counters: serde_json::from_str(&row.counters).map_err(CatalogError::json("exporters.counters"))?,
        })
    }
}

impl Scoped<'_> {
    /// The exporters of the scope, by address.
    pub async fn exporters(&self) -> Result<Vec<Exporter>, CatalogError> {
        let query = self
            .select::<exporter::Entity>()
            .order_by_asc(exporter::Column::Address)
            .order_by_asc(exporter::Column::Domain)
            .order_by_asc(exporter::Column::Protocol);
        query.all(self.conn()).await?.into_iter().map(Exporter::try_from).collect()
    }
}

impl System<'_> {
    /// Stores what reception saw of a tenant's exporters. Returns how many new ones did not fit the limit of the
    /// configuration and were left out.
    pub async fn observe_exporters(&self, tenant: TenantId, seen: &[ExporterSeen]) -> Result<u64, CatalogError> {
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("reception")).await?;
        let mut left_out = 0;
        for chunk in seen.chunks(CHUNK) {
            left_out += tx.observe_exporters(chunk).await?;
        }
        tx.commit_unlogged().await?;
        Ok(left_out)
    }
}

impl Tx {
    async fn observe_exporters(&mut self, seen: &[ExporterSeen]) -> Result<u64, CatalogError> {
        let of_tenant = || exporter::Entity::find().filter(exporter::Column::TenantId.eq(self.tenant().0));
        let mut room = self.limits().exporters_max.saturating_sub(of_tenant().count(self.look()).await?);
        let addresses: Vec<String> = seen.iter().map(|s| s.address.to_string()).collect();
        let known = of_tenant().filter(exporter::Column::Address.is_in(addresses)).all(self.look()).await?;
        let known: HashMap<Key, exporter::Model> =
            known.into_iter().map(|row| ((row.address.clone(), row.domain, row.protocol.clone()), row)).collect();
        let mut rows: HashMap<Key, exporter::Model> = HashMap::new();
        let mut left_out = 0;
        for one in seen {
            let key = (one.address.to_string(), i64::from(one.domain), clean(&one.protocol, 40));
            let old = rows.get(&key).or_else(|| known.get(&key));
            if old.is_none() && room == 0 {
                left_out += 1;
                continue;
            }
            let row = self.grown(old, one, &key);
            let action = match old {
                None => Some(Action::Created),
                Some(old) if old.state != row.state => Some(Action::Updated),
                Some(_) => None,
            };
            if action == Some(Action::Created) {
                room -= 1;
            }
            if let Some(action) = action {
                self.record(Change {
                    subject: Subject::Exporter,
                    id: row.id.to_string(),
                    action,
                    payload: json!(Exporter::try_from(row.clone())?),
                    // Nobody decided it: reception saw it.
                    audit: Audit::NotNeeded,
                });
            }
            rows.insert(key, row);
        }
        self.write_exporters(rows.into_values().collect()).await?;
        Ok(left_out)
    }

    fn grown(&self, old: Option<&exporter::Model>, one: &ExporterSeen, key: &Key) -> exporter::Model {
        let held = if let ExporterState::WaitingForTemplate { held } = one.state { held } else { 0 };
        exporter::Model {
            id: old.map_or_else(|| self.new_id(), |row| row.id),
            tenant_id: self.tenant().0,
            address: key.0.clone(),
            domain: key.1,
            protocol: key.2.clone(),
            first_seen: old.map_or(one.last_seen.0, |row| row.first_seen.min(one.last_seen.0)),
            last_seen: old.map_or(one.last_seen.0, |row| row.last_seen.max(one.last_seen.0)),
            state: one.state.word().to_owned(),
            held: i64::try_from(held).unwrap_or(i64::MAX),
            counters: one.counters.to_string(),
        }
    }

    /// Writes counters and times; what followers should know of them is recorded by the caller.
    async fn write_exporters(&mut self, rows: Vec<exporter::Model>) -> Result<(), CatalogError> {
        use exporter::Column as C;
        if rows.is_empty() {
            return Ok(());
        }
        let mut replace = OnConflict::column(C::Id);
        replace.update_columns([C::FirstSeen, C::LastSeen, C::State, C::Held, C::Counters]);
        InsertMany::<exporter::ActiveModel>::many(rows)
            .on_conflict(replace)
            .exec_without_returning(self.look())
            .await?;
        Ok(())
    }
}
