//! Programs within the kernel (`bpf(2)`): maps, loading, attaching to a raw tracepoint, and the ring in which they leave what
//! they saw. What a program does is its caller's business; the kernel proves it harmless before it takes it.
#![expect(unsafe_code, reason = "bpf(2) and the ring's memory take and give pointers")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP: libc::c_long = 1;
const PROGRAM_LOAD: libc::c_long = 5;
const RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const ARRAY: u32 = 2;
const PER_CPU_ARRAY: u32 = 6;
const RING: u32 = 27;
const RAW_TRACEPOINT: u32 = 17;
/// Bytes of the kernel's word why it does not take a program.
const LOG_BYTES: usize = 64 << 10;
/// The first word of a record in the ring: still being written, thrown away.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
const RECORD_HEAD: usize = 8;

/// What `bpf(2)` is told, as 32-bit words; what is not said is zero, which older kernels accept of members they do not know.
#[repr(C, align(8))]
struct Attributes([u32; 32]);

impl Attributes {
    fn new(words: &[u32]) -> Self {
        let mut all = [0; 32];
        all[..words.len()].copy_from_slice(words);
        Self(all)
    }

    fn pointer(&mut self, word: usize, to: *const u8) {
        let address = to as u64;
        let halves: [u32; 2] = if cfg!(target_endian = "little") {
            [address as u32, (address >> 32) as u32]
        } else {
            [(address >> 32) as u32, address as u32]
        };
        self.0[word..word + 2].copy_from_slice(&halves);
    }

    fn call(&self, command: libc::c_long) -> io::Result<RawFd> {
        // SAFETY: the attributes are of the size that is given; pointers in them were put there by callers in this file, who
        // keep what they point to until this returns.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(self), size_of::<Self>()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
    }

    fn open(&self, command: libc::c_long) -> io::Result<OwnedFd> {
        let fd = self.call(command)?;
        // SAFETY: the kernel has just opened it for this call, and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// A counter that a program adds to: an array of one 64-bit number.
#[derive(Debug)]
pub struct Counter(OwnedFd);

impl Counter {
    /// Makes one, at zero. It needs `CAP_BPF`.
    pub fn new() -> io::Result<Self> {
        Attributes::new(&[ARRAY, 4, 8, 1]).open(MAP_CREATE).map(Self)
    }

    /// How the program names it.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// What it stands at.
    pub fn get(&self) -> io::Result<u64> {
        let (key, mut value) = (0u32, 0u64);
        let mut attributes = Attributes::new(&[self.fd() as u32]);
        attributes.pointer(2, (&raw const key).cast());
        attributes.pointer(4, (&raw mut value).cast_const().cast());
        attributes.call(MAP_LOOKUP)?;
        Ok(value)
    }
}

/// Memory in which a program prepares what it writes, a piece for each processor.
#[derive(Debug)]
pub struct Scratch(OwnedFd);

impl Scratch {
    /// Makes pieces of so many bytes. It needs `CAP_BPF`.
    pub fn new(bytes: u32) -> io::Result<Self> {
        Attributes::new(&[PER_CPU_ARRAY, 4, bytes, 1]).open(MAP_CREATE).map(Self)
    }

    /// How the program names it.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A ring into which a program writes records, and its end here, which reads them.
#[derive(Debug)]
pub struct Ring {
    fd: OwnedFd,
    /// Where the reader is: a page of which the first word is written here and read by the kernel.
    consumer: NonNull<u8>,
    /// Where the writer is, a page behind which the records follow, twice, so that none is cut at the end.
    producer: NonNull<u8>,
    page: usize,
    bytes: usize,
}

// SAFETY: the mappings belong to this value alone and are not tied to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Makes a ring of so many bytes: a power of two, and at least a page. It needs `CAP_BPF`.
    pub fn new(bytes: u32) -> io::Result<Self> {
        let fd = Attributes::new(&[RING, 0, 0, bytes]).open(MAP_CREATE)?;
        // SAFETY: the call takes a number and gives one.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(io::Error::other)?;
        let bytes = bytes as usize;
        let consumer = mapped(&fd, page, libc::PROT_READ | libc::PROT_WRITE, 0)?;
        let producer = mapped(&fd, page + 2 * bytes, libc::PROT_READ, page).inspect_err(|_| unmap(consumer, page))?;
        Ok(Self { fd, consumer, producer, page, bytes })
    }

    /// How the program names it.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Hands over all records that are complete, in the order in which they were begun.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) {
        // SAFETY: both words lie at the beginning of mappings that live as long as this value, are aligned as pages are, and
        // are only ever touched as atomics, here and by the kernel.
        let (consumer, producer) =
            unsafe { (self.consumer.cast::<AtomicU64>().as_ref(), self.producer.cast::<AtomicU64>().as_ref()) };
        let mut at = consumer.load(Ordering::Relaxed);
        while at < producer.load(Ordering::Acquire) {
            let offset = self.page + (at as usize & (self.bytes - 1));
            // SAFETY: the offset lies within the mapping, at a multiple of eight, and the kernel changes the word atomically.
            let head = unsafe { self.producer.add(offset).cast::<AtomicU32>().as_ref() }.load(Ordering::Acquire);
            if head & BUSY != 0 {
                break;
            }
            let length = (head & !DISCARDED) as usize;
            if length > self.bytes {
                break;
            }
            if head & DISCARDED == 0 {
                // SAFETY: the record lies behind its head, within the records' two copies, is complete since it is not busy
                // any more, and is not written to again before the reader's place moves on.
                each(unsafe { std::slice::from_raw_parts(self.producer.as_ptr().add(offset + RECORD_HEAD), length) });
            }
            at += (length + RECORD_HEAD).next_multiple_of(8) as u64;
            consumer.store(at, Ordering::Release);
        }
    }
}

impl AsFd for Ring {
    /// Readable when there is a record.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        unmap(self.consumer, self.page);
        unmap(self.producer, self.page + 2 * self.bytes);
    }
}

fn mapped(fd: &OwnedFd, bytes: usize, protection: libc::c_int, at: usize) -> io::Result<NonNull<u8>> {
    let at = libc::off_t::try_from(at).map_err(io::Error::other)?;
    // SAFETY: a new mapping at an address of the kernel's choice; the kernel checks what of the ring may be mapped how.
    let address = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd.as_raw_fd(), at) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))
}

fn unmap(address: NonNull<u8>, bytes: usize) {
    // SAFETY: the mapping was made with this address and length, and nothing borrows from it any more.
    let result = unsafe { libc::munmap(address.as_ptr().cast(), bytes) };
    debug_assert_eq!(result, 0);
}

/// A program that the kernel runs at a tracepoint for as long as this lives.
#[derive(Debug)]
pub struct Attached {
    _program: OwnedFd,
    _link: OwnedFd,
}

/// Has the kernel check a program and run it at a raw tracepoint. It needs `CAP_BPF` and `CAP_PERFMON`. An error carries the
/// end of what the kernel says about the program.
pub fn attach(instructions: &[u64], name: &str, license: &str, tracepoint: &str) -> io::Result<Attached> {
    let program = match load(instructions, name, license, None) {
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => {
            let mut log = vec![0; LOG_BYTES];
            load(instructions, name, license, Some(&mut log)).map_err(|error| {
                let said = String::from_utf8_lossy(&log);
                let said = said.trim_end_matches(['\0', '\n']);
                let from = said.floor_char_boundary(said.len().saturating_sub(400));
                io::Error::new(error.kind(), format!("{error}: {}", &said[from..]))
            })?
        }
        program => program?,
    };
    let tracepoint = CString::new(tracepoint)?;
    let mut attributes = Attributes::new(&[0, 0, program.as_raw_fd() as u32]);
    attributes.pointer(0, tracepoint.as_ptr().cast());
    let link = attributes.open(RAW_TRACEPOINT_OPEN)?;
    Ok(Attached { _program: program, _link: link })
}

fn load(instructions: &[u64], name: &str, license: &str, log: Option<&mut [u8]>) -> io::Result<OwnedFd> {
    let license = CString::new(license)?;
    let count = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    let mut attributes = Attributes::new(&[RAW_TRACEPOINT, count]);
    attributes.pointer(2, instructions.as_ptr().cast());
    attributes.pointer(4, license.as_ptr().cast());
    if let Some(log) = log {
        attributes.0[6] = 1;
        attributes.0[7] = u32::try_from(log.len()).map_err(io::Error::other)?;
        attributes.pointer(8, log.as_mut_ptr().cast_const());
    }
    // The name is sixteen bytes with a zero at the end.
    for (at, byte) in name.bytes().take(15).enumerate() {
        attributes.0[12 + at / 4] |= u32::from(byte) << (8 * (at % 4));
    }
    attributes.open(PROGRAM_LOAD)
}
