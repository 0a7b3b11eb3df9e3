//! Pages by keyset: a page begins after the last row of the one before, by its sort value and id, so that pages neither
//! repeat nor shift while rows come and go.

use sea_orm::sea_query::{Expr, ExprTrait, Order};
use sea_orm::{ColumnTrait, Condition, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::CatalogError;

/// The sort value of a page's last row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PageKey {
    /// A time, a count or a rank.
    Number(i64),
    /// A text.
    Text(String),
}

/// Where a page ends, or the next begins: the sort value and id of its last row.
pub(crate) type Place = (PageKey, Uuid);

/// How a page is cut.
pub(crate) struct Cut<'a> {
    /// What it is ordered by.
    pub(crate) by: Expr,
    /// Smallest first.
    pub(crate) ascending: bool,
    /// Where the last page ended.
    pub(crate) after: Option<(&'a PageKey, Uuid)>,
    /// Most rows.
    pub(crate) limit: u64,
}

/// One page of a query, and where it ends if there are more rows; `place` tells a row's sort value and id.
pub(crate) async fn fetch<E: EntityTrait>(
    query: Select<E>,
    id: E::Column,
    cut: Cut<'_>,
    conn: &DatabaseConnection,
    place: impl Fn(&E::Model) -> Place,
) -> Result<(Vec<E::Model>, Option<Place>), CatalogError> {
    let limit = cut.limit;
    let query = by(query, &cut.by, id, cut.ascending, cut.after).limit(limit + 1);
    drop(cut);
    let mut rows = query.all(conn).await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(place);
    Ok((rows, next))
}

/// Orders a query by `by`, largest first unless `ascending`, the id deciding among equals, and lets it begin after
/// `place`.
fn by<E: EntityTrait>(
    query: Select<E>,
    by: &Expr,
    id: E::Column,
    ascending: bool,
    place: Option<(&PageKey, Uuid)>,
) -> Select<E> {
    let order = if ascending { Order::Asc } else { Order::Desc };
    let query = match place {
        None => query,
        Some((key, last)) => {
            let (beyond, equal) = match (key, ascending) {
                (PageKey::Number(n), true) => (by.clone().gt(*n), by.clone().eq(*n)),
                (PageKey::Number(n), false) => (by.clone().lt(*n), by.clone().eq(*n)),
                (PageKey::Text(t), true) => (by.clone().gt(t.as_str()), by.clone().eq(t.as_str())),
                (PageKey::Text(t), false) => (by.clone().lt(t.as_str()), by.clone().eq(t.as_str())),
            };
            let after = if ascending { id.gt(last) } else { id.lt(last) };
            query.filter(Condition::any().add(beyond).add(Condition::all().add(equal).add(after)))
        }
    };
    query.order_by(by.clone(), order.clone()).order_by(id, order)
}
