//! Evidence: files that belong to an incident, and who had them in hand. The bytes are `respond`'s evidence store; here
//! is what they must hash to, and the chain of custody, which is only ever added to.

use guardian_model::{IncidentId, Micros, TenantId};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::entries::EntryKind;
use super::{INCIDENT_EVIDENCE_MAX, TITLE_MAX};
use crate::entity::{evidence_custody, incident_evidence};
use crate::text::clean;
use crate::{Action, CatalogError, Scoped, Subject, Tx, text_enum};

const DETAIL_MAX: usize = 2_000;

text_enum! {
    /// What was done with a piece of evidence.
    CustodyAction {
        /// It came in.
        Received = "received",
        /// Somebody took a copy.
        Downloaded = "downloaded",
        /// Its bytes were held against its hash.
        Verified = "verified",
        /// Its bytes were removed.
        Removed = "removed",
    }
}

/// One entry of a chain of custody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// When.
    pub time: Micros,
    /// Who.
    pub actor: String,
    /// Their account or key.
    pub actor_id: Option<String>,
    /// From where.
    pub ip: Option<String>,
    /// What was done.
    pub action: CustodyAction,
    /// Hexadecimal SHA-256 of the bytes as they were then.
    pub sha256: String,
    /// Anything to add.
    pub detail: String,
}

/// A file that belongs to an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Of which incident.
    pub incident: IncidentId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its media type, as the sender said.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Hexadecimal SHA-256 of its bytes.
    pub sha256: String,
    /// When it came in.
    pub added: Micros,
    /// Who brought it.
    pub added_by: String,
    /// When its bytes were removed.
    pub removed: Option<Micros>,
    /// Why.
    pub removed_reason: Option<String>,
}

/// A file with its chain of custody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceDetail {
    /// The file.
    pub evidence: Evidence,
    /// Who had it in hand, in order.
    pub custody: Vec<Custody>,
}

/// A file that came in; its bytes are stored already, under `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvidence {
    /// The id under which the bytes are stored.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its media type, as the sender said.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Hexadecimal SHA-256 of its bytes.
    pub sha256: String,
}

impl From<incident_evidence::Model> for Evidence {
    fn from(row: incident_evidence::Model) -> Self {
        Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            incident: IncidentId(row.incident_id),
            name: row.name,
            description: row.description,
            media_type: row.media_type,
            size: u64::try_from(row.size).unwrap_or_default(),
            sha256: row.sha256,
            added: Micros(row.added),
            added_by: row.added_by,
            removed: row.removed.map(Micros),
            removed_reason: row.removed_reason,
        }
    }
}

impl TryFrom<evidence_custody::Model> for Custody {
    type Error = CatalogError;

    fn try_from(row: evidence_custody::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            time: Micros(row.time),
            actor: row.actor,
            actor_id: row.actor_id,
            ip: row.ip,
            action: row.action.parse().map_err(CatalogError::Corrupt)?,
            sha256: row.sha256,
            detail: row.detail,
        })
    }
}

impl Scoped<'_> {
    /// The files of an incident, removed ones included, in the order they came.
    pub async fn incident_evidence(&self, id: IncidentId) -> Result<Vec<Evidence>, CatalogError> {
        let rows = self
            .select::<incident_evidence::Entity>()
            .filter(incident_evidence::Column::IncidentId.eq(id.0))
            .order_by_asc(incident_evidence::Column::Id)
            .all(self.conn())
            .await?;
        Ok(rows.into_iter().map(Evidence::from).collect())
    }

    /// One file of an incident, with its chain of custody.
    pub async fn evidence(&self, incident: IncidentId, id: Uuid) -> Result<EvidenceDetail, CatalogError> {
        let row = self
            .select::<incident_evidence::Entity>()
            .filter(incident_evidence::Column::IncidentId.eq(incident.0))
            .filter(incident_evidence::Column::Id.eq(id))
            .one(self.conn())
            .await?
            .ok_or(CatalogError::NotFound("evidence"))?;
        let custody = evidence_custody::Entity::find()
            .filter(evidence_custody::Column::EvidenceId.eq(id))
            .order_by_asc(evidence_custody::Column::Seq)
            .all(self.conn())
            .await?;
        let custody = custody.into_iter().map(Custody::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(EvidenceDetail { evidence: row.into(), custody })
    }
}

impl Tx {
    /// Adds a file whose bytes are stored.
    pub async fn add_evidence(&mut self, incident: IncidentId, new: &NewEvidence) -> Result<Evidence, CatalogError> {
        self.live_incident(incident).await?;
        let here = incident_evidence::Entity::find().filter(incident_evidence::Column::IncidentId.eq(incident.0));
        if here.count(self.look()).await? >= INCIDENT_EVIDENCE_MAX {
            return Err(CatalogError::Conflict(format!("an incident has at most {INCIDENT_EVIDENCE_MAX} files")));
        }
        let name = clean(new.name.trim(), TITLE_MAX);
        let row = incident_evidence::Model {
            id: new.id,
            tenant_id: self.tenant().0,
            incident_id: incident.0,
            name: if name.is_empty() { "unnamed".into() } else { name },
            description: clean(new.description.trim(), DETAIL_MAX),
            media_type: clean(&new.media_type, 200),
            size: i64::try_from(new.size).unwrap_or(i64::MAX),
            sha256: clean(&new.sha256, 64),
            added: self.now().0,
            added_by: self.actor().name.clone(),
            removed: None,
            removed_reason: None,
        };
        let evidence = Evidence::from(row.clone());
        self.tell_part(Action::Created, incident.0, "evidence", row.id, json!(evidence));
        let data = json!({ "evidence": row.id, "name": row.name, "sha256": row.sha256, "size": row.size });
        let text = format!("evidence added: {}", row.name);
        incident_evidence::Entity::insert(row.into_active_model()).exec_without_returning(self.look()).await?;
        self.add_custody(&evidence, CustodyAction::Received, &evidence.sha256, "").await?;
        self.tell(incident.0, EntryKind::Evidence, &text, data).await?;
        self.touch_incident(incident, "incident.evidence").await?;
        Ok(evidence)
    }

    /// Writes down that somebody had a file in hand, and what its bytes hashed to.
    pub async fn note_custody(
        &mut self,
        incident: IncidentId,
        id: Uuid,
        action: CustodyAction,
        sha256: &str,
        detail: &str,
    ) -> Result<(), CatalogError> {
        let evidence = Evidence::from(self.evidence_row(incident, id).await?);
        self.add_custody(&evidence, action, sha256, detail).await
    }

    /// Marks a file as removed; the caller removes the bytes afterwards. What it was and who had it stays.
    pub async fn remove_evidence(
        &mut self,
        incident: IncidentId,
        id: Uuid,
        reason: &str,
    ) -> Result<Evidence, CatalogError> {
        self.live_incident(incident).await?;
        let mut row = self.evidence_row(incident, id).await?;
        if row.removed.is_some() {
            return Ok(row.into());
        }
        if reason.trim().is_empty() {
            return Err(CatalogError::Invalid("removing evidence needs a reason".into()));
        }
        row.removed = Some(self.now().0);
        row.removed_reason = Some(clean(reason.trim(), DETAIL_MAX));
        let evidence = Evidence::from(row.clone());
        self.tell_part(Action::Updated, incident.0, "evidence", id, json!(evidence));
        let all = row.into_active_model().reset_all();
        let query = incident_evidence::Entity::update_many().set(all).filter(incident_evidence::Column::Id.eq(id));
        query.exec(self.look()).await?;
        self.add_custody(&evidence, CustodyAction::Removed, &evidence.sha256, reason).await?;
        let data = json!({ "evidence": id, "name": evidence.name, "reason": reason });
        self.tell(incident.0, EntryKind::Evidence, &format!("evidence removed: {}", evidence.name), data).await?;
        self.touch_incident(incident, "incident.evidence").await?;
        Ok(evidence)
    }

    async fn add_custody(
        &mut self,
        evidence: &Evidence,
        action: CustodyAction,
        sha256: &str,
        detail: &str,
    ) -> Result<(), CatalogError> {
        let so_far = evidence_custody::Entity::find()
            .filter(evidence_custody::Column::EvidenceId.eq(evidence.id))
            .count(self.look())
            .await?;
        let row = evidence_custody::ActiveModel {
            evidence_id: Set(evidence.id),
            seq: Set(i32::try_from(so_far + 1).unwrap_or(i32::MAX)),
            time: Set(self.now().0),
            actor: Set(self.actor().name.clone()),
            actor_id: Set(self.actor().id.clone()),
            ip: Set(self.actor().ip.map(|ip| ip.to_string())),
            action: Set(action.as_str().to_owned()),
            sha256: Set(clean(sha256, 64)),
            detail: Set(clean(detail.trim(), DETAIL_MAX)),
        };
        let told = json!({ "evidence": evidence.id, "name": evidence.name, "action": action, "sha256": sha256 });
        let id = evidence.incident.to_string();
        let conn = self.record_quietly("incident.custody", Subject::Incident, id, told);
        evidence_custody::Entity::insert(row).exec_without_returning(conn).await?;
        Ok(())
    }

    async fn evidence_row(&self, incident: IncidentId, id: Uuid) -> Result<incident_evidence::Model, CatalogError> {
        let query = incident_evidence::Entity::find_by_id(id)
            .filter(incident_evidence::Column::TenantId.eq(self.tenant().0))
            .filter(incident_evidence::Column::IncidentId.eq(incident.0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("evidence"))
    }
}
