//! Suppressions: what people said once about alerts that need nobody. An alert that matches when it comes is stored
//! closed, with the suppression's verdict and its id, and counted: nothing is dropped, and nothing is silent.

use std::collections::HashMap;
use std::net::IpAddr;

use guardian_model::{Entity, EntityKind, Micros, TenantId};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AlertStatus, BULK_MAX, Verdict, entity_kind};
use crate::entity::{alert, suppression};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx};

/// Most suppressions a tenant may have: each new alert is held against all of them.
pub const SUPPRESSIONS_MAX: u64 = 1_000;
const TEXT_MAX: usize = 500;

/// A suppression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Grows with each change.
    pub version: i32,
    /// What it says.
    #[serde(flatten)]
    pub draft: SuppressionDraft,
    /// Alerts that it closed.
    pub hits: u64,
    /// When it last closed one.
    pub last_hit: Option<Micros>,
    /// Who made it.
    pub author: String,
    /// When.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// What a suppression says: an alert matches if everything that is named fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionDraft {
    /// Its name for people.
    pub name: String,
    /// Alerts of this rule.
    pub rule_id: Option<String>,
    /// About this kind of entity.
    pub entity_kind: Option<EntityKind>,
    /// About this entity: its value, a network such as `10.0.0.0/8`, or a text with `*` for anything.
    pub entity: Option<String>,
    /// Of exactly this group (`name=value` pairs).
    pub group: Option<String>,
    /// What the alerts turn out to be.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// It ends then.
    pub expires: Option<Micros>,
    /// Whether it holds.
    pub enabled: bool,
}

impl SuppressionDraft {
    fn check(&self) -> Result<(), CatalogError> {
        let blank = |text: &Option<String>| text.as_ref().is_none_or(|t| t.trim().is_empty());
        if blank(&self.rule_id) && blank(&self.entity) && blank(&self.group) {
            return Err(CatalogError::Invalid("a suppression names a rule, an entity or a group".into()));
        }
        if self.name.trim().is_empty() || self.reason.trim().is_empty() {
            return Err(CatalogError::Invalid("a suppression needs a name and a reason".into()));
        }
        Ok(())
    }

    /// Whether an alert of this rule, entity and group matches at `now`.
    pub fn matches(&self, rule_id: &str, entity: &Entity, group: &str, now: Micros) -> bool {
        self.enabled
            && self.expires.is_none_or(|end| now < end)
            && self.rule_id.as_deref().is_none_or(|rule| rule == rule_id)
            && self.entity_kind.is_none_or(|kind| kind == entity.kind)
            && self.group.as_deref().is_none_or(|wanted| wanted == group)
            && self.entity.as_deref().is_none_or(|pattern| fits(pattern, &entity.value))
    }
}

/// Whether an entity fits a value, a network or a text with wildcards.
fn fits(pattern: &str, value: &str) -> bool {
    if let Some((network, bits)) = pattern.split_once('/')
        && let (Ok(network), Ok(bits), Ok(ip)) = (network.parse(), bits.parse(), value.parse())
    {
        return contains(network, bits, ip);
    }
    wildcard(&pattern.to_lowercase(), &value.to_lowercase())
}

fn contains(network: IpAddr, bits: u32, ip: IpAddr) -> bool {
    let (network, ip, width) = match (network, ip) {
        (IpAddr::V4(n), IpAddr::V4(i)) => (u128::from(n.to_bits()), u128::from(i.to_bits()), 32),
        (IpAddr::V6(n), IpAddr::V6(i)) => (n.to_bits(), i.to_bits(), 128),
        _ => return false,
    };
    bits <= width && network.checked_shr(width - bits).unwrap_or(0) == ip.checked_shr(width - bits).unwrap_or(0)
}

/// `*` stands for anything. Each part is found as early as possible, which is right because parts have no choice of
/// length.
fn wildcard(pattern: &str, value: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = value.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

impl TryFrom<suppression::Model> for Suppression {
    type Error = CatalogError;

    fn try_from(row: suppression::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            version: row.version,
            draft: SuppressionDraft {
                name: row.name,
                rule_id: row.rule_id,
                entity_kind: row.entity_kind.as_deref().map(entity_kind),
                entity: row.entity,
                group: row.group_key,
                verdict: row.verdict.parse().map_err(CatalogError::Corrupt)?,
                reason: row.reason,
                expires: row.expires.map(Micros),
                enabled: row.enabled,
            },
            hits: u64::try_from(row.hits).unwrap_or_default(),
            last_hit: row.last_hit.map(Micros),
            author: row.author,
            created: Micros(row.created),
            updated: Micros(row.updated),
        })
    }
}

impl Scoped<'_> {
    /// The suppressions of the scope, newest first.
    pub async fn suppressions(&self) -> Result<Vec<Suppression>, CatalogError> {
        let query = self.select::<suppression::Entity>().order_by_desc(suppression::Column::Id);
        query.all(self.conn()).await?.into_iter().map(Suppression::try_from).collect()
    }

    /// One suppression.
    pub async fn suppression(&self, id: Uuid) -> Result<Suppression, CatalogError> {
        let row = self.select::<suppression::Entity>().filter(suppression::Column::Id.eq(id)).one(self.conn()).await?;
        row.ok_or(CatalogError::NotFound("suppression")).and_then(Suppression::try_from)
    }
}

impl Tx {
    /// Makes a suppression; it holds for alerts that come from now on.
    pub async fn create_suppression(&mut self, draft: &SuppressionDraft) -> Result<Suppression, CatalogError> {
        draft.check()?;
        let here = suppression::Entity::find().filter(suppression::Column::TenantId.eq(self.tenant().0));
        if here.count(self.look()).await? >= SUPPRESSIONS_MAX {
            return Err(CatalogError::Conflict(format!("there are already {SUPPRESSIONS_MAX} suppressions")));
        }
        let row = suppression::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            version: 0,
            hits: 0,
            last_hit: None,
            author: self.actor().name.clone(),
            created: self.now().0,
            ..row_of(draft)
        };
        self.store_suppression(None, row, "suppression.create").await
    }

    /// Changes a suppression that is still at `version`.
    pub async fn update_suppression(
        &mut self,
        id: Uuid,
        version: i32,
        draft: &SuppressionDraft,
    ) -> Result<Suppression, CatalogError> {
        draft.check()?;
        let old = self.suppression_row(id).await?;
        CatalogError::unless_at("suppression", old.version, version)?;
        let row = suppression::Model {
            id,
            tenant_id: old.tenant_id,
            version: old.version,
            hits: old.hits,
            last_hit: old.last_hit,
            author: old.author.clone(),
            created: old.created,
            ..row_of(draft)
        };
        self.store_suppression(Some(old), row, "suppression.update").await
    }

    /// Ends a suppression. What it closed stays closed.
    pub async fn delete_suppression(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let old = Suppression::try_from(self.suppression_row(id).await?)?;
        let (conn, _) = self.record(Change {
            subject: Subject::Suppression,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "suppression.delete", before: json!(old), after: Value::Null },
        });
        suppression::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    /// Closes the open alerts that match a suppression, as if they came now. Returns how many, at most
    /// [`BULK_MAX`].
    pub async fn apply_suppression(&mut self, id: Uuid) -> Result<u64, CatalogError> {
        let found = Suppression::try_from(self.suppression_row(id).await?)?;
        let mut query = alert::Entity::find()
            .filter(alert::Column::TenantId.eq(self.tenant().0))
            .filter(alert::Column::Status.ne(AlertStatus::Closed.as_str()));
        if let Some(rule) = &found.draft.rule_id {
            query = query.filter(alert::Column::RuleId.eq(rule.as_str()));
        }
        let rows = query.order_by_desc(alert::Column::Id).limit(BULK_MAX).all(self.look()).await?;
        let mut hits = 0;
        for row in rows {
            if found.draft.matches(&row.rule_id, &entity_of(&row), &row.group_key, self.now()) {
                let mut after = row.clone();
                close(&mut after, &found);
                self.store_decision(row, after, "alert.suppress").await?;
                hits += 1;
            }
        }
        self.count_hits(id, hits).await?;
        Ok(hits as u64)
    }

    /// Closes those of some new alerts that match a suppression.
    pub(super) async fn suppress_new(&mut self, rows: Vec<&mut alert::Model>) -> Result<(), CatalogError> {
        if rows.is_empty() {
            return Ok(());
        }
        let all = suppression::Entity::find()
            .filter(suppression::Column::TenantId.eq(self.tenant().0))
            .filter(suppression::Column::Enabled.eq(true))
            .order_by_asc(suppression::Column::Id)
            .all(self.look())
            .await?;
        let all = all.into_iter().map(Suppression::try_from).collect::<Result<Vec<_>, _>>()?;
        let mut hits = HashMap::<Uuid, i64>::new();
        for row in rows {
            let entity = entity_of(row);
            let found = all.iter().find(|s| s.draft.matches(&row.rule_id, &entity, &row.group_key, self.now()));
            if let Some(found) = found {
                close(row, found);
                *hits.entry(found.id).or_default() += 1;
            }
        }
        for (id, hits) in hits {
            self.count_hits(id, hits).await?;
        }
        Ok(())
    }

    /// Counters are told nowhere; the alerts that were closed are.
    async fn count_hits(&mut self, id: Uuid, hits: i64) -> Result<(), CatalogError> {
        if hits > 0 {
            suppression::Entity::update_many()
                .col_expr(suppression::Column::Hits, Expr::col(suppression::Column::Hits).add(hits))
                .col_expr(suppression::Column::LastHit, Expr::val(self.now().0))
                .filter(suppression::Column::Id.eq(id))
                .exec(self.look())
                .await?;
        }
        Ok(())
    }

    async fn suppression_row(&self, id: Uuid) -> Result<suppression::Model, CatalogError> {
        let query = suppression::Entity::find_by_id(id).filter(suppression::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("suppression"))
    }

    async fn store_suppression(
        &mut self,
        old: Option<suppression::Model>,
        mut row: suppression::Model,
        action: &'static str,
    ) -> Result<Suppression, CatalogError> {
        row.version += 1;
        row.updated = self.now().0;
        let before = old.map(Suppression::try_from).transpose()?;
        let after = Suppression::try_from(row.clone())?;
        let (conn, _) = self.record(Change {
            subject: Subject::Suppression,
            id: row.id.to_string(),
            action: if before.is_some() { Action::Updated } else { Action::Created },
            payload: json!(after),
            audit: Audit::Entry { action, before: json!(before), after: json!(after) },
        });
        if before.is_none() {
            suppression::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        } else {
            let id = row.id;
            let all = row.into_active_model().reset_all();
            suppression::Entity::update_many().set(all).filter(suppression::Column::Id.eq(id)).exec(conn).await?;
        }
        Ok(after)
    }
}

/// The columns that a draft fills; the others are the caller's.
fn row_of(draft: &SuppressionDraft) -> suppression::Model {
    let text =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|t| !t.is_empty()).map(|t| clean(t, TEXT_MAX));
    suppression::Model {
        id: Uuid::nil(),
        tenant_id: Uuid::nil(),
        version: 0,
        name: clean(draft.name.trim(), 200),
        rule_id: text(&draft.rule_id),
        entity_kind: draft.entity_kind.map(|k| k.as_str().to_owned()),
        entity: text(&draft.entity),
        group_key: text(&draft.group),
        verdict: draft.verdict.as_str().to_owned(),
        reason: clean(draft.reason.trim(), TEXT_MAX),
        expires: draft.expires.map(|t| t.0),
        enabled: draft.enabled,
        hits: 0,
        last_hit: None,
        author: String::new(),
        created: 0,
        updated: 0,
    }
}

fn entity_of(row: &alert::Model) -> Entity {
    Entity { site: row.site.clone(), kind: entity_kind(&row.entity_kind), value: row.entity.clone() }
}

fn close(row: &mut alert::Model, suppression: &Suppression) {
    AlertStatus::Closed.as_str().clone_into(&mut row.status);
    row.verdict = Some(suppression.draft.verdict.as_str().to_owned());
    row.reason =
        Some(format!("suppressed by \u{201c}{}\u{201d}: {}", suppression.draft.name, suppression.draft.reason));
    row.suppressed_by = Some(suppression.id);
    row.snoozed_until = None;
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_what_they_say() {
        for (pattern, value, expected) in [
            ("10.0.0.5", "10.0.0.5", true),
            ("10.0.0.5", "10.0.0.50", false),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "11.0.0.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("scanner-*", "Scanner-7.example.org", true),
            ("*.example.org", "mail.example.org", true),
            ("*.example.org", "example.org", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("*", "anything", true),
            ("a*a", "a", false),
            ("a/b", "a/b", true),
        ] {
            assert_eq!(fits(pattern, value), expected, "{pattern} on {value}");
        }
    }
}
