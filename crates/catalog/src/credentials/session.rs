//! Sessions of browsers.

use guardian_model::{Ip, Micros, UserId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::entity::{session, user};
use crate::text::clean;
use crate::{CatalogError, Scoped, Subject, System, Tx, text_enum};

/// Most sessions an account may have; signing in once more ends the one longest unused.
pub const SESSIONS_PER_USER_MAX: usize = 50;

text_enum! {
    /// What a session was opened with.
    SignInMethod {
        /// A password that Guardian knows the hash of.
        Password = "password",
        /// A passkey, without a password.
        Passkey = "passkey",
        /// A client certificate, without a password.
        Certificate = "certificate",
        /// A provider of OpenID Connect.
        Oidc = "oidc",
        /// A password that a directory knows.
        Ldap = "ldap",
        /// An invitation or a link to set a password.
        Link = "link",
        /// The token of first-run set-up.
        Setup = "setup",
    }
}

/// How somebody signs in.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// With what.
    pub method: SignInMethod,
    /// Where, if another system vouches for them.
    pub provider: Option<&'a str>,
    /// Whether that proved a second factor, too.
    pub factor: bool,
    /// Whether another system says so, rather than a factor that the account has here.
    pub external_factor: bool,
}

impl Opening<'_> {
    /// With this alone.
    pub const fn with(method: SignInMethod) -> Self {
        Self { method, provider: None, factor: false, external_factor: false }
    }
}

/// A session, without its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: Uuid,
    /// Whose.
    pub user: UserId,
    /// Since when.
    pub created: Micros,
    /// When it was last used, to the minute.
    pub last_seen: Micros,
    /// When it ends at the latest.
    pub expires: Micros,
    /// What the browser called itself.
    pub user_agent: Option<String>,
    /// Where it was made from.
    pub ip: Option<Ip>,
    /// When its holder last proved who they are, by whatever they have.
    pub proved: Micros,
    /// When its holder last proved a second factor.
    pub factor_at: Option<Micros>,
    /// What it was opened with.
    pub method: SignInMethod,
    /// The system that vouched for its holder, if one did.
    pub provider: Option<String>,
    /// Whether that system also proved a second factor.
    pub external_factor: bool,
}

impl TryFrom<session::Model> for Session {
    type Error = CatalogError;

    fn try_from(row: session::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            user: UserId(row.user_id),
            created: Micros(row.created),
            last_seen: Micros(row.last_seen),
            expires: Micros(row.expires),
            user_agent: row.user_agent,
            ip: row.ip.and_then(|ip| ip.parse().ok()),
            proved: Micros(row.proved),
            factor_at: row.factor_at.map(Micros),
            method: row.method.parse().map_err(CatalogError::Corrupt)?,
            provider: row.provider,
            external_factor: row.external_factor,
        })
    }
}

impl Scoped<'_> {
    /// The sessions of an account that has a role in a tenant of the scope, last used first.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<Session>, CatalogError> {
        self.user(user).await?;
        self.catalog().system().sessions_of(user).await
    }
}

impl System<'_> {
    /// The session whose token has this hash.
    pub async fn session(&self, token_hash: &[u8]) -> Result<Option<Session>, CatalogError> {
        let query = session::Entity::find().filter(session::Column::TokenHash.eq(token_hash.to_vec()));
        query.one(self.read()).await?.map(Session::try_from).transpose()
    }

    /// The sessions of an account, last used first, for that account.
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>, CatalogError> {
        let query = session::Entity::find().filter(session::Column::UserId.eq(user.0));
        let rows = query.order_by_desc(session::Column::LastSeen).all(self.read()).await?;
        rows.into_iter().map(Session::try_from).collect()
    }

    /// Notes that a session was used now. Call it once a minute, not for every request.
    pub async fn touch_session(&self, id: Uuid) -> Result<(), CatalogError> {
        let seen = session::ActiveModel { last_seen: Set(self.catalog().now().0), ..Default::default() };
        session::Entity::update_many().set(seen).filter(session::Column::Id.eq(id)).exec(self.write()).await?;
        Ok(())
    }

    /// Removes sessions that ended by themselves: past their end, or not used after `idle_since`. Returns how many.
    pub async fn drop_ended_sessions(&self, idle_since: Micros) -> Result<u64, CatalogError> {
        let ended = sea_orm::Condition::any()
            .add(session::Column::Expires.lte(self.catalog().now().0))
            .add(session::Column::LastSeen.lte(idle_since.0));
        Ok(session::Entity::delete_many().filter(ended).exec(self.write()).await?.rows_affected)
    }
}

impl Tx {
    /// Opens a session for an account at home in this transaction's tenant, who has just proved who they are. Audited
    /// as `session.open`.
    pub async fn open_session(
        &mut self,
        user: UserId,
        token_hash: Vec<u8>,
        expires: Micros,
        user_agent: Option<&str>,
        opening: Opening<'_>,
    ) -> Result<Session, CatalogError> {
        self.home_user(user).await?;
        let of_user = || session::Entity::find().filter(session::Column::UserId.eq(user.0));
        let open = of_user().order_by_desc(session::Column::LastSeen).all(self.look()).await?;
        let surplus: Vec<Uuid> = open.iter().skip(SESSIONS_PER_USER_MAX - 1).map(|s| s.id).collect();
        let row = session::Model {
            id: self.new_id(),
            token_hash,
            user_id: user.0,
            created: self.now().0,
            last_seen: self.now().0,
            expires: expires.0,
            user_agent: user_agent.map(|a| clean(a, 300)),
            ip: self.actor().ip.map(|ip| ip.to_string()),
            // A certificate shows itself, without its holder doing anything: that is no proof for what is sensitive.
            proved: if opening.method == SignInMethod::Certificate { 0 } else { self.now().0 },
            factor_at: (opening.factor || opening.external_factor).then_some(self.now().0),
            method: opening.method.as_str().to_owned(),
            provider: opening.provider.map(|p| clean(p, 100)),
            external_factor: opening.external_factor,
        };
        let session = Session::try_from(row.clone())?;
        let signed_in = user::ActiveModel { last_sign_in: Set(Some(self.now().0)), ..Default::default() };
        let detail = json!({ "user": user, "method": opening.method, "provider": opening.provider });
        let conn = self.record_quietly("session.open", Subject::Session, session.id.to_string(), detail);
        session::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        session::Entity::delete_many().filter(session::Column::Id.is_in(surplus)).exec(conn).await?;
        user::Entity::update_many().set(signed_in).filter(user::Column::Id.eq(user.0)).exec(conn).await?;
        Ok(session)
    }

    /// Notes that the holder of a session proved who they are once more, with a second factor or without. A new token
    /// takes the place of the old one where one is given. Audited as `session.proved`.
    pub async fn prove_session(
        &mut self,
        user: UserId,
        id: Uuid,
        factor: bool,
        token_hash: Option<Vec<u8>>,
    ) -> Result<Session, CatalogError> {
        let row = self.session_of(user, id).await?;
        let now = self.now();
        let factor_at = if factor { Some(now.0) } else { row.factor_at };
        let mut change = session::ActiveModel { proved: Set(now.0), factor_at: Set(factor_at), ..Default::default() };
        if let Some(hash) = token_hash {
            change.token_hash = Set(hash);
        }
        let session = Session { proved: now, factor_at: factor_at.map(Micros), ..row.try_into()? };
        let detail = json!({ "user": user, "factor": factor });
        let conn = self.record_quietly("session.proved", Subject::Session, id.to_string(), detail);
        session::Entity::update_many().set(change).filter(session::Column::Id.eq(id)).exec(conn).await?;
        Ok(session)
    }

    /// Ends a session of an account at home in this transaction's tenant. Audited as `session.close`.
    pub async fn close_session(&mut self, user: UserId, id: Uuid) -> Result<(), CatalogError> {
        self.session_of(user, id).await?;
        let conn = self.record_quietly("session.close", Subject::Session, id.to_string(), json!({ "user": user }));
        session::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    /// Ends the sessions and tokens of an account at home in this transaction's tenant, all but `keep`. Audited as
    /// `session.close_all`. Returns how many sessions ended.
    pub async fn close_sessions(&mut self, user: UserId, keep: Option<Uuid>) -> Result<u64, CatalogError> {
        self.home_user(user).await?;
        self.note("session.close_all", Subject::User, &user.to_string(), json!({ "kept": keep }));
        self.end_access(user, keep).await
    }

    async fn session_of(&self, user: UserId, id: Uuid) -> Result<session::Model, CatalogError> {
        self.home_user(user).await?;
        let query = session::Entity::find_by_id(id).filter(session::Column::UserId.eq(user.0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("session"))
    }
}
