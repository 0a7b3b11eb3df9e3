//! Task lists that kinds of incidents begin with, as a tenant keeps them. Those that ship are `respond`'s; a row of the
//! same id takes the place of a shipped one.

use guardian_model::{Micros, TenantId};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{INCIDENT_TASKS_MAX, IncidentKind, TITLE_MAX, list};
use crate::entity::incident_template;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx};

/// Templates of one tenant.
const TEMPLATES_MAX: usize = 200;

/// One task of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateTask {
    /// The part of the work it belongs to.
    pub phase: String,
    /// What to do.
    pub title: String,
    /// How, in Markdown.
    pub description: String,
    /// Until when, in minutes from the use of the template.
    pub due_minutes: Option<u32>,
}

/// What a template says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateDraft {
    /// Its name.
    pub name: String,
    /// The kind of incident it is for.
    pub kind: IncidentKind,
    /// Its tasks.
    pub tasks: Vec<TemplateTask>,
}

/// A template of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentTemplate {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Grows with each edit; 0 for one that ships and was never edited.
    pub version: i32,
    /// What it says.
    #[serde(flatten)]
    pub draft: TemplateDraft,
    /// Who last edited it.
    pub author: String,
    /// When it last changed.
    pub updated: Micros,
}

impl TryFrom<incident_template::Model> for IncidentTemplate {
    type Error = CatalogError;

    fn try_from(row: incident_template::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            version: row.version,
            draft: TemplateDraft {
                name: row.name,
                kind: row.kind.parse().map_err(CatalogError::Corrupt)?,
                tasks: list(&row.tasks, "incident_templates.tasks")?,
            },
            author: row.author,
            updated: Micros(row.updated),
        })
    }
}

impl Scoped<'_> {
    /// The templates that the tenants of the scope made or edited, by name.
    pub async fn incident_templates(&self) -> Result<Vec<IncidentTemplate>, CatalogError> {
        let query = self.select::<incident_template::Entity>().order_by_asc(incident_template::Column::Name);
        query.all(self.conn()).await?.into_iter().map(IncidentTemplate::try_from).collect()
    }
}

impl Tx {
    /// Stores a template: a new one, or the next version of one that is at `version` (0 for one that is not stored).
    pub async fn put_template(
        &mut self,
        id: Option<Uuid>,
        version: i32,
        draft: &TemplateDraft,
    ) -> Result<IncidentTemplate, CatalogError> {
        let name = clean(draft.name.trim(), TITLE_MAX);
        if name.is_empty() || draft.tasks.is_empty() || draft.tasks.iter().any(|t| t.title.trim().is_empty()) {
            return Err(CatalogError::Invalid("a template needs a name and tasks with titles".into()));
        }
        if draft.tasks.len() as u64 > INCIDENT_TASKS_MAX {
            return Err(CatalogError::Invalid(format!("a template has at most {INCIDENT_TASKS_MAX} tasks")));
        }
        let here = incident_template::Entity::find()
            .filter(incident_template::Column::TenantId.eq(self.tenant().0))
            .all(self.look())
            .await?;
        let old = id.and_then(|id| here.iter().find(|row| row.id == id).cloned());
        let at = old.as_ref().map_or(0, |row| row.version);
        CatalogError::unless_at("template", at, version)?;
        if old.is_none() && here.len() >= TEMPLATES_MAX {
            return Err(CatalogError::Conflict(format!("there are already {TEMPLATES_MAX} templates")));
        }
        let row = incident_template::Model {
            tenant_id: self.tenant().0,
            id: id.unwrap_or_else(|| self.new_id()),
            version: at + 1,
            name,
            kind: draft.kind.as_str().to_owned(),
            tasks: clean(&json!(draft.tasks).to_string(), usize::MAX),
            author: self.actor().name.clone(),
            created: old.as_ref().map_or(self.now().0, |row| row.created),
            updated: self.now().0,
        };
        let before = old.clone().map(IncidentTemplate::try_from).transpose()?;
        let after = IncidentTemplate::try_from(row.clone())?;
        let (conn, _) = self.record(Change {
            subject: Subject::IncidentTemplate,
            id: row.id.to_string(),
            action: if old.is_some() { Action::Updated } else { Action::Created },
            payload: json!(after),
            audit: Audit::Entry { action: "incident.template.put", before: json!(before), after: json!(after) },
        });
        if old.is_none() {
            incident_template::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        } else {
            let key = (row.tenant_id, row.id);
            incident_template::Entity::update_many()
                .set(row.into_active_model().reset_all())
                .filter(incident_template::Column::TenantId.eq(key.0))
                .filter(incident_template::Column::Id.eq(key.1))
                .exec(conn)
                .await?;
        }
        Ok(after)
    }

    /// Removes a template of the tenant; a shipped one of the same id shows again.
    pub async fn delete_template(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let key = (self.tenant().0, id);
        let row = incident_template::Entity::find_by_id(key).one(self.look()).await?;
        let before = IncidentTemplate::try_from(row.ok_or(CatalogError::NotFound("template"))?)?;
        let (conn, _) = self.record(Change {
            subject: Subject::IncidentTemplate,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "incident.template.delete", before: json!(before), after: Value::Null },
        });
        incident_template::Entity::delete_by_id(key).exec(conn).await?;
        Ok(())
    }
}
