//! The only crate with `unsafe` code: UDP reception and sending in batches, packet capture, quiet looks at files, mapped
//! files, disk space and file allocation, what the process knows about itself, what acts on other processes and on files by
//! descriptors, the room in which a process locks itself up, programs within the kernel, and virtual tables of SQLite.
//!
//! Every `unsafe` block carries a comment that says why it is sound. This crate must never parse a telemetry protocol,
//! know a domain type, log, or start a thread: it hands bytes and numbers to its callers.

pub mod bpf;
pub mod capture;
pub mod channel;
pub mod child;
pub mod confine;
pub mod disk;
pub mod fanotify;
pub mod inotify;
pub mod inspect;
pub mod map;
pub mod netlink;
pub mod pidfd;
pub mod process;
pub mod restore;
mod ring;
mod sockopt;
pub mod udp;
#[cfg(feature = "virtual-tables")]
pub mod virtual_table;
