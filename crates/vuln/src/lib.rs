//! Vulnerabilities: what advisories say, which of it concerns what is installed, and how bad that is.
//!
//! Needs no server: sources are read from files, the store is one mapped file, matching and scores are pure. This crate
//! must never reach out to the network; who downloads what is the business of its callers.

pub mod advisory;
pub mod cvss;
pub mod ecosystem;
pub mod import;
pub mod kernel;
pub mod limits;
pub mod load;
pub mod matching;
mod packed;
pub mod purl;
pub mod report;
pub mod risk;
pub mod sbom;
pub mod scan;
pub mod sources;
pub mod store;
pub mod vex;
