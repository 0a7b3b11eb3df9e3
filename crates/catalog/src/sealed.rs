//! Every secret that the catalog keeps sealed, in one list, so that keys can be replaced: what is missing here cannot be
//! opened after a rotation. A new sort of secret is a variant of [`SealedPlace`] and its two arms.

use guardian_model::TenantId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::Expr};
use uuid::Uuid;

use crate::entity::{agent_authority, evidence_key, notification_channel, second_factor, state_blob};
use crate::text::clean;
use crate::{CatalogError, System};

/// Where a sealed secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedPlace {
    /// The seed of a second factor.
    SecondFactor(Uuid),
    /// What signs the messages to a webhook.
    Webhook(Uuid),
    /// The key of the authority that signs the agents' certificates.
    AgentAuthority(Uuid),
    /// The key that evidence of a tenant's hosts is sealed for.
    EvidenceKey(TenantId),
}

/// A sealed secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// Where it is.
    pub place: SealedPlace,
    /// What it was sealed for.
    pub about: String,
    /// The sealed text.
    pub text: String,
}

/// What the secret of a webhook's channel is sealed for.
pub fn webhook_secret(channel: Uuid) -> String {
    format!("webhook/{channel}")
}

/// What the key of an agents' authority is sealed for.
pub fn authority_secret(authority: Uuid) -> String {
    format!("agents/{authority}")
}

/// What the key of a tenant's evidence is sealed for.
pub fn evidence_secret(tenant: TenantId) -> String {
    format!("evidence/{tenant}")
}

/// Whether a text was sealed; other sorts of factors keep what is no secret in the same column.
fn is_sealed(text: &str) -> bool {
    text.starts_with("v1:") || text.starts_with("v2:")
}

impl System<'_> {
    /// Every sealed secret there is.
    pub async fn sealed_secrets(&self) -> Result<Vec<SealedSecret>, CatalogError> {
        let factors = second_factor::Entity::find().order_by_asc(second_factor::Column::Id).all(self.read()).await?;
        let factors = factors.into_iter().filter(|row| is_sealed(&row.secret)).map(|row| SealedSecret {
            place: SealedPlace::SecondFactor(row.id),
            about: row.user_id.to_string(),
            text: row.secret,
        });
        let channels = notification_channel::Entity::find().order_by_asc(notification_channel::Column::Id);
        let webhooks = channels.all(self.read()).await?.into_iter().filter_map(|row| {
            let text = row.secret?;
            Some(SealedSecret { place: SealedPlace::Webhook(row.id), about: webhook_secret(row.id), text })
        });
        let authorities = agent_authority::Entity::find().order_by_asc(agent_authority::Column::Id);
        let authorities = authorities.all(self.read()).await?.into_iter().map(|row| SealedSecret {
            place: SealedPlace::AgentAuthority(row.id),
            about: authority_secret(row.id),
            text: row.secret,
        });
        let keys = evidence_key::Entity::find().order_by_asc(evidence_key::Column::TenantId).all(self.read()).await?;
        let keys = keys.into_iter().map(|row| SealedSecret {
            place: SealedPlace::EvidenceKey(TenantId(row.tenant_id)),
            about: evidence_secret(TenantId(row.tenant_id)),
            text: row.secret,
        });
        Ok(factors.chain(webhooks).chain(authorities).chain(keys).collect())
    }

    /// Puts a secret that was sealed anew in the place of the old; false if somebody changed it meanwhile. What is
    /// secret stays the same, so that the audit trail tells of the rotation alone.
    pub async fn replace_sealed(&self, old: &SealedSecret, text: &str) -> Result<bool, CatalogError> {
        let changed = match old.place {
            SealedPlace::SecondFactor(id) => {
                second_factor::Entity::update_many()
                    .col_expr(second_factor::Column::Secret, Expr::value(text))
                    .filter(second_factor::Column::Id.eq(id))
                    .filter(second_factor::Column::Secret.eq(&old.text))
                    .exec(self.write())
                    .await?
            }
            SealedPlace::Webhook(id) => {
                notification_channel::Entity::update_many()
                    .col_expr(notification_channel::Column::Secret, Expr::value(text))
                    .filter(notification_channel::Column::Id.eq(id))
                    .filter(notification_channel::Column::Secret.eq(&old.text))
                    .exec(self.write())
                    .await?
            }
            SealedPlace::AgentAuthority(id) => {
                agent_authority::Entity::update_many()
                    .col_expr(agent_authority::Column::Secret, Expr::value(text))
                    .filter(agent_authority::Column::Id.eq(id))
                    .filter(agent_authority::Column::Secret.eq(&old.text))
                    .exec(self.write())
                    .await?
            }
            SealedPlace::EvidenceKey(tenant) => {
                evidence_key::Entity::update_many()
                    .col_expr(evidence_key::Column::Secret, Expr::value(text))
                    .filter(evidence_key::Column::TenantId.eq(tenant.0))
                    .filter(evidence_key::Column::Secret.eq(&old.text))
                    .exec(self.write())
                    .await?
            }
        };
        Ok(changed.rows_affected == 1)
    }

    /// Keeps `data` under `name` if `expected` is what is there now; false if it is not.
    pub async fn swap_state(&self, name: &str, expected: Option<&[u8]>, data: Vec<u8>) -> Result<bool, CatalogError> {
        use sea_orm::ActiveValue::Set;
        use sea_orm::TryInsertResult;
        let now = self.catalog().now().0;
        let Some(expected) = expected else {
            let row = state_blob::ActiveModel { name: Set(clean(name, 200)), data: Set(data), updated: Set(now) };
            let insert = state_blob::Entity::insert(row).on_conflict_do_nothing();
            let done = insert.exec_without_returning(self.write()).await?;
            return Ok(matches!(done, TryInsertResult::Inserted(1)));
        };
        let changed = state_blob::Entity::update_many()
            .col_expr(state_blob::Column::Data, Expr::value(data))
            .col_expr(state_blob::Column::Updated, Expr::value(now))
            .filter(state_blob::Column::Name.eq(clean(name, 200)))
            .filter(state_blob::Column::Data.eq(expected.to_vec()))
            .exec(self.write())
            .await?;
        Ok(changed.rows_affected == 1)
    }
}
