//! Packs of evidence: what hosts collected, whether it is here, and the keys that it is sealed for. The bytes are the
//! business of the crate `fleet`.

use guardian_model::{Micros, TenantId};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait as _, QueryFilter,
    QueryOrder, QuerySelect, TryInsertResult,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::runs::CommandRun;
use crate::entity::{evidence_key, evidence_pack};
use crate::scoped::Scoped;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, Actor, CatalogError, Subject, System, Tx, text_enum};

text_enum! {
    /// Where a pack of evidence is.
    PackState {
        /// On the host, or on its way.
        Waiting = "waiting",
        /// Here, as the host said it is.
        Kept = "kept",
        /// Nowhere: the host had it no more, or what came was something else.
        Lost = "lost",
        /// Somebody removed it.
        Removed = "removed",
    }
}

/// What a host collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidencePack {
    /// The run of the command that collected it; for a carve an id of its own.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// The command; for a carve the live query that asked for it, nil where none did.
    pub command: Uuid,
    /// What osquery calls the carve; empty where a command collected it.
    pub carve: String,
    /// The host.
    pub host: Uuid,
    /// Its name at that time.
    pub host_name: String,
    /// Where it is.
    pub state: PackState,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3, hexadecimal.
    pub hash: String,
    /// What is in it.
    pub entries: u64,
    /// Its length before compression.
    pub raw_bytes: u64,
    /// What was left out.
    pub left_out: u64,
    /// Why it is lost or was removed.
    pub text: String,
    /// When the host told of it.
    pub told: Micros,
    /// When something last changed.
    pub updated: Micros,
}

impl EvidencePack {
    /// What a host says that it collected; none where it collected nothing.
    pub(super) fn told(run: &CommandRun, now: Micros) -> Option<Self> {
        let outcome = run.outcome.as_ref()?;
        let pack = outcome.get("pack").filter(|pack| !pack.is_null())?;
        let number = |key: &str| pack.get(key).and_then(Value::as_u64).unwrap_or_default();
        let hash = pack.get("hash").and_then(Value::as_str).unwrap_or_default();
        let fits = number("bytes") > 0 && hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self {
            id: run.id,
            tenant: run.tenant,
            command: run.command,
            carve: String::new(),
            host: run.host,
            host_name: run.host_name.clone(),
            state: PackState::Waiting,
            bytes: number("bytes").min(i64::MAX as u64),
            hash: hash.to_ascii_lowercase(),
            entries: number("entries").min(i64::MAX as u64),
            raw_bytes: number("raw_bytes").min(i64::MAX as u64),
            left_out: number("left_out").min(i64::MAX as u64),
            text: String::new(),
            told: now,
            updated: now,
        })
    }

    fn row(&self) -> evidence_pack::Model {
        evidence_pack::Model {
            id: self.id,
            tenant_id: self.tenant.0,
            command_id: self.command,
            host_id: self.host,
            host_name: self.host_name.clone(),
            state: self.state.as_str().to_owned(),
            bytes: self.bytes as i64,
            hash: self.hash.clone(),
            entries: self.entries as i64,
            raw_bytes: self.raw_bytes as i64,
            left_out: self.left_out as i64,
            text: self.text.clone(),
            told: self.told.0,
            updated: self.updated.0,
            carve: self.carve.clone(),
        }
    }
}

impl TryFrom<evidence_pack::Model> for EvidencePack {
    type Error = CatalogError;

    fn try_from(row: evidence_pack::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            command: row.command_id,
            carve: row.carve,
            host: row.host_id,
            host_name: row.host_name,
            state: row.state.parse().map_err(CatalogError::Corrupt)?,
            bytes: row.bytes.unsigned_abs(),
            hash: row.hash,
            entries: row.entries.unsigned_abs(),
            raw_bytes: row.raw_bytes.unsigned_abs(),
            left_out: row.left_out.unsigned_abs(),
            text: row.text,
            told: Micros(row.told),
            updated: Micros(row.updated),
        })
    }
}

/// The key that evidence of a tenant's hosts is sealed for.
#[derive(Clone)]
pub struct EvidenceKey {
    /// The public half, hexadecimal.
    pub public: String,
    /// The other half, sealed.
    pub secret: String,
}

impl System<'_> {
    /// The key of a tenant's evidence, if it has one.
    pub async fn evidence_key(&self, tenant: TenantId) -> Result<Option<EvidenceKey>, CatalogError> {
        let row = evidence_key::Entity::find_by_id(tenant.0).one(self.read()).await?;
        Ok(row.map(|row| EvidenceKey { public: row.public, secret: row.secret }))
    }

    /// Keeps the key of a tenant's evidence, unless it has one. Which one holds is what [`Self::evidence_key`] says.
    pub async fn add_evidence_key(&self, tenant: TenantId, key: &EvidenceKey) -> Result<(), CatalogError> {
        let row = evidence_key::Model {
            tenant_id: tenant.0,
            public: key.public.clone(),
            secret: key.secret.clone(),
            created: self.catalog().now().0,
        };
        let insert = evidence_key::Entity::insert(row.into_active_model()).on_conflict_do_nothing();
        insert.exec_without_returning(self.write()).await?;
        Ok(())
    }

    /// What a host has that is not here, the oldest first.
    pub async fn waiting_packs(&self, host: Uuid, limit: u64) -> Result<Vec<EvidencePack>, CatalogError> {
        let query = evidence_pack::Entity::find()
            .filter(evidence_pack::Column::HostId.eq(host))
            .filter(evidence_pack::Column::State.eq(PackState::Waiting.as_str()))
            .filter(evidence_pack::Column::Carve.eq(""))
            .order_by_asc(evidence_pack::Column::Told)
            .limit(limit);
        query.all(self.read()).await?.into_iter().map(EvidencePack::try_from).collect()
    }

    /// Keeps where a pack is from now on; `text` says why, where it is lost.
    pub async fn settle_pack(&self, pack: &EvidencePack, state: PackState, text: &str) -> Result<(), CatalogError> {
        let mut tx = self.begin(pack.tenant, Actor::system("fleet")).await?;
        let after = EvidencePack { state, text: clean(text, 2_000), updated: tx.now(), ..pack.clone() };
        let done = evidence_pack::Entity::update_many()
            .set(after.row().into_active_model().reset_all())
            .filter(evidence_pack::Column::Id.eq(pack.id))
            .filter(evidence_pack::Column::State.eq(PackState::Waiting.as_str()))
            .exec(tx.look())
            .await?;
        if done.rows_affected == 1 {
            tx.pack_changed(&after);
        }
        tx.commit().await.map(drop)
    }

    /// Keeps that a node of osquery begins to bring a carve.
    pub async fn begin_carve(&self, pack: &EvidencePack) -> Result<(), CatalogError> {
        let mut tx = self.begin(pack.tenant, Actor::system("fleet")).await?;
        tx.add_pack(pack).await?;
        tx.commit().await.map(drop)
    }

    /// Carves that were begun and did not come to their end.
    pub async fn open_carves(&self, limit: u64) -> Result<Vec<EvidencePack>, CatalogError> {
        let query = evidence_pack::Entity::find()
            .filter(evidence_pack::Column::State.eq(PackState::Waiting.as_str()))
            .filter(evidence_pack::Column::Carve.ne(""))
            .limit(limit);
        query.all(self.read()).await?.into_iter().map(EvidencePack::try_from).collect()
    }

    /// How many carves a host brought, or began to, for a live query.
    pub async fn carves_of(&self, query: Uuid, host: Uuid) -> Result<u64, CatalogError> {
        let count = evidence_pack::Entity::find()
            .filter(evidence_pack::Column::CommandId.eq(query))
            .filter(evidence_pack::Column::HostId.eq(host))
            .filter(evidence_pack::Column::Carve.ne(""));
        Ok(count.count(self.read()).await?)
    }

    /// The length of all packs of a tenant that are here.
    pub async fn pack_bytes(&self, tenant: TenantId) -> Result<u64, CatalogError> {
        let sizes: Vec<i64> = evidence_pack::Entity::find()
            .select_only()
            .column(evidence_pack::Column::Bytes)
            .filter(evidence_pack::Column::TenantId.eq(tenant.0))
            .filter(evidence_pack::Column::State.eq(PackState::Kept.as_str()))
            .into_tuple()
            .all(self.read())
            .await?;
        Ok(sizes.into_iter().map(i64::unsigned_abs).fold(0, u64::saturating_add))
    }
}

impl Scoped<'_> {
    /// What a host collected or had carved, newest first, at most `limit`.
    pub async fn host_packs(&self, host: Uuid, limit: u64) -> Result<Vec<EvidencePack>, CatalogError> {
        let query = self.select::<evidence_pack::Entity>().filter(evidence_pack::Column::HostId.eq(host));
        let newest = query.order_by_desc(evidence_pack::Column::Told).order_by_desc(evidence_pack::Column::Id);
        newest.limit(limit).all(self.conn()).await?.into_iter().map(EvidencePack::try_from).collect()
    }

    /// One pack of a host.
    pub async fn host_pack(&self, host: Uuid, pack: Uuid) -> Result<EvidencePack, CatalogError> {
        let query = self.select::<evidence_pack::Entity>().filter(evidence_pack::Column::HostId.eq(host));
        let row = query.filter(evidence_pack::Column::Id.eq(pack)).one(self.conn()).await?;
        row.ok_or(CatalogError::NotFound("evidence"))?.try_into()
    }

    /// What hosts collected for a command, of one host or of all.
    pub async fn evidence_packs(&self, command: Uuid, host: Option<Uuid>) -> Result<Vec<EvidencePack>, CatalogError> {
        let mut query = self.select::<evidence_pack::Entity>().filter(evidence_pack::Column::CommandId.eq(command));
        if let Some(host) = host {
            query = query.filter(evidence_pack::Column::HostId.eq(host));
        }
        let rows = query.order_by_asc(evidence_pack::Column::Id).all(self.conn()).await?;
        rows.into_iter().map(EvidencePack::try_from).collect()
    }
}

impl Tx {
    /// A host said at the end of a command that it collected something.
    pub(super) async fn add_pack(&mut self, pack: &EvidencePack) -> Result<(), CatalogError> {
        let insert = evidence_pack::Entity::insert(pack.row().into_active_model()).on_conflict_do_nothing();
        if let TryInsertResult::Inserted(_) = insert.exec_without_returning(self.look()).await? {
            self.pack_changed(pack);
        }
        Ok(())
    }

    /// Somebody has a pack removed. Its bytes go afterwards.
    pub async fn remove_pack(&mut self, pack: &EvidencePack, reason: &str) -> Result<(), CatalogError> {
        let (state, text) = (PackState::Removed, clean(reason, 2_000));
        let after = EvidencePack { state, text, updated: self.now(), ..pack.clone() };
        let done = evidence_pack::Entity::update_many()
            .set(after.row().into_active_model().reset_all())
            .filter(evidence_pack::Column::Id.eq(pack.id))
            .filter(evidence_pack::Column::TenantId.eq(self.tenant().0))
            .filter(evidence_pack::Column::State.eq(PackState::Kept.as_str()))
            .exec(self.look())
            .await?;
        if done.rows_affected != 1 {
            return Err(CatalogError::NotFound("evidence"));
        }
        self.pack_changed(&after);
        Ok(())
    }

    fn pack_changed(&mut self, pack: &EvidencePack) {
        let mut what = json!({"command": pack.command, "host": pack.host, "host_name": pack.host_name,
            "pack": pack.state, "bytes": pack.bytes, "hash": pack.hash, "text": pack.text});
        if !pack.carve.is_empty() {
            what["carve"] = json!(pack.carve);
        }
        let audit = match pack.state {
            // That it was collected is in the trail as the end of the command, and what was asked as the live query.
            PackState::Waiting => Audit::NotNeeded,
            PackState::Kept => Audit::Entry { action: "evidence.received", before: Value::Null, after: what.clone() },
            PackState::Lost => Audit::Entry { action: "evidence.lost", before: Value::Null, after: what.clone() },
            PackState::Removed => Audit::Entry { action: "evidence.removed", before: Value::Null, after: what.clone() },
        };
        let _written_by_the_caller = self.record(Change {
            subject: Subject::CommandRun,
            id: pack.id.to_string(),
            action: Action::Updated,
            payload: what,
            audit,
        });
    }
}
