//! What a person was told, in the console. Only they read it, so that nothing of it is audited; the change log tells
//! their windows.

use std::collections::HashMap;

use guardian_model::{Micros, TenantId, UserId};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NotifyEvent, decode};
use crate::entity::{notification, notification_preference};
use crate::tx::{Audit, CHUNK, Change};
use crate::{Action, CatalogError, Scoped, Subject, System, Tx};

/// Most notifications on a page.
pub const NOTIFICATION_PAGE_MAX: u64 = 200;
/// Largest preferences of one person, in bytes of JSON.
const PREFERENCES_BYTES_MAX: usize = 8 * 1_024;

/// Something that a person was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Identity.
    pub id: Uuid,
    /// In which tenant.
    pub tenant: TenantId,
    /// Who.
    pub user: UserId,
    /// What happened.
    pub event: NotifyEvent,
    /// When.
    pub time: Micros,
    /// In a line, in the person's language.
    pub title: String,
    /// In a few more words; possibly empty.
    pub text: String,
    /// Where to look in the console.
    pub link: String,
    /// What sort of thing it is about.
    pub subject: String,
    /// Which one.
    pub subject_id: String,
    /// Who made it happen, if it was somebody.
    pub by: Option<String>,
    /// Whether it only tries whether messages arrive.
    pub test: bool,
    /// When the person read it.
    pub read: Option<Micros>,
}

/// Something to tell a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotification {
    /// Who.
    pub user: UserId,
    /// What it is told of; the same person is told of the same thing once.
    pub key: String,
    /// What happened.
    pub event: NotifyEvent,
    /// When.
    pub time: Micros,
    /// In a line.
    pub title: String,
    /// In a few more words.
    pub text: String,
    /// Where to look in the console.
    pub link: String,
    /// What sort of thing it is about.
    pub subject: String,
    /// Which one.
    pub subject_id: String,
    /// Who made it happen.
    pub by: Option<String>,
    /// Whether it is a test.
    pub test: bool,
}

impl TryFrom<notification::Model> for Notification {
    type Error = CatalogError;

    fn try_from(row: notification::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            user: UserId(row.user_id),
            event: row.event.parse().map_err(CatalogError::Corrupt)?,
            time: Micros(row.time),
            title: row.title,
            text: row.text,
            link: row.link,
            subject: row.subject,
            subject_id: row.subject_id,
            by: row.by_whom,
            test: row.test,
            read: row.read.map(Micros),
        })
    }
}

impl Scoped<'_> {
    /// What a person was told in the scope, newest first, beginning after the one with id `after`: all, or unread or of
    /// one kind only.
    pub async fn notifications(
        &self,
        user: UserId,
        unread: bool,
        event: Option<NotifyEvent>,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<(Vec<Notification>, bool), CatalogError> {
        use notification::Column as C;
        let limit = limit.clamp(1, NOTIFICATION_PAGE_MAX);
        let mut query = self.select::<notification::Entity>().filter(C::UserId.eq(user.0));
        if unread {
            query = query.filter(C::Read.is_null());
        }
        if let Some(event) = event {
            query = query.filter(C::Event.eq(event.as_str()));
        }
        if let Some(after) = after {
            query = query.filter(C::Id.lt(after));
        }
        let mut rows = query.order_by_desc(C::Id).limit(limit + 1).all(self.conn()).await?;
        let more = rows.len() as u64 > limit;
        rows.truncate(limit as usize);
        Ok((rows.into_iter().map(Notification::try_from).collect::<Result<_, _>>()?, more))
    }

    /// How many of them a person has not read.
    pub async fn unread_notifications(&self, user: UserId) -> Result<u64, CatalogError> {
        let query = self.select::<notification::Entity>().filter(notification::Column::UserId.eq(user.0));
        Ok(query.filter(notification::Column::Read.is_null()).count(self.conn()).await?)
    }
}

impl System<'_> {
    /// What a person wants to hear, as `notify` wrote it, and its version; 0 while nothing was ever set.
    pub async fn notify_preferences(&self, user: UserId) -> Result<(i32, Value), CatalogError> {
        read(notification_preference::Entity::find_by_id(user.0).one(self.read()).await?)
    }

    /// The same for several people; who never set anything is not among them.
    pub async fn notify_preferences_of(&self, users: &[UserId]) -> Result<HashMap<UserId, Value>, CatalogError> {
        let mut all = HashMap::new();
        for chunk in users.chunks(CHUNK) {
            let rows = notification_preference::Entity::find()
                .filter(notification_preference::Column::UserId.is_in(chunk.iter().map(|u| u.0)))
                .all(self.read())
                .await?;
            for row in rows {
                let user = UserId(row.user_id);
                all.insert(user, read(Some(row))?.1);
            }
        }
        Ok(all)
    }

    /// Forgets what people were told before `before`.
    pub async fn drop_old_notifications(&self, before: Micros) -> Result<u64, CatalogError> {
        let old = notification::Entity::delete_many().filter(notification::Column::Time.lt(before.0));
        Ok(old.exec(self.write()).await?.rows_affected)
    }
}

fn read(row: Option<notification_preference::Model>) -> Result<(i32, Value), CatalogError> {
    let Some(row) = row else { return Ok((0, json!({}))) };
    Ok((row.version, decode(&row.value, "notification_preferences.value")?))
}

impl Tx {
    /// Keeps what a person at home in this transaction's tenant wants to hear. `version` is the one they saw.
    pub async fn put_notify_preferences(
        &mut self,
        user: UserId,
        version: i32,
        value: &Value,
    ) -> Result<i32, CatalogError> {
        use notification_preference::Column as C;
        self.home_user(user).await?;
        let text = value.to_string();
        if text.len() > PREFERENCES_BYTES_MAX {
            return Err(CatalogError::Invalid(format!("preferences have at most {PREFERENCES_BYTES_MAX} bytes")));
        }
        let (old, _) = read(notification_preference::Entity::find_by_id(user.0).one(self.look()).await?)?;
        CatalogError::unless_at("preferences", old, version)?;
        let row = notification_preference::ActiveModel {
            user_id: Set(user.0),
            value: Set(text),
            version: Set(version + 1),
            updated: Set(self.now().0),
        };
        let mut replace = OnConflict::column(C::UserId);
        replace.update_columns([C::Value, C::Version, C::Updated]);
        let (conn, _) = self.record(Change {
            subject: Subject::User,
            id: user.to_string(),
            action: Action::Updated,
            payload: Value::Null,
            audit: Audit::NotNeeded,
        });
        notification_preference::Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await?;
        Ok(version + 1)
    }

    /// Marks what a person was told as read: these, or all.
    pub async fn read_notifications(&mut self, user: UserId, ids: Option<&[Uuid]>) -> Result<u64, CatalogError> {
        use notification::Column as C;
        let mut query = notification::Entity::update_many()
            .col_expr(C::Read, Expr::val(self.now().0))
            .filter(C::TenantId.eq(self.tenant().0))
            .filter(C::UserId.eq(user.0))
            .filter(C::Read.is_null());
        if let Some(ids) = ids {
            query = query.filter(C::Id.is_in(ids.iter().copied()));
        }
        let changed = query.exec(self.look()).await?.rows_affected;
        if changed > 0 {
            self.record(Change {
                subject: Subject::Notification,
                id: user.to_string(),
                action: Action::Updated,
                payload: Value::Null,
                audit: Audit::NotNeeded,
            });
        }
        Ok(changed)
    }

    /// Tells people what they were not told yet.
    pub(super) async fn tell_people(&mut self, new: &[NewNotification]) -> Result<u64, CatalogError> {
        use notification::Column as C;
        let mut told = 0;
        for chunk in new.chunks(CHUNK) {
            let known: Vec<(Uuid, String)> = notification::Entity::find()
                .filter(C::TenantId.eq(self.tenant().0))
                .filter(C::Key.is_in(chunk.iter().map(|n| n.key.as_str())))
                .select_only()
                .columns([C::UserId, C::Key])
                .into_tuple()
                .all(self.look())
                .await?;
            for one in chunk.iter().filter(|n| !known.contains(&(n.user.0, n.key.clone()))) {
                self.tell_person(one).await?;
                told += 1;
            }
        }
        Ok(told)
    }

    async fn tell_person(&mut self, one: &NewNotification) -> Result<(), CatalogError> {
        let row = notification::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            user_id: one.user.0,
            key: one.key.clone(),
            event: one.event.as_str().to_owned(),
            time: one.time.0,
            title: one.title.clone(),
            text: one.text.clone(),
            link: one.link.clone(),
            subject: one.subject.clone(),
            subject_id: one.subject_id.clone(),
            by_whom: one.by.clone(),
            test: one.test,
            read: None,
        };
        let told = Notification::try_from(row.clone())?;
        let (conn, _) = self.record(Change {
            subject: Subject::Notification,
            id: one.user.to_string(),
            action: Action::Created,
            payload: json!(told),
            audit: Audit::NotNeeded,
        });
        // Two nodes may plan the same thing; the tenant's lock lets one after the other, and the second finds it known.
        notification::Entity::insert(notification::ActiveModel::from(row)).exec_without_returning(conn).await?;
        Ok(())
    }
}
