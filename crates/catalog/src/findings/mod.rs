//! Vulnerabilities of hosts and images, as they are kept: words that are the same on many of them once, under a number, and
//! one packed row each. What the words and the packed bytes mean is the business of the crate `findings`.

mod exceptions;
mod images;

use guardian_model::{Micros, Scope, TenantId};
use hashbrown::{HashMap, HashSet};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QuerySelect};
use uuid::Uuid;

pub use self::exceptions::{
    FINDING_EXCEPTIONS_MAX, FindingException, FindingExceptionDraft, FindingExceptionState, FindingReach,
};
pub use self::images::{
    IMAGE_DIGESTS_MAX, IMAGES_MAX, Image, ImageContent, ImageDigest, ImageDraft, ImageLayer, ImageMark,
};
use crate::entity::{finding_term, host, host_finding, host_list};
use crate::text::clean;
use crate::tx::CHUNK;
use crate::{Actor, CatalogError, System, Tx, text_enum};

/// Hosts that are written with one statement.
const HOSTS_CHUNK: usize = 100;
/// Longest words, in characters.
const WORDS_MAX: usize = 2_000;

text_enum! {
    /// What a number stands for.
    TermKind {
        /// A package in a version.
        Component = "component",
        /// A vulnerability in a package.
        Subject = "subject",
    }
}

text_enum! {
    /// What vulnerabilities are of.
    #[derive(Default)]
    FindingsOf {
        /// A host.
        #[default]
        Host = "host",
        /// An image of containers.
        Image = "image",
    }
}

/// What is known of a host's or an image's vulnerabilities, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFindings {
    /// What it is.
    pub of: FindingsOf,
    /// The host or image.
    pub host: Uuid,
    /// Which lists of the inventory it was made of: a hash over their revisions. Of an image its revision.
    pub lists: i64,
    /// Whose packages it has.
    pub ecosystem: String,
    /// From where it can be reached.
    pub exposure: String,
    /// Why one thinks so, in a sentence.
    pub ground: String,
    /// The same, reason by reason, as JSON.
    pub reasons: String,
    /// The kernel that runs: its release, and its version after a space where it says so; empty where nobody knows.
    pub kernel: String,
    /// What it is worth, where that was said of it alone; empty for what follows from tags and groups.
    pub criticality: String,
    /// When the advisories that judged it were put together, in seconds since the epoch.
    pub advisories: i64,
    /// When it was judged.
    pub judged: Micros,
    /// The numbers of its components, packed.
    pub components: Vec<u8>,
    /// The numbers of what is and was wrong with it, with times, packed.
    pub entries: Vec<u8>,
}

impl From<host_finding::Model> for HostFindings {
    fn from(row: host_finding::Model) -> Self {
        Self {
            of: FindingsOf::Host,
            host: row.host_id,
            lists: row.lists,
            ecosystem: row.ecosystem,
            exposure: row.exposure,
            ground: row.ground,
            reasons: row.reasons,
            kernel: row.kernel,
            criticality: String::new(),
            advisories: row.advisories,
            judged: Micros(row.judged),
            components: row.components,
            entries: row.entries,
        }
    }
}

/// That a list of a host is of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMark {
    /// Whose host.
    pub tenant: TenantId,
    /// The host.
    pub host: Uuid,
    /// The list.
    pub list: String,
    /// Random number of its row.
    pub epoch: i64,
    /// Counts its changes.
    pub revision: i64,
    /// When it came.
    pub received: Micros,
}

/// What a host is called, and what it is labelled as; of an image the name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLabels {
    /// The host or image.
    pub host: Uuid,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its groups, by whatever way it is in them.
    pub groups: Vec<String>,
}

impl System<'_> {
    /// What the numbers of a tenant stand for.
    pub async fn finding_terms(&self, tenant: TenantId, kind: TermKind) -> Result<Vec<(u32, String)>, CatalogError> {
        use finding_term::Column as C;
        let query = finding_term::Entity::find().filter(C::TenantId.eq(tenant.0)).filter(C::Kind.eq(kind.as_str()));
        let rows: Vec<(i32, String)> =
            query.select_only().columns([C::Id, C::Words]).into_tuple().all(self.read()).await?;
        Ok(rows.into_iter().map(|(id, words)| (id.unsigned_abs(), words)).collect())
    }

    /// Numbers of words, in their order; those that are new get one.
    pub async fn number_finding_terms(
        &self,
        tenant: TenantId,
        kind: TermKind,
        words: &[String],
    ) -> Result<Vec<u32>, CatalogError> {
        let words: Vec<String> = words.iter().map(|words| clean(words, WORDS_MAX)).collect();
        let digests: Vec<Vec<u8>> =
            words.iter().map(|w| blake3::hash(w.as_bytes()).as_bytes()[..16].to_vec()).collect();
        let tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("findings")).await?;
        let mut known = tx.known_terms(kind, &digests).await?;
        let mut seen = HashSet::new();
        let new: Vec<(&Vec<u8>, &String)> =
            digests.iter().zip(&words).filter(|(d, _)| !known.contains_key(*d) && seen.insert((*d).clone())).collect();
        for chunk in new.chunks(CHUNK) {
            let rows = chunk.iter().map(|(digest, words)| finding_term::ActiveModel {
                tenant_id: Set(tenant.0),
                kind: Set(kind.as_str().to_owned()),
                digest: Set((*digest).clone()),
                words: Set((*words).clone()),
                ..Default::default()
            });
            finding_term::Entity::insert_many(rows).exec_without_returning(tx.look()).await?;
        }
        let fresh: Vec<Vec<u8>> = new.iter().map(|(digest, _)| (*digest).clone()).collect();
        known.extend(tx.known_terms(kind, &fresh).await?);
        tx.commit_unlogged().await?;
        let number = |digest: &Vec<u8>| known.get(digest).copied();
        digests.iter().map(number).collect::<Option<_>>().ok_or(CatalogError::NotFound("number of a finding"))
    }

    /// What is known of the hosts of a tenant.
    pub async fn host_findings(&self, tenant: TenantId) -> Result<Vec<HostFindings>, CatalogError> {
        let query = host_finding::Entity::find().filter(host_finding::Column::TenantId.eq(tenant.0));
        Ok(query.all(self.read()).await?.into_iter().map(HostFindings::from).collect())
    }

    /// Keeps what is known of hosts and images; those that are gone meanwhile are left out.
    pub async fn keep_host_findings(&self, tenant: TenantId, all: &[HostFindings]) -> Result<(), CatalogError> {
        use host_finding::Column as C;
        let (hosts, images): (Vec<&HostFindings>, Vec<&HostFindings>) =
            all.iter().partition(|row| row.of == FindingsOf::Host);
        self.keep_image_findings(tenant, &images).await?;
        for chunk in hosts.chunks(HOSTS_CHUNK) {
            let tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("findings")).await?;
            let here = host::Entity::find()
                .filter(host::Column::TenantId.eq(tenant.0))
                .filter(host::Column::Id.is_in(chunk.iter().map(|row| row.host)));
            let here: Vec<Uuid> = here.select_only().column(host::Column::Id).into_tuple().all(tx.look()).await?;
            let rows: Vec<_> = chunk
                .iter()
                .filter(|row| here.contains(&row.host))
                .map(|row| row_of(tenant, row).into_active_model())
                .collect();
            if rows.is_empty() {
                continue;
            }
            let replace = OnConflict::column(C::HostId)
                .update_columns([
                    C::Lists,
                    C::Ecosystem,
                    C::Exposure,
                    C::Ground,
                    C::Reasons,
                    C::Kernel,
                    C::Advisories,
                    C::Judged,
                    C::Components,
                    C::Entries,
                ])
                .to_owned();
            host_finding::Entity::insert_many(rows).on_conflict(replace).exec_without_returning(tx.look()).await?;
            tx.commit_unlogged().await?;
        }
        Ok(())
    }

    /// The revisions of lists with these names that came since a time.
    pub async fn list_marks(&self, names: &[&str], since: Micros) -> Result<Vec<ListMark>, CatalogError> {
        use host_list::Column as C;
        let query =
            host_list::Entity::find().filter(C::Received.gte(since.0)).filter(C::List.is_in(names.iter().copied()));
        let rows: Vec<(Uuid, Uuid, String, i64, i64, i64)> = query
            .select_only()
            .columns([C::TenantId, C::HostId, C::List, C::Epoch, C::Revision, C::Received])
            .into_tuple()
            .all(self.read())
            .await?;
        let mark = |(tenant, host, list, epoch, revision, received)| ListMark {
            tenant: TenantId(tenant),
            host,
            list,
            epoch,
            revision,
            received: Micros(received),
        };
        Ok(rows.into_iter().map(mark).collect())
    }

    /// Names and labels of the hosts of a tenant that are not shut out.
    pub async fn host_labels(&self, tenant: TenantId) -> Result<Vec<HostLabels>, CatalogError> {
        use host::Column as C;
        let query = host::Entity::find().filter(C::TenantId.eq(tenant.0)).filter(C::Revoked.is_null());
        let rows: Vec<(Uuid, String, String, String, String)> = query
            .select_only()
            .columns([C::Id, C::Name, C::Tags, C::Groups, C::Matched])
            .into_tuple()
            .all(self.read())
            .await?;
        let read = |column, text: &str| -> Result<Vec<String>, CatalogError> {
            serde_json::from_str(text).map_err(CatalogError::json(column))
        };
        let mut all = Vec::with_capacity(rows.len());
        for (host, name, tags, own, matched) in rows {
            let mut groups = read("hosts.groups", &own)?;
            groups.extend(read("hosts.matched", &matched)?);
            groups.sort();
            groups.dedup();
            all.push(HostLabels { host, name, tags: read("hosts.tags", &tags)?, groups });
        }
        Ok(all)
    }
}

impl Tx {
    async fn known_terms(&self, kind: TermKind, digests: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, u32>, CatalogError> {
        use finding_term::Column as C;
        let mut known = HashMap::with_capacity(digests.len());
        for chunk in digests.chunks(CHUNK) {
            let query = finding_term::Entity::find()
                .filter(C::TenantId.eq(self.tenant().0))
                .filter(C::Kind.eq(kind.as_str()))
                .filter(C::Digest.is_in(chunk.iter().cloned()));
            let rows: Vec<(Vec<u8>, i32)> =
                query.select_only().columns([C::Digest, C::Id]).into_tuple().all(self.look()).await?;
            known.extend(rows.into_iter().map(|(digest, id)| (digest, id.unsigned_abs())));
        }
        Ok(known)
    }
}

fn row_of(tenant: TenantId, row: &HostFindings) -> host_finding::Model {
    host_finding::Model {
        host_id: row.host,
        tenant_id: tenant.0,
        lists: row.lists,
        ecosystem: clean(&row.ecosystem, 100),
        exposure: clean(&row.exposure, 32),
        ground: clean(&row.ground, 300),
        reasons: row.reasons.clone(),
        kernel: clean(&row.kernel, 300),
        advisories: row.advisories,
        judged: row.judged.0,
        components: row.components.clone(),
        entries: row.entries.clone(),
    }
}
