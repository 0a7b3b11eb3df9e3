//! Notifications: what is worth telling ([`happenings`]), whom it concerns and how they want to hear of it ([`plan`],
//! [`Preferences`]), in which words ([`text`]), and how it leaves ([`mail`], [`webhook`]).
//!
//! Those are pure but for the sending itself. [`Notifier`] is the edge: it follows each tenant's change log, keeps what it
//! planned in the catalog's outbox together with how far it read, and empties the outbox. A room of its own rather than
//! a part of `respond`, because it needs `identity` (who may see what, and the vault for secrets), which `respond` must
//! not know.
//!
//! This crate must never tell anybody of what they may not see, and never lets replayed data trigger a message, but for
//! the labelled test alert.

mod config;
mod event;
mod follower;
mod health;
pub mod mail;
mod message;
mod notifier;
mod people;
mod plan;
mod preferences;
mod sender;
pub mod text;
pub mod webhook;

pub use config::{NotifyConfig, Security, SmtpConfig};
pub use event::{Happening, TEST_REPLAY, TEST_RULE_ID, Told, happenings, test_replay};
pub use message::Message;
pub use notifier::{Notifier, NotifierDeps, SetupError};
pub use people::Person;
pub use plan::{Audience, plan};
pub use preferences::{Digest, Every, MailWish, Preferences, Quiet, Wish};
