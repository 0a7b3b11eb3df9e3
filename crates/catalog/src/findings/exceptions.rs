//! Exceptions: a vulnerability that is put up with for a while, with a reason, an end, and the word of a second person.

use guardian_model::{Micros, TenantId};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::finding_exception;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx, text_enum};

/// Exceptions of one tenant that have not ended.
pub const FINDING_EXCEPTIONS_MAX: u64 = 5_000;
/// The longest time that one may hold.
const LIFE_MAX: i64 = 366 * Micros::DAY;

text_enum! {
    /// How an exception stands. What has expired holds no more, whatever stands here.
    FindingExceptionState {
        /// Somebody asks for it.
        Requested = "requested",
        /// It holds until it expires.
        Approved = "approved",
        /// It was not granted.
        Refused = "refused",
        /// It was ended before its time.
        Ended = "ended",
    }
}

text_enum! {
    /// What an exception is for.
    FindingReach {
        /// Every host.
        All = "all",
        /// One host, by its id.
        Host = "host",
        /// The hosts of a group.
        Group = "group",
        /// The hosts with a tag.
        Tag = "tag",
        /// One image, by its name.
        Image = "image",
    }
}

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingExceptionDraft {
    /// Name of the vulnerability.
    pub vulnerability: String,
    /// The package; empty for every one.
    pub package: String,
    /// What it is for.
    pub reach: FindingReach,
    /// The host, group, tag or image; empty for all.
    pub reach_name: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub expires: Micros,
}

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingException {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// What it says.
    #[serde(flatten)]
    pub draft: FindingExceptionDraft,
    /// How it stands.
    pub state: FindingExceptionState,
    /// Who asked for it.
    pub author: String,
    /// Kind and id of who asked for it.
    pub author_id: String,
    /// When.
    pub created: Micros,
    /// Who approved, refused or ended it.
    pub decided_by: Option<String>,
    /// When.
    pub decided: Option<Micros>,
    /// Grows with each change.
    pub version: i32,
}

impl FindingException {
    /// Whether it holds at a time.
    pub fn holds(&self, now: Micros) -> bool {
        self.state == FindingExceptionState::Approved && now < self.draft.expires
    }
}

impl TryFrom<finding_exception::Model> for FindingException {
    type Error = CatalogError;

    fn try_from(row: finding_exception::Model) -> Result<Self, CatalogError> {
        let word = |what: String| CatalogError::Invalid(what);
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            draft: FindingExceptionDraft {
                vulnerability: row.vulnerability,
                package: row.package,
                reach: row.reach.parse().map_err(word)?,
                reach_name: row.reach_name,
                reason: row.reason,
                expires: Micros(row.expires),
            },
            state: row.state.parse().map_err(word)?,
            author: row.author,
            author_id: row.author_id,
            created: Micros(row.created),
            decided_by: row.decided_by,
            decided: row.decided.map(Micros),
            version: row.version,
        })
    }
}

impl Scoped<'_> {
    /// The exceptions of one tenant, newest first.
    pub async fn finding_exceptions(&self, tenant: TenantId) -> Result<Vec<FindingException>, CatalogError> {
        self.require(tenant)?;
        let query = self
            .select::<finding_exception::Entity>()
            .filter(finding_exception::Column::TenantId.eq(tenant.0))
            .order_by_desc(finding_exception::Column::Id);
        query.all(self.conn()).await?.into_iter().map(FindingException::try_from).collect()
    }
}

impl Tx {
    /// Asks for an exception.
    pub async fn request_finding_exception(
        &mut self,
        draft: &FindingExceptionDraft,
    ) -> Result<FindingException, CatalogError> {
        check(draft, self.now())?;
        let here = finding_exception::Entity::find()
            .filter(finding_exception::Column::TenantId.eq(self.tenant().0))
            .filter(finding_exception::Column::Expires.gt(self.now().0));
        if here.count(self.look()).await? >= FINDING_EXCEPTIONS_MAX {
            let text = format!("there are already {FINDING_EXCEPTIONS_MAX} exceptions that have not ended");
            return Err(CatalogError::Conflict(text));
        }
        let row = finding_exception::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            vulnerability: clean(draft.vulnerability.trim(), 200),
            package: clean(draft.package.trim(), 300),
            reach: draft.reach.as_str().to_owned(),
            reach_name: clean(draft.reach_name.trim(), 512),
            reason: clean(draft.reason.trim(), 1_000),
            state: FindingExceptionState::Requested.as_str().to_owned(),
            expires: draft.expires.0,
            author: self.actor().name.clone(),
            author_id: self.actor_key(),
            created: self.now().0,
            decided_by: None,
            decided: None,
            version: 1,
        };
        let after = FindingException::try_from(row.clone())?;
        let (conn, _) = self.record(Change {
            subject: Subject::FindingException,
            id: row.id.to_string(),
            action: Action::Created,
            payload: json!(after),
            audit: Audit::Entry { action: "vulnerability.exception.request", before: Value::Null, after: json!(after) },
        });
        finding_exception::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(after)
    }

    /// Approves, refuses or ends an exception. Unless `own` is allowed, nobody approves what they asked for themselves.
    pub async fn decide_finding_exception(
        &mut self,
        id: Uuid,
        to: FindingExceptionState,
        own: bool,
    ) -> Result<FindingException, CatalogError> {
        use FindingExceptionState::{Approved, Ended, Refused, Requested};
        let query = finding_exception::Entity::find_by_id(id);
        let query = query.filter(finding_exception::Column::TenantId.eq(self.tenant().0));
        let row = query.one(self.look()).await?.ok_or(CatalogError::NotFound("exception"))?;
        let before = FindingException::try_from(row.clone())?;
        let action = match (before.state, to) {
            (Requested, Approved) => "vulnerability.exception.approve",
            (Requested, Refused) => "vulnerability.exception.refuse",
            (Requested | Approved, Ended) => "vulnerability.exception.end",
            (state, _) => return Err(CatalogError::Conflict(format!("the exception is {state} already"))),
        };
        if to == Approved && before.draft.expires <= self.now() {
            return Err(CatalogError::Conflict("the exception has expired".into()));
        }
        if to == Approved && !own && before.author_id == self.actor_key() {
            return Err(CatalogError::Conflict("somebody else has to approve what you asked for".into()));
        }
        let row = finding_exception::Model {
            state: to.as_str().to_owned(),
            decided_by: Some(self.actor().name.clone()),
            decided: Some(self.now().0),
            version: row.version + 1,
            ..row
        };
        let after = FindingException::try_from(row.clone())?;
        let (conn, _) = self.record(Change {
            subject: Subject::FindingException,
            id: id.to_string(),
            action: Action::Updated,
            payload: json!(after),
            audit: Audit::Entry { action, before: json!(before), after: json!(after) },
        });
        let all = row.into_active_model().reset_all();
        finding_exception::Entity::update_many()
            .set(all)
            .filter(finding_exception::Column::Id.eq(id))
            .exec(conn)
            .await?;
        Ok(after)
    }

    /// Who acts, so that two people of one name are two.
    fn actor_key(&self) -> String {
        let actor = self.actor();
        format!("{}:{}", actor.kind, actor.id.as_deref().unwrap_or(&actor.name))
    }
}

fn check(draft: &FindingExceptionDraft, now: Micros) -> Result<(), CatalogError> {
    let invalid = |text: &str| Err(CatalogError::Invalid(text.to_owned()));
    if draft.vulnerability.trim().is_empty() {
        return invalid("an exception needs a vulnerability");
    }
    if draft.reason.trim().is_empty() {
        return invalid("an exception needs a reason");
    }
    if (draft.reach == FindingReach::All) != draft.reach_name.trim().is_empty() {
        return invalid("an exception names the host, group, tag or image that it is for, or is for all");
    }
    if draft.expires <= now || draft.expires.0 - now.0 > LIFE_MAX {
        return invalid("an exception ends in the future, and within a year");
    }
    Ok(())
}
