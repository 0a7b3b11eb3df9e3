//! The program that the kernel runs where a process has become another one: it notes who it is and with which arguments.
//! Instructions as in RFC 9669. Pure; what is not ours to read (another kernel's layout) is never guessed.

use super::layout::Layout;

/// Bytes of a record without arguments, and of the longest one.
pub(super) const HEAD_BYTES: usize = TEXT_AT + IMAGE_BYTES;
pub(super) const RECORD_BYTES_MAX: usize = HEAD_BYTES + COMMAND_BYTES;
/// Bytes of the path of the program that are kept.
pub(super) const IMAGE_BYTES: usize = 256;
/// Bytes of the arguments that are kept.
pub(super) const COMMAND_BYTES: usize = 4096;
/// Where the path begins in a record.
pub(super) const TEXT_AT: usize = 64;

/// What the helpers that read memory ask for; the program itself is under the project's licence, and the kernel is told what it
/// needs to know: that it may be linked with it.
pub(super) const LICENSE: &str = "Dual BSD/GPL";

// Helpers of the kernel, by number (`linux/bpf.h`).
const MAP_LOOKUP: i32 = 1;
const TIME_NS: i32 = 5;
const PID_TGID: i32 = 14;
const UID_GID: i32 = 15;
const READ_USER: i32 = 112;
const READ_KERNEL: i32 = 113;
const READ_KERNEL_TEXT: i32 = 115;
const RING_OUTPUT: i32 = 130;
/// Nobody sleeps until there is a record.
const NO_WAKING: i32 = 1;

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
    mm: i32,
    arg_start: i32,
    arg_end: i32,
    interp: i32,
}

/// The structures that are asked about.
pub(super) const STRUCTURES: &[&str] = &["task_struct", "cred", "mm_struct", "linux_binprm"];

impl Places {
    /// The places in this kernel; none where one of them is not there.
    pub(super) fn of(layout: &Layout<'_>) -> Option<Self> {
        let task = |member| layout.offset("task_struct", member);
        let memory = |member| layout.offset("mm_struct", member);
        Some(Self {
            start: task("start_boottime").or_else(|| task("real_start_time"))?,
            login_uid: task("loginuid")?,
            session: task("sessionid")?,
            real_parent: task("real_parent")?,
            tgid: task("tgid")?,
            cred: task("cred")?,
            euid: layout.offset("cred", "euid")?,
            capabilities: layout.offset("cred", "cap_effective")?,
            mm: task("mm")?,
            arg_start: memory("arg_start")?,
            arg_end: memory("arg_end")?,
            interp: layout.offset("linux_binprm", "interp")?,
        })
    }
}

/// Registers: r0 is what a call gives, r1 to r5 are what it is given, r6 to r9 are kept, r10 is the end of the stack.
type Register = u8;

const fn instruction(code: u8, to: Register, from: Register, offset: i16, value: i32) -> u64 {
    (code as u64)
        | (to as u64) << 8
        | (from as u64) << 12
        | (offset.cast_unsigned() as u64) << 16
        | (value.cast_unsigned() as u64) << 32
}

/// A program while it is written.
#[derive(Debug, Default)]
struct Code(Vec<u64>);

impl Code {
    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, value: i32) {
        self.0.push(instruction(code, to, from, offset, value));
    }

    fn set(&mut self, to: Register, value: i32) {
        self.push(0xb7, to, 0, 0, value);
    }

    fn copy(&mut self, to: Register, from: Register) {
        self.push(0xbf, to, from, 0, 0);
    }

    fn add(&mut self, to: Register, value: i32) {
        self.push(0x07, to, 0, 0, value);
    }

    /// A 64-bit word from memory.
    fn load(&mut self, to: Register, from: Register, offset: i16) {
        self.push(0x79, to, from, offset, 0);
    }

    /// A 64-bit word to memory.
    fn store(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x7b, to, from, offset, 0);
    }

    /// A 32-bit word to memory.
    fn store_half(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x63, to, from, offset, 0);
    }

    fn call(&mut self, helper: i32) {
        self.push(0x85, 0, 0, 0, helper);
    }

    /// The map behind a descriptor.
    fn map(&mut self, to: Register, fd: i32) {
        self.push(0x18, to, 1, 0, fd);
        self.push(0, 0, 0, 0, 0);
    }

    /// Where the first value of an array lies; zero where there is none.
    fn first_of(&mut self, fd: i32) {
        self.push(0x62, STACK, 0, -4, 0);
        self.copy(2, STACK);
        self.add(2, -4);
        self.map(1, fd);
        self.call(MAP_LOOKUP);
    }

    fn exit(&mut self) {
        self.set(0, 0);
        self.push(0x95, 0, 0, 0, 0);
    }

    /// Notes a jump that goes to where [`Self::land`] is told, under a condition.
    fn jump(&mut self, code: u8, on: Register, value: i32) -> usize {
        self.push(code, on, 0, 0, value);
        self.0.len() - 1
    }

    fn land(&mut self, jump: usize) {
        let distance = (self.0.len() - jump - 1) as u64;
        self.0[jump] |= distance << 16;
    }

    /// Reads so many bytes of kernel memory at `from + offset` to `to + at`.
    fn read(&mut self, (to, at): (Register, i32), bytes: i32, from: Register, offset: i32) {
        self.copy(1, to);
        self.add(1, at);
        self.set(2, bytes);
        self.copy(3, from);
        self.add(3, offset);
        self.call(READ_KERNEL);
    }
}

const EQUAL: u8 = 0x15;
const DIFFERENT: u8 = 0x55;
const AT_MOST: u8 = 0xb5;
const NOT_NEGATIVE: u8 = 0x75;

const CONTEXT: Register = 6;
const RECORD: Register = 7;
const TASK: Register = 8;
const OTHER: Register = 9;
const STACK: Register = 10;

/// The program for this kernel. A record has, as numbers of the machine: pid and thread (u64), nanoseconds of the monotonic clock
/// (u64), user and group (u64), effective capabilities (u64), start in nanoseconds since boot (u64), login user, session, parent,
/// effective user (u32), bytes of the arguments and of the path (u32); then path and arguments. It is made in the scratch of its
/// processor and ends behind its arguments, so that a short command takes little of the ring.
pub(super) fn program(places: &Places, ring: i32, scratch: i32, lost: i32) -> Vec<u64> {
    let mut code = Code::default();
    code.copy(CONTEXT, 1);
    code.first_of(scratch);
    let there = code.jump(DIFFERENT, 0, 0);
    code.exit();
    code.land(there);
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
    // The arguments lie in one piece in the memory that the process has just got.
    code.read((STACK, -16), 8, TASK, places.mm);
    code.load(OTHER, STACK, -16);
    code.read((STACK, -24), 8, OTHER, places.arg_start);
    code.read((STACK, -32), 8, OTHER, places.arg_end);
    code.load(OTHER, STACK, -32);
    code.load(3, STACK, -24);
    code.push(0x1f, OTHER, 3, 0, 0);
    let short = code.jump(AT_MOST, OTHER, COMMAND_BYTES as i32);
    code.set(OTHER, COMMAND_BYTES as i32);
    code.land(short);
    code.copy(1, RECORD);
    code.add(1, HEAD_BYTES as i32);
    code.copy(2, OTHER);
    code.call(READ_USER);
    let read = code.jump(NOT_NEGATIVE, 0, 0);
    code.set(OTHER, 0);
    code.land(read);
    code.store_half(RECORD, 56, OTHER);
    code.load(3, CONTEXT, 16);
    code.read((STACK, -16), 8, 3, places.interp);
    code.copy(1, RECORD);
    code.add(1, TEXT_AT as i32);
    code.set(2, IMAGE_BYTES as i32);
    code.load(3, STACK, -16);
    code.call(READ_KERNEL_TEXT);
    code.store_half(RECORD, 60, 0);
    code.map(1, ring);
    code.copy(2, RECORD);
    code.copy(3, OTHER);
    code.add(3, HEAD_BYTES as i32);
    code.set(4, NO_WAKING);
    code.call(RING_OUTPUT);
    let written = code.jump(NOT_NEGATIVE, 0, 0);
    // There is no room: count it.
    code.first_of(lost);
    let none = code.jump(EQUAL, 0, 0);
    code.set(1, 1);
    code.push(0xdb, 0, 1, 0, 0);
    code.land(none);
    code.land(written);
    code.exit();
    code.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_as_the_kernel_writes_them() {
        // r1 = 1; if r1 == 7 goto +2; *(u64 *)(r10 - 16) = r1, as the disassembler of the kernel's own tools shows them.
        assert_eq!(instruction(0xb7, 1, 0, 0, 1).to_le_bytes(), [0xb7, 1, 0, 0, 1, 0, 0, 0]);
        assert_eq!(instruction(0x15, 1, 0, 2, 7).to_le_bytes(), [0x15, 1, 2, 0, 7, 0, 0, 0]);
        assert_eq!(instruction(0x7b, 10, 1, -16, 0).to_le_bytes(), [0x7b, 0x1a, 0xf0, 0xff, 0, 0, 0, 0]);
    }
}
