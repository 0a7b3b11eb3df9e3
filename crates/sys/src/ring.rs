//! The TPACKET_V3 receive ring: blocks of packets that the kernel fills and hands over one by one.
//!
//! Offsets and lengths in the ring come from the kernel; they are checked against the block all the same. This module
//! must never read a block that the kernel still owns.
#![expect(unsafe_code, reason = "the ring is memory shared with the kernel")]

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::capture::CaptureOptions;
use crate::process::page_bytes;
use crate::sockopt;

const BLOCK_BYTES: usize = 256 << 10;
const FRAME_BYTES: u32 = 2048;
const VLAN_BYTES: usize = 4;
const ETHERNET_ADDRESSES_BYTES: usize = 12;
const ETHERTYPE_VLAN: u16 = 0x8100;

/// Where the link-layer address follows a packet's header in the ring.
const ADDRESS_OFFSET: usize = size_of::<libc::tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);

/// One packet of the ring.
pub(crate) struct Frame<'a> {
    pub(crate) time_micros: i64,
    pub(crate) ethertype: u16,
    pub(crate) data: &'a [u8],
    pub(crate) wire_bytes: u32,
    pub(crate) interface: u32,
}

/// A packet socket with its mapped ring.
#[derive(Debug)]
pub(crate) struct Ring {
    socket: OwnedFd,
    map: NonNull<u8>,
    blocks: usize,
    next: usize,
}

// SAFETY: the mapping belongs to this value alone; nothing in it is tied to the thread that made it.
unsafe impl Send for Ring {}

impl Ring {
    /// Gives the socket a ring and maps it.
    pub(crate) fn map(socket: OwnedFd, options: &CaptureOptions) -> io::Result<Self> {
        debug_assert_eq!(BLOCK_BYTES % page_bytes() as usize, 0);
        let blocks = (options.ring_bytes / BLOCK_BYTES).clamp(2, 4096);
        let fd = socket.as_fd();
        sockopt::set(fd, libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as i32))?;
        // Room in front of each packet to put a VLAN tag back in place.
        sockopt::set(fd, libc::SOL_PACKET, libc::PACKET_RESERVE, &(VLAN_BYTES as u32))?;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK_BYTES as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: FRAME_BYTES,
            tp_frame_nr: (BLOCK_BYTES / FRAME_BYTES as usize * blocks) as u32,
            tp_retire_blk_tov: options.block_timeout.as_millis().clamp(1, 1000) as u32,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        sockopt::set(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        // SAFETY: a new shared mapping at an address of the kernel's choice, as long as the ring that was just made.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                blocks * BLOCK_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = NonNull::new(address.cast()).ok_or_else(|| io::Error::other("the ring was mapped at address 0"))?;
        Ok(Self { socket, map, blocks, next: 0 })
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Whether the next block is ours to read.
    pub(crate) fn is_ready(&self) -> bool {
        self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Waits until a block is ready, the socket has an error, a signal comes or the timeout is over.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<()> {
        let mut request =
            libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN | libc::POLLERR, revents: 0 };
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the pointer is to one `pollfd`, as the count says, and outlives the call.
        let result = unsafe { libc::poll(&raw mut request, 1, millis) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        Ok(())
    }

    /// Calls `each` for every packet of every block that is ready, at most once around the ring, giving each block
    /// back to the kernel behind itself.
    pub(crate) fn drain(&mut self, cooked: bool, mut each: impl FnMut(Frame<'_>)) -> usize {
        let mut count = 0;
        for _ in 0..self.blocks {
            if !self.is_ready() {
                break;
            }
            count += self.read_block(cooked, &mut each);
            self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.next = (self.next + 1) % self.blocks;
        }
        count
    }

    fn block(&self) -> *mut u8 {
        // SAFETY: `next` is below `blocks`, and the mapping has that many blocks.
        unsafe { self.map.as_ptr().add(self.next * BLOCK_BYTES) }
    }

    fn status(&self) -> &AtomicU32 {
        let offset = offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);
        // SAFETY: the status word is inside the block, aligned to four bytes, lives as long as the mapping, and is
        // shared with the kernel, which accesses it atomically too.
        unsafe { AtomicU32::from_ptr(self.block().add(offset).cast()) }
    }

    fn read_block(&mut self, cooked: bool, each: &mut impl FnMut(Frame<'_>)) -> usize {
        let block = self.block();
        // SAFETY: the block is ours (its status said so with acquire ordering), begins with a descriptor, and its
        // only variant of the union is `bh1`.
        let header = unsafe { ptr::read_unaligned(block.cast::<libc::tpacket_block_desc>()).hdr.bh1 };
        let mut offset = header.offset_to_first_pkt as usize;
        let mut count = 0;
        for _ in 0..header.num_pkts {
            if offset + ADDRESS_OFFSET + size_of::<libc::sockaddr_ll>() > BLOCK_BYTES {
                break;
            }
            // SAFETY: the header and the address behind it are inside the block by the check above.
            let (packet, address) = unsafe {
                let at = block.add(offset);
                (
                    ptr::read_unaligned(at.cast::<libc::tpacket3_hdr>()),
                    ptr::read_unaligned(at.add(ADDRESS_OFFSET).cast::<libc::sockaddr_ll>()),
                )
            };
            // SAFETY: the block is ours and the offset is inside it.
            if let Some(frame) = unsafe { frame(block, offset, &packet, &address, cooked) } {
                each(frame);
                count += 1;
            }
            if packet.tp_next_offset == 0 {
                break;
            }
            offset += packet.tp_next_offset as usize;
        }
        count
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made in `map`, with its length, and nothing borrows it any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.blocks * BLOCK_BYTES) };
    }
}

/// The packet whose header is at `offset`, with its VLAN tag put back; none where it is the outgoing copy of a
/// loopback packet, or where its offsets leave the block.
///
/// # Safety
/// `block` must be the begin of a block that is ours until the frame is gone.
unsafe fn frame<'a>(
    block: *mut u8,
    offset: usize,
    packet: &libc::tpacket3_hdr,
    address: &libc::sockaddr_ll,
    cooked: bool,
) -> Option<Frame<'a>> {
    if address.sll_pkttype == libc::PACKET_OUTGOING && address.sll_hatype == libc::ARPHRD_LOOPBACK {
        return None;
    }
    let mut start = offset + usize::from(packet.tp_mac);
    let mut length = packet.tp_snaplen as usize;
    if start + length > BLOCK_BYTES || usize::from(packet.tp_mac) < ADDRESS_OFFSET + size_of::<libc::sockaddr_ll>() {
        return None;
    }
    let mut ethertype = u16::from_be(address.sll_protocol);
    let mut wire_bytes = packet.tp_len;
    let room = usize::from(packet.tp_mac) - ADDRESS_OFFSET - size_of::<libc::sockaddr_ll>();
    let moved = if cooked { 0 } else { ETHERNET_ADDRESSES_BYTES };
    if packet.tp_status & libc::TP_STATUS_VLAN_VALID != 0 && room >= VLAN_BYTES && length >= moved {
        let known = packet.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        let tag_protocol = if known { packet.hv1.tp_vlan_tpid } else { ETHERTYPE_VLAN };
        let tag_control = packet.hv1.tp_vlan_tci as u16;
        // An Ethernet frame gets "protocol, control" behind its two addresses; a cooked one begins behind its
        // EtherType, so the tag's control and the old EtherType go in front and the tag's protocol becomes the type.
        let words = if cooked { [tag_control, ethertype] } else { [tag_protocol, tag_control] };
        start -= VLAN_BYTES;
        length += VLAN_BYTES;
        wire_bytes += VLAN_BYTES as u32;
        // SAFETY: `room` says that the four bytes in front of the packet are reserve, not header; the addresses move
        // within the packet's own bytes; the block is ours, and no slice over it exists at this moment.
        unsafe {
            let begin = block.add(start);
            ptr::copy(begin.add(VLAN_BYTES), begin, moved);
            ptr::copy_nonoverlapping(words[0].to_be_bytes().as_ptr(), begin.add(moved), 2);
            ptr::copy_nonoverlapping(words[1].to_be_bytes().as_ptr(), begin.add(moved + 2), 2);
        }
        ethertype = tag_protocol;
    }
    Some(Frame {
        time_micros: i64::from(packet.tp_sec) * 1_000_000 + i64::from(packet.tp_nsec / 1000),
        ethertype,
        // SAFETY: checked above to be inside the block, which our caller keeps until the frame is gone.
        data: unsafe { std::slice::from_raw_parts(block.add(start), length) },
        wire_bytes,
        interface: address.sll_ifindex as u32,
    })
}
