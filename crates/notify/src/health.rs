//! Tells the people of the installation when a part of it stops working, and when it works again.

use std::collections::BTreeMap;
use std::time::Duration;

use guardian_catalog::NotifyEvent;
use guardian_kit::health::{Health, State};
use guardian_model::{Severity, TenantId};
use serde_json::json;

use crate::event::{Happening, Told};
use crate::follower::announce;
use crate::notifier::Notifier;
use crate::text::Phrase;

/// How often the checks are looked at. What is bad for less than two looks is nobody's business.
const LOOK: Duration = Duration::from_secs(15);

/// What is known of a check.
#[derive(Clone, Copy, Default)]
struct Known {
    bad_looks: u32,
    told: bool,
}

/// Watches until the program ends.
pub(crate) async fn run(notifier: Notifier, health: Health) {
    let mut looks = notifier.inner.shutdown.rounds(LOOK);
    let mut known = BTreeMap::new();
    while looks.next().await {
        let found = look(&notifier, &health, &mut known);
        if found.is_empty() {
            continue;
        }
        if let Err(error) = announce(&notifier, TenantId::DEFAULT, &found, None).await {
            notifier.inner.failures.inc(1);
            tracing::warn!(%error, "the state of the installation could not be told");
        }
    }
}

fn look(notifier: &Notifier, health: &Health, known: &mut BTreeMap<String, Known>) -> Vec<Happening> {
    let mut found = Vec::new();
    for check in health.ready().checks {
        let of = known.entry(check.name.clone()).or_default();
        let well = check.state == State::Ok;
        of.bad_looks = if well { 0 } else { of.bad_looks + 1 };
        let news = if well { of.told } else { of.bad_looks >= 2 && !of.told };
        if !news {
            continue;
        }
        of.told = !well;
        let now = notifier.inner.clock.now();
        found.push(Happening {
            event: NotifyEvent::Health,
            key: format!("health/{}/{}", check.name, now.0),
            time: now,
            subject: "health",
            subject_id: check.name.clone(),
            link: "/settings".to_owned(),
            thread: Some(format!("health-{}", check.name)),
            by: None,
            severity: Some(if check.state == State::Failed { Severity::High } else { Severity::Medium }),
            data: json!({ "check": check.name, "state": check.state, "reason": check.reason }),
            phrase: Phrase::Health { check: check.name, reason: check.reason, well },
            told: Told::Everybody,
            alert: None,
            test: false,
        });
    }
    found
}
