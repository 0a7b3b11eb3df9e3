//! Exceptions to rules: what a rule is not to look at here. They are kept apart from the rule's text, so that a new
//! version of it, shipped or written here, leaves them standing. What the filter means is the business of whoever
//! compiles the rules; here it is a text.

use guardian_model::{Micros, Scope, TenantId};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::rule_exception;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, Actor, CatalogError, Scoped, Subject, System, Tx};

/// Exceptions that one tenant may have: each is held against the rows of every batch.
pub const EXCEPTIONS_MAX: u64 = 1_000;
/// Longest filter, in bytes.
pub const EXCEPTION_FILTER_BYTES_MAX: usize = 4 * 1024;

/// An exception to a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleException {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// The Sigma id of the rule, or the id of a detector.
    pub rule_id: String,
    /// Grows with each change.
    pub version: i32,
    /// What it says.
    #[serde(flatten)]
    pub draft: ExceptionDraft,
    /// Rows that it kept from the rule.
    pub hits: u64,
    /// When it last did.
    pub last_hit: Option<Micros>,
    /// Who made it.
    pub author: String,
    /// When.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// What an exception says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionDraft {
    /// The rows that the rule is not to look at, in the filter language.
    pub filter: String,
    /// Why.
    pub reason: String,
    /// It ends then.
    pub expires: Option<Micros>,
    /// Whether it holds.
    pub enabled: bool,
}

impl ExceptionDraft {
    fn check(&self) -> Result<(), CatalogError> {
        if self.filter.trim().is_empty() || self.filter.len() > EXCEPTION_FILTER_BYTES_MAX {
            let text = format!("an exception has a filter of at most {EXCEPTION_FILTER_BYTES_MAX} bytes");
            return Err(CatalogError::Invalid(text));
        }
        if self.reason.trim().is_empty() {
            return Err(CatalogError::Invalid("an exception needs a reason".into()));
        }
        Ok(())
    }
}

impl From<rule_exception::Model> for RuleException {
    fn from(row: rule_exception::Model) -> Self {
        Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            rule_id: row.rule_id,
            version: row.version,
            draft: ExceptionDraft {
                filter: row.filter,
                reason: row.reason,
                expires: row.expires.map(Micros),
                enabled: row.enabled,
            },
            hits: u64::try_from(row.hits).unwrap_or_default(),
            last_hit: row.last_hit.map(Micros),
            author: row.author,
            created: Micros(row.created),
            updated: Micros(row.updated),
        }
    }
}

impl Scoped<'_> {
    /// The exceptions of one tenant, newest first; of one rule if it is named.
    pub async fn rule_exceptions(
        &self,
        tenant: TenantId,
        rule_id: Option<&str>,
    ) -> Result<Vec<RuleException>, CatalogError> {
        self.require(tenant)?;
        let mut query = self
            .select::<rule_exception::Entity>()
            .filter(rule_exception::Column::TenantId.eq(tenant.0))
            .order_by_desc(rule_exception::Column::Id);
        if let Some(rule) = rule_id {
            query = query.filter(rule_exception::Column::RuleId.eq(clean(rule, 200)));
        }
        Ok(query.all(self.conn()).await?.into_iter().map(RuleException::from).collect())
    }

    /// One exception.
    pub async fn rule_exception(&self, tenant: TenantId, id: Uuid) -> Result<RuleException, CatalogError> {
        self.require(tenant)?;
        let query = self
            .select::<rule_exception::Entity>()
            .filter(rule_exception::Column::TenantId.eq(tenant.0))
            .filter(rule_exception::Column::Id.eq(id));
        query.one(self.conn()).await?.map(RuleException::from).ok_or(CatalogError::NotFound("exception"))
    }
}

impl System<'_> {
    /// Adds rows that exceptions of a tenant kept from their rules. Counters are told nowhere.
    pub async fn count_exception_hits(&self, tenant: TenantId, hits: &[(Uuid, u64)]) -> Result<(), CatalogError> {
        let tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("detection")).await?;
        for (id, rows) in hits {
            let rows = i64::try_from(*rows).unwrap_or(i64::MAX);
            rule_exception::Entity::update_many()
                .col_expr(rule_exception::Column::Hits, Expr::col(rule_exception::Column::Hits).add(rows))
                .col_expr(rule_exception::Column::LastHit, Expr::val(tx.now().0))
                .filter(rule_exception::Column::TenantId.eq(tenant.0))
                .filter(rule_exception::Column::Id.eq(*id))
                .exec(tx.look())
                .await?;
        }
        tx.commit_unlogged().await?;
        Ok(())
    }
}

impl Tx {
    /// Makes an exception to a rule; it holds for rows that come from now on.
    pub async fn create_rule_exception(
        &mut self,
        rule_id: &str,
        draft: &ExceptionDraft,
    ) -> Result<RuleException, CatalogError> {
        draft.check()?;
        let here = rule_exception::Entity::find().filter(rule_exception::Column::TenantId.eq(self.tenant().0));
        if here.count(self.look()).await? >= EXCEPTIONS_MAX {
            return Err(CatalogError::Conflict(format!("there are already {EXCEPTIONS_MAX} exceptions")));
        }
        let row = rule_exception::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            rule_id: clean(rule_id, 200),
            author: self.actor().name.clone(),
            created: self.now().0,
            ..row_of(draft)
        };
        self.store_exception(None, row, "rule.exception.create").await
    }

    /// Changes an exception that is still at `version`.
    pub async fn update_rule_exception(
        &mut self,
        id: Uuid,
        version: i32,
        draft: &ExceptionDraft,
    ) -> Result<RuleException, CatalogError> {
        draft.check()?;
        let old = self.exception_row(id).await?;
        CatalogError::unless_at("exception", old.version, version)?;
        let row = rule_exception::Model {
            filter: clean(draft.filter.trim(), EXCEPTION_FILTER_BYTES_MAX),
            reason: clean(draft.reason.trim(), 500),
            expires: draft.expires.map(|t| t.0),
            enabled: draft.enabled,
            ..old.clone()
        };
        self.store_exception(Some(old), row, "rule.exception.update").await
    }

    /// Ends an exception.
    pub async fn delete_rule_exception(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let old = RuleException::from(self.exception_row(id).await?);
        let (conn, _) = self.record(Change {
            subject: Subject::RuleException,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "rule.exception.delete", before: json!(old), after: Value::Null },
        });
        rule_exception::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    async fn exception_row(&self, id: Uuid) -> Result<rule_exception::Model, CatalogError> {
        let query = rule_exception::Entity::find_by_id(id).filter(rule_exception::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("exception"))
    }

    async fn store_exception(
        &mut self,
        old: Option<rule_exception::Model>,
        mut row: rule_exception::Model,
        action: &'static str,
    ) -> Result<RuleException, CatalogError> {
        row.version += 1;
        row.updated = self.now().0;
        let before = old.map(RuleException::from);
        let after = RuleException::from(row.clone());
        let (conn, _) = self.record(Change {
            subject: Subject::RuleException,
            id: row.id.to_string(),
            action: if before.is_some() { Action::Updated } else { Action::Created },
            payload: json!(after),
            audit: Audit::Entry { action, before: json!(before), after: json!(after) },
        });
        if before.is_none() {
            rule_exception::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        } else {
            let id = row.id;
            let all = row.into_active_model().reset_all();
            rule_exception::Entity::update_many().set(all).filter(rule_exception::Column::Id.eq(id)).exec(conn).await?;
        }
        Ok(after)
    }
}

/// The columns that a draft fills; the others are the caller's.
fn row_of(draft: &ExceptionDraft) -> rule_exception::Model {
    rule_exception::Model {
        id: Uuid::nil(),
        tenant_id: Uuid::nil(),
        rule_id: String::new(),
        version: 0,
        filter: clean(draft.filter.trim(), EXCEPTION_FILTER_BYTES_MAX),
        reason: clean(draft.reason.trim(), 500),
        expires: draft.expires.map(|t| t.0),
        enabled: draft.enabled,
        hits: 0,
        last_hit: None,
        author: String::new(),
        created: 0,
        updated: 0,
    }
}
