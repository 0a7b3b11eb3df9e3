//! Netlink sockets: messages from the kernel and to it (netlink(7)). What the messages say is the callers' business.
#![expect(unsafe_code, reason = "netlink addresses have no safe form in the standard library")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::Duration;

/// Which part of the kernel is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The connector: processes that start and end.
    Connector,
    /// Sockets and their states.
    SockDiag,
    /// Interfaces, addresses and routes.
    Route,
    /// IPsec: states and policies.
    Xfrm,
    /// What has no number of its own, such as WireGuard.
    Generic,
    /// The kernel's audit: records, and the rules that they come from.
    Audit,
}

/// A socket to the kernel. Reading from it does not wait.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

/// Bytes of one read: the longest message that the kernel makes of a dump.
const BUFFER_BYTES: usize = 64 << 10;

/// Numbers of `SO_MEMINFO` that there are now, and which of them counts what was dropped (`linux/sock_diag.h`).
const MEMORY_NUMBERS: usize = 9;
const DROPS_AT: usize = 8;

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

impl Netlink {
    /// A socket that hears these groups, one bit each.
    pub fn open(family: Family, groups: u32) -> io::Result<Self> {
        let protocol = match family {
            Family::Connector => libc::NETLINK_CONNECTOR,
            Family::SockDiag => libc::NETLINK_SOCK_DIAG,
            Family::Route => libc::NETLINK_ROUTE,
            Family::Xfrm => libc::NETLINK_XFRM,
            Family::Generic => libc::NETLINK_GENERIC,
            Family::Audit => libc::NETLINK_AUDIT,
        };
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the call takes numbers and gives a descriptor or an error.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) };
        done(fd)?;
        // SAFETY: the call above has just opened it, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let address = address(groups);
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the address is of the length that is given, and only read.
        done(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) })?;
        Ok(Self { fd, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Asks for room for so many bytes of messages that wait, beyond the system's limit where that is permitted.
    pub fn reserve(&self, bytes: usize) -> io::Result<()> {
        let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        let set = |option| {
            let length = size_of::<libc::c_int>() as libc::socklen_t;
            let value = (&raw const bytes).cast();
            // SAFETY: the value is a number of the length that is given, and only read.
            done(unsafe { libc::setsockopt(self.fd.as_raw_fd(), libc::SOL_SOCKET, option, value, length) })
        };
        set(libc::SO_RCVBUFFORCE).or_else(|_| set(libc::SO_RCVBUF))
    }

    /// Messages to this socket that the kernel dropped for want of room, ever; the number wraps around.
    pub fn dropped(&self) -> io::Result<u32> {
        let mut about = [0u32; MEMORY_NUMBERS];
        let mut length = size_of_val(&about) as libc::socklen_t;
        let value = about.as_mut_ptr().cast();
        // SAFETY: the kernel writes no more than the length that is given, which is that of the numbers.
        done(unsafe {
            libc::getsockopt(self.fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, value, &raw mut length)
        })?;
        let told = (length as usize) / size_of::<u32>();
        if told > DROPS_AT { Ok(about[DROPS_AT]) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// Sends a message to the kernel.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        let address = address(0);
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: message and address are of the lengths that are given, and only read.
        let sent = unsafe {
            let fd = self.fd.as_raw_fd();
            libc::sendto(fd, message.as_ptr().cast(), message.len(), 0, (&raw const address).cast(), length)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next datagram, which may hold several messages; none where none waits. What does not come from the kernel is
    /// passed over. An error of [`lost`] says that messages did not fit.
    pub fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let mut from = address(0);
            let mut from_length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            // SAFETY: buffer and address are ours and as long as said.
            let length = unsafe {
                libc::recvfrom(
                    self.fd.as_raw_fd(),
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut from_length,
                )
            };
            let Ok(length) = usize::try_from(length) else {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    io::ErrorKind::Interrupted => continue,
                    _ => return Err(error),
                }
            };
            if from.nl_pid == 0 {
                return Ok(Some(&self.buffer[..length.min(self.buffer.len())]));
            }
        }
    }

    /// Overwrites the last message: some have keys in them.
    pub fn wipe(&mut self) {
        self.buffer.fill(0);
        std::hint::black_box(&self.buffer);
    }

    /// Waits until a message is there; false where none came in time.
    pub fn wait(&self, time: Duration) -> io::Result<bool> {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = libc::c_int::try_from(time.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one entry, which is ours.
        let ready = unsafe { libc::poll(&raw mut poll, 1, millis) };
        match done(ready) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(ready > 0),
        }
    }
}

/// Whether an error says that messages did not fit into the socket's buffer.
pub fn lost(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Clock ticks a second, in which the kernel tells when a process began.
pub fn ticks_per_second() -> u64 {
    // SAFETY: the call takes a number and gives one.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1)
}

/// Time since boot without what was slept, in nanoseconds: the clock of the connector's messages.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the time to the pointer, which has room for it.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

fn address(groups: u32) -> libc::sockaddr_nl {
    // SAFETY: zeros are a valid address: to the kernel, of no group.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = groups;
    address
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
