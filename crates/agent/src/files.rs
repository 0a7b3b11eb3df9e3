//! File integrity: what is on the disk, compared with what was there.
//!
//! A scan hands over one folder at a time, so that nothing has to hold a machine's files in memory; a baseline keeps one
//! block a folder and is compared folder by folder. Which files, and which of their properties, a policy says.

mod budget;
mod content;
mod deviations;
mod diff;
mod explain;
mod foreign;
mod linked;
mod live;
mod open;
mod packages;
mod policy;
mod rotation;
mod scan;
mod texts;
mod verify;
mod who;
mod windows;

pub use budget::Budget;
pub use content::{Difference, Kept, Mask, difference, is_text, keep};
pub use deviations::{Digests, Found, found};
pub use diff::{Change, Comparison, What, between, since};
pub use explain::{By, Ledger, PackageChange, Verdict, explain, package_manager_hint};
pub use foreign::{ExportError, Foreign, compare_foreign, export_aide, of_aide, of_tripwire};
pub use guardian_baseline::{
    Baseline, BaselineError, Folder, Index, Kind, Record, Writer, acl_text, capabilities_text, write_changes,
};
pub use live::{Live, Told, Touched};
pub use open::{Approved, Open};
pub use packages::{Installed, Root};
pub(crate) use packages::{OUTPUT_BYTES_MAX, Reach, Sort, Tool, is_log};
pub(crate) use policy::fits;
pub use policy::{Family, Policy, Property, Rule, Watch};
pub use rotation::without_rotation;
pub use scan::{Options, Summary, look, scan, scan_beside};
pub use texts::Texts;
pub use verify::{Deviation, Differs, check, hash_file, verify};
pub use who::Who;
pub use windows::{Weekly, Window, happened_s, window_of};
