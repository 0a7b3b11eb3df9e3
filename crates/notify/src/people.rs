//! Who there is to be told in a tenant: whoever has a role there, with what that role may see.

use guardian_catalog::{Catalog, CatalogError, NotifyEvent};
use guardian_identity::{Permission, PermissionSet};
use guardian_model::{Scope, TenantId, UserId};

use crate::preferences::Preferences;

/// Somebody who can be told.
#[derive(Clone, Debug)]
pub struct Person {
    /// The account.
    pub id: UserId,
    /// Its sign-in name.
    pub name: String,
    /// Where to write to.
    pub email: Option<String>,
    /// What they may do in the tenant.
    pub permissions: PermissionSet,
    /// What they want to hear.
    pub wants: Preferences,
}

impl Person {
    /// Whether they may see what an event is about.
    pub(crate) fn may_see(&self, subject: &str) -> bool {
        self.permissions.contains(match subject {
            "incident" => Permission::IncidentsRead,
            "alert" => Permission::AlertsRead,
            "exporter" => Permission::ExportersRead,
            _ => Permission::StatusRead,
        })
    }

    /// Whether they may know whom it is about; they are told pseudonyms otherwise.
    pub(crate) fn sees_personal(&self) -> bool {
        self.permissions.contains(Permission::PersonalRead)
    }

    /// Whether they are one of those who work on incidents.
    pub(crate) fn works(&self) -> bool {
        self.permissions.contains(Permission::IncidentsWrite)
    }

    /// Whether they made it happen themselves.
    pub(crate) fn is(&self, by: Option<&(String, Option<String>)>) -> bool {
        by.is_some_and(|(name, id)| match id {
            Some(id) => *id == self.id.to_string(),
            None => *name == self.name,
        })
    }

    /// Whether an event is told to them in the console.
    pub(crate) fn hears(&self, event: NotifyEvent) -> bool {
        self.wants.wish(event).app
    }
}

/// Everybody of a tenant whose account is in use.
pub(crate) async fn people(catalog: &Catalog, tenant: TenantId) -> Result<Vec<Person>, CatalogError> {
    let scope = Scope::of(tenant);
    let scoped = catalog.scoped(&scope);
    let roles = scoped.roles().await?;
    let users = scoped.users().await?;
    let mut found = Vec::new();
    for (user, memberships) in users {
        let Some(membership) = memberships.iter().find(|m| m.tenant == tenant) else { continue };
        if user.disabled || user.pending {
            continue;
        }
        let permissions = guardian_identity::role_permissions(&membership.role, tenant, &roles);
        found.push(Person {
            id: user.id,
            name: user.name,
            email: user.email.filter(|e| !e.trim().is_empty()),
            permissions,
            wants: Preferences::default(),
        });
    }
    let ids: Vec<UserId> = found.iter().map(|p| p.id).collect();
    let mut wants = catalog.system().notify_preferences_of(&ids).await?;
    for person in &mut found {
        if let Some(value) = wants.remove(&person.id) {
            person.wants = Preferences::read(value);
        }
    }
    Ok(found)
}
