//! The program that the kernel runs where a TCP socket changes its state: it notes who connects or begins to listen, and between
//! which ends a connection came to be. Pure; what is not ours to read (another kernel's layout) is never guessed.

use crate::sources::connections::diag::{CLOSE, LISTEN};
use crate::sources::kernel::code::{
    CURRENT_TASK, Code, DIFFERENT, EQUAL, EQUAL_HALF, Memory, PID_TGID, Record, Register, STACK, TIME_NS, UID_GID,
};
use crate::sources::kernel::layout::Layout;

/// Bytes of a record about a socket.
pub(super) const SOCKET_BYTES: usize = 96;
/// Bytes of one that says whose it is, too.
pub(super) const RECORD_BYTES: usize = TEXT_AT + COMMAND_BYTES;
/// Where the arguments begin in it.
pub(super) const TEXT_AT: usize = 128;
/// Bytes of the arguments that are kept.
pub(super) const COMMAND_BYTES: usize = 512;
/// Bytes of the name of a process.
pub(super) const NAME_BYTES: usize = 16;

/// `TCP_ESTABLISHED`.
pub(super) const ESTABLISHED: u8 = 1;
/// `TCP_SYN_SENT`.
pub(super) const SYN_SENT: u8 = 2;

/// Places of the members that are read, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    family: i32,
    source: i32,
    destination: i32,
    source_port: i32,
    destination_port: i32,
    /// Source and destination of IPv6; a kernel without it has none.
    six: Option<(i32, i32)>,
    interface: i32,
    net: i32,
    number: i32,
    uid: i32,
    leader: i32,
    start: i32,
    login_uid: i32,
    name: i32,
    memory: Memory,
}

/// The structures that are asked about.
pub(super) const STRUCTURES: &[&str] =
    &["sock", "sock_common", "inet_sock", "net", "ns_common", "task_struct", "mm_struct"];

impl Places {
    /// The places in this kernel; none where one of them is not there.
    pub(super) fn of(layout: &Layout<'_>) -> Option<Self> {
        let task = |member| layout.offset("task_struct", member);
        let base = layout.offset("sock", "__sk_common")?;
        let common = |member| Some(base + layout.offset("sock_common", member)?);
        Some(Self {
            family: common("skc_family")?,
            source: common("skc_rcv_saddr")?,
            destination: common("skc_daddr")?,
            source_port: layout.offset("inet_sock", "inet_sport")?,
            destination_port: common("skc_dport")?,
            six: common("skc_v6_rcv_saddr").zip(common("skc_v6_daddr")),
            interface: common("skc_bound_dev_if")?,
            net: common("skc_net")?,
            number: layout.offset("net", "ns")? + layout.offset("ns_common", "inum")?,
            uid: layout.offset("sock", "sk_uid")?,
            leader: task("group_leader")?,
            start: task("start_boottime").or_else(|| task("real_start_time"))?,
            login_uid: task("loginuid")?,
            name: task("comm")?,
            memory: Memory::of(layout)?,
        })
    }
}

const SOCKET: Register = 6;
const RECORD: Register = 7;
const BEFORE: Register = 8;
const AFTER: Register = 9;
// Free again when both states are noted.
const TASK: Register = 8;
const OTHER: Register = 9;

/// The program for this kernel, which notes sockets of one network namespace. A record has, as numbers of the machine: the
/// socket's place in memory, nanoseconds of the monotonic clock, pid and thread, user and group (u64 each), states after and before
/// (u32), family (u16), both ports (u16, in the order of the network) and two bytes of nothing, interface, owner of the socket
/// (u32), both addresses of IPv4 and of IPv6. Of whoever connects or listens, further: start in nanoseconds since boot (u64), login
/// user, bytes of the arguments (u32), name, arguments.
pub(super) fn program(places: &Places, namespace: Option<u32>, ring: i32, lost: i32) -> Vec<u64> {
    let mut code = Code::default();
    code.load(SOCKET, 1, 0);
    code.load(BEFORE, 1, 8);
    code.load(AFTER, 1, 16);
    // Both are done by the process itself: what follows is done for it by whoever handles the packet.
    let connects = code.jump(EQUAL, AFTER, SYN_SENT.into());
    let listens = code.jump(EQUAL, AFTER, LISTEN.into());
    let stands = code.jump(EQUAL, AFTER, ESTABLISHED.into());
    let goes_on = code.jump(DIFFERENT, AFTER, CLOSE.into());
    let refused = code.jump(EQUAL, BEFORE, SYN_SENT.into());
    code.land(goes_on);
    code.exit();
    code.land(stands);
    code.land(refused);
    own(&mut code, places, namespace);
    code.reserve(SOCKET_BYTES as i32, ring, lost);
    socket(&mut code, places);
    code.submit(RECORD);
    code.land(connects);
    code.land(listens);
    own(&mut code, places, namespace);
    code.reserve(RECORD_BYTES as i32, ring, lost);
    socket(&mut code, places);
    process(&mut code, places);
    code.submit(RECORD);
    code.into()
}

/// Ends where the socket is in another network namespace.
fn own(code: &mut Code, places: &Places, namespace: Option<u32>) {
    let Some(namespace) = namespace else { return };
    code.read((STACK, -16), 8, SOCKET, places.net);
    code.load(RECORD, STACK, -16);
    code.read((STACK, -24), 4, RECORD, places.number);
    code.load_half(RECORD, STACK, -24);
    let own = code.jump(EQUAL_HALF, RECORD, namespace.cast_signed());
    code.exit();
    code.land(own);
}

fn socket(code: &mut Code, places: &Places) {
    code.copy(RECORD, 0);
    code.store(RECORD, 0, SOCKET);
    for (helper, at) in [(TIME_NS, 8), (PID_TGID, 16), (UID_GID, 24)] {
        code.call(helper);
        code.store(RECORD, at, 0);
    }
    code.store_half(RECORD, 32, AFTER);
    code.store_half(RECORD, 36, BEFORE);
    code.read((RECORD, 40), 2, SOCKET, places.family);
    code.read((RECORD, 42), 2, SOCKET, places.source_port);
    code.read((RECORD, 44), 2, SOCKET, places.destination_port);
    code.read((RECORD, 48), 4, SOCKET, places.interface);
    code.read((RECORD, 52), 4, SOCKET, places.uid);
    code.read((RECORD, 56), 4, SOCKET, places.source);
    code.read((RECORD, 60), 4, SOCKET, places.destination);
    if let Some((source, destination)) = places.six {
        code.read((RECORD, 64), 16, SOCKET, source);
        code.read((RECORD, 80), 16, SOCKET, destination);
    }
}

/// Who runs now: the process, whichever of its threads this is.
fn process(code: &mut Code, places: &Places) {
    code.call(CURRENT_TASK);
    code.copy(TASK, 0);
    code.read((STACK, -16), 8, TASK, places.leader);
    code.load(TASK, STACK, -16);
    code.read((RECORD, 96), 8, TASK, places.start);
    code.read((RECORD, 104), 4, TASK, places.login_uid);
    code.read((RECORD, 112), NAME_BYTES as i32, TASK, places.name);
    let arguments = Record { at: RECORD, length: 108, text: TEXT_AT as i32, bytes: COMMAND_BYTES as i32 };
    code.arguments(places.memory, TASK, arguments, OTHER);
}
