//! The one table of permissions: what there is to be allowed, and which built-in roles are. Operations name a
//! permission by its variant; nothing else in Guardian decides who may do something.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A built-in role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the installation: everything.
    Admin,
    /// Works with alerts, rules and data; does not manage accounts.
    Operator,
    /// Looks.
    Viewer,
}

impl Role {
    /// What it is for, in a sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Admin => "Runs the installation: everything.",
            Self::Operator => "Works with alerts, rules and data; does not manage accounts.",
            Self::Viewer => "Looks.",
        }
    }

    /// All roles, mightiest first.
    pub const ALL: &'static [Self] = &[Self::Admin, Self::Operator, Self::Viewer];

    /// The word it is stored and shown as.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// What it may do.
    pub fn permissions(self) -> PermissionSet {
        Permission::ALL.iter().copied().filter(|p| p.roles().contains(&self)).collect()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|r| r.as_str() == text);
        found.ok_or_else(|| format!("unknown role `{text}`: use admin, operator or viewer"))
    }
}

macro_rules! permissions {
    ($($variant:ident = $name:literal, $description:literal, [$($role:ident),+];)+) => {
        /// Something that a principal may be allowed to do in a tenant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $(#[doc = $description] $variant,)+
        }

        impl Permission {
            /// All permissions, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the API, in keys' scopes and in the audit trail.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it allows, in a sentence.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)+ }
            }

            /// The built-in roles that hold it.
            pub const fn roles(self) -> &'static [Role] {
                match self { $(Self::$variant => &[$(Role::$role),+],)+ }
            }
        }
    };
}

permissions! {
    AlertsRead = "alerts:read", "See alerts and the events behind them.", [Admin, Operator, Viewer];
    AlertsTriage = "alerts:triage", "Acknowledge, assign, annotate, close and reopen alerts.", [Admin, Operator];
    AlertsSuppress = "alerts:suppress", "Suppress alerts that need nobody.", [Admin, Operator];
    IncidentsRead = "incidents:read", "See incidents and everything about them.", [Admin, Operator, Viewer];
    IncidentsWrite = "incidents:write", "Make, change, merge and work on incidents.", [Admin, Operator];
    IncidentsConfigure = "incidents:configure", "Set deadlines, correlation and task templates.", [Admin];
    ViewsUse = "views:use", "Keep views and hunts of one's own and use shared ones.", [Admin, Operator, Viewer];
    ViewsShare = "views:share", "Share views and hunts, and change shared ones of others.", [Admin, Operator];
    FlowsRead = "flows:read", "Search flows with typed filters and see top talkers.", [Admin, Operator, Viewer];
    FlowsSql = "flows:sql", "Hunt through telemetry with SQL.", [Admin, Operator];
    PersonalRead = "personal:read", "See addresses and names of people and machines; without it, pseudonyms.", [Admin, Operator];
    RulesRead = "rules:read", "See rules and their versions.", [Admin, Operator, Viewer];
    RulesWrite = "rules:write", "Add, change, enable, disable and delete rules.", [Admin, Operator];
    RulesTest = "rules:test", "Test rules against stored telemetry.", [Admin, Operator];
    ExportersRead = "exporters:read", "See exporters and their loss counters.", [Admin, Operator, Viewer];
    HostsRead = "hosts:read", "See hosts and how their agents are.", [Admin, Operator, Viewer];
    HostsManage = "hosts:manage", "Change, shut out and remove hosts.", [Admin, Operator];
    HostsCommand = "hosts:command", "Have hosts do something: isolate, kill, collect, scan.", [Admin, Operator];
    HostsQuery = "hosts:query", "Ask hosts by SQL what they are and have right now.", [Admin, Operator];
    HostsUpgrade = "hosts:upgrade", "Bring releases of the agent, and roll them out to hosts.", [Admin];
    VulnerabilitiesRead = "vulnerabilities:read", "See vulnerabilities of hosts and images, exceptions and deadlines.", [Admin, Operator, Viewer];
    VulnerabilitiesExcept = "vulnerabilities:except", "Ask for exceptions, and end them.", [Admin, Operator];
    VulnerabilitiesApprove = "vulnerabilities:approve", "Approve exceptions; set deadlines and what hosts are worth.", [Admin];
    VulnerabilitiesImages = "vulnerabilities:images", "Send images of containers to be judged, and delete them.", [Admin, Operator];
    PoliciesRead = "policies:read", "See what agents are to do, and why.", [Admin, Operator, Viewer];
    PoliciesWrite = "policies:write", "Change what agents do, groups of hosts, and which policy holds for which.", [Admin];
    HostsEnroll = "hosts:enroll", "Make and revoke enrolment tokens.", [Admin];
    StatusRead = "status:read", "See the key figures and the state of the installation.", [Admin, Operator, Viewer];
    ReplayRun = "replay:run", "Feed recorded traffic in, tagged as a replay.", [Admin, Operator];
    ReplayClear = "replay:clear", "Remove what replays left.", [Admin, Operator];
    AuditRead = "audit:read", "Read and verify the audit trail.", [Admin];
    UsersRead = "users:read", "See accounts, roles and sessions.", [Admin, Operator];
    UsersManage = "users:manage", "Add, change, disable and delete accounts and give roles.", [Admin];
    RolesManage = "roles:manage", "Make, change and delete the tenant's own roles.", [Admin];
    TenantsManage = "tenants:manage", "Make, change and delete tenants; it counts in the installation's own tenant alone.", [Admin];
    KeysManage = "keys:manage", "Make and revoke API keys.", [Admin];
    NotificationsManage = "notifications:manage", "Manage notification channels, see what was sent, send tests.", [Admin];
    SettingsRead = "settings:read", "See settings.", [Admin, Operator, Viewer];
    SettingsWrite = "settings:write", "Change settings.", [Admin];
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Permission {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|p| p.name() == text);
        found.ok_or_else(|| format!("unknown permission `{text}`"))
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(u64);

impl PermissionSet {
    /// Every permission there is.
    pub fn all() -> Self {
        Permission::ALL.iter().copied().collect()
    }

    /// Whether it holds `permission`.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Whether it holds everything that `other` holds.
    pub fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// What both sets hold.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it holds nothing.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its permissions, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |p| self.contains(*p))
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, p| bits | 1 << p as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::{Permission, PermissionSet, Role};

    /// A change of the table is a change of who may do what: it should be seen here, in review.
    #[test]
    fn the_table() {
        let table: Vec<String> = Permission::ALL
            .iter()
            .map(|p| {
                let roles: Vec<_> = p.roles().iter().map(|r| r.as_str()).collect();
                format!("{:<19} {}", p.name(), roles.join(" "))
            })
            .collect();
        let expected = [
            "alerts:read         admin operator viewer",
            "alerts:triage       admin operator",
            "alerts:suppress     admin operator",
            "incidents:read      admin operator viewer",
            "incidents:write     admin operator",
            "incidents:configure admin",
            "views:use           admin operator viewer",
            "views:share         admin operator",
            "flows:read          admin operator viewer",
            "flows:sql           admin operator",
            "personal:read       admin operator",
            "rules:read          admin operator viewer",
            "rules:write         admin operator",
            "rules:test          admin operator",
            "exporters:read      admin operator viewer",
            "hosts:read          admin operator viewer",
            "hosts:manage        admin operator",
            "hosts:command       admin operator",
            "hosts:query         admin operator",
            "hosts:upgrade       admin",
            "vulnerabilities:read admin operator viewer",
            "vulnerabilities:except admin operator",
            "vulnerabilities:approve admin",
            "vulnerabilities:images admin operator",
            "policies:read       admin operator viewer",
            "policies:write      admin",
            "hosts:enroll        admin",
            "status:read         admin operator viewer",
            "replay:run          admin operator",
            "replay:clear        admin operator",
            "audit:read          admin",
            "users:read          admin operator",
            "users:manage        admin",
            "roles:manage        admin",
            "tenants:manage      admin",
            "keys:manage         admin",
            "notifications:manage admin",
            "settings:read       admin operator viewer",
            "settings:write      admin",
        ];
        assert_eq!(table, expected);
    }

    #[test]
    fn roles_nest_and_names_are_unique() {
        assert!(Permission::ALL.len() <= 64, "a set is 64 bits");
        assert_eq!(Role::Admin.permissions(), PermissionSet::all());
        let (operator, viewer) = (Role::Operator.permissions(), Role::Viewer.permissions());
        assert_eq!(viewer.intersection(operator), viewer);
        for p in Permission::ALL {
            assert_eq!(p.name().parse(), Ok(*p));
        }
    }
}
