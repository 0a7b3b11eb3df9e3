//! Looking at accounts: who may sign in where, searched, sorted and paged.

use guardian_model::UserId;
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Membership, User};
use crate::entity::{external_identity, membership, second_factor, user};
use crate::text::{any_contains, clean};
use crate::{CatalogError, Scoped, text_enum};

/// Most accounts on a page.
pub const USER_PAGE_MAX: u64 = 500;

text_enum! {
    /// Whether an account may sign in.
    UserStatus {
        /// It may.
        Active = "active",
        /// It was switched off.
        Disabled = "disabled",
        /// It registered itself and waits for an administrator.
        Pending = "pending",
    }
}

impl User {
    /// Whether it may sign in.
    pub fn status(&self) -> UserStatus {
        match (self.pending, self.disabled) {
            (true, _) => UserStatus::Pending,
            (false, true) => UserStatus::Disabled,
            (false, false) => UserStatus::Active,
        }
    }
}

text_enum! {
    /// What a list of accounts is sorted by.
    UserSort {
        /// The sign-in name.
        Name = "name",
        /// The name for people.
        DisplayName = "display_name",
        /// When it was made.
        Created = "created",
        /// When it last signed in; never is oldest.
        LastSignIn = "last_sign_in",
        /// The role in the scope, by name; the first of several, none first.
        Role = "role",
    }
}

/// Which accounts; empty fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserFilter {
    /// Whose names or address contain this text.
    pub search: Option<String>,
    /// Those of this state.
    pub status: Option<UserStatus>,
    /// Those with this role in a tenant of the scope.
    pub role: Option<String>,
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCursor {
    /// The order it belongs to.
    pub sort: UserSort,
    /// Whether the order is reversed.
    pub descending: bool,
    /// The last account's sort value, if it is text.
    pub text: String,
    /// The last account's sort value, if it is a time.
    pub number: i64,
    /// The last account.
    pub id: Uuid,
}

/// An account as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The account.
    pub user: User,
    /// Its roles in the scope.
    pub memberships: Vec<Membership>,
    /// Whether it has a second factor.
    pub mfa: bool,
    /// The system that manages it, if one does.
    pub directory: Option<String>,
}

/// One page of accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPage {
    /// The accounts.
    pub items: Vec<UserRow>,
    /// How many match on all pages.
    pub total: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<UserCursor>,
}

impl Scoped<'_> {
    /// The accounts that have a role in a tenant of the scope or are at home there, by name, each with its roles there.
    pub async fn users(&self) -> Result<Vec<(User, Vec<Membership>)>, CatalogError> {
        let users =
            user::Entity::find().filter(self.within()).order_by_asc(user::Column::Name).all(self.conn()).await?;
        let rows = self.with_roles(users).await?;
        Ok(rows.into_iter().map(|row| (row.user, row.memberships)).collect())
    }

    /// A page of at most `limit` accounts, from the beginning or from where `cursor` says.
    pub async fn user_page(
        &self,
        filter: &UserFilter,
        sort: UserSort,
        descending: bool,
        cursor: Option<&UserCursor>,
        limit: u64,
    ) -> Result<UserPage, CatalogError> {
        if cursor.is_some_and(|c| c.sort != sort || c.descending != descending) {
            return Err(CatalogError::Invalid("the cursor belongs to another order".into()));
        }
        let matching = user::Entity::find().filter(self.within()).filter(self.condition(filter));
        let total = matching.clone().count(self.conn()).await?;
        let mut query = matching;
        if let Some(after) = cursor {
            query = query.filter(self.beyond(after));
        }
        let order = if descending { Order::Desc } else { Order::Asc };
        let limit = limit.clamp(1, USER_PAGE_MAX);
        let query = query.order_by(self.key(sort), order.clone()).order_by(user::Column::Id, order).limit(limit + 1);
        let mut rows = query.all(self.conn()).await?;
        let more = rows.len() as u64 > limit;
        rows.truncate(limit as usize);
        let items = self.with_roles(rows).await?;
        let next = items.last().filter(|_| more).map(|row| place(row, sort, descending));
        Ok(UserPage { items, total, next })
    }

    /// One account that has a role in a tenant of the scope or is at home there, with its roles there.
    pub async fn user(&self, id: UserId) -> Result<(User, Vec<Membership>), CatalogError> {
        let row = self.user_row(id).await?;
        Ok((row.user, row.memberships))
    }

    /// As [`Scoped::user`], as lists show it.
    pub async fn user_row(&self, id: UserId) -> Result<UserRow, CatalogError> {
        let found = user::Entity::find_by_id(id.0).filter(self.within()).one(self.conn()).await?;
        let rows = self.with_roles(found.into_iter().collect()).await?;
        rows.into_iter().next().ok_or(CatalogError::NotFound("user"))
    }

    /// The account of this sign-in name, if it has a role in a tenant of the scope or is at home there.
    pub async fn user_named(&self, name: &str) -> Result<UserRow, CatalogError> {
        let name = super::user_name(name).map_err(|_| CatalogError::NotFound("user"))?;
        let query = user::Entity::find().filter(user::Column::Name.eq(name)).filter(self.within());
        let rows = self.with_roles(query.one(self.conn()).await?.into_iter().collect()).await?;
        rows.into_iter().next().ok_or(CatalogError::NotFound("user"))
    }

    /// Members of the scope, and accounts at home in it that have no role (yet).
    fn within(&self) -> Condition {
        let members = self.select::<membership::Entity>().select_only().column(membership::Column::UserId);
        Condition::any()
            .add(user::Column::Id.in_subquery(members.into_query()))
            .add(user::Column::HomeTenant.is_in(self.tenants()))
    }

    fn condition(&self, filter: &UserFilter) -> Condition {
        use user::Column as C;
        let mut all = Condition::all();
        if let Some(search) = filter.search.as_deref().map(str::trim).filter(|s| !s.is_empty()) {
            all = all.add(any_contains([C::Name, C::DisplayName, C::Email], search));
        }
        all = match filter.status {
            None => all,
            Some(UserStatus::Active) => all.add(C::Disabled.eq(false)).add(C::Pending.eq(false)),
            Some(UserStatus::Disabled) => all.add(C::Disabled.eq(true)).add(C::Pending.eq(false)),
            Some(UserStatus::Pending) => all.add(C::Pending.eq(true)),
        };
        if let Some(role) = &filter.role {
            let members = self
                .select::<membership::Entity>()
                .filter(membership::Column::Role.eq(clean(role, 100)))
                .select_only()
                .column(membership::Column::UserId);
            all = all.add(C::Id.in_subquery(members.into_query()));
        }
        all
    }

    /// What a list is sorted by, never null, so that pages can say where they ended.
    fn key(&self, sort: UserSort) -> Expr {
        use user::Column as C;
        match sort {
            UserSort::Name => Expr::col((user::Entity, C::Name)),
            UserSort::DisplayName => Expr::col((user::Entity, C::DisplayName)),
            UserSort::Created => Expr::col((user::Entity, C::Created)),
            UserSort::LastSignIn => {
                Expr::expr(Func::coalesce([Expr::col((user::Entity, C::LastSignIn)), Expr::val(0_i64)]))
            }
            UserSort::Role => {
                let first = Expr::col((membership::Entity, membership::Column::Role)).min();
                let roles = self
                    .select::<membership::Entity>()
                    .filter(
                        Expr::col((membership::Entity, membership::Column::UserId))
                            .equals((user::Entity, user::Column::Id)),
                    )
                    .select_only()
                    .expr(first);
                let roles = Expr::SubQuery(None, Box::new(roles.into_query().into()));
                Expr::expr(Func::coalesce([roles, Expr::val("")]))
            }
        }
    }

    fn beyond(&self, after: &UserCursor) -> Condition {
        let (key, id) = (|| self.key(after.sort), user::Column::Id);
        let value = || match after.sort {
            UserSort::Name | UserSort::DisplayName | UserSort::Role => Expr::val(after.text.clone()),
            UserSort::Created | UserSort::LastSignIn => Expr::val(after.number),
        };
        let (past, next) =
            if after.descending { (key().lt(value()), id.lt(after.id)) } else { (key().gt(value()), id.gt(after.id)) };
        Condition::any().add(past).add(Condition::all().add(key().eq(value())).add(next))
    }

    async fn with_roles(&self, users: Vec<user::Model>) -> Result<Vec<UserRow>, CatalogError> {
        let ids = || users.iter().map(|u| u.id);
        let mut by_user = std::collections::HashMap::<Uuid, Vec<Membership>>::new();
        let memberships = self.select::<membership::Entity>().filter(membership::Column::UserId.is_in(ids()));
        for row in memberships.all(self.conn()).await? {
            by_user.entry(row.user_id).or_default().push(row.into());
        }
        let with_factor: Vec<Uuid> = second_factor::Entity::find()
            .filter(second_factor::Column::UserId.is_in(ids()))
            .filter(second_factor::Column::Confirmed.eq(true))
            .select_only()
            .column(second_factor::Column::UserId)
            .into_tuple()
            .all(self.conn())
            .await?;
        let mut directories: std::collections::HashMap<Uuid, String> = external_identity::Entity::find()
            .filter(external_identity::Column::UserId.is_in(ids()))
            .filter(external_identity::Column::Managed.eq(true))
            .all(self.conn())
            .await?
            .into_iter()
            .map(|identity| (identity.user_id, identity.provider))
            .collect();
        Ok(users
            .into_iter()
            .map(|row| UserRow {
                directory: directories.remove(&row.id),
                memberships: by_user.remove(&row.id).unwrap_or_default(),
                mfa: with_factor.contains(&row.id),
                user: row.into(),
            })
            .collect())
    }
}

/// Where a page that ends with `row` ends.
fn place(row: &UserRow, sort: UserSort, descending: bool) -> UserCursor {
    let user = &row.user;
    UserCursor {
        sort,
        descending,
        text: match sort {
            UserSort::Name => user.name.clone(),
            UserSort::DisplayName => user.display_name.clone(),
            UserSort::Role => row.memberships.iter().map(|m| m.role.clone()).min().unwrap_or_default(),
            UserSort::Created | UserSort::LastSignIn => String::new(),
        },
        number: match sort {
            UserSort::Created => user.created.0,
            UserSort::LastSignIn => user.last_sign_in.map_or(0, |at| at.0),
            UserSort::Name | UserSort::DisplayName | UserSort::Role => 0,
        },
        id: user.id.0,
    }
}
