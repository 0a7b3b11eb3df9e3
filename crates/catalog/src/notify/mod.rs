//! Notifications: where a tenant wants to be told ([`channels`]), what each person was told ([`inbox`]), and what waits
//! to leave by mail or webhook ([`outbox`]).
//!
//! What is worth telling, to whom and in which words is the business of `notify`; this module keeps it. What was planned
//! of one change log entry has a key, so that planning it again after a crash adds nothing.

mod assignment;
mod channels;
mod inbox;
mod outbox;

use guardian_model::Severity;
use serde::Deserialize;

use crate::text_enum;

pub use assignment::Assigned;
pub use channels::{CHANNELS_MAX, Channel, ChannelDraft, ChannelFilter};
pub use inbox::{NOTIFICATION_PAGE_MAX, NewNotification, Notification};
pub use outbox::{
    Announcement, DELIVERY_PAGE_MAX, Delivery, DeliveryFilter, DeliveryOutcome, DeliveryState, NewDelivery, Recent,
};

text_enum! {
    /// What somebody can be told of.
    NotifyEvent {
        /// Somebody wrote one's name.
        Mention = "mention",
        /// One was given something to do.
        Assignment = "assignment",
        /// Something changed that one watches.
        Watching = "watching",
        /// A deadline is near.
        SlaWarning = "sla_warning",
        /// A deadline has passed.
        SlaBreach = "sla_breach",
        /// There is a new alert.
        Alert = "alert",
        /// There is a new incident.
        Incident = "incident",
        /// An exporter is not heard any more.
        ExporterSilent = "exporter_silent",
        /// Something of Guardian itself does not work.
        Health = "health",
        /// Somebody tries whether messages arrive.
        Test = "test",
    }
}

impl NotifyEvent {
    /// Whether it concerns single people rather than a whole tenant; channels do not take such events.
    pub const fn is_personal(self) -> bool {
        matches!(self, Self::Mention | Self::Assignment | Self::Watching)
    }
}

text_enum! {
    /// How a message leaves.
    ChannelKind {
        /// By mail.
        Mail = "mail",
        /// By a signed request.
        Webhook = "webhook",
    }
}

text_enum! {
    /// A language that messages are written in.
    Language {
        /// English.
        En = "en",
        /// German.
        De = "de",
    }
}

impl ChannelFilter {
    /// Whether a thing of this severity is bad enough.
    pub fn takes(&self, severity: Option<Severity>) -> bool {
        self.severity_min.is_none_or(|min| severity.is_none_or(|severity| severity >= min))
    }
}

/// A JSON column.
pub(crate) fn decode<T: for<'de> Deserialize<'de>>(text: &str, what: &str) -> Result<T, crate::CatalogError> {
    serde_json::from_str(text).map_err(crate::CatalogError::json(what))
}
