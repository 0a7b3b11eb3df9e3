//! Detection rules and their versions. A version is never changed; a rule points at its current one. What a rule means
//! is the business of the crate `rules`: here a rule is a text with a hash.

use guardian_model::{Micros, TenantId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::{rule, rule_version};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx, text_enum};

/// Longest rule text, in bytes.
pub const RULE_SOURCE_BYTES_MAX: usize = 256 * 1024;

text_enum! {
    /// Where a rule comes from.
    RuleOrigin {
        /// It ships with Guardian and is brought up to date with it.
        Shipped = "shipped",
        /// Somebody wrote or changed it here; upgrades leave it alone.
        Custom = "custom",
    }
}

/// A rule of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whose.
    pub tenant: TenantId,
    /// Its Sigma id; unique within the tenant.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// Its level, as the rule writes it.
    pub level: String,
    /// Where it comes from.
    pub origin: RuleOrigin,
    /// Whether it is to run.
    pub enabled: bool,
    /// Number of its current version, from 1.
    pub version: i32,
    /// Hexadecimal hash of the current version's content.
    pub hash: String,
    /// Since when it is here.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// One text of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleVersion {
    /// Its number, from 1.
    pub version: i32,
    /// The YAML text.
    pub source: String,
    /// Hexadecimal hash of its content.
    pub hash: String,
    /// Who wrote it.
    pub author: String,
    /// What they said about it.
    pub comment: Option<String>,
    /// When.
    pub created: Micros,
}

/// A rule with its current text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSource {
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// Its current YAML text.
    pub source: String,
}

/// A rule to store, after the crate `rules` has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDraft {
    /// Its Sigma id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: String,
    /// Where it comes from.
    pub origin: RuleOrigin,
    /// The YAML text, at most [`RULE_SOURCE_BYTES_MAX`].
    pub source: String,
    /// Hexadecimal hash of its content.
    pub hash: String,
    /// What the author says about it.
    pub comment: Option<String>,
    /// Whether a rule that is new here is to run.
    pub enabled: bool,
}

impl TryFrom<rule::Model> for Rule {
    type Error = CatalogError;

    fn try_from(row: rule::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            tenant: TenantId(row.tenant_id),
            rule_id: row.rule_id,
            title: row.title,
            level: row.level,
            origin: row.origin.parse().map_err(CatalogError::Corrupt)?,
            enabled: row.enabled,
            version: row.version,
            hash: row.hash,
            created: Micros(row.created),
            updated: Micros(row.updated),
        })
    }
}

impl From<rule_version::Model> for RuleVersion {
    fn from(row: rule_version::Model) -> Self {
        Self {
            version: row.version,
            source: row.source,
            hash: row.hash,
            author: row.author,
            comment: row.comment,
            created: Micros(row.created),
        }
    }
}

impl Scoped<'_> {
    /// The rules of the scope, by title.
    pub async fn rules(&self) -> Result<Vec<Rule>, CatalogError> {
        let query = self.select::<rule::Entity>().order_by_asc(rule::Column::Title).order_by_asc(rule::Column::RuleId);
        query.all(self.conn()).await?.into_iter().map(Rule::try_from).collect()
    }

    /// The rules of one tenant with their current texts: what detection compiles.
    pub async fn rule_sources(&self, tenant: TenantId) -> Result<Vec<RuleSource>, CatalogError> {
        self.require(tenant)?;
        let rows = self
            .select::<rule::Entity>()
            .filter(rule::Column::TenantId.eq(tenant.0))
            .order_by_asc(rule::Column::RuleId)
            .all(self.conn())
            .await?;
        let mut sources = Vec::with_capacity(rows.len());
        for row in rows {
            let source = self.current(&row).await?;
            sources.push(RuleSource { rule: Rule::try_from(row)?, source: source.source });
        }
        Ok(sources)
    }

    /// One rule with its current text.
    pub async fn rule(&self, tenant: TenantId, rule_id: &str) -> Result<RuleSource, CatalogError> {
        let row = self.rule_row(tenant, rule_id).await?;
        let source = self.current(&row).await?.source;
        Ok(RuleSource { rule: Rule::try_from(row)?, source })
    }

    /// Every version of a rule, newest first.
    pub async fn rule_versions(&self, tenant: TenantId, rule_id: &str) -> Result<Vec<RuleVersion>, CatalogError> {
        let row = self.rule_row(tenant, rule_id).await?;
        let query = rule_version::Entity::find().filter(rule_version::Column::Rule.eq(row.id));
        let rows = query.order_by_desc(rule_version::Column::Version).all(self.conn()).await?;
        Ok(rows.into_iter().map(RuleVersion::from).collect())
    }

    async fn rule_row(&self, tenant: TenantId, rule_id: &str) -> Result<rule::Model, CatalogError> {
        self.require(tenant)?;
        let query = self.select::<rule::Entity>().filter(rule::Column::TenantId.eq(tenant.0));
        let row = query.filter(rule::Column::RuleId.eq(clean(rule_id, 200))).one(self.conn()).await?;
        row.ok_or(CatalogError::NotFound("rule"))
    }

    async fn current(&self, row: &rule::Model) -> Result<rule_version::Model, CatalogError> {
        let version = rule_version::Entity::find_by_id((row.id, row.version)).one(self.conn()).await?;
        version.ok_or_else(|| CatalogError::Corrupt(format!("rule {} has no version {}", row.rule_id, row.version)))
    }
}

impl Tx {
    /// Stores a rule: a new one, or a new version of a known one. The same content again changes nothing, and a shipped
    /// text never replaces one that somebody changed here; both return the rule as it stands. Whether it is enabled
    /// stays as it was.
    pub async fn put_rule(&mut self, draft: &RuleDraft) -> Result<Rule, CatalogError> {
        if draft.rule_id.trim().is_empty() {
            return Err(CatalogError::Invalid("a rule needs an id".into()));
        }
        if draft.source.len() > RULE_SOURCE_BYTES_MAX {
            return Err(CatalogError::Invalid(format!("a rule is at most {RULE_SOURCE_BYTES_MAX} bytes long")));
        }
        let old = self.find_rule(&draft.rule_id).await?;
        if let Some(row) = &old {
            let keep = row.origin == RuleOrigin::Custom.as_str() && draft.origin == RuleOrigin::Shipped;
            if keep || (row.hash == draft.hash && row.origin == draft.origin.as_str()) {
                return Rule::try_from(row.clone());
            }
        }
        let row = rule::Model {
            id: old.as_ref().map_or_else(|| self.new_id(), |row| row.id),
            tenant_id: self.tenant().0,
            rule_id: clean(&draft.rule_id, 200),
            title: clean(&draft.title, 500),
            level: clean(&draft.level, 40),
            origin: draft.origin.as_str().to_owned(),
            enabled: old.as_ref().map_or(draft.enabled, |row| row.enabled),
            version: old.as_ref().map_or(1, |row| row.version + 1),
            hash: clean(&draft.hash, 128),
            created: old.as_ref().map_or(self.now().0, |row| row.created),
            updated: self.now().0,
        };
        let version = rule_version::ActiveModel {
            rule: Set(row.id),
            version: Set(row.version),
            source: Set(clean(&draft.source, RULE_SOURCE_BYTES_MAX)),
            hash: Set(row.hash.clone()),
            author: Set(self.actor().name.clone()),
            comment: Set(draft.comment.as_deref().map(|c| clean(c, 1_000))),
            created: Set(self.now().0),
        };
        self.store_rule(old, row.clone(), "rule.put").await?;
        rule_version::Entity::insert(version).exec_without_returning(self.look()).await?;
        Rule::try_from(row)
    }

    /// Lets a rule run, or not.
    pub async fn enable_rule(&mut self, rule_id: &str, enabled: bool) -> Result<Rule, CatalogError> {
        let old = self.find_rule(rule_id).await?.ok_or(CatalogError::NotFound("rule"))?;
        if old.enabled != enabled {
            let row = rule::Model { enabled, updated: self.now().0, ..old.clone() };
            self.store_rule(Some(old), row.clone(), if enabled { "rule.enable" } else { "rule.disable" }).await?;
            return Rule::try_from(row);
        }
        Rule::try_from(old)
    }

    /// Removes a rule and its versions; its alerts stay. A shipped rule would come back with the next start, so that
    /// it can only be disabled.
    pub async fn delete_rule(&mut self, rule_id: &str) -> Result<(), CatalogError> {
        let old = self.find_rule(rule_id).await?.ok_or(CatalogError::NotFound("rule"))?;
        if old.origin == RuleOrigin::Shipped.as_str() {
            return Err(CatalogError::Conflict("a shipped rule cannot be deleted; disable it".into()));
        }
        let before = json!(Rule::try_from(old.clone())?);
        let (conn, _) = self.record(Change {
            subject: Subject::Rule,
            id: old.rule_id,
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "rule.delete", before, after: Value::Null },
        });
        rule::Entity::delete_by_id(old.id).exec(conn).await?;
        Ok(())
    }

    async fn find_rule(&self, rule_id: &str) -> Result<Option<rule::Model>, CatalogError> {
        let query = rule::Entity::find()
            .filter(rule::Column::TenantId.eq(self.tenant().0))
            .filter(rule::Column::RuleId.eq(clean(rule_id, 200)));
        Ok(query.one(self.look()).await?)
    }

    async fn store_rule(
        &mut self,
        old: Option<rule::Model>,
        row: rule::Model,
        action: &'static str,
    ) -> Result<(), CatalogError> {
        let before = old.clone().map(Rule::try_from).transpose()?;
        let after = json!(Rule::try_from(row.clone())?);
        let (conn, _) = self.record(Change {
            subject: Subject::Rule,
            id: row.rule_id.clone(),
            action: if old.is_some() { Action::Updated } else { Action::Created },
            payload: after.clone(),
            audit: Audit::Entry { action, before: json!(before), after },
        });
        let id: Uuid = row.id;
        if old.is_none() {
            rule::Entity::insert(active(row)).exec_without_returning(conn).await?;
        } else {
            rule::Entity::update_many().set(active(row)).filter(rule::Column::Id.eq(id)).exec(conn).await?;
        }
        Ok(())
    }
}

fn active(row: rule::Model) -> rule::ActiveModel {
    rule::ActiveModel {
        id: Set(row.id),
        tenant_id: Set(row.tenant_id),
        rule_id: Set(row.rule_id),
        title: Set(row.title),
        level: Set(row.level),
        origin: Set(row.origin),
        enabled: Set(row.enabled),
        version: Set(row.version),
        hash: Set(row.hash),
        created: Set(row.created),
        updated: Set(row.updated),
    }
}
