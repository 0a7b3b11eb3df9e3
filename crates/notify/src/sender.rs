//! Empties the outbox: takes messages whose time has come, sends them, and writes down what came of it. A message that is
//! taken has a lease; who dies with it leaves it to be sent again, under the same id.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use guardian_catalog::{CatalogError, ChannelKind, Delivery, DeliveryOutcome, webhook_secret};
use guardian_identity::IdentityError;
use guardian_model::{Micros, Scope};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::mail::{Letter, MailError};
use crate::message::Message;
use crate::notifier::Notifier;
use crate::webhook::{self, Outcome};

/// How often the outbox is looked at without being woken.
const POLL: Duration = Duration::from_secs(1);
/// Pause after the catalog failed.
const RETRY: Duration = Duration::from_secs(2);
/// Messages taken at once.
const BATCH_MAX: u64 = 64;
/// Messages on their way at once.
const UNDER_WAY_MAX: usize = 8;
/// How long a message is taken for: longer than any attempt lasts.
const LEASE: i64 = 2 * Micros::MINUTE;
/// How often old entries of the log are removed.
const SWEEP: Duration = Duration::from_secs(3_600);
/// How long people find what they were told.
const INBOX_KEEP: i64 = 90 * Micros::DAY;
/// Longest that a receiver is left alone after it failed.
const COOLING_MAX: i64 = Micros::MINUTE;
/// Messages of one digest.
const DIGEST_MAX: usize = 50;

/// Sends until the program ends.
pub(crate) async fn run(notifier: Notifier) {
    let token = notifier.inner.shutdown.token();
    let limit = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let mut sweep = tokio::time::interval(SWEEP);
    let mut under_way = JoinSet::new();
    loop {
        let pause = match round(&notifier, &limit, &mut under_way).await {
            Ok(0) => POLL,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                notifier.inner.failures.inc(1);
                tracing::warn!(%error, "the outbox cannot be read; trying again");
                RETRY
            }
        };
        while under_way.try_join_next().is_some() {}
        tokio::select! {
            () = token.cancelled() => return,
            () = notifier.inner.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = sweep.tick() => clean_up(&notifier).await,
        }
    }
}

async fn clean_up(notifier: &Notifier) {
    let (now, system) = (notifier.inner.clock.now(), notifier.inner.catalog.system());
    let deliveries = system.drop_old_deliveries(now - notifier.inner.config.keep.as_micros()).await;
    let notifications = system.drop_old_notifications(now - INBOX_KEEP).await;
    for error in [deliveries.err(), notifications.err()].into_iter().flatten() {
        tracing::warn!(%error, "old notifications could not be removed");
    }
}

/// Takes what is due and lets it go; answers how much.
async fn round(
    notifier: &Notifier,
    limit: &Arc<Semaphore>,
    under_way: &mut JoinSet<()>,
) -> Result<usize, CatalogError> {
    let inner = &notifier.inner;
    let now = inner.clock.now();
    let due = inner.catalog.system().due_deliveries(now, &cooling(notifier, now), BATCH_MAX).await?;
    let mut taken = 0;
    for group in bundles(due) {
        let Ok(permit) = Arc::clone(limit).acquire_owned().await else { break };
        let mut claimed = Vec::with_capacity(group.len());
        for one in group {
            if inner.catalog.system().claim_delivery(&one, inner.clock.now() + LEASE).await? {
                claimed.push(Delivery { attempts: one.attempts + 1, ..one });
            }
        }
        if claimed.is_empty() {
            continue;
        }
        taken += claimed.len();
        let own = notifier.clone();
        under_way.spawn(async move {
            send(&own, claimed).await;
            drop(permit);
        });
    }
    Ok(taken)
}

/// Channels that are left alone now.
fn cooling(notifier: &Notifier, now: Micros) -> Vec<Uuid> {
    let mut cooling = notifier.inner.cooling.lock().unwrap_or_else(PoisonError::into_inner);
    cooling.retain(|_, until| *until > now);
    cooling.keys().copied().collect()
}

/// Leaves a channel alone for a while, so that a receiver that does not answer holds up no other.
fn cool(notifier: &Notifier, channel: Option<Uuid>, pause: i64) {
    if let Some(channel) = channel {
        let until = notifier.inner.clock.now() + pause.min(COOLING_MAX);
        notifier.inner.cooling.lock().unwrap_or_else(PoisonError::into_inner).insert(channel, until);
    }
}

/// Messages that leave together: those of one bundle in one tenant. All others go alone.
fn bundles(due: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut alone = Vec::new();
    let mut together: BTreeMap<(Uuid, String), Vec<Delivery>> = BTreeMap::new();
    for one in due {
        match &one.what.bundle {
            // What failed in a bundle is tried again by itself, so that one bad message holds up no other.
            Some(bundle) if one.attempts == 0 => {
                together.entry((one.tenant.0, bundle.clone())).or_default().push(one);
            }
            _ => alone.push(vec![one]),
        }
    }
    let chunks = together.into_values().flat_map(|all| {
        let chunks: Vec<Vec<Delivery>> = all.chunks(DIGEST_MAX).map(<[Delivery]>::to_vec).collect();
        chunks
    });
    alone.into_iter().chain(chunks).collect()
}

/// Sends messages that leave together, and writes down what came of it.
async fn send(notifier: &Notifier, group: Vec<Delivery>) {
    let outcome = attempt(notifier, &group).await;
    let inner = &notifier.inner;
    let kind = group.first().map_or("mail", |d| d.what.kind.as_str());
    for delivery in &group {
        let (end, answer, label) = match &outcome {
            Outcome::Delivered(answer) => (DeliveryOutcome::Delivered, answer, "delivered"),
            Outcome::Refused(answer) => (DeliveryOutcome::GivenUp, answer, "refused"),
            Outcome::Failed(answer) if delivery.attempts >= inner.config.attempts_max.max(1) => {
                (DeliveryOutcome::GivenUp, answer, "given_up")
            }
            Outcome::Failed(answer) => {
                let pause = backoff(notifier, delivery.attempts);
                cool(notifier, delivery.what.channel, pause);
                (DeliveryOutcome::Again(inner.clock.now() + pause), answer, "failed")
            }
        };
        inner.sent.with(&[kind, label]).inc(1);
        if let Err(error) = inner.catalog.system().finish_delivery(delivery.id, &end, answer).await {
            // The lease runs out, and it is sent again: at least once.
            inner.failures.inc(1);
            tracing::warn!(%error, id = %delivery.id, "what came of a message could not be written down");
        }
    }
}

/// The pause after so many attempts: three times as long after each, and a part that depends on the message, so that
/// those that failed together do not come back together.
fn backoff(notifier: &Notifier, attempts: u32) -> i64 {
    let config = &notifier.inner.config;
    let (first, longest) = (config.retry_first.as_micros(), config.retry_longest.as_micros());
    let pause = first.saturating_mul(3_i64.saturating_pow(attempts.saturating_sub(1))).min(longest).max(1);
    pause + notifier.inner.clock.now().0.rem_euclid(pause / 5 + 1)
}

async fn attempt(notifier: &Notifier, group: &[Delivery]) -> Outcome {
    let Some(first) = group.first() else { return Outcome::Refused("nothing to send".to_owned()) };
    let mut messages = Vec::with_capacity(group.len());
    for delivery in group {
        match serde_json::from_value::<Message>(delivery.what.body.clone()) {
            Ok(message) => messages.push(message),
            Err(error) => return Outcome::Refused(format!("the message cannot be read: {error}")),
        }
    }
    match first.what.kind {
        ChannelKind::Mail => mail(notifier, first, &messages).await,
        ChannelKind::Webhook => hook(notifier, first, &messages[0]).await,
    }
}

async fn mail(notifier: &Notifier, first: &Delivery, messages: &[Message]) -> Outcome {
    let Some(mailer) = &notifier.inner.mailer else {
        return Outcome::Refused("no mail server is configured (notify.smtp.host)".to_owned());
    };
    let to: Vec<String> = first.what.target.split(',').map(|a| a.trim().to_owned()).collect();
    let letter = Letter {
        id: first.id,
        to: &to,
        messages,
        personal: first.what.user.is_some(),
        test: first.what.test,
        now: notifier.inner.clock.now(),
    };
    match mailer.send(&letter).await {
        Ok(answer) => Outcome::Delivered(answer),
        Err(error @ MailError::Failed(_)) => Outcome::Failed(error.to_string()),
        Err(error) => Outcome::Refused(error.to_string()),
    }
}

async fn hook(notifier: &Notifier, delivery: &Delivery, message: &Message) -> Outcome {
    let inner = &notifier.inner;
    let Some(channel) = delivery.what.channel else { return Outcome::Refused("no channel".to_owned()) };
    let scope = Scope::of(delivery.tenant);
    // The secret and the receiver are those of now, whatever they were when the message was planned.
    let channel = match inner.catalog.scoped(&scope).channel(channel).await {
        Ok(channel) => channel,
        Err(CatalogError::NotFound(_)) => return Outcome::Refused("the channel is gone".to_owned()),
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let Some(url) = &channel.draft.url else { return Outcome::Refused("the channel has no receiver".to_owned()) };
    let sealed = channel.secret.as_deref().unwrap_or_default();
    let secret = match inner.identity.unseal(&webhook_secret(channel.id), sealed).await {
        Ok(secret) => secret,
        Err(error @ IdentityError::Catalog(_)) => return Outcome::Failed(error.to_string()),
        Err(_) => return Outcome::Refused("the channel's secret does not open; make a new one".to_owned()),
    };
    let body = webhook::body(delivery, message, &inner.public_url);
    let now = inner.clock.now();
    webhook::post(&inner.client, url, &secret, &delivery.id.to_string(), now, &body).await
}

#[cfg(test)]
mod tests {
    use guardian_catalog::{DeliveryState, NewDelivery, NotifyEvent};
    use guardian_model::TenantId;
    use serde_json::Value;

    use super::*;

    fn delivery(n: u128, bundle: Option<&str>, attempts: u32) -> Delivery {
        Delivery {
            id: Uuid::from_u128(n),
            tenant: TenantId::DEFAULT,
            what: NewDelivery {
                key: n.to_string(),
                channel: None,
                user: None,
                kind: ChannelKind::Mail,
                target: String::new(),
                event: NotifyEvent::Watching,
                title: String::new(),
                subject: String::new(),
                subject_id: String::new(),
                body: Value::Null,
                bundle: bundle.map(str::to_owned),
                test: false,
                due: Micros(0),
            },
            state: DeliveryState::Waiting,
            attempts,
            created: Micros(0),
            next_attempt: Micros(0),
            finished: None,
            answer: None,
        }
    }

    #[test]
    fn digests_leave_together_and_everything_else_alone() {
        let due = vec![
            delivery(1, Some("ann"), 0),
            delivery(2, None, 0),
            delivery(3, Some("bob"), 0),
            delivery(4, Some("ann"), 0),
            delivery(5, Some("ann"), 1),
        ];
        let groups: Vec<Vec<u128>> =
            bundles(due).iter().map(|group| group.iter().map(|d| d.id.as_u128()).collect()).collect();
        assert_eq!(groups, [vec![2], vec![5], vec![1, 4], vec![3]]);
    }
}
