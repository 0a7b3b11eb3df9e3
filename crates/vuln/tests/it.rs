//! The crate as its callers use it.

#[path = "it/cvss.rs"]
mod cvss;
