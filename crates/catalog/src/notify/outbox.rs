//! The outbox: messages that wait to leave by mail or webhook, and the log of those that did. A message is planned in
//! the transaction that also keeps how far the change log was read, and leaves at least once: its id is the same in
//! every attempt, so that receivers can tell a repeat.

use guardian_model::{Micros, TenantId, UserId};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, InsertMany, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ChannelKind, NewNotification, NotifyEvent, decode};
use crate::entity::{delivery, state_blob};
use crate::text::clean;
use crate::tx::CHUNK;
use crate::{Actor, CatalogError, Scoped, Subject, System, Tx, text_enum};

/// Most deliveries on a page.
pub const DELIVERY_PAGE_MAX: u64 = 500;
/// Messages of one tenant that may wait; more are written down as failed, so that somebody sees it.
const WAITING_MAX: u64 = 10_000;
/// What a full outbox answers.
const FULL: &str = "the outbox is full: too many messages wait for receivers that do not answer";
const ANSWER_MAX: usize = 1_000;

text_enum! {
    /// Where a message stands.
    DeliveryState {
        /// It will be sent, or sent again.
        Waiting = "waiting",
        /// The receiver took it.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }
}

/// A message to send.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    /// What it tells, and whom: the same is sent once.
    pub key: String,
    /// The channel that it goes to.
    pub channel: Option<Uuid>,
    /// Or the person.
    pub user: Option<UserId>,
    /// How it leaves.
    pub kind: ChannelKind,
    /// Addresses or a URL.
    pub target: String,
    /// What happened.
    pub event: NotifyEvent,
    /// In a line.
    pub title: String,
    /// What sort of thing it is about.
    pub subject: String,
    /// Which one.
    pub subject_id: String,
    /// What it says, as `notify` understands it.
    pub body: Value,
    /// Messages of the same bundle that are due together leave as one.
    pub bundle: Option<String>,
    /// Whether it is a test.
    pub test: bool,
    /// When it may leave.
    pub due: Micros,
}

/// A message, waiting or sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Identity, the same in every attempt.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// What it is and whom it goes to.
    pub what: NewDelivery,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was planned.
    pub created: Micros,
    /// When it is tried next, while it waits.
    pub next_attempt: Micros,
    /// When it was delivered or given up.
    pub finished: Option<Micros>,
    /// What the receiver last said.
    pub answer: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver took it.
    Delivered,
    /// It is tried again then.
    Again(Micros),
    /// It is given up.
    GivenUp,
}

/// Which deliveries; empty fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Of this channel.
    pub channel: Option<Uuid>,
    /// To this person.
    pub user: Option<UserId>,
    /// In any of these states.
    pub state: Vec<DeliveryState>,
    /// Of this event.
    pub event: Option<NotifyEvent>,
    /// About this thing.
    pub about: Option<String>,
}

/// What happened lately with the messages of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// When one was last delivered.
    pub delivered: Option<Micros>,
    /// When one was last given up.
    pub failed: Option<Micros>,
    /// What the receiver last said.
    pub answer: Option<String>,
    /// How many wait.
    pub waiting: u64,
    /// How many were given up since the time asked for.
    pub failures: u64,
}

/// What is to be told of some changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Announcement {
    /// To people, in the console.
    pub notifications: Vec<NewNotification>,
    /// By mail and webhook.
    pub deliveries: Vec<NewDelivery>,
    /// Name and number of the last change that this covers.
    pub position: Option<(String, i64)>,
}

impl TryFrom<delivery::Model> for Delivery {
    type Error = CatalogError;

    fn try_from(row: delivery::Model) -> Result<Self, CatalogError> {
        let corrupt = CatalogError::Corrupt;
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            what: NewDelivery {
                key: row.key,
                channel: row.channel_id,
                user: row.user_id.map(UserId),
                kind: row.kind.parse().map_err(corrupt)?,
                target: row.target,
                event: row.event.parse().map_err(corrupt)?,
                title: row.title,
                subject: row.subject,
                subject_id: row.subject_id,
                body: decode(&row.body, "deliveries.body")?,
                bundle: row.bundle,
                test: row.test,
                due: Micros(row.created),
            },
            state: row.state.parse().map_err(corrupt)?,
            attempts: u32::try_from(row.attempts).unwrap_or_default(),
            created: Micros(row.created),
            next_attempt: Micros(row.next_attempt),
            finished: row.finished.map(Micros),
            answer: row.answer,
        })
    }
}

impl Scoped<'_> {
    /// A page of the delivery log, newest first, beginning after the one with id `after`; and whether there is more.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<(Vec<Delivery>, bool), CatalogError> {
        use delivery::Column as C;
        let limit = limit.clamp(1, DELIVERY_PAGE_MAX);
        let mut query = self.select::<delivery::Entity>();
        if let Some(channel) = filter.channel {
            query = query.filter(C::ChannelId.eq(channel));
        }
        if let Some(user) = filter.user {
            query = query.filter(C::UserId.eq(user.0));
        }
        if !filter.state.is_empty() {
            query = query.filter(C::State.is_in(filter.state.iter().map(|s| s.as_str())));
        }
        if let Some(event) = filter.event {
            query = query.filter(C::Event.eq(event.as_str()));
        }
        if let Some(about) = &filter.about {
            query = query.filter(C::SubjectId.eq(clean(about, 200)));
        }
        if let Some(after) = after {
            query = query.filter(C::Id.lt(after));
        }
        let mut rows = query.order_by_desc(C::Id).limit(limit + 1).all(self.conn()).await?;
        let more = rows.len() as u64 > limit;
        rows.truncate(limit as usize);
        Ok((rows.into_iter().map(Delivery::try_from).collect::<Result<_, _>>()?, more))
    }

    /// One delivery.
    pub async fn delivery(&self, id: Uuid) -> Result<Delivery, CatalogError> {
        let row = self.select::<delivery::Entity>().filter(delivery::Column::Id.eq(id)).one(self.conn()).await?;
        row.ok_or(CatalogError::NotFound("delivery")).and_then(Delivery::try_from)
    }

    /// What happened lately with the messages of a channel; failures are counted from `since` on.
    pub async fn recent_deliveries(&self, channel: Uuid, since: Micros) -> Result<Recent, CatalogError> {
        use delivery::Column as C;
        let of = |state: DeliveryState| {
            let query = self.select::<delivery::Entity>().filter(C::ChannelId.eq(channel));
            query.filter(C::State.eq(state.as_str()))
        };
        let last = |state| of(state).order_by_desc(C::Id).limit(1);
        let delivered = last(DeliveryState::Delivered).one(self.conn()).await?;
        let failed = last(DeliveryState::Failed).one(self.conn()).await?;
        let tried = self.select::<delivery::Entity>().filter(C::ChannelId.eq(channel)).filter(C::Answer.is_not_null());
        let tried = tried.order_by_desc(C::Id).limit(1).one(self.conn()).await?;
        Ok(Recent {
            delivered: delivered.and_then(|row| row.finished).map(Micros),
            failed: failed.and_then(|row| row.finished).map(Micros),
            answer: tried.and_then(|row| row.answer),
            waiting: of(DeliveryState::Waiting).count(self.conn()).await?,
            failures: of(DeliveryState::Failed).filter(C::Finished.gte(since.0)).count(self.conn()).await?,
        })
    }
}

impl Tx {
    /// Plans a message that somebody asked for, and answers it.
    pub async fn send(&mut self, new: &NewDelivery) -> Result<Delivery, CatalogError> {
        let row = self.delivery_row(new, false);
        let made = Delivery::try_from(row.clone())?;
        let detail = json!({ "event": new.event, "kind": new.kind, "target": new.target, "test": new.test });
        self.note("notification.send", Subject::NotificationChannel, &new.subject_id, detail);
        delivery::Entity::insert(row.into_active_model()).exec_without_returning(self.look()).await?;
        Ok(made)
    }

    /// Lets a message that failed or waits be tried at once.
    pub async fn retry_delivery(&mut self, id: Uuid) -> Result<(), CatalogError> {
        use delivery::Column as C;
        let row = delivery::Entity::find_by_id(id)
            .filter(C::TenantId.eq(self.tenant().0))
            .one(self.look())
            .await?
            .ok_or(CatalogError::NotFound("delivery"))?;
        if row.state == DeliveryState::Delivered.as_str() {
            return Err(CatalogError::Conflict("the message was delivered".into()));
        }
        self.note("notification.retry", Subject::NotificationChannel, &id.to_string(), json!({ "title": row.title }));
        delivery::Entity::update_many()
            .col_expr(C::State, Expr::val(DeliveryState::Waiting.as_str()))
            .col_expr(C::NextAttempt, Expr::val(self.now().0))
            .col_expr(C::Finished, Expr::val(Option::<i64>::None))
            .filter(C::Id.eq(id))
            .exec(self.look())
            .await?;
        Ok(())
    }

    fn delivery_row(&self, new: &NewDelivery, full: bool) -> delivery::Model {
        let state = if full { DeliveryState::Failed } else { DeliveryState::Waiting };
        delivery::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            key: new.key.clone(),
            channel_id: new.channel,
            user_id: new.user.map(|u| u.0),
            kind: new.kind.as_str().to_owned(),
            target: new.target.clone(),
            event: new.event.as_str().to_owned(),
            title: new.title.clone(),
            subject: new.subject.clone(),
            subject_id: new.subject_id.clone(),
            body: new.body.to_string(),
            bundle: new.bundle.clone(),
            test: new.test,
            state: state.as_str().to_owned(),
            attempts: 0,
            created: self.now().0,
            next_attempt: new.due.0,
            finished: full.then_some(self.now().0),
            answer: full.then(|| FULL.to_owned()),
        }
    }

    /// Plans messages that are not planned yet.
    async fn plan_deliveries(&mut self, new: &[NewDelivery]) -> Result<u64, CatalogError> {
        use delivery::Column as C;
        if new.is_empty() {
            return Ok(0);
        }
        let waiting = delivery::Entity::find()
            .filter(C::TenantId.eq(self.tenant().0))
            .filter(C::State.eq(DeliveryState::Waiting.as_str()));
        let mut waiting = waiting.count(self.look()).await?;
        let mut planned = 0;
        for chunk in new.chunks(CHUNK) {
            let known: Vec<String> = delivery::Entity::find()
                .filter(C::TenantId.eq(self.tenant().0))
                .filter(C::Key.is_in(chunk.iter().map(|d| d.key.as_str())))
                .select_only()
                .column(C::Key)
                .into_tuple()
                .all(self.look())
                .await?;
            let mut rows = Vec::new();
            for one in chunk.iter().filter(|d| !known.contains(&d.key)) {
                waiting += 1;
                rows.push(self.delivery_row(one, waiting > WAITING_MAX).into_active_model());
            }
            planned += rows.len() as u64;
            if !rows.is_empty() {
                InsertMany::<delivery::ActiveModel>::many(rows).exec_without_returning(self.look()).await?;
            }
        }
        Ok(planned)
    }
}

impl System<'_> {
    /// Keeps everything that is to be told of some changes, with how far they were read, or nothing of it. Answers how
    /// many notifications and messages were new.
    pub async fn announce(&self, tenant: TenantId, what: &Announcement) -> Result<(u64, u64), CatalogError> {
        let mut tx = self.begin(tenant, Actor::system("notify")).await?;
        let told = tx.tell_people(&what.notifications).await?;
        let planned = tx.plan_deliveries(&what.deliveries).await?;
        if let Some((name, position)) = &what.position {
            let row = state_blob::ActiveModel {
                name: Set(clean(name, 200)),
                data: Set(serde_json::to_vec(position).unwrap_or_default()),
                updated: Set(tx.now().0),
            };
            let mut replace = OnConflict::column(state_blob::Column::Name);
            replace.update_columns([state_blob::Column::Data, state_blob::Column::Updated]);
            state_blob::Entity::insert(row).on_conflict(replace).exec_without_returning(tx.look()).await?;
        }
        tx.commit_unlogged().await?;
        Ok((told, planned))
    }

    /// Messages whose time has come, those that wait longest first. Those of the channels `except` stay, but for tests.
    pub async fn due_deliveries(
        &self,
        now: Micros,
        except: &[Uuid],
        limit: u64,
    ) -> Result<Vec<Delivery>, CatalogError> {
        use delivery::Column as C;
        let mut query = delivery::Entity::find()
            .filter(C::State.eq(DeliveryState::Waiting.as_str()))
            .filter(C::NextAttempt.lte(now.0));
        if !except.is_empty() {
            let other = C::ChannelId.is_not_in(except.iter().copied());
            query = query.filter(Condition::any().add(C::ChannelId.is_null()).add(C::Test.eq(true)).add(other));
        }
        let rows = query
            .order_by_asc(C::NextAttempt)
            .order_by_asc(C::Id)
            .limit(limit.clamp(1, DELIVERY_PAGE_MAX))
            .all(self.read())
            .await?;
        rows.into_iter().map(Delivery::try_from).collect()
    }

    /// Takes a message until `lease`; false when somebody else did. Who ends before telling what came of it leaves it to
    /// be sent again then.
    pub async fn claim_delivery(&self, of: &Delivery, lease: Micros) -> Result<bool, CatalogError> {
        use delivery::Column as C;
        let done = delivery::Entity::update_many()
            .col_expr(C::NextAttempt, Expr::val(lease.0))
            .col_expr(C::Attempts, Expr::col(C::Attempts).add(1))
            .col_expr(C::Answer, Expr::val(Option::<String>::None))
            .filter(C::Id.eq(of.id))
            .filter(C::State.eq(DeliveryState::Waiting.as_str()))
            .filter(C::NextAttempt.eq(of.next_attempt.0))
            .exec(self.write())
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Writes down what came of an attempt.
    pub async fn finish_delivery(&self, id: Uuid, outcome: &DeliveryOutcome, answer: &str) -> Result<(), CatalogError> {
        use delivery::Column as C;
        let (state, next, finished) = match outcome {
            DeliveryOutcome::Delivered => (DeliveryState::Delivered, None, Some(self.catalog().now().0)),
            DeliveryOutcome::Again(then) => (DeliveryState::Waiting, Some(then.0), None),
            DeliveryOutcome::GivenUp => (DeliveryState::Failed, None, Some(self.catalog().now().0)),
        };
        let mut query = delivery::Entity::update_many()
            .col_expr(C::State, Expr::val(state.as_str()))
            .col_expr(C::Finished, Expr::val(finished))
            .col_expr(C::Answer, Expr::val(clean(answer, ANSWER_MAX)));
        if let Some(next) = next {
            query = query.col_expr(C::NextAttempt, Expr::val(next));
        }
        query.filter(C::Id.eq(id)).exec(self.write()).await?;
        Ok(())
    }

    /// Forgets messages that were delivered or given up before `before`.
    pub async fn drop_old_deliveries(&self, before: Micros) -> Result<u64, CatalogError> {
        let old = delivery::Entity::delete_many().filter(delivery::Column::Finished.lt(before.0));
        Ok(old.exec(self.write()).await?.rows_affected)
    }
}
