//! A process as a row of its class.

use std::sync::Arc;

use guardian_protocol::Cell;
use guardian_protocol::classes::ProcessColumn as C;

use super::audit::Executed;
use super::look::Known;
use super::table::{Entry, Table};
use crate::sources::batcher::{Batcher, number, some_text, text, truth};
use crate::sources::names::Names;

/// What only some activities have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// Whether the process still lived.
    pub(crate) complete: Option<bool>,
    /// Who told the arguments, where not the connector's message made us look at the process itself.
    pub(crate) by: Option<&'static str>,
    /// Who is traced, and its program.
    pub(crate) target: Option<(u32, Option<String>)>,
    /// How it ended, as wait(2) says it.
    pub(crate) status: Option<u32>,
}

/// One row, with all that is known of the process in the moment of it: it may be told later.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) activity: &'static str,
    pub(crate) pid: u32,
    pub(crate) at: i64,
    extra: Extra,
    entry: Option<Entry>,
    parent: Option<Arc<Known>>,
    ancestors: String,
}

impl Row {
    /// What is known now.
    pub(crate) fn of(table: &Table, activity: &'static str, pid: u32, at: i64, extra: Extra) -> Self {
        let entry = table.get(pid).cloned();
        let parent = entry.as_ref().and_then(|e| table.get(e.parent)).map(|e| Arc::clone(&e.known));
        Self { activity, pid, at, extra, parent, ancestors: table.ancestors(pid), entry }
    }

    /// With what audit says of the process.
    pub(crate) fn with(mut self, record: &Executed) -> Self {
        let entry = self.entry.get_or_insert_with(|| Entry::of(record.parent));
        entry.known = Arc::new(Known::clone(&entry.known).told(record));
        if self.activity == "exec" {
            self.extra.by = Some("audit");
        }
        self
    }

    /// What is known of the process.
    #[cfg(test)]
    pub(crate) fn known(&self) -> Option<&Known> {
        self.entry.as_ref().map(|entry| &*entry.known)
    }
}

/// Adds the row.
pub(crate) fn push(batcher: &mut Batcher, names: &mut Names, boot: &str, row: &Row) {
    let nobody = Arc::default();
    let entry = row.entry.as_ref();
    let known = entry.map_or(&nobody, |e| &e.known);
    let parent = row.parent.as_ref();
    let user = known.uid.and_then(|uid| names.user(uid)).map(str::to_owned);
    let login_user = known.login_uid.and_then(|uid| names.user(uid)).map(str::to_owned);
    let elevated = parent.and_then(|p| {
        let gained = known.capabilities? & !p.capabilities? != 0;
        Some(gained || (known.euid? != p.euid? && known.euid != known.uid))
    });
    let mut cells = [Cell::Null; C::COUNT];
    let mut set = |column: C, cell| cells[column as usize] = cell;
    set(C::Time, Cell::Time(row.at));
    set(C::Boot, text(boot));
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
    set(C::Ancestors, text(&row.ancestors));
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
    set(C::Source, Cell::Text(row.extra.by.unwrap_or("connector")));
    set(C::Capabilities, number(known.capabilities));
    batcher.push(&cells);
}
