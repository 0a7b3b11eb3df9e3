//! Groups of hosts: those that somebody put together by naming them on hosts, and those that an expression over a host's
//! facts makes. What an expression means is the business of the crate `fleet`; here it is a text.

use guardian_model::{Micros, TenantId};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{labels, policies};
use crate::entity::host_group;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx};

/// Groups of one tenant.
pub const GROUPS_PER_TENANT_MAX: u64 = 500;
/// Longest expression, in bytes.
pub const GROUP_FILTER_BYTES_MAX: usize = 4 << 10;

/// A group of hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostGroup {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Its name, which stays.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Which hosts are in it, in the filter language; none where hosts name it.
    pub filter: Option<String>,
    /// Who made it.
    pub author: String,
    /// When.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
    /// Grows with each change.
    pub version: i32,
}

impl From<host_group::Model> for HostGroup {
    fn from(row: host_group::Model) -> Self {
        Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            name: row.name,
            description: row.description,
            filter: row.filter,
            author: row.author,
            created: Micros(row.created),
            updated: Micros(row.updated),
            version: row.version,
        }
    }
}

/// What somebody says of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupDraft {
    /// What it is for.
    pub description: String,
    /// Which hosts are in it; none where hosts name it.
    pub filter: Option<String>,
}

impl GroupDraft {
    fn check(&self) -> Result<(), CatalogError> {
        let odd = |filter: &String| filter.trim().is_empty() || filter.len() > GROUP_FILTER_BYTES_MAX;
        if self.filter.as_ref().is_some_and(odd) {
            let text = format!("an expression is not empty and has at most {GROUP_FILTER_BYTES_MAX} bytes");
            return Err(CatalogError::Invalid(text));
        }
        Ok(())
    }
}

impl Scoped<'_> {
    /// The groups of one tenant, by name.
    pub async fn host_groups(&self, tenant: TenantId) -> Result<Vec<HostGroup>, CatalogError> {
        self.require(tenant)?;
        let query = self
            .select::<host_group::Entity>()
            .filter(host_group::Column::TenantId.eq(tenant.0))
            .order_by_asc(host_group::Column::Name);
        Ok(query.all(self.conn()).await?.into_iter().map(HostGroup::from).collect())
    }

    /// One group.
    pub async fn host_group(&self, id: Uuid) -> Result<HostGroup, CatalogError> {
        let query = self.select::<host_group::Entity>().filter(host_group::Column::Id.eq(id));
        query.one(self.conn()).await?.map(HostGroup::from).ok_or(CatalogError::NotFound("group"))
    }
}

impl Tx {
    /// Makes a group.
    pub async fn create_host_group(&mut self, name: &str, draft: &GroupDraft) -> Result<HostGroup, CatalogError> {
        draft.check()?;
        let mut names = labels("name", &[name.to_owned()])?;
        let name = names.pop().ok_or_else(|| CatalogError::Invalid("a group needs a name".into()))?;
        let here = host_group::Entity::find().filter(host_group::Column::TenantId.eq(self.tenant().0));
        if here.clone().count(self.look()).await? >= GROUPS_PER_TENANT_MAX {
            return Err(CatalogError::Conflict(format!("a tenant has at most {GROUPS_PER_TENANT_MAX} groups")));
        }
        if here.filter(host_group::Column::Name.eq(&name)).count(self.look()).await? > 0 {
            return Err(CatalogError::Conflict(format!("there is a group `{name}` already")));
        }
        let group = HostGroup {
            id: self.new_id(),
            tenant: self.tenant(),
            name,
            description: clean(draft.description.trim(), 500),
            filter: draft.filter.as_ref().map(|f| f.trim().to_owned()),
            author: self.actor().name.clone(),
            created: self.now(),
            updated: self.now(),
            version: 1,
        };
        let row = row_of(&group);
        let conn = self.record_group(&group, Action::Created, "host_group.create", Value::Null);
        host_group::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(group)
    }

    /// Changes a group that is still at `version`.
    pub async fn update_host_group(
        &mut self,
        id: Uuid,
        version: i32,
        draft: &GroupDraft,
    ) -> Result<HostGroup, CatalogError> {
        draft.check()?;
        let before = self.group_row(id).await?;
        CatalogError::unless_at("group", before.version, version)?;
        let after = HostGroup {
            description: clean(draft.description.trim(), 500),
            filter: draft.filter.as_ref().map(|f| f.trim().to_owned()),
            updated: self.now(),
            version: version + 1,
            ..before.clone()
        };
        let row = row_of(&after).into_active_model().reset_all();
        let conn = self.record_group(&after, Action::Updated, "host_group.update", json!(before));
        host_group::Entity::update_many().set(row).filter(host_group::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    /// Takes a group away that no policy is assigned to. Hosts that name it go on naming it.
    pub async fn delete_host_group(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let before = self.group_row(id).await?;
        if policies::order(self.look(), self.tenant()).await?.items.iter().any(|item| item.group == Some(id)) {
            let text = "a policy is assigned to this group: take the assignment away first";
            return Err(CatalogError::Conflict(text.into()));
        }
        let (conn, _) = self.record(Change {
            subject: Subject::HostGroup,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "host_group.delete", before: json!(before), after: Value::Null },
        });
        host_group::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    async fn group_row(&self, id: Uuid) -> Result<HostGroup, CatalogError> {
        let query = host_group::Entity::find_by_id(id).filter(host_group::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.map(HostGroup::from).ok_or(CatalogError::NotFound("group"))
    }

    fn record_group(
        &mut self,
        group: &HostGroup,
        action: Action,
        audit: &'static str,
        before: Value,
    ) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::HostGroup,
            id: group.id.to_string(),
            action,
            payload: json!(group),
            audit: Audit::Entry { action: audit, before, after: json!(group) },
        };
        self.record(change).0
    }
}

fn row_of(group: &HostGroup) -> host_group::Model {
    host_group::Model {
        id: group.id,
        tenant_id: group.tenant.0,
        name: group.name.clone(),
        description: group.description.clone(),
        filter: group.filter.clone(),
        author: group.author.clone(),
        created: group.created.0,
        updated: group.updated.0,
        version: group.version,
    }
}
