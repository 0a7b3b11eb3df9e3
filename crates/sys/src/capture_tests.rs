//! Capture on loopback, and on a veth pair with VLANs in network namespaces of the test's own.
#![expect(unsafe_code, reason = "a thread enters a network namespace and sends raw frames there")]

use super::*;
use std::ffi::CStr;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::time::{Instant, SystemTime};

fn open(name: &str) -> Option<Capture> {
    match Capture::open(name, &CaptureOptions::default()) {
        Ok(capture) => Some(capture),
        Err(CaptureError::NoCapability { .. }) => {
            eprintln!("skipped: capturing needs CAP_NET_RAW");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Packets that contain `needle`, until there are `wanted` of them or two seconds are over (then a little longer, to
/// see none too many).
fn find(capture: &mut Capture, needle: &[u8], wanted: usize) -> Vec<(Vec<u8>, Framing, u32, i64)> {
    let (mut found, start) = (Vec::new(), Instant::now());
    let mut calm = false;
    while !calm && start.elapsed() < Duration::from_secs(2) {
        calm = found.len() >= wanted;
        let pause = Duration::from_millis(150);
        capture
            .recv_batch(pause, |packet| {
                if packet.data.windows(needle.len()).any(|window| window == needle) {
                    found.push((packet.data.to_vec(), packet.framing, packet.wire_bytes, packet.time_micros));
                }
            })
            .unwrap();
    }
    found
}

fn send_on_loopback(needle: &[u8], bytes: usize, count: usize) -> u16 {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut payload = needle.to_vec();
    payload.resize(bytes, 0);
    for _ in 0..count {
        sender.send_to(&payload, receiver.local_addr().unwrap()).unwrap();
    }
    receiver.local_addr().unwrap().port()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the kernel's time stamps are compared with the system's clock")]
fn loopback_packets_are_seen_once_with_time_and_length() {
    let Some(mut capture) = open("lo") else { return };
    let needle = b"guardian capture test on loopback";
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    let port = send_on_loopback(needle, 1000, 5);
    let found = find(&mut capture, needle, 5);
    assert_eq!(found.len(), 5);
    for (data, framing, wire_bytes, time) in &found {
        assert_eq!(*framing, Framing::Ethernet);
        assert_eq!(*wire_bytes, 14 + 20 + 8 + 1000);
        assert_eq!(data.len(), 512, "cut at the snap length");
        assert_eq!(data[12..14], [0x08, 0x00]);
        assert_eq!(data[36..38], port.to_be_bytes());
        assert!((0..10_000_000).contains(&(time - before)), "{time} after {before}");
    }
    let stats = capture.stats().unwrap();
    assert!(stats.packets >= 5 && stats.drops == 0, "{stats:?}");
}

#[test]
fn any_sees_loopback_once_and_without_a_link_header() {
    let Some(mut capture) = open(ANY_INTERFACE) else { return };
    let needle = b"guardian capture test on any";
    send_on_loopback(needle, 100, 3);
    let found = find(&mut capture, needle, 3);
    assert_eq!(found.len(), 3);
    for (data, framing, wire_bytes, _) in &found {
        assert_eq!(*framing, Framing::Network { ethertype: 0x0800 });
        assert_eq!(*wire_bytes, 128);
        assert_eq!(data[0], 0x45);
    }
}

#[test]
fn a_full_ring_counts_its_drops() {
    let options = CaptureOptions { ring_bytes: 1, ..CaptureOptions::default() };
    let mut capture = match Capture::open("lo", &options) {
        Ok(capture) => capture,
        Err(error) => {
            assert!(matches!(error, CaptureError::NoCapability { .. }), "{error}");
            eprintln!("skipped: capturing needs CAP_NET_RAW");
            return;
        }
    };
    let needle = b"guardian capture test with a small ring";
    send_on_loopback(needle, 600, 5000);
    let seen = find(&mut capture, needle, 5000).len() as u64;
    let stats = capture.stats().unwrap();
    assert!(stats.drops > 0, "{stats:?}");
    assert!(seen + stats.drops >= 5000 && seen < 5000, "{seen} seen, {stats:?}");
}

#[test]
fn an_unknown_interface_is_answered_with_the_known_ones() {
    match Capture::open("nosuch0", &CaptureOptions::default()) {
        Err(error @ CaptureError::NoSuchInterface { .. }) => {
            assert_eq!(
                error.to_string().split_once("this machine has: ").unwrap().1,
                format!("{}, any", interfaces().unwrap().join(", "))
            );
            assert!(error.to_string().contains("lo"));
        }
        other => panic!("{other:?}"),
    }
    let text = no_capability().to_string();
    assert!(text.contains("sudo setcap cap_net_raw+ep /"), "{text}");
}

/// Runs a command of iproute2 and says whether it worked.
fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).output().is_ok_and(|output| output.status.success())
}

/// Runs `work` on a thread of its own inside a network namespace. `ip netns exec` would also mount `/sys` anew, which
/// containers and chroots do not allow.
fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            // SAFETY: the descriptor is that of a namespace and open; only this thread changes its namespace.
            let entered = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "{}", io::Error::last_os_error());
            work()
        });
        thread.join().unwrap()
    })
}

/// Sends a frame as it is out of an interface of the thread's namespace.
fn send_frame(interface: &CStr, frame: &[u8]) -> io::Result<()> {
    let failed = |result: isize| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    // SAFETY: the name ends with a zero; the address is a plain C struct, filled before it is used, and both it and
    // the frame outlive the call that reads them with their true lengths. The descriptor is new and owned here.
    unsafe {
        let index = libc::if_nametoindex(interface.as_ptr());
        let socket = failed(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) as isize)?;
        let socket = OwnedFd::from_raw_fd(socket as i32);
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        let to = (&raw const to).cast();
        failed(libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, to, length))?;
    }
    Ok(())
}

struct Link(String);

impl Drop for Link {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.0));
        ip(&format!("netns del {}", self.0));
    }
}

#[test]
fn vlan_tags_are_put_back() {
    // A veth pair: one end stays here, the other goes to a namespace of its own and sends a frame with a tag, which
    // the kernel takes out on arrival.
    let name = format!("gc{}", std::process::id());
    let made = ip(&format!("netns add {name}"));
    let link = Link(name.clone());
    if !made || !ip(&format!("link add {name} type veth peer name peer0 netns {name}")) {
        eprintln!("skipped: network namespaces need root and iproute2");
        return;
    }
    let down = Capture::open(&name, &CaptureOptions::default()).unwrap_err();
    assert!(matches!(&down, CaptureError::Down { .. }), "{down}");
    assert!(inside(&name, || ip("link set peer0 up")) && ip(&format!("link set {name} up")));
    let needle = b"guardian capture test with a tag";
    let addresses = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    let tag = [0x81, 0x00, 0, 42, 0x08, 0x00];
    let ip_header = [0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    let udp_header = [0, 9, 0, 9, 0, 40, 0, 0];
    let frame = [&addresses[..], &tag, &ip_header, &udp_header, needle].concat();
    let mut capture = Capture::open(&name, &CaptureOptions::default()).unwrap();
    let mut any = Capture::open(ANY_INTERFACE, &CaptureOptions::default()).unwrap();
    inside(&name, || send_frame(c"peer0", &frame)).unwrap();
    let found = find(&mut capture, needle, 1);
    assert_eq!(found.len(), 1);
    let (data, framing, wire_bytes, _) = &found[0];
    assert_eq!(*framing, Framing::Ethernet);
    assert_eq!(data[..18], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0, 42, 0x08, 0x00]);
    assert_eq!(*wire_bytes as usize, 18 + 28 + needle.len());
    assert_eq!(data.len(), *wire_bytes as usize);

    let found = find(&mut any, needle, 1);
    assert_eq!(found.len(), 1);
    let (data, framing, wire_bytes, _) = &found[0];
    assert_eq!(*framing, Framing::Network { ethertype: 0x8100 });
    assert_eq!(data[..5], [0, 42, 0x08, 0x00, 0x45]);
    assert_eq!(*wire_bytes as usize, 4 + 28 + needle.len());
    drop(link);
}
