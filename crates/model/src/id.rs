//! Identifiers of catalog rows (UUIDv7), and the scope: the set of tenants that a caller may see.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Pseudonyms;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// A customer, department or site owner whose data nobody else may see.
    TenantId
);
id!(
    /// A person or program that signs in.
    UserId
);
id!(
    /// An alert row of the catalog.
    AlertId
);
id!(
    /// An incident row of the catalog.
    IncidentId
);

impl TenantId {
    /// The tenant that exists from the first start; installations for one customer never need another.
    pub const DEFAULT: Self = Self(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));
}

/// The set of tenants that a piece of code may read or change. Stores take a scope, never a bare "everything".
///
/// It also says how whoever reads with it sees personal data: as it is, or as pseudonyms.
#[derive(Clone, Debug)]
pub struct Scope {
    tenants: Arc<[TenantId]>,
    masks: Option<Arc<Pseudonyms>>,
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.tenants == other.tenants && self.masks.is_some() == other.masks.is_some()
    }
}

impl Eq for Scope {}

impl Scope {
    /// A scope of exactly one tenant.
    pub fn of(tenant: TenantId) -> Self {
        Self { tenants: Arc::from([tenant]), masks: None }
    }

    /// A scope of several tenants; the order does not matter and repeats are dropped.
    pub fn of_all(tenants: impl IntoIterator<Item = TenantId>) -> Self {
        let mut tenants: Vec<_> = tenants.into_iter().collect();
        tenants.sort_unstable();
        tenants.dedup();
        Self { tenants: tenants.into(), masks: None }
    }

    /// Whether the scope holds the tenant.
    pub fn contains(&self, tenant: TenantId) -> bool {
        self.tenants.contains(&tenant)
    }

    /// The same tenants, for somebody who sees pseudonyms in the place of personal data.
    #[must_use]
    pub fn masked(self, masks: Arc<Pseudonyms>) -> Self {
        Self { masks: Some(masks), ..self }
    }

    /// The pseudonyms that stand in the place of personal data; none if it is seen as it is.
    pub fn masks(&self) -> Option<&Arc<Pseudonyms>> {
        self.masks.as_ref()
    }

    /// The tenants, sorted.
    pub fn tenants(&self) -> &[TenantId] {
        &self.tenants
    }
}
