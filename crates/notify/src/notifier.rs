//! The service: what the program starts, and what the API asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use guardian_catalog::{
    Catalog, Channel, ChannelKind, Delivery, DeliveryState, NewDelivery, NotifyEvent, Tx, webhook_secret,
};
use guardian_identity::Identity;
use guardian_kit::clock::Clock;
use guardian_kit::config::{ByteSize, Duration};
use guardian_kit::egress::{Client, EgressConfig, EgressError};
use guardian_kit::health::Health;
use guardian_kit::metrics::{Counter, CounterFamily, Metrics};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Micros, Scope, TenantId};
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::config::NotifyConfig;
use crate::mail::{MailError, Mailer};
use crate::message::Message;
use crate::plan::target;
use crate::text::Phrase;

/// How long a receiver of webhooks may take, and how much it may say.
const WEBHOOK_TIMEOUT: Duration = Duration::secs(15);
const WEBHOOK_ANSWER_MAX: ByteSize = ByteSize::kib(64);
/// How long a test waits for the receiver's answer, and how often it looks.
const TEST_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
const TEST_LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// What the service needs.
pub struct NotifierDeps {
    /// The system of record.
    pub catalog: Catalog,
    /// Who may see what, and the vault.
    pub identity: Identity,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How messages leave.
    pub config: NotifyConfig,
    /// Which addresses webhooks may reach.
    pub egress: EgressConfig,
    /// Where people reach the console.
    pub public_url: String,
    /// Counters.
    pub metrics: Metrics,
    /// The end.
    pub shutdown: Shutdown,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Of mail.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// Of outbound requests.
    #[error(transparent)]
    Egress(#[from] EgressError),
}

/// Tells people and programs what happens. Cheap to clone.
#[derive(Clone)]
pub struct Notifier {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) catalog: Catalog,
    pub(crate) identity: Identity,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: NotifyConfig,
    pub(crate) public_url: String,
    pub(crate) mailer: Option<Mailer>,
    pub(crate) client: Client,
    pub(crate) shutdown: Shutdown,
    /// Wakes the sender when there is something to send.
    pub(crate) wake: Notify,
    /// Channels whose receiver just failed, and until when they are left alone; at most as many as there are channels.
    pub(crate) cooling: Mutex<HashMap<Uuid, Micros>>,
    pub(crate) told: Counter,
    pub(crate) planned: Counter,
    pub(crate) failures: Counter,
    pub(crate) sent: CounterFamily,
}

impl Notifier {
    /// Inert until [`Notifier::start`].
    pub fn new(deps: NotifierDeps) -> Result<Self, SetupError> {
        let egress = EgressConfig {
            timeout: WEBHOOK_TIMEOUT,
            body_max: WEBHOOK_ANSWER_MAX,
            // A receiver that moved is to be named anew: what is signed goes where somebody said.
            redirects_max: 0,
            ..deps.egress
        };
        let metrics = &deps.metrics;
        Ok(Self {
            inner: Arc::new(Inner {
                mailer: Mailer::new(&deps.config.smtp, &deps.public_url)?,
                client: Client::new(&egress, metrics)?,
                told: metrics.counter("guardian_notifications_total", "Notifications told to people in the console."),
                planned: metrics.counter("guardian_deliveries_planned_total", "Messages put into the outbox."),
                failures: metrics.counter(
                    "guardian_notify_failures_total",
                    "Times that planning or sending could not go on; it tries again.",
                ),
                sent: metrics.counter_with(
                    "guardian_deliveries_attempts_total",
                    "Attempts to send a message, by how they ended.",
                    &["kind", "result"],
                ),
                catalog: deps.catalog,
                identity: deps.identity,
                clock: deps.clock,
                config: deps.config,
                public_url: deps.public_url,
                shutdown: deps.shutdown,
                wake: Notify::new(),
                cooling: Mutex::new(HashMap::new()),
            }),
        })
    }

    /// Starts telling and sending. The tasks end with the program; what they had not done they do after the next start.
    pub fn start(&self, health: Health) {
        // The tasks watch the end of the program themselves.
        drop(tokio::spawn(crate::follower::run(self.clone())));
        drop(tokio::spawn(crate::sender::run(self.clone())));
        drop(tokio::spawn(crate::health::run(self.clone(), health)));
    }

    /// Whether there is a mail server.
    pub fn mail_ready(&self) -> bool {
        self.inner.mailer.is_some()
    }

    /// Looks at the outbox now.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// A new secret for a webhook: as it is shown once, and sealed for the channel `id`.
    pub async fn new_secret(&self, id: Uuid) -> Result<(String, String), guardian_identity::IdentityError> {
        let bytes = guardian_identity::random_bytes::<{ crate::webhook::SECRET_BYTES }>()?;
        let sealed = self.inner.identity.seal(&webhook_secret(id), bytes.as_slice()).await?;
        Ok((crate::webhook::shown(bytes.as_slice()), sealed))
    }

    /// A message that tries a channel.
    pub fn test_message(&self, channel: &Channel, by: &str, tenant: &str) -> NewDelivery {
        let now = self.inner.clock.now();
        let language = channel.draft.language;
        let phrase = Phrase::Channel { name: channel.draft.name.clone(), by: by.to_owned() };
        let said = Message {
            language,
            title: phrase.title(language),
            text: phrase.text(language),
            link: "/settings/notifications".to_owned(),
            thread: None,
            severity: None,
            by: Some(by.to_owned()),
            time: now,
            tenant: tenant.to_owned(),
            data: Value::Null,
            masked: !channel.draft.personal,
        };
        NewDelivery {
            key: format!("{}/test/{}", channel.id, Uuid::now_v7()),
            channel: Some(channel.id),
            user: None,
            kind: channel.draft.kind,
            target: target(channel),
            event: NotifyEvent::Test,
            title: said.title.clone(),
            subject: "channel".to_owned(),
            subject_id: channel.id.to_string(),
            body: json!(said),
            bundle: None,
            test: true,
            due: now,
        }
    }

    /// Sends a planned message at once and waits a while for the receiver's answer. `tx` has planned nothing else.
    pub async fn send_now(&self, mut tx: Tx, new: &NewDelivery) -> Result<Delivery, guardian_catalog::CatalogError> {
        let tenant = tx.tenant();
        let planned = tx.send(new).await?;
        tx.commit().await?;
        self.wait_for(tenant, planned.id, 0).await
    }

    /// Waits a while for the outcome of the next attempt of a message, of which there were `attempts`.
    pub async fn wait_for(
        &self,
        tenant: TenantId,
        id: Uuid,
        attempts: u32,
    ) -> Result<Delivery, guardian_catalog::CatalogError> {
        let scope = Scope::of(tenant);
        // Somebody asks for it now: a receiver that just failed is not left alone any longer.
        if let Some(channel) = self.inner.catalog.scoped(&scope).delivery(id).await?.what.channel {
            self.inner.cooling.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
        }
        self.wake();
        let begun = self.inner.clock.monotonic();
        loop {
            let now = self.inner.catalog.scoped(&scope).delivery(id).await?;
            // An attempt that is under way has no answer.
            let tried = now.attempts > attempts && now.answer.is_some() || now.state != DeliveryState::Waiting;
            if tried || self.inner.clock.monotonic().saturating_sub(begun) >= TEST_PATIENCE {
                return Ok(now);
            }
            tokio::time::sleep(TEST_LOOK).await;
        }
    }

    /// Refuses what this installation cannot send.
    pub fn problem(&self, kind: ChannelKind, to: &[String]) -> Option<String> {
        if kind == ChannelKind::Mail {
            let bad = to.iter().find(|address| address.parse::<lettre::Address>().is_err());
            return bad.map(|address| format!("`to`: `{address}` is no mail address"));
        }
        None
    }
}
