//! The program that the kernel runs where a process has become another one: it notes who it is and with which arguments.
//! Instructions as in RFC 9669. Pure; what is not ours to read (another kernel's layout) is never guessed.

use crate::sources::kernel::code::{
    Code, Memory, PID_TGID, READ_KERNEL_TEXT, Record, Register, STACK, TIME_NS, UID_GID,
};
use crate::sources::kernel::layout::Layout;

/// Bytes of a record without arguments, and of the longest one.
pub(super) const HEAD_BYTES: usize = TEXT_AT + IMAGE_BYTES;
pub(super) const RECORD_BYTES_MAX: usize = HEAD_BYTES + COMMAND_BYTES;
/// Bytes of the path of the program that are kept.
pub(super) const IMAGE_BYTES: usize = 256;
/// Bytes of the arguments that are kept.
pub(super) const COMMAND_BYTES: usize = 4096;
/// Where the path begins in a record.
pub(super) const TEXT_AT: usize = 64;

/// Places of the members that are read, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    start: i32,
    login_uid: i32,
    session: i32,
    real_parent: i32,
    tgid: i32,
    cred: i32,
    euid: i32,
    capabilities: i32,
    memory: Memory,
    interp: i32,
}

/// The structures that are asked about.
pub(super) const STRUCTURES: &[&str] = &["task_struct", "cred", "mm_struct", "linux_binprm"];

impl Places {
    /// The places in this kernel; none where one of them is not there.
    pub(super) fn of(layout: &Layout<'_>) -> Option<Self> {
        let task = |member| layout.offset("task_struct", member);
        Some(Self {
            start: task("start_boottime").or_else(|| task("real_start_time"))?,
            login_uid: task("loginuid")?,
            session: task("sessionid")?,
            real_parent: task("real_parent")?,
            tgid: task("tgid")?,
            cred: task("cred")?,
            euid: layout.offset("cred", "euid")?,
            capabilities: layout.offset("cred", "cap_effective")?,
            memory: Memory::of(layout)?,
            interp: layout.offset("linux_binprm", "interp")?,
        })
    }
}

const CONTEXT: Register = 6;
const RECORD: Register = 7;
const TASK: Register = 8;
const OTHER: Register = 9;

/// The program for this kernel. A record has, as numbers of the machine: pid and thread (u64), nanoseconds of the monotonic clock
/// (u64), user and group (u64), effective capabilities (u64), start in nanoseconds since boot (u64), login user, session, parent,
/// effective user (u32), bytes of the arguments and of the path (u32); then path and arguments. It is made in the scratch of its
/// processor and ends behind its arguments, so that a short command takes little of the ring.
pub(super) fn program(places: &Places, ring: i32, scratch: i32, lost: i32) -> Vec<u64> {
    let mut code = Code::default();
    code.copy(CONTEXT, 1);
    code.scratch(scratch);
    code.copy(RECORD, 0);
    for (helper, at) in [(PID_TGID, 0), (TIME_NS, 8), (UID_GID, 16)] {
        code.call(helper);
        code.store(RECORD, at, 0);
    }
    code.load(TASK, CONTEXT, 0);
    code.read((RECORD, 32), 8, TASK, places.start);
    code.read((RECORD, 40), 4, TASK, places.login_uid);
    code.read((RECORD, 44), 4, TASK, places.session);
    code.read((STACK, -16), 8, TASK, places.real_parent);
    code.load(OTHER, STACK, -16);
    code.read((RECORD, 48), 4, OTHER, places.tgid);
    code.read((STACK, -16), 8, TASK, places.cred);
    code.load(OTHER, STACK, -16);
    code.read((RECORD, 52), 4, OTHER, places.euid);
    code.read((RECORD, 24), 8, OTHER, places.capabilities);
    let arguments = Record { at: RECORD, length: 56, text: HEAD_BYTES as i32, bytes: COMMAND_BYTES as i32 };
    code.arguments(places.memory, TASK, arguments, OTHER);
    code.load(3, CONTEXT, 16);
    code.read((STACK, -16), 8, 3, places.interp);
    code.copy(1, RECORD);
    code.add(1, TEXT_AT as i32);
    code.set(2, IMAGE_BYTES as i32);
    code.load(3, STACK, -16);
    code.call(READ_KERNEL_TEXT);
    code.store_half(RECORD, 60, 0);
    code.emit((RECORD, HEAD_BYTES as i32), OTHER, ring, lost);
    code.into()
}
