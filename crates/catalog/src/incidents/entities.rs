//! What an incident is about: the entities of its alerts, found by themselves, and what people add (indicators, files,
//! accounts).

use std::collections::BTreeMap;

use guardian_model::{EntityKind, IncidentId, Micros, TenantId};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::INCIDENT_ENTITIES_MAX;
use super::entries::EntryKind;
use crate::entity::incident_entity;
use crate::text::clean;
use crate::{Action, Alert, CatalogError, Scoped, Subject, Tx, text_enum};

const VALUE_MAX: usize = 2_000;
const NOTE_MAX: usize = 4_000;

text_enum! {
    /// What sort of thing can be part of an incident.
    ObservableKind {
        /// An IP address.
        Ip = "ip",
        /// A named machine.
        Host = "host",
        /// An account.
        User = "user",
        /// A domain name.
        Domain = "domain",
        /// Hash of a file.
        Hash = "hash",
        /// An address on the web.
        Url = "url",
        /// A mail address.
        Email = "email",
        /// A file by name or path.
        File = "file",
        /// Anything else.
        Other = "other",
    }
}

impl From<EntityKind> for ObservableKind {
    fn from(kind: EntityKind) -> Self {
        match kind {
            EntityKind::Ip => Self::Ip,
            EntityKind::Host => Self::Host,
            EntityKind::User => Self::User,
            EntityKind::Domain => Self::Domain,
            EntityKind::Other => Self::Other,
        }
    }
}

/// A thing that an incident is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentEntity {
    /// Its id within the incident.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Of which incident.
    pub incident: IncidentId,
    /// Grows with each edit.
    pub version: i32,
    /// Site, empty for the main one.
    pub site: String,
    /// What sort of thing.
    pub kind: ObservableKind,
    /// Its value, as people write it.
    pub value: String,
    /// What part it plays: `subject`, `source`, `target`, or what people say.
    pub role: String,
    /// What people know of it.
    pub note: String,
    /// Whether meeting it elsewhere means harm.
    pub indicator: bool,
    /// Whether it came with an alert.
    pub automatic: bool,
    /// Alerts of the incident that are about it.
    pub alerts: u32,
    /// First event of those alerts.
    pub first_seen: Option<Micros>,
    /// Last event of those alerts.
    pub last_seen: Option<Micros>,
}

/// A thing that somebody adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObservable {
    /// Site, empty for the main one.
    pub site: String,
    /// What sort of thing.
    pub kind: ObservableKind,
    /// Its value.
    pub value: String,
    /// What part it plays.
    pub role: String,
    /// What is known of it.
    pub note: String,
    /// Whether meeting it elsewhere means harm.
    pub indicator: bool,
}

/// What to change of an entity; none leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityPatch {
    /// What part it plays.
    pub role: Option<String>,
    /// What is known of it.
    pub note: Option<String>,
    /// Whether meeting it elsewhere means harm.
    pub indicator: Option<bool>,
}

/// The things that an alert is about, each with its part: the entity it was raised for, and what the group names.
pub fn alert_entities(alert: &Alert) -> Vec<(ObservableKind, String, &'static str)> {
    let mut found = vec![(ObservableKind::from(alert.entity.kind), alert.entity.value.clone(), "subject")];
    for pair in alert.group_key.split(", ") {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let part = match name {
            "src_ip" => Some((ObservableKind::Ip, "source")),
            "dst_ip" => Some((ObservableKind::Ip, "target")),
            "host" | "hostname" | "src_host" | "dst_host" => Some((ObservableKind::Host, "host")),
            "user" | "user_name" | "account" => Some((ObservableKind::User, "account")),
            "domain" | "dns_query" | "server_name" => Some((ObservableKind::Domain, "domain")),
            _ => None,
        };
        if let Some((kind, role)) = part.filter(|_| !value.is_empty())
            && !found.iter().any(|(k, v, _)| *k == kind && v == value)
        {
            found.push((kind, value.to_owned(), role));
        }
    }
    found
}

impl TryFrom<incident_entity::Model> for IncidentEntity {
    type Error = CatalogError;

    fn try_from(row: incident_entity::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            incident: IncidentId(row.incident_id),
            version: row.version,
            site: row.site,
            kind: row.kind.parse().map_err(CatalogError::Corrupt)?,
            value: row.value,
            role: row.role,
            note: row.note,
            indicator: row.indicator,
            automatic: row.automatic,
            alerts: u32::try_from(row.alerts).unwrap_or_default(),
            first_seen: row.first_seen.map(Micros),
            last_seen: row.last_seen.map(Micros),
        })
    }
}

/// What the alerts of an incident say about one entity.
struct Seen {
    role: &'static str,
    alerts: i32,
    first: i64,
    last: i64,
}

impl Scoped<'_> {
    /// What an incident is about, what most of its alerts name first.
    pub async fn incident_entities(&self, id: IncidentId) -> Result<Vec<IncidentEntity>, CatalogError> {
        let rows = self
            .select::<incident_entity::Entity>()
            .filter(incident_entity::Column::IncidentId.eq(id.0))
            .order_by_desc(incident_entity::Column::Alerts)
            .order_by_asc(incident_entity::Column::Value)
            .limit(INCIDENT_ENTITIES_MAX)
            .all(self.conn())
            .await?;
        rows.into_iter().map(IncidentEntity::try_from).collect()
    }

    /// The incidents that are about any of these values, each with the values it shares, except for `but`.
    pub async fn incidents_about(
        &self,
        values: &[String],
        but: Option<IncidentId>,
    ) -> Result<BTreeMap<Uuid, Vec<String>>, CatalogError> {
        let mut found = BTreeMap::<Uuid, Vec<String>>::new();
        for chunk in values.chunks(500) {
            let mut query = self
                .select::<incident_entity::Entity>()
                .filter(incident_entity::Column::Value.is_in(chunk.iter().map(String::as_str)));
            if let Some(but) = but {
                query = query.filter(incident_entity::Column::IncidentId.ne(but.0));
            }
            for row in query.limit(10_000).all(self.conn()).await? {
                let shared = found.entry(row.incident_id).or_default();
                if !shared.contains(&row.value) {
                    shared.push(row.value);
                }
            }
        }
        Ok(found)
    }
}

impl Tx {
    /// Adds a thing to an incident; one that is there already takes over what is new.
    pub async fn add_entity(&mut self, id: IncidentId, new: &NewObservable) -> Result<IncidentEntity, CatalogError> {
        self.live_incident(id).await?;
        let value = clean(new.value.trim(), VALUE_MAX);
        if value.is_empty() {
            return Err(CatalogError::Invalid("the value is empty".into()));
        }
        let known = self.entities_of(id.0).await?;
        let same = known.iter().find(|e| e.site == new.site && e.kind == new.kind.as_str() && e.value == value);
        if let Some(row) = same {
            let mut row = row.clone();
            let text = |new: &str, old: &str| if new.trim().is_empty() { old.to_owned() } else { clean(new, NOTE_MAX) };
            row.role = text(&new.role, &row.role);
            row.note = text(&new.note, &row.note);
            row.indicator |= new.indicator;
            return self.store_entity(id, row, false).await;
        }
        if known.len() as u64 >= INCIDENT_ENTITIES_MAX {
            return Err(CatalogError::Conflict(format!("an incident has at most {INCIDENT_ENTITIES_MAX} entities")));
        }
        let row = incident_entity::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            incident_id: id.0,
            version: 0,
            site: clean(&new.site, 200),
            kind: new.kind.as_str().to_owned(),
            value,
            role: clean(new.role.trim(), 200),
            note: clean(new.note.trim(), NOTE_MAX),
            indicator: new.indicator,
            automatic: false,
            alerts: 0,
            first_seen: None,
            last_seen: None,
        };
        let data = json!({ "kind": row.kind, "value": row.value, "indicator": row.indicator });
        self.tell(id.0, EntryKind::Entity, &format!("{} {}", row.kind, row.value), data).await?;
        self.store_entity(id, row, true).await
    }

    /// Changes what is known of a thing that is still at `version`.
    pub async fn update_entity(
        &mut self,
        incident: IncidentId,
        id: Uuid,
        version: i32,
        patch: &EntityPatch,
    ) -> Result<IncidentEntity, CatalogError> {
        self.live_incident(incident).await?;
        let mut row = self.entity_row(incident, id).await?;
        CatalogError::unless_at("entity", row.version, version)?;
        if let Some(role) = &patch.role {
            row.role = clean(role.trim(), 200);
        }
        if let Some(note) = &patch.note {
            row.note = clean(note.trim(), NOTE_MAX);
        }
        if let Some(indicator) = patch.indicator {
            row.indicator = indicator;
        }
        self.store_entity(incident, row, false).await
    }

    /// Removes a thing that somebody added; what comes with alerts goes with them.
    pub async fn delete_entity(&mut self, incident: IncidentId, id: Uuid) -> Result<(), CatalogError> {
        self.live_incident(incident).await?;
        let row = self.entity_row(incident, id).await?;
        if row.automatic {
            return Err(CatalogError::Conflict("it comes with an alert; take the alert out instead".into()));
        }
        let detail = json!({ "kind": row.kind, "value": row.value });
        self.note("incident.entity.remove", Subject::Incident, &incident.to_string(), detail);
        incident_entity::Entity::delete_by_id(id).exec(self.look()).await?;
        self.tell_part(Action::Deleted, incident.0, "entity", id, Value::Null);
        self.touch_incident(incident, "incident.touch").await?;
        Ok(())
    }

    /// Lets the entities that came with alerts follow the alerts that are there now.
    pub(super) async fn sync_entities(&mut self, incident: Uuid, alerts: &[Alert]) -> Result<(), CatalogError> {
        let mut seen = BTreeMap::<(String, ObservableKind, String), Seen>::new();
        for alert in alerts {
            for (kind, value, role) in alert_entities(alert) {
                let key = (alert.entity.site.clone(), kind, clean(&value, VALUE_MAX));
                let (first, last) = (alert.first_seen.0, alert.last_seen.0);
                let entry = seen.entry(key).or_insert(Seen { role, alerts: 0, first, last });
                entry.alerts += 1;
                entry.first = entry.first.min(first);
                entry.last = entry.last.max(last);
            }
        }
        for row in self.entities_of(incident).await? {
            let kind: ObservableKind = row.kind.parse().map_err(CatalogError::Corrupt)?;
            match seen.remove(&(row.site.clone(), kind, row.value.clone())) {
                Some(found) => {
                    let mut after = row.clone();
                    after.alerts = found.alerts;
                    after.first_seen = Some(found.first);
                    after.last_seen = Some(found.last);
                    if after != row {
                        self.write_entity(after, false).await?;
                    }
                }
                // What people said about it stays with the incident.
                None if row.automatic && row.note.is_empty() && !row.indicator => {
                    incident_entity::Entity::delete_by_id(row.id).exec(self.look()).await?;
                    self.tell_part(Action::Deleted, incident, "entity", row.id, Value::Null);
                }
                None if row.alerts > 0 || row.automatic => {
                    self.write_entity(incident_entity::Model { alerts: 0, automatic: false, ..row }, false).await?;
                }
                None => {}
            }
        }
        for ((site, kind, value), found) in seen.into_iter().take(INCIDENT_ENTITIES_MAX as usize) {
            let row = incident_entity::Model {
                id: self.new_id(),
                tenant_id: self.tenant().0,
                incident_id: incident,
                version: 1,
                site,
                kind: kind.as_str().to_owned(),
                value,
                role: found.role.to_owned(),
                note: String::new(),
                indicator: false,
                automatic: true,
                alerts: found.alerts,
                first_seen: Some(found.first),
                last_seen: Some(found.last),
            };
            self.write_entity(row, true).await?;
        }
        Ok(())
    }

    async fn store_entity(
        &mut self,
        incident: IncidentId,
        mut row: incident_entity::Model,
        new: bool,
    ) -> Result<IncidentEntity, CatalogError> {
        row.version += 1;
        let detail = json!({ "kind": row.kind, "value": row.value, "role": row.role, "note": row.note,
            "indicator": row.indicator });
        self.note("incident.entity.put", Subject::Incident, &incident.to_string(), detail);
        let entity = self.write_entity(row, new).await?;
        self.touch_incident(incident, "incident.touch").await?;
        Ok(entity)
    }

    pub(super) async fn write_entity(
        &mut self,
        row: incident_entity::Model,
        new: bool,
    ) -> Result<IncidentEntity, CatalogError> {
        let entity = IncidentEntity::try_from(row.clone())?;
        let action = if new { Action::Created } else { Action::Updated };
        self.tell_part(action, row.incident_id, "entity", row.id, json!(entity));
        if new {
            incident_entity::Entity::insert(row.into_active_model()).exec_without_returning(self.look()).await?;
        } else {
            let id = row.id;
            let all = row.into_active_model().reset_all();
            incident_entity::Entity::update_many()
                .set(all)
                .filter(incident_entity::Column::Id.eq(id))
                .exec(self.look())
                .await?;
        }
        Ok(entity)
    }

    pub(super) async fn entities_of(&self, incident: Uuid) -> Result<Vec<incident_entity::Model>, CatalogError> {
        let query = incident_entity::Entity::find()
            .filter(incident_entity::Column::TenantId.eq(self.tenant().0))
            .filter(incident_entity::Column::IncidentId.eq(incident));
        Ok(query.all(self.look()).await?)
    }

    async fn entity_row(&self, incident: IncidentId, id: Uuid) -> Result<incident_entity::Model, CatalogError> {
        let query = incident_entity::Entity::find_by_id(id)
            .filter(incident_entity::Column::TenantId.eq(self.tenant().0))
            .filter(incident_entity::Column::IncidentId.eq(incident.0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("entity"))
    }
}
