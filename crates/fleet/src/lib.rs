//! The fleet on the server: who may enrol, the authority that signs the agents' certificates, and a session for each agent
//! that is connected.
//!
//! Who speaks is known from the certificate alone; tenant and host are never read from a message. What an agent sends is
//! acknowledged only when it is durable. This crate must never know the storage engine: it stands behind [`Intake`].

mod assign;
mod authority;
mod baselines;
mod commands;
mod config;
mod enrol;
mod groups;
mod intake;
mod inventory;
mod live;
mod offline;
mod osquery;
mod packs;
mod policy;
mod presence;
mod releases;
mod rollout;
mod rows;
mod session;
mod state;
mod token;
mod upgrade;
mod wire;

pub use authority::{AGENTS_NAME, CertificateError};
pub use baselines::{KeepError, is_signed};
pub use config::{BaselineConfig, CarveRule, FleetConfig, OsqueryConfig};
pub use enrol::{EnrolError, EnrolRequest, Enrolled};
pub use groups::{HOST_FACTS, group_filter, host_facts};
pub use guardian_baseline::{BaselineError, Difference, History, Kind as FileKind, Record as FileRecord};
pub use guardian_osquery::asks_to_carve;
pub use guardian_protocol::{lists, release};
pub use intake::{Gate, Intake, IntakeError, LaneMark, Stored};
pub use live::{live_rows, live_tables};
pub use osquery::{CarveRefusal, NODE_KEY_PREFIX, OsqueryError};
pub use packs::PackError;
pub use policy::{Book, Effective, ValueOrigin, read_document};
pub use releases::{Beside, Incoming, ReleaseError, Releases, read_release, sha256};
pub use rollout::{StageError, stages};
pub use rows::{RowsError, batch};
pub use state::{Fleet, FleetDeps};
pub use token::{ENROLMENT_TOKEN_PREFIX, MadeEnrolmentToken, NewToken};

/// What hosts may be told to do, and the document that says what their agents watch.
pub use guardian_protocol::{action, policy as document};

/// The name in the TLS handshake (ALPN) of a connection of an agent.
pub const AGENT_ALPN: &[u8] = guardian_protocol::ALPN;

/// The name in the TLS handshake (ALPN) of a connection that enrols: HTTP/1.1 with the server's certificate of the agents'
/// authority, whose fingerprint the token carries.
pub const ENROL_ALPN: &[u8] = b"guardian-enrol/1";
