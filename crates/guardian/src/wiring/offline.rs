//! What the command line does on the data directory itself when no server runs.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use guardian_catalog::Catalog;
use guardian_identity::{Identity, IdentityConfig, IdentityError, NewAccount, Origin, Principal};
use guardian_kit::clock::{Clock, SystemClock};
use guardian_kit::metrics::Metrics;
use guardian_lake::Lake;
use guardian_model::TenantId;
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
        let lake = Lake::open_read_only(config.lake.clone(), clock, &Metrics::new())?;
        let answer = guardian_api::answer(&lake, &scope, sql, limit, timeout_seconds).await;
        Ok(serde_json::to_value(answer.map_err(|e| anyhow!("{}", e.detail()))?)?)
    })
}

fn identity<T>(config: &Config, work: impl AsyncFnOnce(Identity, Catalog) -> Result<T>) -> Result<T> {
    std::fs::create_dir_all(&config.data)?;
    runtime()?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let catalog = Catalog::connect(&config.catalog, &config.data, Arc::clone(&clock)).await?;
        let identity = Identity::new(catalog.clone(), clock, IdentityConfig::default(), &config.data);
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
