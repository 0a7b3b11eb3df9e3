//! Messages and logins as rows of their classes.

use std::net::IpAddr;

use guardian_protocol::Cell;
use guardian_protocol::classes::{LogColumn as L, LoginColumn as I};
use serde_json::{Map, Value};

use super::audit::Record;
use super::auth::Login;
use super::journal::Entry;
use crate::sources::batcher::{Batcher, number, some_text, text, truth};

/// The 16 bytes of an address.
pub(crate) fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// A message.
pub(crate) fn log(batcher: &mut Batcher, entry: &Entry, source: &str, path: Option<&str>, boot: &str) {
    let mut cells = [Cell::Null; L::COUNT];
    let mut set = |column: L, cell| cells[column as usize] = cell;
    set(L::Time, Cell::Time(entry.at));
    set(L::Boot, text(entry.boot.as_deref().unwrap_or(boot)));
    set(L::Source, Cell::Text(source));
    set(L::Program, text(&entry.program));
    set(L::Pid, number(entry.pid));
    set(L::Uid, number(entry.uid));
    set(L::Unit, some_text(entry.unit.as_deref()));
    set(L::Severity, number(entry.severity));
    set(L::Facility, number(entry.facility));
    set(L::Message, Cell::Text(&entry.message));
    set(L::Path, some_text(path));
    set(L::LoginUid, number(entry.login_uid));
    batcher.push(&cells);
}

/// A login.
pub(crate) fn login(batcher: &mut Batcher, login: &Login, entry: &Entry, source: &str) {
    let ip = login.address.map(address);
    let mut cells = [Cell::Null; I::COUNT];
    let mut set = |column: I, cell| cells[column as usize] = cell;
    set(I::Time, Cell::Time(entry.at));
    set(I::Activity, text(&login.activity));
    set(I::Success, Cell::Bool(login.success));
    set(I::Service, text(&login.service));
    set(I::User, text(&login.user));
    set(I::TargetUser, some_text(login.target_user.as_deref()));
    set(I::SrcIp, ip.as_ref().map_or(Cell::Null, |ip| Cell::Bytes(ip)));
    set(I::SrcPort, number(login.port));
    set(I::SrcHost, some_text(login.host.as_deref()));
    set(I::Method, some_text(login.method.as_deref()));
    set(I::Reason, some_text(login.reason.as_deref()));
    set(I::Terminal, some_text(login.terminal.as_deref()));
    set(I::Command, some_text(login.command.as_deref()));
    set(I::Key, some_text(login.key.as_deref()));
    set(I::UnknownUser, truth(login.unknown_user));
    set(I::Count, Cell::Number(login.count.into()));
    set(I::Pid, number(entry.pid));
    set(I::Message, text(&entry.message));
    set(I::Source, Cell::Text(source));
    batcher.push(&cells);
}

/// Fields of audit records that have columns.
const WITH_COLUMN: &[&str] =
    &["exe", "comm", "key", "a0", "a1", "a2", "a3", "name", "acct", "auid", "success", "res", "pid", "uid", "SYSCALL"];

/// A record of the audit log.
pub(crate) fn audit(batcher: &mut Batcher, record: &Record<'_>, line: &str, path: &str, boot: &str) {
    let success = match record.get("success").or_else(|| record.get("res")) {
        Some("yes" | "success" | "1") => Some(true),
        Some("no" | "failed" | "0") => Some(false),
        _ => None,
    };
    let others = record.fields.iter().filter(|(key, _)| !WITH_COLUMN.contains(&&**key));
    let others: Map<String, Value> = others.map(|(k, v)| (k.clone().into_owned(), Value::String(v.clone()))).collect();
    let others = Value::Object(others).to_string();
    let mut cells = [Cell::Null; L::COUNT];
    let mut set = |column: L, cell| cells[column as usize] = cell;
    set(L::Time, Cell::Time(record.at));
    set(L::Boot, text(boot));
    set(L::Source, Cell::Text("audit"));
    set(L::Program, Cell::Text("audit"));
    set(L::Pid, number(record.number("pid")));
    set(L::Uid, number(record.number("uid")));
    set(L::Message, Cell::Text(line));
    set(L::Path, Cell::Text(path));
    set(L::Type, text(&record.kind));
    set(L::Serial, Cell::Number(record.serial));
    set(L::Syscall, some_text(record.get("SYSCALL").or_else(|| record.get("syscall"))));
    set(L::Image, some_text(record.get("exe")));
    set(L::Comm, some_text(record.get("comm")));
    set(L::Key, some_text(record.get("key")));
    for (column, key) in [(L::A0, "a0"), (L::A1, "a1"), (L::A2, "a2"), (L::A3, "a3")] {
        set(column, some_text(record.get(key)));
    }
    set(L::Object, some_text(record.get("name").or_else(|| record.get("acct"))));
    set(L::LoginUid, number(record.number("auid")));
    set(L::Success, truth(success));
    set(L::Fields, Cell::Text(&others));
    batcher.push(&cells);
}
