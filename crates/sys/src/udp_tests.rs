//! UDP reception and sending over loopback.

use super::*;
use std::collections::BTreeMap;
use std::time::Instant;

const SHORT: Duration = Duration::from_millis(20);

fn loopback(v6: bool) -> SocketAddr {
    SocketAddr::new(if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }, 0)
}

/// Receives until nothing has come for a while.
fn drain(receiver: &mut UdpReceiver) -> (Vec<(SocketAddr, Vec<u8>)>, Received) {
    let (mut all, mut sum) = (Vec::new(), Received::default());
    loop {
        let got = receiver.recv_batch(SHORT, |peer, bytes| all.push((peer, bytes.to_vec()))).unwrap();
        sum.datagrams += got.datagrams;
        sum.truncated += got.truncated;
        sum.kernel_drops_delta += got.kernel_drops_delta;
        if got.datagrams == 0 {
            return (all, sum);
        }
    }
}

#[test]
fn datagrams_arrive_whole_in_order_and_with_their_peer() {
    for v6 in [false, true] {
        let mut receiver = UdpReceiver::bind(loopback(v6), &UdpOptions::default()).unwrap();
        let sender = UdpSender::connect(receiver.local_addr(), None).unwrap();
        let datagrams: Vec<Vec<u8>> = (0..150usize).map(|i| vec![i as u8; i * 7]).collect();
        sender.send_batch(&datagrams.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        let (all, sum) = drain(&mut receiver);
        assert_eq!(sum, Received { datagrams: 150, truncated: 0, kernel_drops_delta: 0 });
        for ((peer, bytes), sent) in all.iter().zip(&datagrams) {
            assert_eq!(bytes, sent);
            assert_eq!(*peer, sender.local_addr().unwrap());
        }
    }
}

#[test]
fn a_dual_stack_socket_shows_ipv4_peers_as_ipv4() {
    let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    let mut receiver = UdpReceiver::bind(any, &UdpOptions::default()).unwrap();
    let target = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), receiver.local_addr().port());
    let source = SocketAddr::new(Ipv4Addr::new(127, 9, 8, 7).into(), 0);
    UdpSender::connect(target, Some(source)).unwrap().send_batch(&[b"x"]).unwrap();
    let (all, _) = drain(&mut receiver);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0.ip(), source.ip());
}

#[test]
fn too_long_datagrams_are_cut_and_counted() {
    let options = UdpOptions { datagram_bytes_max: 100, ..UdpOptions::default() };
    let mut receiver = UdpReceiver::bind(loopback(false), &options).unwrap();
    let sender = UdpSender::connect(receiver.local_addr(), None).unwrap();
    sender.send_batch(&[&[1; 101], &[2; 100], &vec![3; 60_000]]).unwrap();
    let (all, sum) = drain(&mut receiver);
    assert_eq!(sum, Received { datagrams: 3, truncated: 2, kernel_drops_delta: 0 });
    assert!(all.iter().all(|(_, bytes)| bytes.len() == 100));
}

#[test]
fn what_the_kernel_drops_is_counted_to_the_last_datagram() {
    let options = UdpOptions { buffer_bytes: 16 << 10, ..UdpOptions::default() };
    let mut receiver = UdpReceiver::bind(loopback(false), &options).unwrap();
    let sender = UdpSender::connect(receiver.local_addr(), None).unwrap();
    let mut received = 0;
    let mut dropped = 0;
    for _ in 0..3 {
        sender.send_batch(&[&[0u8; 500][..]; 1000]).unwrap();
        let (_, sum) = drain(&mut receiver);
        received += sum.datagrams as u64;
        dropped += sum.kernel_drops_delta;
    }
    assert!(dropped > 1000, "{dropped}");
    assert_eq!(received + dropped, 3000);
}

#[test]
fn a_group_shares_its_port_and_nobody_else_gets_it() {
    let mut group = UdpReceiver::bind_group(loopback(false), 3, &UdpOptions::default()).unwrap();
    let address = group[0].local_addr();
    assert!(group.iter().all(|receiver| receiver.local_addr() == address));
    let error = UdpReceiver::bind_group(address, 1, &UdpOptions::default()).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("ss -lunp"), "{error}");
    // All are kept open: a closed one gives its port back, and the next could be taken for the same peer.
    let senders: Vec<_> = (0..64).map(|_| UdpSender::connect(address, None).unwrap()).collect();
    for (i, sender) in (0u8..).zip(&senders) {
        sender.send_batch(&[&[i, 0], &[i, 1], &[i, 2]]).unwrap();
    }
    let mut busy = 0;
    let mut total = 0;
    for receiver in &mut group {
        let (all, _) = drain(receiver);
        busy += usize::from(!all.is_empty());
        total += all.len();
        let mut next: BTreeMap<SocketAddr, u8> = BTreeMap::new();
        for (peer, bytes) in all {
            let expected = next.entry(peer).or_default();
            assert_eq!(bytes[1], *expected, "the datagrams of one peer stay in order on one socket");
            *expected += 1;
        }
    }
    assert_eq!(total, 64 * 3);
    assert!(busy >= 2, "64 peers spread over more than one of three sockets");
}

#[test]
fn waiting_ends_with_the_timeout() {
    let mut receiver = UdpReceiver::bind(loopback(false), &UdpOptions::default()).unwrap();
    let start = Instant::now();
    let got = receiver.recv_batch(Duration::from_millis(50), |_, _| {}).unwrap();
    assert_eq!(got, Received::default());
    assert!(start.elapsed() >= Duration::from_millis(40) && start.elapsed() < Duration::from_secs(5));
}

#[test]
fn drop_totals_wrap_and_never_go_back() {
    let mut receiver = UdpReceiver::bind(loopback(false), &UdpOptions::default()).unwrap();
    receiver.drops_seen = u32::MAX - 1;
    for (total, new) in [(u32::MAX, 1), (u32::MAX - 1, 0), (4, 5), (4, 0), (1, 0), (10, 6)] {
        assert_eq!(receiver.count_drops(total), new, "{total}");
    }
}

#[test]
fn an_address_that_is_not_ours_is_explained() {
    let error = UdpReceiver::bind("192.0.2.1:2055".parse().unwrap(), &UdpOptions::default()).unwrap_err();
    assert!(error.to_string().contains("no interface of this machine"), "{error}");
}
