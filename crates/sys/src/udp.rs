//! UDP in batches: receivers that share a port, and a sender for load generation and replay.
//!
//! A receiver only receives: it copies datagrams out of the kernel, hands them to its caller and counts what was lost.
//! It must never parse them, and it allocates only when it is made.
#![expect(unsafe_code, reason = "recvmmsg and sendmmsg work on arrays of raw pointers")]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::sockopt;

/// Datagrams that one system call receives or sends at most.
pub const BATCH_DATAGRAMS: usize = 64;

/// No UDP datagram has more payload than this.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Room for the control messages of one datagram: the drop counter and one more, should a kernel add one.
type Control = [u64; 8];

/// How a [`UdpReceiver`] is set up.
#[derive(Clone, Copy, Debug)]
pub struct UdpOptions {
    /// Bytes that the kernel may hold for us while we are busy. More than `net.core.rmem_max` needs `CAP_NET_ADMIN`;
    /// without it the kernel gives what it allows, see [`UdpReceiver::buffer_bytes`].
    pub buffer_bytes: usize,
    /// Longest datagram that is received whole, at most [`DATAGRAM_BYTES_MAX`].
    pub datagram_bytes_max: usize,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { buffer_bytes: 32 << 20, datagram_bytes_max: DATAGRAM_BYTES_MAX }
    }
}

/// Why a UDP port could not be opened, with a hint how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on UDP {address}: {source}{}", self.hint())]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl BindError {
    fn hint(&self) -> String {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "; another program has this port (`ss -lunp 'sport = :{}'` shows which): stop it or configure another port",
                self.address.port()
            ),
            io::ErrorKind::PermissionDenied if self.address.port() < 1024 => {
                "; ports below 1024 need the capability CAP_NET_BIND_SERVICE: configure a higher port".into()
            }
            io::ErrorKind::AddrNotAvailable => {
                "; no interface of this machine has that address: use 0.0.0.0 or [::] for all".into()
            }
            _ => String::new(),
        }
    }
}

/// What one call of [`UdpReceiver::recv_batch`] brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Datagrams handed to the caller.
    pub datagrams: usize,
    /// How many of them were longer than the buffer; their rest is lost.
    pub truncated: usize,
    /// Datagrams that the kernel has dropped on this socket since the last call, for lack of buffer room.
    pub kernel_drops_delta: u64,
}

/// One socket of a UDP port, receiving in batches of [`BATCH_DATAGRAMS`].
#[derive(Debug)]
pub struct UdpReceiver {
    socket: Socket,
    local: SocketAddr,
    buffer_bytes: usize,
    arena: Vec<u8>,
    stride: usize,
    timeout: Option<Duration>,
    drops_seen: u32,
}

impl UdpReceiver {
    /// Opens `count` sockets (at least one) on the same port. The kernel spreads peers over them by address and port,
    /// so that the datagrams of one peer stay in order. Port 0 takes a free one for all of them.
    ///
    /// A port that any other program has open is refused, although the sockets share it among themselves.
    pub fn bind_group(address: SocketAddr, count: usize, options: &UdpOptions) -> Result<Vec<Self>, BindError> {
        let failed = |source| BindError { address, source };
        // Without SO_REUSEPORT this fails even where a second instance of ourselves holds the port, which would
        // otherwise silently take a share of the datagrams.
        drop(open(address, false).map_err(failed)?);
        let first = Self::bind(address, options)?;
        let local = first.local;
        let mut group = vec![first];
        for _ in 1..count {
            group.push(Self::bind(local, options)?);
        }
        Ok(group)
    }

    /// Opens one socket with `SO_REUSEPORT`. An IPv6 wildcard address receives IPv4 too.
    pub fn bind(address: SocketAddr, options: &UdpOptions) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let socket = open(address, true).map_err(failed)?;
        let fd = socket.as_fd();
        sockopt::set(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &1i32).map_err(failed)?;
        let buffer_bytes = enlarge_receive_buffer(fd, options.buffer_bytes).map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
        let stride = options.datagram_bytes_max.clamp(1, DATAGRAM_BYTES_MAX);
        Ok(Self {
            local,
            buffer_bytes,
            // Zeroed by the system on first touch: a socket that gets small datagrams holds few of these pages.
            arena: vec![0; stride * BATCH_DATAGRAMS],
            stride,
            timeout: None,
            drops_seen: memory_drops(socket.as_fd()).unwrap_or(0),
            socket,
        })
    }

    /// The address it is bound to, with the port that was chosen where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Bytes of kernel buffer it got, in the unit of [`UdpOptions::buffer_bytes`]; less than asked for where
    /// `net.core.rmem_max` is lower and the process lacks `CAP_NET_ADMIN`.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Waits up to `timeout` (rounded up to a millisecond) for a datagram, then takes what is there, at most
    /// [`BATCH_DATAGRAMS`], and calls `each` for every one with its peer and its bytes. A datagram that was longer
    /// than the buffer is handed over as far as it fits and counted as truncated.
    ///
    /// No datagram within the timeout, or a signal, is an empty result, not an error.
    pub fn recv_batch(&mut self, timeout: Duration, mut each: impl FnMut(SocketAddr, &[u8])) -> io::Result<Received> {
        let timeout = timeout.max(Duration::from_millis(1));
        if self.timeout != Some(timeout) {
            self.socket.set_read_timeout(Some(timeout))?;
            self.timeout = Some(timeout);
        }
        let mut received = Received::default();
        let mut names = [MaybeUninit::<libc::sockaddr_in6>::zeroed(); BATCH_DATAGRAMS];
        let mut controls: [Control; BATCH_DATAGRAMS] = [[0; 8]; BATCH_DATAGRAMS];
        let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH_DATAGRAMS];
        // SAFETY: `mmsghdr` is a plain C struct for which all zeros is a valid value.
        let mut headers: [libc::mmsghdr; BATCH_DATAGRAMS] = unsafe { mem::zeroed() };
        let base = self.arena.as_mut_ptr();
        for (i, header) in headers.iter_mut().enumerate() {
            // SAFETY: i < BATCH_DATAGRAMS and the arena has BATCH_DATAGRAMS strides.
            let slot = unsafe { base.add(i * self.stride) };
            vectors[i] = libc::iovec { iov_base: slot.cast(), iov_len: self.stride };
            header.msg_hdr.msg_name = names[i].as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_hdr.msg_iov = &raw mut vectors[i];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = controls[i].as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        // SAFETY: every header points to a name, one vector over its own stride of the arena, and a control buffer,
        // all of which live until after the call and are described with their true lengths.
        let count = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH_DATAGRAMS as libc::c_uint,
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {
                    received.kernel_drops_delta = self.count_idle_drops();
                    Ok(received)
                }
                _ => Err(error),
            };
        }
        for (i, header) in headers[..count as usize].iter().enumerate() {
            let Some(peer) = peer(&names[i], header.msg_hdr.msg_namelen) else { continue };
            received.datagrams += 1;
            received.truncated += usize::from(header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0);
            if let Some(total) = overflow(&header.msg_hdr) {
                received.kernel_drops_delta += self.count_drops(total);
            }
            let length = (header.msg_len as usize).min(self.stride);
            each(peer, &self.arena[i * self.stride..][..length]);
        }
        Ok(received)
    }

    /// Turns the socket's running total, which wraps at 32 bits, into what is new. A total that seems to go back is
    /// one that was read out of order (a datagram queued before the last idle reading) and brings nothing new.
    fn count_drops(&mut self, total: u32) -> u64 {
        let delta = total.wrapping_sub(self.drops_seen);
        if delta > u32::MAX / 2 {
            return 0;
        }
        self.drops_seen = total;
        u64::from(delta)
    }

    /// Datagrams only tell of drops before them; when none comes, the total is asked for, so that the end of a burst
    /// is counted too.
    fn count_idle_drops(&mut self) -> u64 {
        memory_drops(self.socket.as_fd()).map_or(0, |total| self.count_drops(total))
    }
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_port(shared)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// Asks for the buffer with privilege, then without, and reports what there is. The kernel doubles what is set, to
/// have room for its own structures, and reports the doubled value; this returns the half, comparable to `wanted`.
fn enlarge_receive_buffer(fd: BorrowedFd<'_>, wanted: usize) -> io::Result<usize> {
    let value = i32::try_from(wanted).unwrap_or(i32::MAX / 2);
    if sockopt::set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &value).is_err() {
        sockopt::set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &value)?;
    }
    let doubled: i32 = sockopt::get(fd, libc::SOL_SOCKET, libc::SO_RCVBUF)?;
    Ok(usize::try_from(doubled).unwrap_or(0) / 2)
}

/// The socket's total of dropped datagrams (`SO_MEMINFO`), where the kernel knows it (4.12 and later).
fn memory_drops(fd: BorrowedFd<'_>) -> Option<u32> {
    let info: [u32; 9] = sockopt::get(fd, libc::SOL_SOCKET, libc::SO_MEMINFO).ok()?;
    Some(info[libc::SK_MEMINFO_DROPS as usize])
}

/// The running drop total in a datagram's control messages; absent while it is zero.
fn overflow(header: &libc::msghdr) -> Option<u32> {
    // SAFETY: the kernel filled the control buffer that the header points to and set its length; the macros stay
    // within that length, and the buffer is still borrowed by our caller.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SO_RXQ_OVFL {
                return Some(ptr::read_unaligned(libc::CMSG_DATA(message).cast::<u32>()));
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}

/// The peer's address; IPv4 peers of a dual-stack socket come out as IPv4.
fn peer(name: &MaybeUninit<libc::sockaddr_in6>, length: libc::socklen_t) -> Option<SocketAddr> {
    // SAFETY: the storage was zeroed and perhaps partly overwritten by the kernel; any bytes are valid for both address
    // structs, `sockaddr_in` is the smaller one, and both begin with the family.
    let (v6, v4) = unsafe { (name.assume_init(), ptr::read(name.as_ptr().cast::<libc::sockaddr_in>())) };
    match i32::from(v6.sin6_family) {
        libc::AF_INET if length as usize >= size_of::<libc::sockaddr_in>() => {
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if length as usize >= size_of::<libc::sockaddr_in6>() => {
            let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
            Some(match ip.to_ipv4_mapped() {
                Some(v4) => SocketAddrV4::new(v4, port).into(),
                None => SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into(),
            })
        }
        _ => None,
    }
}

/// Sends datagrams to one address in batches of [`BATCH_DATAGRAMS`], for load generation and replay.
#[derive(Debug)]
pub struct UdpSender {
    socket: Socket,
}

impl UdpSender {
    /// Opens a socket towards `target`; `source` picks the address and port it sends from (an address of this machine,
    /// such as any of 127.0.0.0/8; port 0 for any).
    pub fn connect(target: SocketAddr, source: Option<SocketAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(target), Type::DGRAM, Some(Protocol::UDP))?;
        let any = match target.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        socket.bind(&SockAddr::from(source.unwrap_or(SocketAddr::new(any, 0))))?;
        socket.connect(&SockAddr::from(target))?;
        socket.set_send_buffer_size(4 << 20)?;
        Ok(Self { socket })
    }

    /// The address it sends from.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.socket.local_addr()?;
        address.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an internet address"))
    }

    /// Sends the datagrams in order, blocking while the send buffer is full. An error says that those from some point
    /// on were not sent; [`io::ErrorKind::ConnectionRefused`] that nobody listened at the target a moment ago.
    pub fn send_batch(&self, datagrams: &[&[u8]]) -> io::Result<()> {
        let mut rest = datagrams;
        while !rest.is_empty() {
            let sent = self.send_some(&rest[..rest.len().min(BATCH_DATAGRAMS)])?;
            rest = &rest[sent..];
        }
        Ok(())
    }

    fn send_some(&self, datagrams: &[&[u8]]) -> io::Result<usize> {
        let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH_DATAGRAMS];
        // SAFETY: `mmsghdr` is a plain C struct for which all zeros is a valid value.
        let mut headers: [libc::mmsghdr; BATCH_DATAGRAMS] = unsafe { mem::zeroed() };
        for (i, bytes) in datagrams.iter().take(BATCH_DATAGRAMS).enumerate() {
            vectors[i] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            headers[i].msg_hdr.msg_iov = &raw mut vectors[i];
            headers[i].msg_hdr.msg_iovlen = 1;
        }
        let count = datagrams.len().min(BATCH_DATAGRAMS) as libc::c_uint;
        loop {
            // SAFETY: the first `count` headers each point to one vector over a borrowed slice; the kernel only reads
            // the slices, and everything lives until after the call.
            let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), headers.as_mut_ptr(), count, 0) };
            if sent >= 0 {
                return Ok(sent as usize);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

#[cfg(test)]
#[path = "udp_tests.rs"]
mod tests;
