//! File integrity: what is on the disk, compared with what was there.
//!
//! A scan hands over one folder at a time, so that nothing has to hold a machine's files in memory; a baseline keeps one
//! block a folder and is compared folder by folder. Which files, and which of their properties, a policy says.

mod baseline;
mod budget;
mod diff;
mod live;
mod policy;
mod record;
mod scan;
mod who;

pub use baseline::{Baseline, BaselineError, Writer};
pub use budget::Budget;
pub use diff::{Change, Comparison, What};
pub use live::{Live, Told, Touched};
pub use policy::{Policy, Property, Rule, Watch};
pub use record::{Folder, Kind, Record};
pub use scan::{Options, Summary, look, scan};
pub use who::Who;
