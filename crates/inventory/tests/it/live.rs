//! What the kernel says of this very process.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener;

use guardian_inventory::{process, sockets};

fn inode_of(fd: i32) -> u64 {
    let link = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
    sockets::inode(link.to_str().unwrap()).unwrap()
}

#[test]
fn our_own_sockets_are_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let udp = UdpSocket::bind("[::1]:0").or_else(|_| UdpSocket::bind("127.0.0.1:0")).unwrap();
    let table = sockets::parse(&fs::read("/proc/self/net/tcp").unwrap());
    assert!(table.issues.is_empty());
    let find = |inode| *table.entries.iter().find(|s| s.inode == inode).unwrap();
    let (server, peer) = (find(inode_of(listener.as_raw_fd())), find(inode_of(client.as_raw_fd())));
    assert_eq!((server.state, server.local_port), ("listen", address.port()));
    assert_eq!(
        (peer.state, peer.remote_port, peer.remote),
        ("established", address.port(), Ipv4Addr::LOCALHOST.into())
    );
    let file = if udp.local_addr().unwrap().is_ipv6() { "udp6" } else { "udp" };
    let table = sockets::parse(&fs::read(format!("/proc/self/net/{file}")).unwrap());
    let found = table.entries.iter().find(|s| s.inode == inode_of(udp.as_raw_fd())).unwrap();
    assert_eq!((found.local, found.local_port), (udp.local_addr().unwrap().ip(), udp.local_addr().unwrap().port()));
}

#[test]
fn our_own_unix_socket_is_there() {
    let path = std::env::temp_dir().join(format!("guardian inventory {}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let table = sockets::parse_unix(&fs::read("/proc/self/net/unix").unwrap());
    fs::remove_file(&path).unwrap();
    assert!(table.issues.is_empty());
    let found = table.entries.iter().find(|s| s.inode == inode_of(listener.as_raw_fd())).unwrap();
    assert_eq!((found.kind, found.listens, found.path.as_str()), (1, true, path.to_str().unwrap()));
}

#[test]
fn we_are_who_we_are() {
    let stat = process::parse_stat(&fs::read("/proc/self/stat").unwrap()).unwrap();
    assert_eq!(stat.pid, std::process::id());
    assert_eq!(stat.parent, std::os::unix::process::parent_id());
    assert!(stat.resident_pages > 0 && stat.start_ticks > 0);
    let status = process::parse_status(&fs::read("/proc/self/status").unwrap());
    assert_eq!(status.pids.last(), Some(&std::process::id()));
    assert_eq!(status.tracer, 0);
    let arguments = process::parse_cmdline(&fs::read("/proc/self/cmdline").unwrap());
    assert_eq!(arguments, std::env::args().collect::<Vec<_>>());
}
