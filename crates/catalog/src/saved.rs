//! What people keep for themselves or share: views of a list and hunts. What is in them is the business of whoever
//! shows them; here it is a JSON value of bounded size.

use guardian_model::{Micros, TenantId, UserId};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::saved;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, ActorKind, CatalogError, Scoped, Subject, Tx, text_enum};

/// Largest content, in bytes of JSON.
pub const SAVED_BYTES_MAX: usize = 16 * 1024;
/// Things that one tenant keeps.
const SAVED_MAX: u64 = 5_000;

text_enum! {
    /// What sort of thing is kept.
    SavedKind {
        /// How somebody looks at a list.
        View = "view",
        /// A question to the telemetry.
        Hunt = "hunt",
    }
}

impl SavedKind {
    const fn subject(self) -> Subject {
        match self {
            Self::View => Subject::View,
            Self::Hunt => Subject::Hunt,
        }
    }
}

/// Something that somebody keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// What sort of thing.
    pub kind: SavedKind,
    /// Grows with each change.
    pub version: i32,
    /// The account that owns it; none for what a key or the command line made.
    pub owner: Option<UserId>,
    /// Who made it.
    pub author: String,
    /// What it says.
    #[serde(flatten)]
    pub draft: SavedDraft,
    /// When it last changed.
    pub updated: Micros,
}

/// What somebody keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedDraft {
    /// Its name.
    pub name: String,
    /// Where it belongs, such as `alerts`.
    pub page: String,
    /// Whether the whole tenant may use it.
    pub shared: bool,
    /// Anything that whoever shows it understands.
    pub content: Value,
}

impl TryFrom<saved::Model> for Saved {
    type Error = CatalogError;

    fn try_from(row: saved::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            kind: row.kind.parse().map_err(CatalogError::Corrupt)?,
            version: row.version,
            owner: row.owner.map(UserId),
            author: row.author,
            draft: SavedDraft {
                name: row.name,
                page: row.page,
                shared: row.shared,
                content: serde_json::from_str(&row.content).map_err(CatalogError::json("saved.content"))?,
            },
            updated: Micros(row.updated),
        })
    }
}

/// What `viewer` may use: their own, and what is shared. Without an account, what has no owner counts as own.
fn usable(viewer: Option<UserId>) -> Condition {
    let own = match viewer {
        Some(user) => saved::Column::Owner.eq(user.0),
        None => saved::Column::Owner.is_null(),
    };
    Condition::any().add(saved::Column::Shared.eq(true)).add(own)
}

impl Scoped<'_> {
    /// What `viewer` keeps and what is shared with them, by name; of one page if one is named.
    pub async fn saved(
        &self,
        kind: SavedKind,
        viewer: Option<UserId>,
        page: Option<&str>,
    ) -> Result<Vec<Saved>, CatalogError> {
        let mut query = self
            .select::<saved::Entity>()
            .filter(saved::Column::Kind.eq(kind.as_str()))
            .filter(usable(viewer))
            .order_by_asc(saved::Column::Name)
            .order_by_asc(saved::Column::Id);
        if let Some(page) = page {
            query = query.filter(saved::Column::Page.eq(clean(page, 60)));
        }
        query.all(self.conn()).await?.into_iter().map(Saved::try_from).collect()
    }

    /// One of them.
    pub async fn saved_one(&self, kind: SavedKind, viewer: Option<UserId>, id: Uuid) -> Result<Saved, CatalogError> {
        let row = self
            .select::<saved::Entity>()
            .filter(saved::Column::Id.eq(id))
            .filter(saved::Column::Kind.eq(kind.as_str()))
            .filter(usable(viewer))
            .one(self.conn())
            .await?;
        row.ok_or(CatalogError::NotFound("saved item")).and_then(Saved::try_from)
    }
}

impl Tx {
    /// Keeps something for whoever acts.
    pub async fn create_saved(&mut self, kind: SavedKind, draft: &SavedDraft) -> Result<Saved, CatalogError> {
        let here = saved::Entity::find().filter(saved::Column::TenantId.eq(self.tenant().0));
        if here.count(self.look()).await? >= SAVED_MAX {
            return Err(CatalogError::Conflict(format!("there are already {SAVED_MAX} saved items")));
        }
        let row = saved::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            kind: kind.as_str().to_owned(),
            owner: self.acting_user().map(|u| u.0),
            author: self.actor().name.clone(),
            created: self.now().0,
            ..row_of(draft)?
        };
        self.store_saved(None, row).await
    }

    /// Changes something that is still at `version`. What is not one's own can be changed only if it is shared and
    /// `others` allows it.
    pub async fn update_saved(
        &mut self,
        kind: SavedKind,
        id: Uuid,
        version: i32,
        draft: &SavedDraft,
        others: bool,
    ) -> Result<Saved, CatalogError> {
        let old = self.saved_row(kind, id, others).await?;
        CatalogError::unless_at("saved item", old.version, version)?;
        let row = saved::Model {
            id,
            tenant_id: old.tenant_id,
            kind: old.kind.clone(),
            version: old.version,
            owner: old.owner,
            author: old.author.clone(),
            created: old.created,
            ..row_of(draft)?
        };
        self.store_saved(Some(old), row).await
    }

    /// Forgets something; see [`Tx::update_saved`] for who may.
    pub async fn delete_saved(&mut self, kind: SavedKind, id: Uuid, others: bool) -> Result<(), CatalogError> {
        let old = Saved::try_from(self.saved_row(kind, id, others).await?)?;
        let (conn, _) = self.record(Change {
            subject: kind.subject(),
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "saved.delete", before: json!(old), after: Value::Null },
        });
        saved::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    fn acting_user(&self) -> Option<UserId> {
        let person = self.actor().kind == ActorKind::User;
        self.actor().id.as_deref().filter(|_| person).and_then(|id| id.parse().ok())
    }

    async fn saved_row(&self, kind: SavedKind, id: Uuid, others: bool) -> Result<saved::Model, CatalogError> {
        let row = saved::Entity::find_by_id(id)
            .filter(saved::Column::TenantId.eq(self.tenant().0))
            .filter(saved::Column::Kind.eq(kind.as_str()))
            .one(self.look())
            .await?
            .ok_or(CatalogError::NotFound("saved item"))?;
        if row.owner == self.acting_user().map(|u| u.0) || row.shared && others {
            return Ok(row);
        }
        // What somebody keeps for themselves does not exist for others.
        let refused = "it belongs to somebody else; keep a copy of your own";
        Err(if row.shared { CatalogError::Conflict(refused.into()) } else { CatalogError::NotFound("saved item") })
    }

    async fn store_saved(&mut self, old: Option<saved::Model>, mut row: saved::Model) -> Result<Saved, CatalogError> {
        row.version += 1;
        row.updated = self.now().0;
        let before = old.map(Saved::try_from).transpose()?;
        let after = Saved::try_from(row.clone())?;
        let (conn, _) = self.record(Change {
            subject: after.kind.subject(),
            id: row.id.to_string(),
            action: if before.is_some() { Action::Updated } else { Action::Created },
            payload: json!(after),
            audit: Audit::Entry { action: "saved.put", before: json!(before), after: json!(after) },
        });
        if before.is_none() {
            saved::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        } else {
            let id = row.id;
            let all = row.into_active_model().reset_all();
            saved::Entity::update_many().set(all).filter(saved::Column::Id.eq(id)).exec(conn).await?;
        }
        Ok(after)
    }
}

/// The columns that a draft fills; the others are the caller's.
fn row_of(draft: &SavedDraft) -> Result<saved::Model, CatalogError> {
    let name = clean(draft.name.trim(), 200);
    if name.is_empty() {
        return Err(CatalogError::Invalid("it needs a name".into()));
    }
    let content = draft.content.to_string();
    if content.len() > SAVED_BYTES_MAX {
        return Err(CatalogError::Invalid(format!("its content is at most {SAVED_BYTES_MAX} bytes of JSON")));
    }
    Ok(saved::Model {
        id: Uuid::nil(),
        tenant_id: Uuid::nil(),
        kind: String::new(),
        version: 0,
        owner: None,
        author: String::new(),
        name,
        page: clean(draft.page.trim(), 60),
        shared: draft.shared,
        // A NUL inside is written as \u0000 and is no NUL.
        content,
        created: 0,
        updated: 0,
    })
}
