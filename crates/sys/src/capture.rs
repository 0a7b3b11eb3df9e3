//! Packet capture from a network interface with AF_PACKET and a memory-mapped TPACKET_V3 ring (Linux,
//! Documentation/networking/packet_mmap.rst).
//!
//! It yields frames with the kernel's time stamps and puts VLAN tags back that the kernel took out. It must never
//! parse beyond the link header it handles itself, nor send anything.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::ring::{Frame, Ring};
use crate::sockopt;

/// The name that stands for all interfaces.
pub const ANY_INTERFACE: &str = "any";

/// How a [`Capture`] is set up.
#[derive(Clone, Copy, Debug)]
pub struct CaptureOptions {
    /// Bytes of each packet that are kept; headers are enough for flows.
    pub snap_bytes: u32,
    /// Memory of the ring between the kernel and us.
    pub ring_bytes: usize,
    /// Whether to see packets for other machines too.
    pub promiscuous: bool,
    /// How long the kernel may keep a packet back to fill a block of the ring.
    pub block_timeout: Duration,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self { snap_bytes: 512, ring_bytes: 16 << 20, promiscuous: true, block_timeout: Duration::from_millis(50) }
    }
}

/// Why an interface cannot be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The process may not open packet sockets.
    #[error(
        "capturing packets needs the capability CAP_NET_RAW: run as root, or once `sudo setcap cap_net_raw+ep {program}`"
    )]
    NoCapability {
        /// Path of the running program.
        program: String,
    },
    /// There is no such interface.
    #[error("there is no interface {name:?}; this machine has: {}, {ANY_INTERFACE}", available.join(", "))]
    NoSuchInterface {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        available: Vec<String>,
    },
    /// The interface is down.
    #[error("the interface {name} is down; bring it up with `sudo ip link set {name} up`")]
    Down {
        /// The interface.
        name: String,
    },
    /// Anything else, with the step that failed.
    #[error("cannot capture on {name}: {step}: {source}")]
    System {
        /// The interface.
        name: String,
        /// What was being done.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What the first byte of a captured packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The destination address of an Ethernet header.
    Ethernet,
    /// The first byte after a link header whose EtherType this is: interfaces that are not Ethernet-like, and
    /// [`ANY_INTERFACE`], which mixes link types.
    Network {
        /// EtherType of what follows; 0x8100 where a VLAN tag follows.
        ethertype: u16,
    },
}

/// A captured packet, borrowed from the ring for the time of the call.
#[derive(Clone, Copy, Debug)]
pub struct CapturedPacket<'a> {
    /// When the kernel saw it, microseconds since the Unix epoch.
    pub time_micros: i64,
    /// What `data` begins with.
    pub framing: Framing,
    /// The packet, cut at [`CaptureOptions::snap_bytes`] (a VLAN tag that was put back is on top of those).
    pub data: &'a [u8],
    /// Length of the packet from where `data` begins. A segment that the hardware will split (TSO) or has joined
    /// (GRO) counts as the one packet that the kernel handles.
    pub wire_bytes: u32,
    /// Index of the interface.
    pub interface: u32,
}

/// Totals of a capture since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStats {
    /// Packets that reached the socket, dropped ones included.
    pub packets: u64,
    /// Packets lost because the ring was full.
    pub drops: u64,
}

/// An open capture.
#[derive(Debug)]
pub struct Capture {
    ring: Ring,
    name: String,
    cooked: bool,
    stats: CaptureStats,
}

impl Capture {
    /// Opens a capture on the interface `name`, or on all of them for [`ANY_INTERFACE`].
    pub fn open(name: &str, options: &CaptureOptions) -> Result<Self, CaptureError> {
        let any = name == ANY_INTERFACE;
        let index = if any { 0 } else { interface_index(name)? };
        let mut fd = packet_socket(name, libc::SOCK_RAW)?;
        let mut cooked = any;
        if !any {
            // Protocol 0: the interface is chosen, nothing is delivered yet.
            let kind = bind(&fd, index, 0).and_then(|()| hardware_type(&fd)).map_err(failed(name, "choose"))?;
            cooked = !matches!(kind, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
        }
        if cooked {
            fd = packet_socket(name, libc::SOCK_DGRAM)?;
        }
        limit_snap(&fd, options.snap_bytes).map_err(failed(name, "set the snap length"))?;
        // Loopback shows each packet leaving and arriving. Kernels before 4.20 lack the option; the ring filters too.
        let loopback = i32::from(!any && name == "lo");
        sockopt::set(fd.as_fd(), libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &loopback).ok();
        let ring = Ring::map(fd, options).map_err(failed(name, "map the ring"))?;
        if options.promiscuous && !any {
            join_promiscuous(ring.socket(), index).map_err(failed(name, "enter promiscuous mode"))?;
        }
        bind(ring.socket(), index, libc::ETH_P_ALL as u16).map_err(failed(name, "bind"))?;
        let mut capture = Self { ring, name: name.to_owned(), cooked, stats: CaptureStats::default() };
        if let Err(source) = capture.pending_error() {
            return Err(failed(name, "bind")(source));
        }
        Ok(capture)
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.name
    }

    /// Waits up to `timeout` for packets, then calls `each` for every packet that is ready and returns how many there
    /// were; none is not an error. [`io::ErrorKind::NetworkDown`] says that the interface went down: the capture goes
    /// on by itself when it comes up again.
    pub fn recv_batch(&mut self, timeout: Duration, mut each: impl FnMut(CapturedPacket<'_>)) -> io::Result<usize> {
        if !self.ring.is_ready() {
            self.ring.wait(timeout)?;
            self.pending_error()?;
        }
        let cooked = self.cooked;
        Ok(self.ring.drain(cooked, |frame| each(packet(frame, cooked))))
    }

    /// Packets seen and dropped since the capture was opened.
    pub fn stats(&mut self) -> io::Result<CaptureStats> {
        // The kernel resets its counters with every reading.
        let new: libc::tpacket_stats_v3 =
            sockopt::get(self.ring.socket().as_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
        self.stats.packets += u64::from(new.tp_packets);
        self.stats.drops += u64::from(new.tp_drops);
        Ok(self.stats)
    }

    fn pending_error(&mut self) -> io::Result<()> {
        let code: i32 = sockopt::get(self.ring.socket().as_fd(), libc::SOL_SOCKET, libc::SO_ERROR)?;
        if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
    }
}

/// The names of this machine's interfaces, sorted.
pub fn interfaces() -> io::Result<Vec<String>> {
    let list = nix::net::if_::if_nameindex()?;
    let mut names: Vec<String> = list.iter().map(|interface| interface.name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

fn packet(frame: Frame<'_>, cooked: bool) -> CapturedPacket<'_> {
    CapturedPacket {
        time_micros: frame.time_micros,
        framing: if cooked { Framing::Network { ethertype: frame.ethertype } } else { Framing::Ethernet },
        data: frame.data,
        wire_bytes: frame.wire_bytes,
        interface: frame.interface,
    }
}

fn interface_index(name: &str) -> Result<i32, CaptureError> {
    match nix::net::if_::if_nametoindex(name) {
        Ok(index) => Ok(index as i32),
        Err(_) => Err(CaptureError::NoSuchInterface {
            name: name.to_owned(),
            available: interfaces().map_err(failed(name, "list the interfaces"))?,
        }),
    }
}

fn failed(name: &str, step: &'static str) -> impl Fn(io::Error) -> CaptureError {
    move |source| match source.kind() {
        io::ErrorKind::NetworkDown => CaptureError::Down { name: name.to_owned() },
        io::ErrorKind::PermissionDenied => no_capability(),
        _ => CaptureError::System { name: name.to_owned(), step, source },
    }
}

fn no_capability() -> CaptureError {
    let program = std::env::current_exe().map_or_else(|_| "guardian".to_owned(), |path| path.display().to_string());
    CaptureError::NoCapability { program }
}

/// A packet socket to which nothing is delivered until it is bound to a protocol.
fn packet_socket(name: &str, kind: i32) -> Result<OwnedFd, CaptureError> {
    #![expect(unsafe_code, reason = "socket2 and nix do not open packet sockets with protocol 0")]
    // SAFETY: the call takes no pointer.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(failed(name, "open a packet socket")(io::Error::last_os_error()));
    }
    // SAFETY: the descriptor was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bind(fd: &OwnedFd, index: i32, protocol: u16) -> io::Result<()> {
    #![expect(unsafe_code, reason = "bind takes an untyped address")]
    use std::os::fd::AsRawFd;
    // SAFETY: all zeros is a valid address struct.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe the local struct, which the kernel only reads.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The link type (ARPHRD) of the interface that the socket is bound to.
fn hardware_type(fd: &OwnedFd) -> io::Result<u16> {
    #![expect(unsafe_code, reason = "getsockname fills an untyped address")]
    use std::os::fd::AsRawFd;
    // SAFETY: all zeros is a valid address struct.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe the local struct, to which the kernel writes at most that much.
    let result = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
    if result == 0 { Ok(address.sll_hatype) } else { Err(io::Error::last_os_error()) }
}

/// Attaches the one-instruction filter "return `snap_bytes`", which is how a packet socket cuts packets.
fn limit_snap(fd: &OwnedFd, snap_bytes: u32) -> io::Result<()> {
    const RETURN_CONSTANT: u16 = 0x06;
    let mut program = [libc::sock_filter { code: RETURN_CONSTANT, jt: 0, jf: 0, k: snap_bytes.max(64) }];
    let filter = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
    sockopt::set(fd.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

fn join_promiscuous(fd: &OwnedFd, index: i32) -> io::Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    sockopt::set(fd.as_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
