//! What package managers wrote down of what they did, from where each keeps it. The newest of it: a log may be years long.

use guardian_inventory::Found;
use guardian_inventory::transaction::{Transaction, apk_log, apt_history, dnf_history, dpkg_log, pacman_log};

use super::Root;

/// Bytes of a log that are read, from its end.
const LOG_BYTES_MAX: usize = 4 << 20;
/// Transactions that are kept, the newest of each log.
const TRANSACTIONS_MAX: usize = 20_000;

type Reader = fn(&[u8]) -> Found<Transaction>;

/// The logs that are text.
const LOGS: &[(&str, Reader)] = &[
    ("/var/log/apt/history.log", apt_history),
    ("/var/log/dpkg.log", dpkg_log),
    ("/var/log/pacman.log", pacman_log),
    ("/var/log/apk.log", apk_log),
];
/// The one that is a database, with what was not yet put into it.
const HISTORY: [&str; 2] = ["/var/lib/dnf/history.sqlite", "/var/lib/dnf/history.sqlite-wal"];

/// Whether a file is one of them.
pub(crate) fn is_log(path: &str) -> bool {
    LOGS.iter().any(|(log, _)| *log == path) || HISTORY.contains(&path)
}

/// All that is written down, the oldest first within each log.
pub(super) fn read(root: &mut Root) -> Vec<Transaction> {
    let mut all = Vec::new();
    let mut keep = |mut found: Found<Transaction>| {
        let over = found.entries.len().saturating_sub(TRANSACTIONS_MAX);
        all.extend(found.entries.drain(over..));
    };
    for (path, reader) in LOGS {
        let Some(bytes) = root.read(path) else { continue };
        let over = bytes.len().saturating_sub(LOG_BYTES_MAX);
        // A line that is cut in its middle is none of theirs.
        keep(reader(&bytes[over..]));
    }
    if let Some(history) = root.read(HISTORY[0]) {
        let wal = root.read(HISTORY[1]);
        match dnf_history(&history, wal.as_deref()) {
            Ok(found) => keep(found),
            Err(malformed) => root.issue(format!("{}: {malformed}", HISTORY[0])),
        }
    }
    all
}
