//! Vulnerabilities of the fleet: which hosts and images have what, since when, what became of it, and what to fix first.
//!
//! What a host has is read from its inventory as it lies in the catalog, and judged by the advisory store of the crate
//! `vuln`, every version of a package once for all hosts that have it. Hosts refer to packages and vulnerabilities by
//! number, in packed rows, so that ten thousand of them fit into memory and one question is one pass over them.
//!
//! This crate must never ask a host anything, reach out to the network, or decide who may see what: the first is the
//! business of `fleet`, the last that of `api`.

mod address;
mod board;
mod containers;
mod exposure;
mod figures;
mod filter;
mod fixes;
mod host;
mod image;
mod kernel;
mod packed;
mod report;
mod room;
mod settings;
mod view;
mod watch;

pub use board::{Board, Detail, HostBoard, Outcome, Subject};
pub use containers::running_names;
pub use exposure::{Reason, ReasonKind, Visits};
pub use figures::{Counts, Figures, GroupFigures, RatingFigures, TrendDay};
pub use fixes::Fix;
pub use host::{Facts, LISTS};
pub use image::{BillError, chains, open_bill, pack_bill};
pub use packed::{Cause, Entry};
pub use report::HostReport;
pub use room::{Findings, FindingsConfig, FindingsDeps, Follower, News, RoomError, Teller};
pub use settings::{Deadlines, FindingSettings, SETTINGS_KEY};
pub use view::{Filter, HostExposure, HostFinding, Order, Package, Row, RowHost, State, View};
pub use watch::{Contact, Contacts, Place, Watcher};
