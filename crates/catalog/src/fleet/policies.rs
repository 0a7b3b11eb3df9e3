//! Policies with all their versions, and which of them hold for which groups, in order. What a document means is the
//! business of the crate `fleet`: here it is JSON.

use guardian_model::{Micros, TenantId};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait,
    QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::named;
use crate::entity::{host_group, policy, policy_order, policy_version};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx};

/// Policies of one tenant.
pub const POLICIES_PER_TENANT_MAX: u64 = 200;
/// Assignments of one tenant.
pub const ASSIGNMENTS_MAX: usize = 500;
/// Longest document, in bytes.
pub const POLICY_BYTES_MAX: usize = 256 << 10;

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Its name; unique within the tenant.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it says.
    pub document: Value,
    /// Who changed it last.
    pub author: String,
    /// Since when it is here.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
    /// Its version, from 1.
    pub version: i32,
}

/// What a policy said once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Its number, from 1.
    pub version: i32,
    /// What it said.
    pub document: Value,
    /// Who wrote it.
    pub author: String,
    /// What they said about it.
    pub comment: Option<String>,
    /// When.
    pub created: Micros,
}

/// What somebody says of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDraft {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it says.
    pub document: Value,
    /// About this version.
    pub comment: Option<String>,
}

/// A policy that holds for a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The policy.
    pub policy: Uuid,
    /// The group; none for every host.
    pub group: Option<Uuid>,
}

/// Which policies hold for which groups. What stands later is said later, and replaces what was said before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyOrder {
    /// Grows with each change; 0 before the first.
    pub version: i32,
    /// In order.
    pub items: Vec<Assignment>,
    /// Who changed it last.
    pub author: String,
    /// When.
    pub updated: Micros,
}

impl TryFrom<policy::Model> for Policy {
    type Error = CatalogError;

    fn try_from(row: policy::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            name: row.name,
            description: row.description,
            document: serde_json::from_str(&row.document).map_err(CatalogError::json("policies.document"))?,
            author: row.author,
            created: Micros(row.created),
            updated: Micros(row.updated),
            version: row.version,
        })
    }
}

impl TryFrom<policy_version::Model> for PolicyVersion {
    type Error = CatalogError;

    fn try_from(row: policy_version::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            version: row.version,
            document: serde_json::from_str(&row.document).map_err(CatalogError::json("policy_versions.document"))?,
            author: row.author,
            comment: row.comment,
            created: Micros(row.created),
        })
    }
}

impl Scoped<'_> {
    /// The policies of one tenant, by name.
    pub async fn policies(&self, tenant: TenantId) -> Result<Vec<Policy>, CatalogError> {
        self.require(tenant)?;
        let query = self
            .select::<policy::Entity>()
            .filter(policy::Column::TenantId.eq(tenant.0))
            .order_by_asc(policy::Column::Name);
        query.all(self.conn()).await?.into_iter().map(Policy::try_from).collect()
    }

    /// One policy.
    pub async fn policy(&self, id: Uuid) -> Result<Policy, CatalogError> {
        let query = self.select::<policy::Entity>().filter(policy::Column::Id.eq(id));
        query.one(self.conn()).await?.ok_or(CatalogError::NotFound("policy"))?.try_into()
    }

    /// What a policy said, newest first.
    pub async fn policy_versions(&self, id: Uuid) -> Result<Vec<PolicyVersion>, CatalogError> {
        let policy = self.policy(id).await?;
        let query = policy_version::Entity::find()
            .filter(policy_version::Column::PolicyId.eq(policy.id))
            .order_by_desc(policy_version::Column::Version);
        query.all(self.conn()).await?.into_iter().map(PolicyVersion::try_from).collect()
    }

    /// Which policies hold for which groups of a tenant.
    pub async fn policy_order(&self, tenant: TenantId) -> Result<PolicyOrder, CatalogError> {
        self.require(tenant)?;
        order(self.conn(), tenant).await
    }
}

pub(super) async fn order(conn: &impl ConnectionTrait, tenant: TenantId) -> Result<PolicyOrder, CatalogError> {
    let Some(row) = policy_order::Entity::find_by_id(tenant.0).one(conn).await? else {
        return Ok(PolicyOrder::default());
    };
    Ok(PolicyOrder {
        version: row.version,
        items: serde_json::from_str(&row.items).map_err(CatalogError::json("policy_orders.items"))?,
        author: row.author,
        updated: Micros(row.updated),
    })
}

impl Tx {
    /// Makes a policy.
    pub async fn create_policy(&mut self, draft: &PolicyDraft) -> Result<Policy, CatalogError> {
        let here = policy::Entity::find().filter(policy::Column::TenantId.eq(self.tenant().0));
        if here.count(self.look()).await? >= POLICIES_PER_TENANT_MAX {
            return Err(CatalogError::Conflict(format!("a tenant has at most {POLICIES_PER_TENANT_MAX} policies")));
        }
        let fresh = Policy {
            id: self.new_id(),
            tenant: self.tenant(),
            name: String::new(),
            description: String::new(),
            document: Value::Null,
            author: String::new(),
            created: self.now(),
            updated: self.now(),
            version: 0,
        };
        self.store_policy(None, fresh, draft, "policy.create").await
    }

    /// Changes a policy that is still at `version`. What it said before stays among its versions.
    pub async fn update_policy(&mut self, id: Uuid, version: i32, draft: &PolicyDraft) -> Result<Policy, CatalogError> {
        let before = self.policy_row(id).await?;
        CatalogError::unless_at("policy", before.version, version)?;
        self.store_policy(Some(before.clone()), before, draft, "policy.update").await
    }

    /// Takes a policy away that is assigned to no group.
    pub async fn delete_policy(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let before = self.policy_row(id).await?;
        if order(self.look(), self.tenant()).await?.items.iter().any(|item| item.policy == id) {
            let text = "this policy is assigned to a group: take the assignment away first";
            return Err(CatalogError::Conflict(text.into()));
        }
        let (conn, _) = self.record(Change {
            subject: Subject::Policy,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "policy.delete", before: json!(before), after: Value::Null },
        });
        policy::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    /// Says which policies hold for which groups. `version` is the one the caller saw, 0 for none.
    pub async fn put_policy_order(
        &mut self,
        version: i32,
        items: Vec<Assignment>,
    ) -> Result<PolicyOrder, CatalogError> {
        let before = order(self.look(), self.tenant()).await?;
        CatalogError::unless_at("policy order", before.version, version)?;
        if items.len() > ASSIGNMENTS_MAX {
            return Err(CatalogError::Invalid(format!("at most {ASSIGNMENTS_MAX} assignments")));
        }
        for (i, item) in items.iter().enumerate() {
            if items[..i].contains(item) {
                return Err(CatalogError::Invalid("a policy is assigned to the same group twice".into()));
            }
            self.policy_row(item.policy).await.map_err(|_| CatalogError::NotFound("policy"))?;
            if let Some(group) = item.group {
                let query = host_group::Entity::find_by_id(group);
                let found = query.filter(host_group::Column::TenantId.eq(self.tenant().0)).count(self.look()).await?;
                if found == 0 {
                    return Err(CatalogError::NotFound("group"));
                }
            }
        }
        let after = PolicyOrder { version: version + 1, items, author: self.actor().name.clone(), updated: self.now() };
        let row = policy_order::Model {
            tenant_id: self.tenant().0,
            version: after.version,
            items: json!(after.items).to_string(),
            author: after.author.clone(),
            updated: after.updated.0,
        };
        let (conn, _) = self.record(Change {
            subject: Subject::PolicyOrder,
            id: "order".into(),
            action: if version == 0 { Action::Created } else { Action::Updated },
            payload: json!(after),
            audit: Audit::Entry { action: "policy.order", before: json!(before), after: json!(after) },
        });
        let replaced = OnConflict::column(policy_order::Column::TenantId)
            .update_columns([
                policy_order::Column::Version,
                policy_order::Column::Items,
                policy_order::Column::Author,
                policy_order::Column::Updated,
            ])
            .to_owned();
        let insert = policy_order::Entity::insert(row.into_active_model()).on_conflict(replaced);
        insert.exec_without_returning(conn).await?;
        Ok(after)
    }

    async fn policy_row(&self, id: Uuid) -> Result<Policy, CatalogError> {
        let query = policy::Entity::find_by_id(id).filter(policy::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("policy"))?.try_into()
    }

    async fn store_policy(
        &mut self,
        before: Option<Policy>,
        old: Policy,
        draft: &PolicyDraft,
        audit: &'static str,
    ) -> Result<Policy, CatalogError> {
        let text = draft.document.to_string();
        if text.len() > POLICY_BYTES_MAX {
            return Err(CatalogError::Invalid(format!("a policy has at most {POLICY_BYTES_MAX} bytes")));
        }
        let name = named("a policy", &draft.name)?;
        let same = policy::Entity::find()
            .filter(policy::Column::TenantId.eq(self.tenant().0))
            .filter(policy::Column::Name.eq(&name))
            .filter(policy::Column::Id.ne(old.id));
        if same.count(self.look()).await? > 0 {
            return Err(CatalogError::Conflict(format!("there is a policy `{name}` already")));
        }
        let after = Policy {
            name,
            description: clean(draft.description.trim(), 500),
            document: draft.document.clone(),
            author: self.actor().name.clone(),
            updated: self.now(),
            version: old.version + 1,
            ..old
        };
        let row = policy::Model {
            id: after.id,
            tenant_id: after.tenant.0,
            name: after.name.clone(),
            description: after.description.clone(),
            document: text.clone(),
            author: after.author.clone(),
            created: after.created.0,
            updated: after.updated.0,
            version: after.version,
        };
        let version = policy_version::Model {
            policy_id: after.id,
            version: after.version,
            document: text,
            author: after.author.clone(),
            comment: draft.comment.as_deref().map(|c| clean(c.trim(), 500)).filter(|c| !c.is_empty()),
            created: after.updated.0,
        };
        let (conn, _) = self.record(Change {
            subject: Subject::Policy,
            id: after.id.to_string(),
            action: if before.is_some() { Action::Updated } else { Action::Created },
            payload: json!(after),
            audit: Audit::Entry { action: audit, before: json!(before), after: json!(after) },
        });
        if before.is_none() {
            policy::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        } else {
            let all = row.into_active_model().reset_all();
            policy::Entity::update_many().set(all).filter(policy::Column::Id.eq(after.id)).exec(conn).await?;
        }
        policy_version::Entity::insert(version.into_active_model()).exec_without_returning(conn).await?;
        Ok(after)
    }
}
