//! Programs of ours that the kernel runs: how they are written, and where members lie in the structures that they read. What the
//! kernel does not say is never guessed.

pub(crate) mod code;
pub(crate) mod layout;

use std::io::{self, Read as _};

use guardian_sys::netlink::monotonic_ns;

pub use layout::Layout;

/// Where the kernel says how it is laid out.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
/// Most bytes of that; kernels have 4 to 10 million.
const TYPES_BYTES_MAX: u64 = 64 << 20;

/// Looks up members of these structures in this kernel; an error where it does not say, or is laid out in a way that is not known.
pub(crate) fn places<T>(structures: &[&str], of: impl FnOnce(&Layout<'_>) -> Option<T>) -> io::Result<T> {
    let mut bytes = Vec::new();
    std::fs::File::open(TYPES)?.take(TYPES_BYTES_MAX).read_to_end(&mut bytes)?;
    Layout::read(&bytes, structures)
        .and_then(|layout| of(&layout))
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "the kernel is laid out in a way that is not known"))
}

/// A time of the monotonic clock, by the clock of the day.
pub(crate) fn time(at_ns: u64) -> i64 {
    let ago_us = monotonic_ns().saturating_sub(at_ns) / 1_000;
    crate::now().saturating_sub(i64::try_from(ago_us).unwrap_or(0))
}
