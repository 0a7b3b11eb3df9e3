//! Programs that the kernel runs, while they are written: instructions as in RFC 9669. Pure.

use super::layout::Layout;

/// What the helpers that read memory ask for; the program itself is under the project's licence, and the kernel is told what it
/// needs to know: that it may be linked with it.
pub(crate) const LICENSE: &str = "Dual BSD/GPL";

// Helpers of the kernel, by number (`linux/bpf.h`).
const MAP_LOOKUP: i32 = 1;
pub(crate) const TIME_NS: i32 = 5;
pub(crate) const PID_TGID: i32 = 14;
pub(crate) const UID_GID: i32 = 15;
pub(crate) const CURRENT_TASK: i32 = 35;
const READ_USER: i32 = 112;
const READ_KERNEL: i32 = 113;
pub(crate) const READ_KERNEL_TEXT: i32 = 115;
const RING_OUTPUT: i32 = 130;
const RING_RESERVE: i32 = 131;
const RING_SUBMIT: i32 = 132;

/// Nobody sleeps until there is a record.
const NO_WAKING: i32 = 1;

/// The end of the stack.
pub(crate) const STACK: Register = 10;

/// Registers: r0 is what a call gives, r1 to r5 are what it is given, r6 to r9 are kept, r10 is the end of the stack.
pub(crate) type Register = u8;

const fn instruction(code: u8, to: Register, from: Register, offset: i16, value: i32) -> u64 {
    (code as u64)
        | (to as u64) << 8
        | (from as u64) << 12
        | (offset.cast_unsigned() as u64) << 16
        | (value.cast_unsigned() as u64) << 32
}

/// A program while it is written.
#[derive(Debug, Default)]
pub(crate) struct Code(Vec<u64>);

impl Code {
    pub(crate) fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, value: i32) {
        self.0.push(instruction(code, to, from, offset, value));
    }

    pub(crate) fn set(&mut self, to: Register, value: i32) {
        self.push(0xb7, to, 0, 0, value);
    }

    pub(crate) fn copy(&mut self, to: Register, from: Register) {
        self.push(0xbf, to, from, 0, 0);
    }

    pub(crate) fn add(&mut self, to: Register, value: i32) {
        self.push(0x07, to, 0, 0, value);
    }

    /// A 64-bit word from memory.
    pub(crate) fn load(&mut self, to: Register, from: Register, offset: i16) {
        self.push(0x79, to, from, offset, 0);
    }

    /// A 64-bit word to memory.
    pub(crate) fn store(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x7b, to, from, offset, 0);
    }

    /// A 32-bit word to memory.
    pub(crate) fn store_half(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x63, to, from, offset, 0);
    }

    pub(crate) fn call(&mut self, helper: i32) {
        self.push(0x85, 0, 0, 0, helper);
    }

    /// The map behind a descriptor.
    pub(crate) fn map(&mut self, to: Register, fd: i32) {
        self.push(0x18, to, 1, 0, fd);
        self.push(0, 0, 0, 0, 0);
    }

    /// A 32-bit word from memory.
    pub(crate) fn load_half(&mut self, to: Register, from: Register, offset: i16) {
        self.push(0x61, to, from, offset, 0);
    }

    /// Has the program end.
    pub(crate) fn exit(&mut self) {
        self.set(0, 0);
        self.push(0x95, 0, 0, 0, 0);
    }

    /// Notes a jump that goes to where [`Self::land`] is told, under a condition.
    pub(crate) fn jump(&mut self, code: u8, on: Register, value: i32) -> usize {
        self.push(code, on, 0, 0, value);
        self.0.len() - 1
    }

    pub(crate) fn land(&mut self, jump: usize) {
        let distance = (self.0.len() - jump - 1) as u64;
        self.0[jump] |= distance << 16;
    }

    /// Reads so many bytes of kernel memory at `from + offset` to `to + at`.
    pub(crate) fn read(&mut self, (to, at): (Register, i32), bytes: i32, from: Register, offset: i32) {
        self.copy(1, to);
        self.add(1, at);
        self.set(2, bytes);
        self.copy(3, from);
        self.add(3, offset);
        self.call(READ_KERNEL);
    }

    /// Asks the ring for room of so many bytes, which is in the first register then. Where there is none, that is counted and the
    /// program ends.
    pub(crate) fn reserve(&mut self, bytes: i32, ring: i32, lost: i32) {
        self.map(1, ring);
        self.set(2, bytes);
        self.set(3, 0);
        self.call(RING_RESERVE);
        let room = self.jump(DIFFERENT, 0, 0);
        self.count(lost);
        self.exit();
        self.land(room);
    }

    /// Where the first value of an array lies, in the first register; zero where there is none.
    fn first_of(&mut self, fd: i32) {
        self.push(0x62, STACK, 0, -4, 0);
        self.copy(2, STACK);
        self.add(2, -4);
        self.map(1, fd);
        self.call(MAP_LOOKUP);
    }

    /// Adds one to the first value of an array.
    fn count(&mut self, fd: i32) {
        self.first_of(fd);
        let none = self.jump(EQUAL, 0, 0);
        self.set(1, 1);
        self.push(0xdb, 0, 1, 0, 0);
        self.land(none);
    }

    /// The scratch of this processor is in the first register from here on; the program ends where there is none.
    pub(crate) fn scratch(&mut self, fd: i32) {
        self.first_of(fd);
        let there = self.jump(DIFFERENT, 0, 0);
        self.exit();
        self.land(there);
    }

    /// Copies a record out of the scratch into the ring, its head and as many bytes behind it as `more` says, and ends. Where
    /// there is no room, that is counted.
    pub(crate) fn emit(&mut self, (record, head): (Register, i32), more: Register, ring: i32, lost: i32) {
        self.map(1, ring);
        self.copy(2, record);
        self.copy(3, more);
        self.add(3, head);
        self.set(4, NO_WAKING);
        self.call(RING_OUTPUT);
        let written = self.jump(NOT_NEGATIVE, 0, 0);
        self.count(lost);
        self.land(written);
        self.exit();
    }

    /// Hands a record over, and ends.
    pub(crate) fn submit(&mut self, record: Register) {
        self.copy(1, record);
        self.set(2, 0);
        self.call(RING_SUBMIT);
        self.exit();
    }

    /// Copies the arguments of a task to a place in a record, as many as fit, and their length to another. They lie in one piece in
    /// its memory. `other` is used on the way.
    pub(crate) fn arguments(&mut self, memory: Memory, task: Register, record: Record, other: Register) {
        self.read((STACK, -16), 8, task, memory.mm);
        self.load(other, STACK, -16);
        self.read((STACK, -24), 8, other, memory.arg_start);
        self.read((STACK, -32), 8, other, memory.arg_end);
        self.load(other, STACK, -32);
        self.load(3, STACK, -24);
        self.push(0x1f, other, 3, 0, 0);
        let short = self.jump(AT_MOST, other, record.bytes);
        self.set(other, record.bytes);
        self.land(short);
        self.copy(1, record.at);
        self.add(1, record.text);
        self.copy(2, other);
        self.call(READ_USER);
        let read = self.jump(NOT_NEGATIVE, 0, 0);
        self.set(other, 0);
        self.land(read);
        self.store_half(record.at, record.length, other);
    }
}

impl From<Code> for Vec<u64> {
    fn from(code: Code) -> Self {
        code.0
    }
}

/// Where a task's memory is, and where its arguments begin and end in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    mm: i32,
    arg_start: i32,
    arg_end: i32,
}

impl Memory {
    /// The places in this kernel; `task_struct` and `mm_struct` have to be asked about.
    pub(crate) fn of(layout: &Layout<'_>) -> Option<Self> {
        let memory = |member| layout.offset("mm_struct", member);
        Some(Self {
            mm: layout.offset("task_struct", "mm")?,
            arg_start: memory("arg_start")?,
            arg_end: memory("arg_end")?,
        })
    }
}

/// Where arguments go in a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// The register that has the record.
    pub(crate) at: Register,
    /// Where their length goes.
    pub(crate) length: i16,
    /// Where they go.
    pub(crate) text: i32,
    /// How many bytes of them.
    pub(crate) bytes: i32,
}

pub(crate) const EQUAL: u8 = 0x15;
pub(crate) const DIFFERENT: u8 = 0x55;
/// Of the lower half of a register.
pub(crate) const EQUAL_HALF: u8 = 0x16;
const AT_MOST: u8 = 0xb5;
const NOT_NEGATIVE: u8 = 0x75;

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
