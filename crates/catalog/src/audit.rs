//! The audit trail: one chain of SHA-256 hashes a tenant, so that an entry that was changed, removed or put in later is
//! found. Signed checkpoints say what its head was, so that a trail that was written anew as a whole is found too; making
//! and checking signatures is the business of `identity`. Entries are never changed or deleted here, by nobody.

use data_encoding::HEXLOWER;
use guardian_model::{Micros, TenantId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::entity::{audit, audit_checkpoint, tenant};
use crate::text::{any_contains, clean};
use crate::{Actor, ActorKind, CatalogError, Scoped, Subject, Tx};

/// How entries were hashed by the first Guardian (BLAKE3).
const SCHEME_BLAKE3: i32 = 1;

/// How entries are hashed now.
const SCHEME_SHA256: i32 = 2;

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
    /// What this sort of actor did.
    pub actor_kind: Option<ActorKind>,
    /// Whose action, subject id or actor name contains this text.
    pub search: Option<String>,
    /// From this time on.
    pub from: Option<Micros>,
    /// Before this time.
    pub to: Option<Micros>,
}

/// A statement of what the head of a trail was at some time, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Whose trail.
    pub tenant: TenantId,
    /// The number of the last entry.
    pub seq: i64,
    /// Hexadecimal hash of that entry.
    pub hash: String,
    /// When it was made.
    pub time: Micros,
    /// Which key signed it.
    pub key_id: String,
    /// The Ed25519 signature, hexadecimal.
    pub signature: String,
}

/// What verifying a chain showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Verification {
    /// Every entry is as it was written.
    Intact {
        /// How many entries there are.
        entries: i64,
        /// How many checkpoints agree with it.
        checkpoints: u64,
        /// Hexadecimal hash of the last one; write it down elsewhere to prove the trail later.
        head: String,
        /// The newest checkpoint among them.
        last_checkpoint: Option<Checkpoint>,
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
    let mut hasher = Sha256::new();
    hasher.update(b"guardian audit genesis v2\0");
    hasher.update(tenant.0.as_bytes());
    hasher.finalize().into()
}

/// What the first entry of a chain that the first Guardian began is linked to.
fn genesis_blake3(tenant: TenantId) -> [u8; 32] {
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
    if head.audit_seq == 0 {
        head.audit_head = genesis(tenant).to_vec();
    }
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
                scheme: SCHEME_SHA256,
            };
            row.hash = hash(&row).to_vec();
            head.audit_head.clone_from(&row.hash);
            row
        })
        .collect()
}

/// The hash over the previous hash and every field, each with its length before it, absent apart from empty.
/// `docs/audit.md` says it byte by byte, so that others can verify a trail.
fn hash(row: &audit::Model) -> [u8; 32] {
    if row.scheme == SCHEME_BLAKE3 {
        let mut hasher = blake3::Hasher::new_derive_key("guardian audit chain v1 entry");
        fields(row, |bytes| {
            hasher.update(bytes);
        });
        return *hasher.finalize().as_bytes();
    }
    let mut hasher = Sha256::new();
    hasher.update(b"guardian audit entry v2\0");
    fields(row, |bytes| hasher.update(bytes));
    hasher.finalize().into()
}

fn fields(row: &audit::Model, mut take: impl FnMut(&[u8])) {
    take(&row.prev_hash);
    take(row.tenant_id.as_bytes());
    take(&row.seq.to_le_bytes());
    take(&row.time.to_le_bytes());
    let texts = [
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
    for text in texts {
        take(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        take(text.map_or(&[], |text| text.as_bytes()));
    }
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
        let query = query.filter(condition(filter));
        let rows = query.limit(limit.clamp(1, AUDIT_PAGE_MAX)).all(self.conn()).await?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }

    /// How many entries of the trail of `tenant` match.
    pub async fn audit_count(&self, tenant: TenantId, filter: &AuditFilter) -> Result<u64, CatalogError> {
        self.require(tenant)?;
        let query = self.select::<audit::Entity>().filter(audit::Column::TenantId.eq(tenant.0));
        Ok(query.filter(condition(filter)).count(self.conn()).await?)
    }

    /// The number and hexadecimal hash of the last entry of `tenant`'s trail.
    pub async fn audit_head(&self, tenant: TenantId) -> Result<(i64, String), CatalogError> {
        self.require(tenant)?;
        let head = tenant::Entity::find_by_id(tenant.0).one(self.conn()).await?;
        let head = head.ok_or(CatalogError::NotFound("tenant"))?;
        Ok((head.audit_seq, HEXLOWER.encode(&head.audit_head)))
    }

    /// The checkpoints of `tenant`'s trail, newest first, at most `limit`.
    pub async fn checkpoints(&self, tenant: TenantId, limit: u64) -> Result<Vec<Checkpoint>, CatalogError> {
        self.require(tenant)?;
        let query = self
            .select::<audit_checkpoint::Entity>()
            .filter(audit_checkpoint::Column::TenantId.eq(tenant.0))
            .order_by_desc(audit_checkpoint::Column::Seq)
            .limit(limit);
        Ok(query.all(self.conn()).await?.into_iter().map(Checkpoint::from).collect())
    }

    /// The checkpoints of `tenant`'s trail beyond entry `after`, oldest first, at most `limit`.
    pub async fn checkpoints_after(
        &self,
        tenant: TenantId,
        after: i64,
        limit: u64,
    ) -> Result<Vec<Checkpoint>, CatalogError> {
        self.require(tenant)?;
        let query = self
            .select::<audit_checkpoint::Entity>()
            .filter(audit_checkpoint::Column::TenantId.eq(tenant.0))
            .filter(audit_checkpoint::Column::Seq.gt(after))
            .order_by_asc(audit_checkpoint::Column::Seq)
            .limit(limit);
        Ok(query.all(self.conn()).await?.into_iter().map(Checkpoint::from).collect())
    }

    /// Reads the whole trail of `tenant`, compares it with `anchors` (what its head was said to be, by number, whose
    /// signatures the caller has checked) and names the first entry that is not as it was written.
    pub async fn verify_audit(&self, tenant: TenantId, anchors: &[Checkpoint]) -> Result<Verification, CatalogError> {
        self.require(tenant)?;
        // The head comes first: entries written meanwhile are then beyond it, never missing.
        let head =
            tenant::Entity::find_by_id(tenant.0).one(self.conn()).await?.ok_or(CatalogError::NotFound("tenant"))?;
        let mut walk = Walk::new(tenant, anchors);
        while walk.seq < head.audit_seq {
            let rows = self
                .select::<audit::Entity>()
                .filter(audit::Column::TenantId.eq(tenant.0))
                .filter(audit::Column::Seq.gt(walk.seq))
                .order_by_asc(audit::Column::Seq)
                .limit(VERIFY_CHUNK)
                .all(self.conn())
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in rows.into_iter().take_while(|row| row.seq <= head.audit_seq) {
                if let Err(problem) = walk.step(row) {
                    return Ok(Verification::Broken { seq: walk.seq, problem: problem.to_owned() });
                }
            }
        }
        let promised = anchors.iter().map(|anchor| anchor.seq).max().unwrap_or(0);
        Ok(if walk.seq < head.audit_seq.max(promised) {
            Verification::Broken { seq: walk.seq + 1, problem: "it and what followed are missing".into() }
        } else if walk.previous != head.audit_head && head.audit_seq > 0 {
            Verification::Broken { seq: walk.seq, problem: "it is not the last entry that was written".into() }
        } else {
            Verification::Intact {
                entries: walk.seq,
                checkpoints: anchors.len() as u64,
                head: HEXLOWER.encode(&head.audit_head),
                last_checkpoint: anchors.iter().max_by_key(|anchor| (anchor.seq, anchor.time)).cloned(),
            }
        })
    }
}

/// A trail on the way from its first entry to its last.
struct Walk<'a> {
    seq: i64,
    previous: Vec<u8>,
    scheme: i32,
    tenant: TenantId,
    anchors: &'a [Checkpoint],
}

impl<'a> Walk<'a> {
    fn new(tenant: TenantId, anchors: &'a [Checkpoint]) -> Self {
        Self { seq: 0, previous: Vec::new(), scheme: 0, tenant, anchors }
    }

    fn step(&mut self, row: audit::Model) -> Result<(), &'static str> {
        self.seq += 1;
        if self.seq == 1 {
            let first = if row.scheme == SCHEME_BLAKE3 { genesis_blake3(self.tenant) } else { genesis(self.tenant) };
            self.previous = first.to_vec();
        }
        // Nobody goes back to an older scheme; whoever pretends so rewrites the trail.
        let known = (self.scheme.max(SCHEME_BLAKE3)..=SCHEME_SHA256).contains(&row.scheme);
        if row.seq != self.seq {
            return Err("it is missing");
        }
        if row.prev_hash != self.previous {
            return Err("it does not follow from the entry before it");
        }
        if !known || row.hash != hash(&row) {
            return Err("its content was changed");
        }
        let text = HEXLOWER.encode(&row.hash);
        if self.anchors.iter().any(|anchor| anchor.seq == self.seq && anchor.hash != text) {
            return Err(
                "a signed checkpoint says that it was another entry: it or one since the checkpoint before was \
                        written anew",
            );
        }
        self.scheme = row.scheme;
        self.previous = row.hash;
        Ok(())
    }
}

impl Tx {
    /// Keeps a checkpoint of this transaction's tenant. It is about the past, so that it is not an entry itself.
    pub async fn put_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), CatalogError> {
        if checkpoint.tenant != self.tenant() {
            return Err(CatalogError::NotFound("tenant"));
        }
        let (hash, signature) =
            (HEXLOWER.decode(checkpoint.hash.as_bytes()), HEXLOWER.decode(checkpoint.signature.as_bytes()));
        let (Ok(hash), Ok(signature)) = (hash, signature) else {
            return Err(CatalogError::Invalid("a checkpoint's hash and signature are hexadecimal".into()));
        };
        let key = (checkpoint.tenant.0, checkpoint.seq);
        if audit_checkpoint::Entity::find_by_id(key).one(self.look()).await?.is_some() {
            return Ok(());
        }
        let row = audit_checkpoint::ActiveModel {
            tenant_id: Set(key.0),
            seq: Set(key.1),
            hash: Set(hash),
            time: Set(checkpoint.time.0),
            key_id: Set(clean(&checkpoint.key_id, 100)),
            signature: Set(signature),
        };
        let detail = serde_json::json!({ "seq": checkpoint.seq, "hash": checkpoint.hash, "key_id": checkpoint.key_id });
        let conn = self.record_quietly("audit.checkpoint", Subject::Audit, checkpoint.seq.to_string(), detail);
        audit_checkpoint::Entity::insert(row).exec_without_returning(conn).await?;
        Ok(())
    }
}

impl From<audit_checkpoint::Model> for Checkpoint {
    fn from(row: audit_checkpoint::Model) -> Self {
        Self {
            tenant: TenantId(row.tenant_id),
            seq: row.seq,
            hash: HEXLOWER.encode(&row.hash),
            time: Micros(row.time),
            key_id: row.key_id,
            signature: HEXLOWER.encode(&row.signature),
        }
    }
}

fn condition(filter: &AuditFilter) -> Condition {
    use audit::Column as C;
    let mut all = Condition::all();
    if let Some(action) = &filter.action {
        all = all.add(C::Action.starts_with(clean(action, 100)));
    }
    if let Some(subject) = filter.subject {
        all = all.add(C::Subject.eq(subject.as_str()));
    }
    if let Some(id) = &filter.subject_id {
        all = all.add(C::SubjectId.eq(clean(id, 200)));
    }
    if let Some(id) = &filter.actor_id {
        all = all.add(C::ActorId.eq(clean(id, 200)));
    }
    if let Some(kind) = filter.actor_kind {
        all = all.add(C::ActorKind.eq(kind.as_str()));
    }
    if let Some(from) = filter.from {
        all = all.add(C::Time.gte(from.0));
    }
    if let Some(to) = filter.to {
        all = all.add(C::Time.lt(to.0));
    }
    if let Some(search) = filter.search.as_deref().map(str::trim).filter(|s| !s.is_empty()) {
        all = all.add(any_contains([C::Action, C::SubjectId, C::ActorName], search));
    }
    all
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
            hash: HEXLOWER.encode(&row.hash),
        })
    }
}
