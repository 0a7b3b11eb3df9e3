//! Readers of what package managers and systems keep on a machine.
//!
//! Every reader is a function from bytes to [`Found`]: what could be read, and what could not with the reason. The bytes
//! come from a machine that may belong to somebody else by now, so that every reader is bounded by [`limits`] and none
//! panics. This crate must never open a file, run a program, or read a clock.

pub mod accounts;
pub mod aide;
pub mod apk;
pub mod cargo;
pub mod certificate;
pub mod cron;
pub mod dpkg;
pub mod elf;
pub mod firewall;
pub mod flatpak;
mod found;
pub mod gem;
pub mod go;
pub mod jar;
pub mod keys;
pub mod language;
pub mod limits;
pub mod link;
pub mod netlink;
pub mod nix;
pub mod npm;
pub mod openvpn;
pub mod owned;
mod package;
pub mod pacman;
pub mod portage;
pub mod process;
pub mod python;
pub mod rpm;
pub mod snap;
pub mod sockets;
pub mod sqlite;
pub mod ssh;
pub mod sudoers;
mod text;
pub mod transaction;
pub mod tripwire;
pub mod unit;
pub mod version;
pub mod wireguard;
pub mod xfrm;
pub mod xml;

pub use found::{Found, Issue, Malformed};
pub use owned::Owned;
pub use package::{Manager, Package};
