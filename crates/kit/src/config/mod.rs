//! Configuration: one documented struct per component, read from a YAML file, the environment and flags.

mod types;

pub use types::{ByteSize, Duration, Secret};
