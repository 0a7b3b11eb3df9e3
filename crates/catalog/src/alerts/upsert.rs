//! Storing what detection says. Everything is absolute, so that storing a state twice, late or out of order ends in the
//! same row; what people decided about an alert is never touched.

use std::collections::{HashMap, HashSet};

use guardian_model::{AlertId, AlertKey, AlertState, Scope, TenantId};
use sea_orm::{ColumnTrait, EntityTrait, InsertMany, QueryFilter, sea_query::OnConflict};
use uuid::Uuid;

use super::{Alert, AlertStatus, split};
use crate::entity::{alert, alert_evidence};
use crate::text::clean;
use crate::tx::{Audit, CHUNK, Change};
use crate::{Action, Actor, CatalogError, Subject, System, Tx, text_enum};

/// Most evidence rows kept for an alert; further ones are cut off.
pub const EVIDENCE_MAX: usize = 100;

/// Longest text of an alert's columns, in characters.
const TEXT_MAX: usize = 4_000;

text_enum! {
    /// What storing a state did.
    UpsertOutcome {
        /// The alert is new.
        Created = "created",
        /// It grew.
        Updated = "updated",
        /// It was known already.
        Unchanged = "unchanged",
    }
}

/// What storing one state did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upserted {
    /// Which alert.
    pub key: AlertKey,
    /// Its id.
    pub id: AlertId,
    /// What happened.
    pub outcome: UpsertOutcome,
    /// Number of its last change in the tenant's change log.
    pub seq: i64,
}

impl System<'_> {
    /// Stores what detection found, one transaction a tenant, and answers in the order of `states`.
    ///
    /// Each change gets its change-log entry. There is no audit entry, because nobody decided anything: the rule and
    /// its hash, which the alert names, say why it exists.
    pub async fn upsert_alerts(&self, states: &[AlertState]) -> Result<Vec<Upserted>, CatalogError> {
        let mut tenants: Vec<TenantId> = states.iter().map(|s| s.tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        let mut done = HashMap::with_capacity(states.len());
        for tenant in tenants {
            let of_tenant: Vec<&AlertState> = states.iter().filter(|s| s.tenant == tenant).collect();
            let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("detection")).await?;
            for chunk in of_tenant.chunks(CHUNK) {
                for upserted in tx.upsert_alerts(chunk).await? {
                    done.insert(upserted.key, upserted);
                }
            }
            tx.commit().await?;
        }
        Ok(states.iter().filter_map(|state| done.get(&state.key).copied()).collect())
    }
}

/// One alert while a batch is merged into it.
struct Merged {
    row: alert::Model,
    /// The evidence to write, if it is different.
    evidence: Option<String>,
    outcome: UpsertOutcome,
}

impl Tx {
    /// Merges at most [`CHUNK`] states of this transaction's tenant.
    async fn upsert_alerts(&mut self, states: &[&AlertState]) -> Result<Vec<Upserted>, CatalogError> {
        let keys: HashSet<&[u8]> = states.iter().map(|s| s.key.0.as_slice()).collect();
        let known = alert::Entity::find()
            .filter(alert::Column::TenantId.eq(self.tenant().0))
            .filter(alert::Column::Key.is_in(keys.into_iter().map(<[u8]>::to_vec)))
            .all(self.look())
            .await?;
        let mut merged: HashMap<Vec<u8>, Merged> = known
            .into_iter()
            .map(|row| (row.key.clone(), Merged { row, evidence: None, outcome: UpsertOutcome::Unchanged }))
            .collect();
        let mut order = Vec::with_capacity(states.len());
        for state in states {
            let entry = merged.entry(state.key.0.to_vec()).or_insert_with(|| Merged {
                row: blank(state, self.new_id(), self.now().0),
                evidence: None,
                outcome: UpsertOutcome::Created,
            });
            merge(entry, state)?;
            order.push(state.key.0.to_vec());
        }
        let new = merged.values_mut().filter(|m| m.outcome == UpsertOutcome::Created).map(|m| &mut m.row).collect();
        self.suppress_new(new).await?;
        self.store(&mut merged, &order).await?;
        Ok(order
            .iter()
            .filter_map(|key| merged.get(key))
            .map(|m| Upserted {
                key: AlertKey(m.row.key.as_slice().try_into().unwrap_or_default()),
                id: AlertId(m.row.id),
                outcome: m.outcome,
                seq: m.row.seq,
            })
            .collect())
    }

    /// Records and writes what changed, in the order it came.
    async fn store(&mut self, merged: &mut HashMap<Vec<u8>, Merged>, order: &[Vec<u8>]) -> Result<(), CatalogError> {
        let mut rows = Vec::new();
        let mut evidence = Vec::new();
        let mut seen: HashSet<&[u8]> = HashSet::new();
        for key in order {
            let Some(entry) = merged.get_mut(key).filter(|e| e.outcome != UpsertOutcome::Unchanged) else { continue };
            if !seen.insert(key) {
                continue;
            }
            entry.row.updated = self.now().0;
            entry.row.seq = self.seq() + 1;
            let action = if entry.outcome == UpsertOutcome::Created { Action::Created } else { Action::Updated };
            self.record(Change {
                subject: Subject::Alert,
                id: entry.row.id.to_string(),
                action,
                payload: serde_json::json!(Alert::try_from(entry.row.clone())?),
                // The alert names the rule and hash that decided.
                audit: Audit::NotNeeded,
            });
            rows.push(entry.row.clone());
            if let Some(text) = entry.evidence.take() {
                evidence.push(alert_evidence::Model { alert_id: entry.row.id, rows: text });
            }
        }
        if !rows.is_empty() {
            InsertMany::<alert::ActiveModel>::many(rows)
                .on_conflict(grow())
                .exec_without_returning(self.look())
                .await?;
        }
        if !evidence.is_empty() {
            let mut replace = OnConflict::column(alert_evidence::Column::AlertId);
            replace.update_column(alert_evidence::Column::Rows);
            InsertMany::<alert_evidence::ActiveModel>::many(evidence)
                .on_conflict(replace)
                .exec_without_returning(self.look())
                .await?;
        }
        Ok(())
    }
}

/// The columns that detection owns. The tenant's lock is held, so the merged values are the latest.
fn grow() -> OnConflict {
    use alert::Column as C;
    let mut conflict = OnConflict::column(C::Id);
    conflict.update_columns([
        C::FirstSeen,
        C::LastSeen,
        C::Count,
        C::Summary,
        C::Measures,
        C::EvidenceHash,
        C::Replay,
        C::Retro,
        C::Updated,
        C::Seq,
    ]);
    conflict
}

/// A new row, as if its alert had been known but never seen: merging the state fills the rest in.
fn blank(state: &AlertState, id: Uuid, now: i64) -> alert::Model {
    let text = |s: &str| clean(s, TEXT_MAX);
    let steps: Vec<String> = state.rule.next_steps.iter().map(|s| text(s)).collect();
    alert::Model {
        id,
        tenant_id: state.tenant.0,
        key: state.key.0.to_vec(),
        rule_id: text(&state.rule.id),
        rule_hash: text(&state.rule.hash),
        rule_title: text(&state.rule.title),
        attack: text(&state.rule.attack.join(",")),
        severity: i32::from(state.rule.severity.id()),
        next_steps: serde_json::json!(steps).to_string(),
        site: text(&state.entity.site),
        entity_kind: state.entity.kind.as_str().to_owned(),
        entity: text(&state.entity.value),
        group_key: text(&state.group_key),
        window_start: state.window_start.0,
        first_seen: state.first_seen.0,
        last_seen: state.last_seen.0,
        count: 0,
        summary: String::new(),
        measures: "[]".into(),
        evidence_hash: Vec::new(),
        replay: state.replay.as_deref().map(text),
        retro: state.retro,
        status: AlertStatus::New.as_str().to_owned(),
        verdict: None,
        reason: None,
        assignee: None,
        note: None,
        snoozed_until: None,
        suppressed_by: None,
        incident_id: None,
        decided: None,
        created: now,
        updated: now,
        seq: 0,
        taken: None,
        split_from: None,
    }
}

/// Lets a row grow to what `state` says. A state that is behind (a lower count) widens the times at most.
fn merge(entry: &mut Merged, state: &AlertState) -> Result<(), CatalogError> {
    let row = &mut entry.row;
    let before = row.clone();
    // What people took out stays out, however often detection tells of it.
    let taken = split::taken(row)?;
    let count = i64::try_from(state.count).unwrap_or(i64::MAX).saturating_sub(taken.len() as i64).max(1);
    row.first_seen = row.first_seen.min(state.first_seen.0);
    row.last_seen = row.last_seen.max(state.last_seen.0);
    // What also happened live is not removed with a replay, and what was also found live is not a look back.
    if state.replay.is_none() {
        row.replay = None;
    }
    row.retro &= state.retro;
    if count >= row.count {
        row.count = count;
        row.summary = clean(&state.summary, TEXT_MAX);
        row.measures = serde_json::to_string(&state.measures).map_err(CatalogError::json("measures"))?;
        if !state.evidence.is_empty() {
            let left = state.evidence.iter().filter(|(event, _)| !taken.contains(event));
            let kept: Vec<_> = left.take(EVIDENCE_MAX).collect();
            let text = serde_json::to_string(&kept).map_err(CatalogError::json("evidence"))?;
            let hash = blake3::hash(text.as_bytes()).as_bytes()[..16].to_vec();
            if hash != row.evidence_hash {
                row.evidence_hash = hash;
                entry.evidence = Some(text);
            }
        }
    }
    if entry.outcome == UpsertOutcome::Unchanged && *row != before {
        entry.outcome = UpsertOutcome::Updated;
    }
    Ok(())
}
