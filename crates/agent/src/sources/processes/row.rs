//! A process as a row of its class.

use guardian_protocol::Cell;
use guardian_protocol::classes::ProcessColumn as C;

use super::table::Table;
use crate::sources::batcher::{Batcher, number, some_text, text, truth};
use crate::sources::names::Names;

/// What only some activities have.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// Whether the process still lived.
    pub(crate) complete: Option<bool>,
    /// Whether the kernel itself noted the arguments.
    pub(crate) noted: bool,
    /// Who is traced, and its program.
    pub(crate) target: Option<(u32, Option<String>)>,
    /// How it ended, as wait(2) says it.
    pub(crate) status: Option<u32>,
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) activity: &'a str,
    pub(crate) pid: u32,
    pub(crate) at: i64,
    pub(crate) boot: &'a str,
    pub(crate) extra: Extra,
}

/// Adds the row.
pub(crate) fn push(batcher: &mut Batcher, names: &mut Names, table: &Table, row: &Row<'_>) {
    let nobody = std::sync::Arc::default();
    let entry = table.get(row.pid);
    let known = entry.map_or(&nobody, |e| &e.known);
    let parent = entry.and_then(|e| table.get(e.parent)).map(|e| &e.known);
    let ancestors = table.ancestors(row.pid);
    let user = known.uid.and_then(|uid| names.user(uid)).map(str::to_owned);
    let login_user = known.login_uid.and_then(|uid| names.user(uid)).map(str::to_owned);
    let elevated = parent.and_then(|p| {
        let gained = known.capabilities? & !p.capabilities? != 0;
        Some(gained || (known.euid? != p.euid? && known.euid != known.uid))
    });
    let mut cells = [Cell::Null; C::COUNT];
    let mut set = |column: C, cell| cells[column as usize] = cell;
    set(C::Time, Cell::Time(row.at));
    set(C::Boot, text(row.boot));
    set(C::Activity, Cell::Text(row.activity));
    set(C::Pid, Cell::Number(row.pid.into()));
    set(C::StartTicks, number(entry.and_then(|e| e.start_ticks)));
    set(C::ParentPid, number(entry.map(|e| e.parent)));
    set(C::Name, text(&known.name));
    set(C::Image, some_text(known.image.as_deref()));
    set(C::CommandLine, some_text(known.command.as_deref()));
    set(C::Cwd, some_text(known.cwd.as_deref()));
    set(C::ParentImage, some_text(parent.and_then(|p| p.image.as_deref())));
    set(C::ParentCommandLine, some_text(parent.and_then(|p| p.command.as_deref())));
    set(C::Ancestors, text(&ancestors));
    set(C::Uid, number(known.uid));
    set(C::User, some_text(user.as_deref()));
    set(C::Euid, number(known.euid));
    set(C::LoginUid, number(known.login_uid));
    set(C::LoginUser, some_text(login_user.as_deref()));
    set(C::Session, number(known.session));
    set(C::Terminal, some_text(known.terminal.as_deref()));
    set(C::Cgroup, some_text(known.cgroup.as_deref()));
    set(C::Unit, some_text(known.unit()));
    set(C::Container, some_text(known.container.as_deref()));
    set(C::Sha256, some_text(known.sha256.as_deref()));
    set(C::Elevated, truth(elevated));
    set(C::Stdin, some_text(known.streams.map(|s| s.0.as_str())));
    set(C::Stdout, some_text(known.streams.map(|s| s.1.as_str())));
    set(C::Preload, some_text(known.preload.as_deref()));
    set(C::ExitCode, number(row.extra.status.map(|s| s >> 8 & 0xff)));
    set(C::Signal, number(row.extra.status.map(|s| s & 0x7f)));
    set(C::TargetPid, number(row.extra.target.as_ref().map(|t| t.0)));
    set(C::TargetImage, some_text(row.extra.target.as_ref().and_then(|t| t.1.as_deref())));
    set(C::Complete, truth(row.extra.complete));
    set(C::Source, Cell::Text(if row.extra.noted { "bpf" } else { "connector" }));
    set(C::Capabilities, number(known.capabilities));
    batcher.push(&cells);
}
