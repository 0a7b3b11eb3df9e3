//! Development only: what tests of several crates share. Never a dependency of shipped code.

pub mod machine;
pub mod mmdb;
pub mod program;
pub mod random;
