//! Client certificates of people. Whether one is genuine is seen where connections are accepted, and what it opens is
//! the business of `identity`; here is only whose it is.

use guardian_model::{Micros, TenantId, UserId};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::{client_certificate, user};
use crate::text::clean;
use crate::{CatalogError, Scoped, System, Tx};

/// Most client certificates that an account may have.
pub const CERTIFICATES_PER_USER_MAX: u64 = 10;
/// Longest name of a holder or an authority that is kept, in characters.
const NAME_CHARS_MAX: usize = 1_000;

/// A client certificate that opens an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// SHA-256 of the certificate, in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Whom it is for, as the authority wrote it.
    pub subject: String,
    /// The authority.
    pub issuer: String,
    /// Its number there, in hexadecimal digits.
    pub serial: String,
    /// Until when it is valid.
    pub not_after: Micros,
    /// Since when it opens the account.
    pub created: Micros,
    /// When somebody last signed in with it.
    pub last_used: Option<Micros>,
}

/// A client certificate to add to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCertificate {
    /// What its owner calls it.
    pub name: String,
    /// SHA-256 of the certificate, in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Whom it is for.
    pub subject: String,
    /// The authority.
    pub issuer: String,
    /// Its number there.
    pub serial: String,
    /// Until when it is valid.
    pub not_after: Micros,
}

impl From<client_certificate::Model> for ClientCertificate {
    fn from(row: client_certificate::Model) -> Self {
        Self {
            id: row.id,
            user: UserId(row.user_id),
            name: row.name,
            fingerprint: row.fingerprint,
            subject: row.subject,
            issuer: row.issuer,
            serial: row.serial,
            not_after: Micros(row.not_after),
            created: Micros(row.created),
            last_used: row.last_used.map(Micros),
        }
    }
}

impl Scoped<'_> {
    /// The client certificates of an account that has a role in a tenant of the scope, oldest first.
    pub async fn certificates(&self, user: UserId) -> Result<Vec<ClientCertificate>, CatalogError> {
        self.user(user).await?;
        self.catalog().system().certificates_of(user).await
    }
}

impl System<'_> {
    /// The certificate with this fingerprint, whoever's it is.
    pub async fn certificate(&self, fingerprint: &str) -> Result<Option<ClientCertificate>, CatalogError> {
        let query = client_certificate::Entity::find()
            .filter(client_certificate::Column::Fingerprint.eq(clean(fingerprint, 100)));
        Ok(query.one(self.read()).await?.map(ClientCertificate::from))
    }

    /// The client certificates of an account, oldest first, for that account.
    pub async fn certificates_of(&self, user: UserId) -> Result<Vec<ClientCertificate>, CatalogError> {
        let query = client_certificate::Entity::find().filter(client_certificate::Column::UserId.eq(user.0));
        let rows = query.order_by_asc(client_certificate::Column::Created).all(self.read()).await?;
        Ok(rows.into_iter().map(ClientCertificate::from).collect())
    }

    /// Notes that somebody signed in with a certificate now.
    pub async fn touch_certificate(&self, id: Uuid) -> Result<(), CatalogError> {
        let used =
            client_certificate::ActiveModel { last_used: Set(Some(self.catalog().now().0)), ..Default::default() };
        let one = client_certificate::Entity::update_many().set(used).filter(client_certificate::Column::Id.eq(id));
        one.exec(self.write()).await?;
        Ok(())
    }

    /// The one account at home in `tenant` whose sign-in name or mail address this is, upper and lower case alike; none
    /// if several have it.
    pub async fn user_called(&self, tenant: TenantId, text: &str) -> Result<Option<UserId>, CatalogError> {
        let wanted = clean(text.trim(), 320).to_lowercase();
        if wanted.is_empty() {
            return Ok(None);
        }
        let email = Expr::expr(Func::lower(Expr::col((user::Entity, user::Column::Email)))).eq(wanted.as_str());
        let query = user::Entity::find()
            .filter(user::Column::HomeTenant.eq(tenant.0))
            .filter(Condition::any().add(user::Column::Name.eq(&wanted)).add(email))
            .limit(2);
        let found = query.all(self.read()).await?;
        Ok(match found.as_slice() {
            [one] => Some(UserId(one.id)),
            _ => None,
        })
    }
}

impl Tx {
    /// Lets a certificate open an account at home in this transaction's tenant. A conflict if it opens one already.
    pub async fn add_certificate(
        &mut self,
        user: UserId,
        new: &NewCertificate,
    ) -> Result<ClientCertificate, CatalogError> {
        self.home_user(user).await?;
        let all = client_certificate::Entity::find;
        let taken = all().filter(client_certificate::Column::Fingerprint.eq(&new.fingerprint));
        if let Some(row) = taken.one(self.look()).await? {
            let whose = if row.user_id == user.0 { "this account" } else { "another account" };
            return Err(CatalogError::Conflict(format!("this certificate opens {whose} already")));
        }
        let held = all().filter(client_certificate::Column::UserId.eq(user.0)).count(self.look()).await?;
        if held >= CERTIFICATES_PER_USER_MAX {
            return Err(CatalogError::Conflict(format!(
                "an account has at most {CERTIFICATES_PER_USER_MAX} client certificates"
            )));
        }
        let row = client_certificate::Model {
            id: self.new_id(),
            user_id: user.0,
            name: clean(new.name.trim(), 100),
            fingerprint: new.fingerprint.clone(),
            subject: clean(&new.subject, NAME_CHARS_MAX),
            issuer: clean(&new.issuer, NAME_CHARS_MAX),
            serial: clean(&new.serial, 100),
            not_after: new.not_after.0,
            created: self.now().0,
            last_used: None,
        };
        let certificate = ClientCertificate::from(row.clone());
        let conn = self.record_access(user, "certificate.add", Value::Null, json!(certificate));
        client_certificate::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(certificate)
    }

    /// Takes a certificate away from an account at home in this transaction's tenant, and ends its sessions and tokens
    /// but for `keep`: whoever came with it may have left one open.
    pub async fn remove_certificate(
        &mut self,
        user: UserId,
        id: Uuid,
        keep: Option<Uuid>,
    ) -> Result<ClientCertificate, CatalogError> {
        self.home_user(user).await?;
        let query = client_certificate::Entity::find_by_id(id).filter(client_certificate::Column::UserId.eq(user.0));
        let row = query.one(self.look()).await?.ok_or(CatalogError::NotFound("certificate"))?;
        let before = ClientCertificate::from(row);
        let conn = self.record_access(user, "certificate.remove", json!(before), Value::Null);
        client_certificate::Entity::delete_by_id(id).exec(conn).await?;
        self.end_access(user, keep).await?;
        Ok(before)
    }
}
