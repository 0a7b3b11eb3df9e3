//! The audit trail: one chain of hashes a tenant, so that an entry that was changed, removed or put in later is found.
//! Entries are never changed or deleted here, by nobody.

use guardian_model::{Micros, TenantId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entity::{audit, tenant};
use crate::text::clean;
use crate::{Actor, CatalogError, Scoped, Subject};

/// Entries read at once while a chain is verified.
const VERIFY_CHUNK: u64 = 1_000;

/// Most entries listed at once.
pub const AUDIT_PAGE_MAX: u64 = 500;

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Whose trail.
    pub tenant: TenantId,
    /// Its number in the trail, from 1 without gaps.
    pub seq: i64,
    /// When.
    pub time: Micros,
    /// Who.
    pub actor: Actor,
    /// What was done, dotted: `alert.close`, `session.failed`.
    pub action: String,
    /// To what sort of thing.
    pub subject: Subject,
    /// To which one.
    pub subject_id: String,
    /// The thing before, or null.
    pub before: Value,
    /// The thing after, or details; or null.
    pub after: Value,
    /// Hexadecimal hash of this entry and all before it.
    pub hash: String,
}

/// What to list of the trail; empty fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditFilter {
    /// Actions that begin with this.
    pub action: Option<String>,
    /// This sort of thing.
    pub subject: Option<Subject>,
    /// This thing.
    pub subject_id: Option<String>,
    /// What this actor id did.
    pub actor_id: Option<String>,
    /// From this time on.
    pub from: Option<Micros>,
    /// Before this time.
    pub to: Option<Micros>,
}

/// What verifying a chain showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Verification {
    /// Every entry is as it was written.
    Intact {
        /// How many entries there are.
        entries: i64,
        /// Hexadecimal hash of the last one; write it down elsewhere to prove the trail later.
        head: String,
    },
    /// Somebody changed the trail.
    Broken {
        /// The first entry that is not as it was written.
        seq: i64,
        /// What is wrong with it.
        problem: String,
    },
}

/// An entry before it has its place in the chain.
pub(crate) struct Draft {
    pub(crate) action: &'static str,
    pub(crate) subject: Subject,
    pub(crate) id: String,
    pub(crate) before: Value,
    pub(crate) after: Value,
}

/// What the first entry of a tenant's chain is linked to.
pub(crate) fn genesis(tenant: TenantId) -> [u8; 32] {
    blake3::derive_key("guardian audit chain v1 genesis", tenant.0.as_bytes())
}

/// Gives drafts their numbers and hashes and moves the head past them.
pub(crate) fn link(
    head: &mut tenant::Model,
    tenant: TenantId,
    actor: &Actor,
    now: Micros,
    drafts: Vec<Draft>,
) -> Vec<audit::Model> {
    let json = |value: Value| if value.is_null() { None } else { Some(value.to_string()) };
    drafts
        .into_iter()
        .map(|draft| {
            head.audit_seq += 1;
            let mut row = audit::Model {
                tenant_id: tenant.0,
                seq: head.audit_seq,
                prev_hash: head.audit_head.clone(),
                hash: Vec::new(),
                time: now.0,
                actor_kind: actor.kind.as_str().to_owned(),
                actor_id: actor.id.clone(),
                actor_name: actor.name.clone(),
                ip: actor.ip.map(|ip| ip.to_string()),
                request_id: actor.request_id.as_deref().map(|id| clean(id, 100)),
                action: draft.action.to_owned(),
                subject: draft.subject.as_str().to_owned(),
                subject_id: draft.id,
                before: json(draft.before),
                after: json(draft.after),
                scheme: 1,
            };
            row.hash = hash(&row).to_vec();
            head.audit_head.clone_from(&row.hash);
            row
        })
        .collect()
}

/// BLAKE3 over the previous hash and every field, each with its length before it, absent apart from empty.
fn hash(row: &audit::Model) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("guardian audit chain v1 entry");
    hasher.update(&row.prev_hash);
    hasher.update(row.tenant_id.as_bytes());
    hasher.update(&row.seq.to_le_bytes());
    hasher.update(&row.time.to_le_bytes());
    let fields = [
        Some(&row.actor_kind),
        row.actor_id.as_ref(),
        Some(&row.actor_name),
        row.ip.as_ref(),
        row.request_id.as_ref(),
        Some(&row.action),
        Some(&row.subject),
        Some(&row.subject_id),
        row.before.as_ref(),
        row.after.as_ref(),
    ];
    for field in fields {
        hasher.update(&field.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        hasher.update(field.map_or(&[], |text| text.as_bytes()));
    }
    *hasher.finalize().as_bytes()
}

impl Scoped<'_> {
    /// The trail of `tenant`, newest first: the entries numbered below `before`, or the newest ones.
    pub async fn audit(
        &self,
        tenant: TenantId,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<AuditEntry>, CatalogError> {
        use audit::Column as C;
        self.require(tenant)?;
        let mut query = self.select::<audit::Entity>().filter(C::TenantId.eq(tenant.0)).order_by_desc(C::Seq);
        if let Some(before) = before {
            query = query.filter(C::Seq.lt(before));
        }
        if let Some(action) = &filter.action {
            query = query.filter(C::Action.starts_with(clean(action, 100)));
        }
        if let Some(subject) = filter.subject {
            query = query.filter(C::Subject.eq(subject.as_str()));
        }
        if let Some(id) = &filter.subject_id {
            query = query.filter(C::SubjectId.eq(clean(id, 200)));
        }
        if let Some(id) = &filter.actor_id {
            query = query.filter(C::ActorId.eq(clean(id, 200)));
        }
        if let Some(from) = filter.from {
            query = query.filter(C::Time.gte(from.0));
        }
        if let Some(to) = filter.to {
            query = query.filter(C::Time.lt(to.0));
        }
        let rows = query.limit(limit.clamp(1, AUDIT_PAGE_MAX)).all(self.conn()).await?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }

    /// Reads the whole trail of `tenant` and names the first entry that is not as it was written.
    pub async fn verify_audit(&self, tenant: TenantId) -> Result<Verification, CatalogError> {
        self.require(tenant)?;
        // The head comes first: entries written meanwhile are then beyond it, never missing.
        let head =
            tenant::Entity::find_by_id(tenant.0).one(self.conn()).await?.ok_or(CatalogError::NotFound("tenant"))?;
        let mut previous = genesis(tenant).to_vec();
        let mut seq = 0;
        while seq < head.audit_seq {
            let rows = self
                .select::<audit::Entity>()
                .filter(audit::Column::TenantId.eq(tenant.0))
                .filter(audit::Column::Seq.gt(seq))
                .order_by_asc(audit::Column::Seq)
                .limit(VERIFY_CHUNK)
                .all(self.conn())
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in rows.into_iter().take_while(|row| row.seq <= head.audit_seq) {
                seq += 1;
                if let Some(problem) = problem(&row, seq, &previous) {
                    return Ok(Verification::Broken { seq, problem: problem.to_owned() });
                }
                previous = row.hash;
            }
        }
        if seq < head.audit_seq {
            return Ok(Verification::Broken { seq: seq + 1, problem: "it and what followed are missing".into() });
        }
        if previous != head.audit_head {
            return Ok(Verification::Broken { seq, problem: "it is not the last entry that was written".into() });
        }
        Ok(Verification::Intact { entries: seq, head: hex(&previous) })
    }
}

fn problem(row: &audit::Model, expected: i64, previous: &[u8]) -> Option<&'static str> {
    if row.seq != expected {
        Some("it is missing")
    } else if row.prev_hash != previous {
        Some("it does not follow from the entry before it")
    } else if row.hash != hash(row) {
        Some("its content was changed")
    } else {
        None
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        let _infallible = write!(text, "{b:02x}");
        text
    })
}

impl TryFrom<audit::Model> for AuditEntry {
    type Error = CatalogError;

    fn try_from(row: audit::Model) -> Result<Self, CatalogError> {
        let json = |text: Option<String>| match text {
            Some(text) => serde_json::from_str(&text).map_err(CatalogError::json("audit")),
            None => Ok(Value::Null),
        };
        Ok(Self {
            tenant: TenantId(row.tenant_id),
            seq: row.seq,
            time: Micros(row.time),
            actor: Actor {
                kind: row.actor_kind.parse().map_err(CatalogError::Corrupt)?,
                id: row.actor_id,
                name: row.actor_name,
                ip: row.ip.and_then(|ip| ip.parse().ok()),
                request_id: row.request_id,
            },
            action: row.action,
            subject: row.subject.parse().map_err(CatalogError::Corrupt)?,
            subject_id: row.subject_id,
            before: json(row.before)?,
            after: json(row.after)?,
            hash: hex(&row.hash),
        })
    }
}
