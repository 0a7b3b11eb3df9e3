//! Images of containers, as they are kept: what each is by its name, what is in it, and the digests that it had. What is in
//! it is replaced when it is sent again; what that means for findings is the business of the crate `findings`.

use guardian_model::{Micros, Scope, TenantId};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{FindingsOf, HOSTS_CHUNK, HostFindings, HostLabels};
use crate::entity::{image, image_content, image_finding};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, Actor, CatalogError, Scoped, Subject, System, Tx};

/// Images of one tenant.
pub const IMAGES_MAX: u64 = 5_000;
/// Digests that are remembered of one image.
pub const IMAGE_DIGESTS_MAX: usize = 50;
/// Bytes of one packed bill of materials.
const BILL_BYTES_MAX: usize = 16 << 20;
/// Layers of one image.
const LAYERS_MAX: usize = 1_024;

/// A layer of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLayer {
    /// The digest of what it holds, decompressed.
    pub digest: String,
    /// The step that made it, as the image says.
    pub made_by: String,
}

/// A digest that an image had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDigest {
    /// The digest of the manifest; empty where nobody said.
    pub digest: String,
    /// When it was first sent with it.
    pub first: Micros,
    /// When it was last sent with it.
    pub last: Micros,
    /// Who sent it last.
    pub sender: String,
    /// How many packages were in it.
    pub packages: u32,
}

/// An image as it is sent.
#[derive(Clone, Debug, Default)]
pub struct ImageDraft {
    /// Its name: registry, repository and tag.
    pub name: String,
    /// The digest of its manifest; empty where nobody says.
    pub digest: String,
    /// Whose packages it has, such as `debian:12`; empty where nobody knows.
    pub distribution: String,
    /// Its architecture.
    pub architecture: String,
    /// What the bill of materials was: `guardian`, `cyclonedx` or `spdx`.
    pub form: String,
    /// From where it is reached, as who sends it says.
    pub exposure: String,
    /// What it is worth, as who sends it says.
    pub criticality: String,
    /// A hash over each of its layers and those below, the lowest first.
    pub chain: String,
    /// Its layers, the lowest first.
    pub layers: Vec<ImageLayer>,
    /// How many of them it was built upon, by its own history.
    pub base_layers: u32,
    /// How many packages are in it.
    pub packages: u32,
    /// Of how many nothing can be said.
    pub unknown: u32,
    /// When it was looked at.
    pub scanned: Micros,
    /// Its bill of materials, packed.
    pub bill: Vec<u8>,
}

/// An image, without what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The digest of its manifest; empty where nobody said.
    pub digest: String,
    /// Whose packages it has; empty where nobody knows.
    pub distribution: String,
    /// Its architecture.
    pub architecture: String,
    /// What the bill of materials was.
    pub form: String,
    /// From where it is reached.
    pub exposure: String,
    /// What it is worth.
    pub criticality: String,
    /// A hash over its layers.
    pub chain: String,
    /// How many layers it has.
    pub layers: u32,
    /// How many packages are in it.
    pub packages: u32,
    /// Of how many nothing can be said.
    pub unknown: u32,
    /// When it was looked at.
    pub scanned: Micros,
    /// When it was first sent.
    pub first_sent: Micros,
    /// When it was last sent.
    pub sent: Micros,
    /// Who sent it last.
    pub sender: String,
    /// Counts how often it was sent.
    pub revision: i64,
}

/// What is in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageContent {
    /// Its layers, the lowest first.
    pub layers: Vec<ImageLayer>,
    /// How many of them it was built upon, by its own history.
    pub base_layers: u32,
    /// The digests that it had, the newest first.
    pub history: Vec<ImageDigest>,
    /// Its bill of materials, packed.
    pub bill: Vec<u8>,
}

/// That an image is of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageMark {
    /// Whose image.
    pub tenant: TenantId,
    /// The image.
    pub image: Uuid,
    /// When it came.
    pub sent: Micros,
}

impl From<image::Model> for Image {
    fn from(row: image::Model) -> Self {
        Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            name: row.name,
            digest: row.digest,
            distribution: row.distribution,
            architecture: row.architecture,
            form: row.form,
            exposure: row.exposure,
            criticality: row.criticality,
            chain: row.chain,
            layers: row.layers.unsigned_abs(),
            packages: row.packages.unsigned_abs(),
            unknown: row.unknown.unsigned_abs(),
            scanned: Micros(row.scanned),
            first_sent: Micros(row.first_sent),
            sent: Micros(row.sent),
            sender: row.sender,
            revision: row.revision,
        }
    }
}

fn content(row: image_content::Model) -> Result<ImageContent, CatalogError> {
    Ok(ImageContent {
        layers: serde_json::from_str(&row.layers).map_err(CatalogError::json("image_contents.layers"))?,
        base_layers: row.base_layers.unsigned_abs(),
        history: serde_json::from_str(&row.history).map_err(CatalogError::json("image_contents.history"))?,
        bill: row.bill,
    })
}

impl Scoped<'_> {
    /// The images of one tenant, by name.
    pub async fn images(&self, tenant: TenantId) -> Result<Vec<Image>, CatalogError> {
        self.require(tenant)?;
        let query = self.select::<image::Entity>().filter(image::Column::TenantId.eq(tenant.0));
        let rows = query.order_by_asc(image::Column::Name).all(self.conn()).await?;
        Ok(rows.into_iter().map(Image::from).collect())
    }

    /// One image.
    pub async fn image(&self, id: Uuid) -> Result<Image, CatalogError> {
        let row = self.select::<image::Entity>().filter(image::Column::Id.eq(id)).one(self.conn()).await?;
        row.map(Image::from).ok_or(CatalogError::NotFound("image"))
    }

    /// One image of a tenant, by its name.
    pub async fn image_named(&self, tenant: TenantId, name: &str) -> Result<Image, CatalogError> {
        let query = self.select::<image::Entity>().filter(image::Column::TenantId.eq(tenant.0));
        let row = query.filter(image::Column::Name.eq(clean(name, 512))).one(self.conn()).await?;
        row.map(Image::from).ok_or(CatalogError::NotFound("image"))
    }

    /// What is in an image.
    pub async fn image_content(&self, id: Uuid) -> Result<ImageContent, CatalogError> {
        let query = self.select::<image_content::Entity>().filter(image_content::Column::ImageId.eq(id));
        content(query.one(self.conn()).await?.ok_or(CatalogError::NotFound("image"))?)
    }
}

impl System<'_> {
    /// Images that were sent since a time.
    pub async fn image_marks(&self, since: Micros) -> Result<Vec<ImageMark>, CatalogError> {
        use image::Column as C;
        let query = image::Entity::find().filter(C::Sent.gte(since.0));
        let rows: Vec<(Uuid, Uuid, i64)> =
            query.select_only().columns([C::TenantId, C::Id, C::Sent]).into_tuple().all(self.read()).await?;
        let mark = |(tenant, image, sent)| ImageMark { tenant: TenantId(tenant), image, sent: Micros(sent) };
        Ok(rows.into_iter().map(mark).collect())
    }

    /// Names of the images of a tenant.
    pub async fn image_labels(&self, tenant: TenantId) -> Result<Vec<HostLabels>, CatalogError> {
        use image::Column as C;
        let query = image::Entity::find().filter(C::TenantId.eq(tenant.0));
        let rows: Vec<(Uuid, String)> =
            query.select_only().columns([C::Id, C::Name]).into_tuple().all(self.read()).await?;
        let labels = |(host, name)| HostLabels { host, name, tags: Vec::new(), groups: Vec::new() };
        Ok(rows.into_iter().map(labels).collect())
    }

    /// An image with what is in it, whoever's it is: to be judged.
    pub async fn image(&self, id: Uuid) -> Result<Option<(Image, ImageContent)>, CatalogError> {
        // What is in it is written after its row and before anybody sees either: both are of one revision or a newer one
        // is judged soon.
        let found = image::Entity::find_by_id(id).one(self.read()).await?;
        let inside = image_content::Entity::find_by_id(id).one(self.read()).await?;
        found.zip(inside).map(|(row, inside)| Ok((row.into(), content(inside)?))).transpose()
    }

    /// What is known of the images of a tenant.
    pub async fn image_findings(&self, tenant: TenantId) -> Result<Vec<HostFindings>, CatalogError> {
        let query = image_finding::Entity::find().filter(image_finding::Column::TenantId.eq(tenant.0));
        let rows = query.all(self.read()).await?.into_iter();
        Ok(rows
            .map(|row| HostFindings {
                of: FindingsOf::Image,
                host: row.image_id,
                lists: row.revision,
                ecosystem: row.ecosystem,
                exposure: row.exposure,
                ground: String::new(),
                reasons: "[]".to_owned(),
                kernel: String::new(),
                criticality: row.criticality,
                advisories: row.advisories,
                judged: Micros(row.judged),
                components: row.components,
                entries: row.entries,
            })
            .collect())
    }

    /// Keeps what is known of images; those that are gone meanwhile are left out.
    pub(super) async fn keep_image_findings(
        &self,
        tenant: TenantId,
        all: &[&HostFindings],
    ) -> Result<(), CatalogError> {
        use image_finding::Column as C;
        for chunk in all.chunks(HOSTS_CHUNK) {
            let tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("findings")).await?;
            let here = image::Entity::find()
                .filter(image::Column::TenantId.eq(tenant.0))
                .filter(image::Column::Id.is_in(chunk.iter().map(|row| row.host)));
            let here: Vec<Uuid> = here.select_only().column(image::Column::Id).into_tuple().all(tx.look()).await?;
            let there = chunk.iter().filter(|row| here.contains(&row.host));
            let rows: Vec<_> = there.map(|row| finding_row(tenant, row).into_active_model()).collect();
            if rows.is_empty() {
                continue;
            }
            let columns = [
                C::Revision,
                C::Ecosystem,
                C::Exposure,
                C::Criticality,
                C::Advisories,
                C::Judged,
                C::Components,
                C::Entries,
            ];
            let replace = OnConflict::column(C::ImageId).update_columns(columns).to_owned();
            image_finding::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(tx.look()).await?;
            tx.commit_unlogged().await?;
        }
        Ok(())
    }
}

fn finding_row(tenant: TenantId, row: &HostFindings) -> image_finding::Model {
    image_finding::Model {
        image_id: row.host,
        tenant_id: tenant.0,
        revision: row.lists,
        ecosystem: clean(&row.ecosystem, 100),
        exposure: clean(&row.exposure, 32),
        criticality: clean(&row.criticality, 32),
        advisories: row.advisories,
        judged: row.judged.0,
        components: row.components.clone(),
        entries: row.entries.clone(),
    }
}

/// The digests with the one that was sent now: it is the newest, whether it is new or not.
fn remembered(mut history: Vec<ImageDigest>, draft: &ImageDraft, now: Micros, sender: &str) -> Vec<ImageDigest> {
    match history.first_mut().filter(|newest| newest.digest == draft.digest) {
        Some(newest) => {
            (newest.last, newest.packages) = (now, draft.packages);
            sender.clone_into(&mut newest.sender);
        }
        None => history.insert(
            0,
            ImageDigest {
                digest: draft.digest.clone(),
                first: now,
                last: now,
                sender: sender.to_owned(),
                packages: draft.packages,
            },
        ),
    }
    history.truncate(IMAGE_DIGESTS_MAX);
    history
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

impl Tx {
    /// Takes an image: a new one, or what is in one from now on. Answers it, and whether it is new.
    pub async fn put_image(&mut self, draft: ImageDraft) -> Result<(Image, bool), CatalogError> {
        let draft = checked(draft)?;
        let mine = image::Entity::find().filter(image::Column::TenantId.eq(self.tenant().0));
        let before = mine.clone().filter(image::Column::Name.eq(&draft.name)).one(self.look()).await?;
        if before.is_none() && mine.count(self.look()).await? >= IMAGES_MAX {
            let text = format!("there are already {IMAGES_MAX} images: delete some that nobody uses any more");
            return Err(CatalogError::Conflict(text));
        }
        let history = match &before {
            None => Vec::new(),
            Some(row) => {
                let inside = image_content::Entity::find_by_id(row.id).one(self.look()).await?;
                inside.map(content).transpose()?.map(|inside| inside.history).unwrap_or_default()
            }
        };
        let (now, sender, new) = (self.now(), self.actor().name.clone(), before.is_none());
        let row = image::Model {
            id: before.as_ref().map_or_else(|| self.new_id(), |row| row.id),
            tenant_id: self.tenant().0,
            name: draft.name.clone(),
            digest: draft.digest.clone(),
            distribution: draft.distribution.clone(),
            architecture: draft.architecture.clone(),
            form: draft.form.clone(),
            exposure: draft.exposure.clone(),
            criticality: draft.criticality.clone(),
            chain: draft.chain.clone(),
            layers: number(draft.layers.len() as u32),
            packages: number(draft.packages),
            unknown: number(draft.unknown),
            scanned: draft.scanned.0.min(now.0),
            first_sent: before.as_ref().map_or(now.0, |row| row.first_sent),
            sent: now.0,
            sender: sender.clone(),
            revision: before.as_ref().map_or(1, |row| row.revision + 1),
        };
        let inside = image_content::Model {
            image_id: row.id,
            tenant_id: row.tenant_id,
            base_layers: number(draft.base_layers),
            layers: json!(draft.layers).to_string(),
            history: json!(remembered(history, &draft, now, &sender)).to_string(),
            bill: draft.bill,
        };
        let after = Image::from(row.clone());
        let before = before.map_or(Value::Null, |row| json!(Image::from(row)));
        let (conn, _) = self.record(Change {
            subject: Subject::Image,
            id: row.id.to_string(),
            action: if new { Action::Created } else { Action::Updated },
            payload: json!(after),
            audit: Audit::Entry { action: "image.send", before, after: json!(after) },
        });
        if new {
            image::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
            image_content::Entity::insert(inside.into_active_model()).exec_without_returning(conn).await?;
        } else {
            let id = row.id;
            let (row, inside) = (row.into_active_model().reset_all(), inside.into_active_model().reset_all());
            image::Entity::update_many().set(row).filter(image::Column::Id.eq(id)).exec(conn).await?;
            let contents = image_content::Entity::update_many().set(inside);
            contents.filter(image_content::Column::ImageId.eq(id)).exec(conn).await?;
        }
        Ok((after, new))
    }

    /// Forgets an image, and what is wrong with it.
    pub async fn delete_image(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let mine = image::Entity::find_by_id(id).filter(image::Column::TenantId.eq(self.tenant().0));
        let before = mine.one(self.look()).await?.ok_or(CatalogError::NotFound("image"))?;
        let (conn, _) = self.record(Change {
            subject: Subject::Image,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "image.delete", before: json!(Image::from(before)), after: Value::Null },
        });
        image::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }
}

/// An image whose texts fit, or why it is none.
fn checked(draft: ImageDraft) -> Result<ImageDraft, CatalogError> {
    let name = clean(draft.name.trim(), 512);
    if name.is_empty() {
        return Err(CatalogError::Invalid("an image needs a name".into()));
    }
    if draft.layers.len() > LAYERS_MAX {
        return Err(CatalogError::Invalid(format!("an image has at most {LAYERS_MAX} layers")));
    }
    if draft.bill.len() > BILL_BYTES_MAX {
        return Err(CatalogError::Invalid("the bill of materials is too large to be kept".into()));
    }
    let layer =
        |layer: ImageLayer| ImageLayer { digest: clean(&layer.digest, 200), made_by: clean(&layer.made_by, 1_024) };
    Ok(ImageDraft {
        name,
        digest: clean(&draft.digest, 200),
        distribution: clean(&draft.distribution, 100),
        architecture: clean(&draft.architecture, 64),
        layers: draft.layers.into_iter().map(layer).collect(),
        ..draft
    })
}
