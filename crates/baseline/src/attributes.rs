//! Extended attributes as people read them: access lists in the form of acl(5), capabilities as `getcap` prints them.

use std::fmt::Write as _;

use crate::Record;

/// Names of the capabilities by their numbers (linux/capability.h).
const CAPABILITIES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];
/// Entries of an access list that are shown.
const ACL_ENTRIES_MAX: usize = 1_024;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The value of `security.capability` (struct vfs_cap_data) as `getcap` prints it, with the user whose namespace it holds
/// for behind; none where it is malformed.
pub fn capabilities_text(value: &[u8]) -> Option<String> {
    let magic = word(value, 0)?;
    let (revision, effective) = (magic >> 24, magic & 1 != 0);
    let words = match (revision, value.len()) {
        (1, 12) => 1,
        (2, 20) | (3, 24) => 2,
        _ => return None,
    };
    let (mut permitted, mut inheritable) = (0u64, 0u64);
    for i in 0..words {
        permitted |= u64::from(word(value, 4 + 8 * i)?) << (32 * i);
        inheritable |= u64::from(word(value, 8 + 8 * i)?) << (32 * i);
    }
    // As libcap does: the most common flags are for all, then the others with the names of those that have them.
    let flags = |number: usize| {
        let bit = 1u64 << number;
        let (p, i) = (permitted & bit != 0, inheritable & bit != 0);
        usize::from(effective && (p || i)) | usize::from(p) << 1 | usize::from(i) << 2
    };
    let numbers = || (0..64).filter(|number| *number < CAPABILITIES.len() || flags(*number) != 0);
    let count = |of: usize| numbers().filter(|number| flags(*number) == of).count();
    let common = (0..8).rev().fold(7, |best, of| if count(of) >= count(best) { of } else { best });
    let letters = |of: usize| -> String {
        [(1, 'e'), (4, 'i'), (2, 'p')].iter().filter(|(bit, _)| of & bit != 0).map(|(_, letter)| letter).collect()
    };
    let mut text: Vec<String> = Vec::new();
    if common != 0 {
        text.push(format!("={}", letters(common)));
    }
    for of in (0..8).rev().filter(|of| *of != common && count(*of) > 0) {
        let name =
            |number: usize| CAPABILITIES.get(number).map_or_else(|| number.to_string(), |name| format!("cap_{name}"));
        let mut clause = numbers().filter(|number| flags(*number) == of).map(name).collect::<Vec<_>>().join(",");
        for (sign, bits) in [(if text.is_empty() { '=' } else { '+' }, of & !common), ('-', common & !of)] {
            if bits != 0 {
                clause.push(sign);
                clause.push_str(&letters(bits));
            }
        }
        text.push(clause);
    }
    if text.is_empty() {
        text.push("=".to_owned());
    }
    if revision == 3 {
        text.push(format!("[rootid={}]", word(value, 20)?));
    }
    Some(text.join(" "))
}

/// The value of `system.posix_acl_access` or `system.posix_acl_default` (linux/posix_acl_xattr.h) in the long text form of
/// acl(5), one entry a line, users and groups by number unless `name` knows them; none where it is malformed.
pub fn acl_text(value: &[u8], name: &dyn Fn(bool, u32) -> Option<String>) -> Option<String> {
    let (version, entries) = value.split_at_checked(4)?;
    if word(version, 0) != Some(2) || !entries.len().is_multiple_of(8) || entries.len() / 8 > ACL_ENTRIES_MAX {
        return None;
    }
    let mut text = String::new();
    for entry in entries.chunks_exact(8) {
        let (tag, permissions) = (u16::from_le_bytes([entry[0], entry[1]]), entry[2]);
        let id = word(entry, 4)?;
        let named = |is_group| name(is_group, id).unwrap_or_else(|| id.to_string());
        let who = match tag {
            0x01 => "user:".to_owned(),
            0x02 => format!("user:{}", named(false)),
            0x04 => "group:".to_owned(),
            0x08 => format!("group:{}", named(true)),
            0x10 => "mask:".to_owned(),
            0x20 => "other:".to_owned(),
            _ => return None,
        };
        let letter = |bit: u8, letter: char| if permissions & bit == 0 { '-' } else { letter };
        // Writing to a text cannot fail.
        writeln!(text, "{who}:{}{}{}", letter(4, 'r'), letter(2, 'w'), letter(1, 'x')).ok()?;
    }
    Some(text)
}

/// The access list that a mode alone amounts to.
pub fn acl_of_mode(mode: u32) -> String {
    let rwx = |shift: u32| {
        let letter = |bit: u32, letter: char| if mode >> shift & bit == 0 { '-' } else { letter };
        format!("{}{}{}", letter(4, 'r'), letter(2, 'w'), letter(1, 'x'))
    };
    format!("user::{}\ngroup::{}\nother::{}\n", rwx(6), rwx(3), rwx(0))
}

impl Record {
    /// Its extended attributes as people read them, by name; what has no form of its own as text if it is, else in hex.
    pub fn attributes_text(&self) -> Vec<(String, String)> {
        let readable = |(name, value): &(Vec<u8>, Vec<u8>)| {
            let text = match name.as_slice() {
                b"security.capability" => capabilities_text(value),
                b"system.posix_acl_access" | b"system.posix_acl_default" => acl_text(value, &|_, _| None),
                _ => None,
            };
            (String::from_utf8_lossy(name).into_owned(), text.unwrap_or_else(|| printable(value)))
        };
        self.attributes.iter().map(readable).collect()
    }
}

/// A value as text, without the zero byte at its end, or in hex behind `0x` as `getfattr` prints it.
fn printable(value: &[u8]) -> String {
    let text = value.strip_suffix(&[0]).unwrap_or(value);
    match str::from_utf8(text) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => std::iter::once("0x".to_owned()).chain(value.iter().map(|byte| format!("{byte:02x}"))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_values_have_no_text() {
        for value in [&b""[..], b"\x01\0\0", &[1, 0, 0, 2, 0], &[0; 20], &[2, 0, 0, 0, 1]] {
            assert_eq!(capabilities_text(value), None);
            assert!(acl_text(value, &|_, _| None).is_none_or(|text| text.is_empty()));
        }
        assert_eq!(printable(b"system_u:object_r:etc_t:s0\0"), "system_u:object_r:etc_t:s0");
        assert_eq!(printable(&[0xff, 1]), "0xff01");
    }
}
