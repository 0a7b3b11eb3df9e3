//! Entities: what findings are about. An entity is (tenant, site, kind, value), because private addresses overlap
//! between sites.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What sort of thing an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// An IP address.
    Ip,
    /// A named machine.
    Host,
    /// An account.
    User,
    /// A domain name.
    Domain,
    /// Anything else, shown by its value.
    Other,
}

impl EntityKind {
    /// The name used in columns and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Host => "host",
            Self::User => "user",
            Self::Domain => "domain",
            Self::Other => "other",
        }
    }
}

/// One entity within a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// The site it belongs to; the empty string is the tenant's only or main site.
    pub site: String,
    /// What it is.
    pub kind: EntityKind,
    /// Its value, as people write it.
    pub value: String,
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)
    }
}
