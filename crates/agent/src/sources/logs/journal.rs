//! Entries of the journal as `journalctl -o json` writes them (systemd.journal-fields(7)). Pure.
//!
//! The journal's own files are read by its own program: their format has grown three times, and that program is there
//! wherever the journal is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of a message that are kept.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where to go on reading.
    pub cursor: String,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// The boot.
    pub boot: Option<String>,
    /// What the program calls itself.
    pub program: String,
    /// Its process.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its systemd unit.
    pub unit: Option<String>,
    /// Syslog severity.
    pub severity: Option<u8>,
    /// Syslog facility.
    pub facility: Option<u8>,
    /// Who signed in.
    pub login_uid: Option<u32>,
    /// The message.
    pub message: String,
    /// Whether the program is what it calls itself, by the journal's own look at it: anybody may write under any name.
    pub genuine: bool,
}

/// An entry from a line.
pub fn parse(line: &[u8]) -> Option<Entry> {
    let Value::Object(fields) = serde_json::from_slice::<Value>(line).ok()? else { return None };
    let text = |key: &str| match fields.get(key)? {
        Value::String(text) => Some(text.clone()),
        // What is not text comes as its bytes; what is given twice, as a list.
        Value::Array(items) => match items.first()? {
            Value::Number(_) => {
                let bytes = items.iter().filter_map(|v| v.as_u64().and_then(|n| u8::try_from(n).ok()));
                Some(String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned())
            }
            first => first.as_str().map(str::to_owned),
        },
        _ => None,
    };
    fn number<T: std::str::FromStr>(text: Option<String>) -> Option<T> {
        text?.trim().parse().ok()
    }
    let at = number(text("_SOURCE_REALTIME_TIMESTAMP")).or_else(|| number(text("__REALTIME_TIMESTAMP")))?;
    let (comm, exe, uid) = (text("_COMM"), text("_EXE"), number(text("_UID")));
    let program = text("SYSLOG_IDENTIFIER").or_else(|| comm.clone()).unwrap_or_default();
    Some(Entry {
        cursor: text("__CURSOR")?,
        at,
        boot: text("_BOOT_ID").map(|id| dashed(&id)),
        pid: number(text("_PID")).or_else(|| number(text("SYSLOG_PID"))),
        unit: text("_SYSTEMD_UNIT"),
        severity: number(text("PRIORITY")),
        facility: number(text("SYSLOG_FACILITY")),
        login_uid: number(text("_AUDIT_LOGINUID")).filter(|uid| *uid != u32::MAX),
        message: clip(text("MESSAGE").unwrap_or_default()),
        genuine: genuine(&program, comm.as_deref(), exe.as_deref(), uid),
        uid,
        program,
    })
}

/// Folders into which only root writes programs.
const OF_THE_SYSTEM: [&str; 5] = ["/usr/", "/bin/", "/sbin/", "/lib", "/nix/store/"];

fn genuine(program: &str, comm: Option<&str>, exe: Option<&str>, uid: Option<u32>) -> bool {
    let named = comm
        .is_none_or(|comm| comm.eq_ignore_ascii_case(&program[..program.len().min(15)]) || program.starts_with(comm));
    match exe {
        Some(exe) => {
            named && OF_THE_SYSTEM.iter().any(|folder| exe.starts_with(folder)) && !exe.starts_with("/usr/local/")
        }
        // It was gone when the journal looked: root's word is taken.
        None => named && uid.is_none_or(|uid| uid == 0),
    }
}

/// The id with the dashes that the kernel writes.
fn dashed(id: &str) -> String {
    if id.len() != 32 || !id.is_ascii() {
        return id.to_owned();
    }
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}

pub(crate) fn clip(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_entries_are_read() {
        let recorded = include_bytes!("../../../fixtures/logs/journal.json");
        let entries: Vec<_> = recorded.split(|b| *b == b'\n').filter_map(parse).collect();
        assert_eq!(entries.len(), 8);
        let forged = entries.iter().find(|e| e.program == "sshd").unwrap();
        assert!(!forged.genuine, "logger wrote it under another name");
        assert_eq!((forged.at, forged.uid, forged.facility), (1_795_385_422_341_632, Some(0), Some(4)));
        assert_eq!(forged.boot.as_deref(), Some("059a2fc0-dd9a-4466-a5e8-ac0c4256e053"));
        let own = entries.iter().find(|e| e.message == "Journal started").unwrap();
        assert!(own.genuine && own.cursor.starts_with("s="));
        let bytes = entries.last().unwrap();
        assert_eq!((bytes.program.as_str(), bytes.message.as_str()), ("raw", "bin \u{1}\u{fffd} text"));
    }

    #[test]
    fn who_is_genuine() {
        for (program, comm, exe, uid, genuine_) in [
            ("sshd", Some("sshd"), Some("/usr/sbin/sshd"), Some(0), true),
            ("sshd-session", Some("sshd-session"), Some("/usr/lib/openssh/sshd-session"), Some(0), true),
            ("sshd", Some("sshd"), Some("/home/eve/sshd"), Some(1000), false),
            ("sshd", Some("sshd"), Some("/usr/local/bin/sshd"), Some(1000), false),
            ("sudo", Some("sudo"), Some("/usr/bin/sudo"), Some(1000), true),
            ("sudo", Some("sudo"), None, Some(1000), false),
            ("su", None, None, Some(0), true),
        ] {
            assert_eq!(genuine(program, comm, exe, uid), genuine_, "{program} {exe:?}");
        }
        assert_eq!(parse(b"{}"), None);
        assert_eq!(parse(b"[1]"), None);
    }
}
