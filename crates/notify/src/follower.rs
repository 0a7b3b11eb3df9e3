//! Follows each tenant's change log and puts what is worth telling into the outbox, together with how far it read: what
//! was planned is planned once, and what was not is planned after the next start.

use std::collections::HashMap;
use std::time::Duration;

use guardian_catalog::{Announcement, CatalogError, ChangeEntry, Changes};
use guardian_identity::IdentityError;
use guardian_model::{Pseudonyms, Scope, TenantId};

use crate::event::{Happening, happenings, incidents_of};
use crate::notifier::Notifier;
use crate::people::people;
use crate::plan::{Audience, plan};

/// How often new tenants are looked for.
const ROUND: Duration = Duration::from_secs(15);
/// Pause after the catalog failed.
const RETRY: Duration = Duration::from_secs(2);
/// Changes after which the position is kept although there was nothing to tell.
const KEEP_EVERY: i64 = 500;

/// Follows every tenant until the program ends.
pub(crate) async fn run(notifier: Notifier) {
    let mut following = HashMap::new();
    let mut rounds = notifier.inner.shutdown.rounds(ROUND);
    while rounds.next().await {
        match notifier.inner.catalog.system().tenants().await {
            Ok(tenants) => {
                for tenant in tenants {
                    if following.get(&tenant.id).is_none_or(tokio::task::JoinHandle::is_finished) {
                        following.insert(tenant.id, tokio::spawn(follow(notifier.clone(), tenant.id)));
                    }
                }
            }
            Err(error) => failed(&notifier, &error),
        }
    }
}

fn failed(notifier: &Notifier, error: &CatalogError) {
    notifier.inner.failures.inc(1);
    tracing::warn!(%error, "notifications wait; trying again");
}

async fn follow(notifier: Notifier, tenant: TenantId) {
    let token = notifier.inner.shutdown.token();
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            ended = follow_once(&notifier, tenant) => match ended {
                Err(CatalogError::NotFound("tenant")) => return,
                Err(error) => failed(&notifier, &error),
                Ok(()) => {}
            }
        }
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn follow_once(notifier: &Notifier, tenant: TenantId) -> Result<(), CatalogError> {
    let catalog = &notifier.inner.catalog;
    let name = format!("notify/{tenant}");
    let kept = catalog.system().state(&name).await?;
    let position = kept.and_then(|bytes| serde_json::from_slice::<i64>(&bytes).ok());
    let scope = Scope::of(tenant);
    let scoped = catalog.scoped(&scope);
    // What happened before there were notifications is old news. The place is kept at once: what happens between this
    // moment and a crash is told afterwards.
    let begin = match position {
        Some(position) => position,
        None => scoped.latest_seq(tenant).await?,
    };
    let mut kept = begin;
    if position.is_none() {
        keep(notifier, &name, begin).await?;
    }
    let mut follower = scoped.follow(tenant, begin)?;
    loop {
        let changes = follower.next().await?;
        let at = follower.position();
        let told = match changes {
            Changes::Entries { entries, .. } => tell(notifier, tenant, &entries, Some((name.clone(), at))).await?,
            Changes::ResyncNeeded { .. } => {
                notifier.inner.failures.inc(1);
                tracing::warn!(%tenant, "the change log was cut before notifications had read it; some were not told");
                false
            }
        };
        if told {
            kept = at;
        } else if at - kept >= KEEP_EVERY {
            keep(notifier, &name, at).await?;
            kept = at;
        }
    }
}

async fn keep(notifier: &Notifier, name: &str, position: i64) -> Result<(), CatalogError> {
    let bytes = serde_json::to_vec(&position).unwrap_or_default();
    notifier.inner.catalog.system().put_state(name, bytes).await
}

/// Plans what some changes ask for. Answers whether anything was, and the position therefore kept.
async fn tell(
    notifier: &Notifier,
    tenant: TenantId,
    entries: &[ChangeEntry],
    position: Option<(String, i64)>,
) -> Result<bool, CatalogError> {
    let catalog = &notifier.inner.catalog;
    let scope = Scope::of(tenant);
    let mut incidents = HashMap::new();
    for id in incidents_of(entries) {
        match catalog.scoped(&scope).incident(id).await {
            Ok(incident) => {
                incidents.insert(id, incident);
            }
            // Gone with a replay that was cleared meanwhile.
            Err(CatalogError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let found = happenings(entries, &incidents);
    if found.is_empty() {
        return Ok(false);
    }
    announce(notifier, tenant, &found, position).await?;
    Ok(true)
}

/// The pseudonyms of a tenant. Without them nothing is told to anybody.
async fn masks(notifier: &Notifier, tenant: TenantId) -> Result<Pseudonyms, CatalogError> {
    notifier.inner.identity.pseudonyms(tenant).await.map_err(|error| match error {
        IdentityError::Catalog(error) => error,
        other => CatalogError::Invalid(other.to_string()),
    })
}

/// Keeps what is to be told of some happenings, and wakes the sender.
pub(crate) async fn announce(
    notifier: &Notifier,
    tenant: TenantId,
    happenings: &[Happening],
    position: Option<(String, i64)>,
) -> Result<(), CatalogError> {
    let inner = &notifier.inner;
    let scope = Scope::of(tenant);
    let name = inner.catalog.system().tenants().await?.into_iter().find(|t| t.id == tenant).map(|t| t.name);
    let audience = Audience {
        people: people(&inner.catalog, tenant).await?,
        channels: inner.catalog.scoped(&scope).channels().await?,
        tenant: name.unwrap_or_default(),
        mail: notifier.mail_ready(),
        masks: masks(notifier, tenant).await?,
        now: inner.clock.now(),
    };
    let planned = Announcement { position, ..plan(happenings, &audience) };
    let (told, sent) = inner.catalog.system().announce(tenant, &planned).await?;
    inner.told.inc(told);
    inner.planned.inc(sent);
    if sent > 0 {
        notifier.wake();
    }
    Ok(())
}
