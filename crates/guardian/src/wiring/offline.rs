//! What the command line does on the data directory itself when no server runs.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use guardian_catalog::{AuditFilter, Catalog, Checkpoint, User, Verification};
use guardian_identity::{Identity, IdentityError, KeyStatus, NewAccount, Origin, Principal, Rotated};
use guardian_kit::clock::{Clock, SystemClock};
use guardian_kit::metrics::Metrics;
use guardian_lake::{Lake, LakeKeys};
use guardian_model::{Scope, TenantId};
use serde_json::{Value, json};

use crate::config::Config;

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Runs a query on the lake as it lies there.
pub(crate) fn query(config: &Config, sql: &str, limit: usize, timeout_seconds: u64) -> Result<Value> {
    if !config.lake.dir.exists() {
        return Err(anyhow!("there is no telemetry in {}: start with `guardian serve`", config.lake.dir.display()));
    }
    runtime()?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let catalog = Catalog::connect(&config.catalog, &config.data, Arc::clone(&clock)).await?;
        let scope = catalog.system().everything().await?;
        let identity = Identity::new(catalog, Arc::clone(&clock), config.identity.clone(), &config.data);
        // What is not encrypted needs no keys.
        let keys = identity.lake_keys().await.map_err(|error| {
            tracing::warn!(%error, "encrypted telemetry stays closed");
        });
        let keys = LakeKeys::new(&keys.unwrap_or_default())?;
        let lake = Lake::open_read_only(config.lake.clone(), &keys, clock, &Metrics::new())?;
        let answer = guardian_api::answer(&lake, &scope, sql, limit, timeout_seconds).await;
        Ok(serde_json::to_value(answer.map_err(|e| anyhow!("{}", e.detail()))?)?)
    })
}

fn identity<T>(config: &Config, work: impl AsyncFnOnce(Identity, Catalog) -> Result<T>) -> Result<T> {
    std::fs::create_dir_all(&config.data)?;
    runtime()?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let catalog = Catalog::connect(&config.catalog, &config.data, Arc::clone(&clock)).await?;
        let identity = Identity::new(catalog.clone(), clock, config.identity.clone(), &config.data);
        work(identity, catalog).await
    })
}

async fn operator(identity: &Identity) -> Result<Principal, IdentityError> {
    let name = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|u| u.name);
    identity.local_operator(&name.unwrap_or_else(|| "unknown".to_owned())).await
}

/// Adds a user.
pub(crate) fn add_user(config: &Config, name: &str, role: &str, password: &str) -> Result<()> {
    identity(config, async |identity, _| {
        let new = NewAccount {
            name: name.to_owned(),
            display_name: String::new(),
            email: None,
            password: Some(password.to_owned()),
            role: role.to_owned(),
        };
        let by = operator(&identity).await?;
        identity.add_user(&by, TenantId::DEFAULT, &new, &Origin::default()).await?;
        Ok(())
    })
}

/// Sets a user's password.
pub(crate) fn reset_user(config: &Config, name: &str, password: &str) -> Result<()> {
    identity(config, async |identity, _| {
        let by = operator(&identity).await?;
        identity.reset_password(&by, name, password, &Origin::default()).await?;
        Ok(())
    })
}

/// Lists the users.
pub(crate) fn users(config: &Config) -> Result<Value> {
    identity(config, async |_, catalog| {
        let scope = catalog.system().everything().await?;
        let users = catalog.scoped(&scope).users().await?;
        let items = users.into_iter().map(|(user, memberships)| {
            let roles: Vec<_> = memberships.into_iter().map(|m| m.role).collect();
            json!({
                "id": user.id.to_string(), "name": user.name, "role": roles.join(", "), "disabled": user.disabled,
                "created": user.created.to_string(),
            })
        });
        Ok(json!({"items": items.collect::<Vec<_>>()}))
    })
}

/// The account of this sign-in name, wherever it is at home.
async fn account(catalog: &Catalog, name: &str) -> Result<User> {
    let found = catalog.system().credentials_by_name(name).await?;
    Ok(found.ok_or_else(|| anyhow!("there is no user `{name}`"))?.user)
}

/// Lets a certificate open a user's account.
pub(crate) fn add_certificate(config: &Config, name: &str, label: &str, pem: &str) -> Result<()> {
    identity(config, async |identity, catalog| {
        let (by, user) = (operator(&identity).await?, account(&catalog, name).await?);
        identity.add_certificate(&by, user.home_tenant, user.id, label, pem, &Origin::default()).await?;
        Ok(())
    })
}

/// Lists the certificates that open a user's account.
pub(crate) fn certificates(config: &Config, name: &str) -> Result<Value> {
    identity(config, async |_, catalog| {
        let user = account(&catalog, name).await?;
        let held = catalog.system().certificates_of(user.id).await?.into_iter().map(|certificate| {
            json!({
                "id": certificate.id.to_string(), "name": certificate.name, "fingerprint": certificate.fingerprint,
                "subject": certificate.subject, "not_after": certificate.not_after.to_string(),
                "last_used": certificate.last_used.map(|t| t.to_string()),
            })
        });
        Ok(json!({"items": held.collect::<Vec<_>>()}))
    })
}

/// Takes a certificate away from a user's account.
pub(crate) fn remove_certificate(config: &Config, name: &str, id: &str) -> Result<()> {
    identity(config, async |identity, catalog| {
        let (by, user) = (operator(&identity).await?, account(&catalog, name).await?);
        identity.remove_certificate(&by, user.home_tenant, user.id, id.parse()?, &Origin::default()).await?;
        Ok(())
    })
}

/// Asks certificates of no role of the main tenant any more. Answers those that asked.
pub(crate) fn waive_certificates(config: &Config) -> Result<Vec<String>> {
    identity(config, async |identity, _| {
        let by = operator(&identity).await?;
        Ok(identity.waive_certificates(&by, TenantId::DEFAULT, &Origin::default()).await?)
    })
}

async fn tenant(catalog: &Catalog, slug: &str) -> Result<TenantId> {
    let found = catalog.system().tenant_by_slug(slug).await?;
    Ok(found.ok_or_else(|| anyhow!("there is no tenant `{slug}`"))?.id)
}

/// Lists the newest entries of a tenant's audit trail.
pub(crate) fn audit(config: &Config, slug: &str, filter: &AuditFilter, number: u64) -> Result<Value> {
    identity(config, async |_, catalog| {
        let tenant = tenant(&catalog, slug).await?;
        let (scope, mut items) = (Scope::of(tenant), Vec::new());
        let mut before = None;
        while (items.len() as u64) < number {
            let page = catalog.scoped(&scope).audit(tenant, filter, before, number - items.len() as u64).await?;
            let Some(last) = page.last() else { break };
            before = Some(last.seq);
            items.extend(page.into_iter().map(|entry| {
                let mut value = json!(entry);
                value["time"] = json!(entry.time.to_string());
                value["ip"] = json!(entry.actor.ip.map(|ip| ip.to_string()));
                value
            }));
        }
        Ok(Value::Array(items))
    })
}

/// Verifies a tenant's audit trail against its checkpoints and those that were kept elsewhere.
pub(crate) fn verify_audit(config: &Config, slug: &str, anchors: &[Checkpoint]) -> Result<Verification> {
    identity(config, async |identity, catalog| {
        let tenant = tenant(&catalog, slug).await?;
        Ok(identity.verify_audit(tenant, anchors).await?)
    })
}

/// Signs what the head of a tenant's audit trail is now.
pub(crate) fn checkpoint(config: &Config, slug: &str) -> Result<Checkpoint> {
    identity(config, async |identity, catalog| {
        let tenant = tenant(&catalog, slug).await?;
        let by = operator(&identity).await?;
        let made = identity.checkpoint(tenant, by.actor(&Origin::default())).await?;
        made.ok_or_else(|| anyhow!("the trail is still empty"))
    })
}

/// How the keys of the catalog stand.
pub(crate) fn key_status(config: &Config) -> Result<KeyStatus> {
    identity(config, async |identity, _| {
        identity.prepare_keys().await?;
        Ok(identity.key_status().await?)
    })
}

/// Replaces the data key of secrets, or the master key.
pub(crate) fn rotate_keys(config: &Config, master: bool) -> Result<Rotated> {
    identity(config, async |identity, _| {
        let actor = operator(&identity).await?.actor(&Origin::default());
        Ok(if master { identity.rotate_master_key(actor).await? } else { identity.rotate_data_key(actor).await? })
    })
}
