//! Records of the audit log, as auditd writes them: `type=… msg=audit(TIME:SERIAL): KEY=VALUE …`, with the fields of user
//! space in quotes and, in the enriched form, names behind a group separator. Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Fields of one record that are kept.
pub(super) const FIELDS_MAX: usize = 96;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// Its type.
    pub kind: Cow<'a, str>,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// The number that the records of one event share.
    pub serial: u64,
    /// Keys and values, the latter without quotes and not in hexadecimal any more.
    pub fields: Vec<(Cow<'a, str>, String)>,
}

impl Record<'_> {
    /// Without the line that it is of.
    pub(super) fn owned(self) -> Record<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let fields = self.fields.into_iter().map(|(key, value)| (owned(key), value)).collect();
        Record { kind: owned(self.kind), at: self.at, serial: self.serial, fields }
    }

    /// A field that has a value.
    pub fn get(&self, key: &str) -> Option<&str> {
        let value = self.fields.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str())?;
        (!matches!(value, "" | "?" | "(null)" | "(none)")).then_some(value)
    }

    /// A number that is not the one for nobody.
    pub fn number(&self, key: &str) -> Option<u32> {
        self.get(key)?.parse().ok().filter(|n| *n != u32::MAX)
    }
}

/// Fields that are written in hexadecimal where they hold blanks, quotes or anything unusual, and in quotes otherwise.
const ENCODED: &[&str] =
    &["acct", "cmd", "comm", "cwd", "data", "exe", "grp", "key", "name", "new-name", "path", "proctitle", "vm"];

fn is_encoded(key: &str) -> bool {
    ENCODED.contains(&key) || (key.starts_with('a') && key.len() > 1 && key[1..].bytes().all(|b| b.is_ascii_digit()))
}

/// A record from a line; none where it is none.
pub fn parse(line: &str) -> Option<Record<'_>> {
    // `node=…` may stand before.
    let line = line.find("type=").map(|at| &line[at + 5..])?;
    let (kind, text) = line.split_once(" msg=")?;
    parse_text(kind, text)
}

/// A record from its type and its text, as the kernel says it: `audit(TIME:SERIAL): KEY=VALUE …`.
pub(crate) fn parse_text<'a>(kind: &'a str, text: &'a str) -> Option<Record<'a>> {
    let (at, serial, rest) = stamp(text)?;
    let mut fields = Vec::new();
    take(rest, kind, &mut fields);
    Some(Record { kind: kind.into(), at, serial, fields })
}

/// Time in microseconds since 1970, serial number, and what stands behind them.
pub(crate) fn stamp(text: &str) -> Option<(i64, u64, &str)> {
    let (stamp, rest) = text.strip_prefix("audit(")?.split_once("):")?;
    let (time, serial) = stamp.split_once(':')?;
    let (seconds, millis) = time.split_once('.')?;
    let at = seconds
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(millis.parse::<i64>().ok()?.checked_mul(1_000)?)?;
    Some((at, serial.parse().ok()?, rest))
}

fn take<'a>(mut rest: &'a str, kind: &str, fields: &mut Vec<(Cow<'a, str>, String)>) {
    loop {
        rest = rest.trim_start_matches([' ', '\u{1d}', ',']);
        let Some((key, value)) = rest.split_once('=') else { return };
        // What stands before the last blank is a word without a value.
        let key = key.rsplit(' ').next().unwrap_or(key);
        if fields.len() >= FIELDS_MAX {
            return;
        }
        if let Some(inner) = value.strip_prefix('\'') {
            let (inner, after) = inner.split_once('\'').unwrap_or((inner, ""));
            take(inner, kind, fields);
            rest = after;
        } else if let Some(inner) = value.strip_prefix('"') {
            let (inner, after) = inner.split_once('"').unwrap_or((inner, ""));
            fields.push((key.into(), inner.to_owned()));
            rest = after;
        } else if let Some(inner) = value.strip_prefix('{') {
            let (inner, after) = inner.split_once('}').unwrap_or((inner, ""));
            fields.push((key.into(), inner.trim().to_owned()));
            rest = after;
        } else {
            let end = value.find([' ', '\u{1d}']).unwrap_or(value.len());
            let (value, after) = value.split_at(end);
            // In system calls a0 to a3 are numbers, in EXECVE they are arguments.
            let arguments = key.starts_with('a') && key.len() == 2;
            let decoded = (is_encoded(key) && !(arguments && kind == "SYSCALL")).then(|| unhex(value)).flatten();
            fields.push((key.into(), decoded.unwrap_or_else(|| value.to_owned())));
            rest = after;
        }
    }
}

/// Text from hexadecimal, with blanks for the zero bytes between arguments.
fn unhex(text: &str) -> Option<String> {
    if text.is_empty() || text.len() % 2 != 0 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let bytes = text.as_bytes().chunks_exact(2).map(|two| {
        let byte = u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok()?;
        Some(if byte == 0 { b' ' } else { byte })
    });
    Some(String::from_utf8_lossy(&bytes.collect::<Option<Vec<u8>>>()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("../../../fixtures/logs/audit.log");

    #[test]
    fn every_recorded_record_is_read() {
        let records: Vec<_> = RECORDED.lines().map(|line| parse(line).unwrap_or_else(|| panic!("{line}"))).collect();
        assert!(records.len() > 40, "{}", records.len());
        let of = |kind: &str| records.iter().find(|r| r.kind == kind).unwrap();
        let added = of("ADD_GROUP");
        assert_eq!((added.get("acct"), added.get("res"), added.get("addr")), (Some("tester"), Some("success"), None));
        assert_eq!((added.get("UID"), added.number("auid"), added.number("pid")), (Some("root"), None, Some(15_550)));
        let call = records.iter().find(|r| r.get("key") == Some("memfd") && r.kind == "SYSCALL").unwrap();
        assert_eq!(
            (call.get("SYSCALL"), call.get("comm"), call.get("a1")),
            (Some("memfd_create"), Some("python3"), Some("1"))
        );
        let refused = records.iter().find(|r| r.kind == "USER_CMD" && r.get("res") == Some("failed")).unwrap();
        assert_eq!((refused.get("cmd"), refused.get("terminal")), (Some("cat /etc/shadow"), Some("pts/1")));
        assert_eq!(refused.at, 1_795_385_211_384_000);
        assert_eq!(of("PATH").get("name"), Some("/etc/passwd"));
    }

    #[test]
    fn what_is_no_record_is_refused_and_nothing_panics() {
        for line in ["", "type=X", "type=X msg=audit(1.2:3", "type=X msg=audit(a.b:c): k=v", "msg=audit(1.1:1): k=v"] {
            assert_eq!(parse(line), None, "{line}");
        }
        for line in RECORDED.lines().take(20) {
            for end in (0..line.len()).filter(|i| line.is_char_boundary(*i)) {
                let _ = parse(&line[..end]).is_some();
            }
        }
        let odd = parse("type=X msg=audit(1.001:2): a0=6 b='c=\"d e='f=").unwrap();
        assert_eq!(odd.serial, 2);
    }
}
