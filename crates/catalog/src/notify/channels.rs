//! Channels: where a tenant wants to be told, of what, and from which severity on. The secret that webhooks are signed
//! with comes sealed and stays so here.

use guardian_model::{Micros, Severity, TenantId};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ChannelKind, Language, NotifyEvent, decode};
use crate::entity::notification_channel;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx};

/// Channels of one tenant.
pub const CHANNELS_MAX: u64 = 100;
/// Addresses of one channel.
const ADDRESSES_MAX: usize = 50;
/// Rules that one channel names.
const RULES_MAX: usize = 200;
const NAME_MAX: usize = 100;
const URL_MAX: usize = 2_000;
const TEXT_MAX: usize = 200;

/// Which alerts a channel takes; empty fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelFilter {
    /// At least this bad; of incidents, too.
    pub severity_min: Option<Severity>,
    /// Of these rules.
    pub rules: Vec<String>,
    /// Whose entity contains this text, whatever its case.
    pub entity: Option<String>,
    /// With this technique or tactic.
    pub attack: Option<String>,
}

/// What people say about a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelDraft {
    /// Name for people.
    pub name: String,
    /// How messages leave.
    pub kind: ChannelKind,
    /// Whether it is used.
    pub enabled: bool,
    /// Addresses, for mail.
    pub to: Vec<String>,
    /// Receiver, for webhooks.
    pub url: Option<String>,
    /// The language of its messages.
    pub language: Language,
    /// What it takes.
    pub events: Vec<NotifyEvent>,
    /// Which alerts and incidents it takes.
    pub filter: ChannelFilter,
    /// Whether its messages show personal data; otherwise pseudonyms stand in its place.
    #[serde(default)]
    pub personal: bool,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Identity.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Grows with each change.
    pub version: i32,
    /// What people say about it.
    pub draft: ChannelDraft,
    /// The sealed secret of a webhook.
    pub secret: Option<String>,
    /// Who made it.
    pub author: String,
    /// When.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

impl ChannelDraft {
    /// Trims what people wrote, and refuses what cannot work.
    fn tidy(&self) -> Result<Self, CatalogError> {
        let invalid = |text: &str| Err(CatalogError::Invalid(text.to_owned()));
        let mut draft = self.clone();
        draft.name = clean(self.name.trim(), NAME_MAX);
        draft.to = self.to.iter().map(|a| a.trim().to_owned()).filter(|a| !a.is_empty()).collect();
        draft.to.dedup();
        draft.events.sort_unstable();
        draft.events.dedup();
        let text = |t: &Option<String>| t.as_deref().map(|t| clean(t.trim(), TEXT_MAX)).filter(|t| !t.is_empty());
        draft.filter.entity = text(&self.filter.entity);
        draft.filter.attack = text(&self.filter.attack).map(|t| t.to_lowercase());
        if draft.name.is_empty() {
            return invalid("`name`: a channel needs a name");
        }
        if draft.events.is_empty() || draft.events.iter().any(|e| e.is_personal() || *e == NotifyEvent::Test) {
            return invalid(
                "`events`: name at least one of sla_warning, sla_breach, alert, incident, \
                            exporter_silent and health",
            );
        }
        if draft.filter.rules.len() > RULES_MAX || draft.to.len() > ADDRESSES_MAX {
            return invalid("a channel has at most 50 addresses and names at most 200 rules");
        }
        match draft.kind {
            ChannelKind::Mail if draft.to.is_empty() => return invalid("`to`: a mail channel needs an address"),
            ChannelKind::Mail => draft.url = None,
            ChannelKind::Webhook => {
                draft.to = Vec::new();
                let url = draft.url.as_deref().unwrap_or_default().trim().to_owned();
                let http = url.starts_with("https://") || url.starts_with("http://");
                if !http || url.chars().count() > URL_MAX || url.chars().any(char::is_control) {
                    return invalid("`url`: a webhook needs an http or https URL");
                }
                draft.url = Some(url);
            }
        }
        Ok(draft)
    }
}

impl TryFrom<notification_channel::Model> for Channel {
    type Error = CatalogError;

    fn try_from(row: notification_channel::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            version: row.version,
            draft: decode(&row.draft, "notification_channels.draft")?,
            secret: row.secret,
            author: row.author,
            created: Micros(row.created),
            updated: Micros(row.updated),
        })
    }
}

impl Scoped<'_> {
    /// The channels of the scope, oldest first.
    pub async fn channels(&self) -> Result<Vec<Channel>, CatalogError> {
        let query = self.select::<notification_channel::Entity>().order_by_asc(notification_channel::Column::Id);
        query.all(self.conn()).await?.into_iter().map(Channel::try_from).collect()
    }

    /// One channel.
    pub async fn channel(&self, id: Uuid) -> Result<Channel, CatalogError> {
        let query = self.select::<notification_channel::Entity>().filter(notification_channel::Column::Id.eq(id));
        query.one(self.conn()).await?.ok_or(CatalogError::NotFound("channel")).and_then(Channel::try_from)
    }
}

impl Tx {
    /// An id for a channel to be, because its secret is sealed for it.
    pub fn channel_id(&self) -> Uuid {
        self.new_id()
    }

    /// Makes a channel; `secret` comes sealed.
    pub async fn create_channel(
        &mut self,
        id: Uuid,
        draft: &ChannelDraft,
        secret: Option<String>,
    ) -> Result<Channel, CatalogError> {
        let draft = draft.tidy()?;
        let here =
            notification_channel::Entity::find().filter(notification_channel::Column::TenantId.eq(self.tenant().0));
        if here.count(self.look()).await? >= CHANNELS_MAX {
            return Err(CatalogError::Conflict(format!("there are already {CHANNELS_MAX} channels")));
        }
        let channel = Channel {
            id,
            tenant: self.tenant(),
            version: 0,
            draft,
            secret,
            author: self.actor().name.clone(),
            created: self.now(),
            updated: self.now(),
        };
        self.store_channel(None, channel, "notification.channel.create").await
    }

    /// Changes a channel that is still at `version`; its kind stays.
    pub async fn update_channel(
        &mut self,
        id: Uuid,
        version: i32,
        draft: &ChannelDraft,
    ) -> Result<Channel, CatalogError> {
        let old = self.channel_row(id).await?;
        CatalogError::unless_at("channel", old.version, version)?;
        let draft = draft.tidy()?;
        if draft.kind != old.draft.kind {
            return Err(CatalogError::Invalid("`kind`: a channel keeps its kind; make another one".into()));
        }
        let channel = Channel { draft, ..old.clone() };
        self.store_channel(Some(old), channel, "notification.channel.update").await
    }

    /// Gives a webhook another secret; it comes sealed.
    pub async fn put_channel_secret(&mut self, id: Uuid, secret: String) -> Result<Channel, CatalogError> {
        let old = self.channel_row(id).await?;
        if old.draft.kind != ChannelKind::Webhook {
            return Err(CatalogError::Invalid("only webhooks have a secret".into()));
        }
        let channel = Channel { secret: Some(secret), ..old.clone() };
        self.store_channel(Some(old), channel, "notification.channel.secret").await
    }

    /// Removes a channel. What was sent stays in the log; what waits is given up when its turn comes.
    pub async fn delete_channel(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let old = self.channel_row(id).await?;
        let (conn, _) = self.record(Change {
            subject: Subject::NotificationChannel,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "notification.channel.delete", before: json!(old.draft), after: Value::Null },
        });
        notification_channel::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    async fn channel_row(&self, id: Uuid) -> Result<Channel, CatalogError> {
        let query = notification_channel::Entity::find_by_id(id)
            .filter(notification_channel::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("channel")).and_then(Channel::try_from)
    }

    async fn store_channel(
        &mut self,
        old: Option<Channel>,
        mut channel: Channel,
        action: &'static str,
    ) -> Result<Channel, CatalogError> {
        channel.version += 1;
        channel.updated = self.now();
        let draft = json!(channel.draft);
        let (conn, _) = self.record(Change {
            subject: Subject::NotificationChannel,
            id: channel.id.to_string(),
            action: if old.is_some() { Action::Updated } else { Action::Created },
            payload: draft.clone(),
            audit: Audit::Entry { action, before: json!(old.as_ref().map(|c| &c.draft)), after: draft.clone() },
        });
        let row = notification_channel::Model {
            id: channel.id,
            tenant_id: channel.tenant.0,
            version: channel.version,
            draft: draft.to_string(),
            secret: channel.secret.clone(),
            author: channel.author.clone(),
            created: channel.created.0,
            updated: channel.updated.0,
        };
        if old.is_none() {
            notification_channel::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        } else {
            let all = row.into_active_model().reset_all();
            let query = notification_channel::Entity::update_many().set(all);
            query.filter(notification_channel::Column::Id.eq(channel.id)).exec(conn).await?;
        }
        Ok(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::{ChannelDraft, ChannelFilter};
    use crate::{ChannelKind, Language, NotifyEvent};

    #[test]
    fn what_cannot_work_is_refused() {
        let good = ChannelDraft {
            name: " desk ".into(),
            kind: ChannelKind::Webhook,
            enabled: true,
            to: vec!["a@example.org".into()],
            url: Some(" https://example.org/in ".into()),
            language: Language::En,
            events: vec![NotifyEvent::Incident, NotifyEvent::Alert, NotifyEvent::Alert],
            filter: ChannelFilter { attack: Some("T1046".into()), ..ChannelFilter::default() },
            personal: false,
        };
        let tidy = good.tidy().unwrap();
        assert_eq!((tidy.name.as_str(), tidy.url.as_deref()), ("desk", Some("https://example.org/in")));
        assert_eq!(tidy.events, [NotifyEvent::Alert, NotifyEvent::Incident]);
        assert_eq!(tidy.filter.attack.as_deref(), Some("t1046"));
        assert!(tidy.to.is_empty(), "a webhook has no addresses");
        let bad: [fn(&mut ChannelDraft); 6] = [
            |d| d.name = "  ".into(),
            |d| d.url = Some("ftp://example.org".into()),
            |d| d.url = None,
            |d| d.events = vec![],
            |d| d.events = vec![NotifyEvent::Mention],
            |d| (d.kind, d.to) = (ChannelKind::Mail, vec![" ".into()]),
        ];
        for spoil in bad {
            let mut draft = good.clone();
            spoil(&mut draft);
            assert!(draft.tidy().is_err(), "{draft:?}");
        }
    }
}
