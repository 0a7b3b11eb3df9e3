//! What agents see on their hosts, one file a class. Each has the columns of its place first: when it was stored and
//! received, when it happened, where.

mod change;
mod connection;
mod file;
mod health;
mod log;
mod login;
mod process;

pub use change::{CHANGE, ChangeField};
pub use connection::{CONNECTION, ConnectionField};
pub use file::{FILE, FileField};
pub use health::{HEALTH, HealthField};
pub use log::{LOG, LogField};
pub use login::{LOGIN, LoginField};
pub use process::{PROCESS, ProcessField};
