//! Capture files made by hand, whole and damaged.

use super::*;

const T: i64 = 1_700_000_000_123_456;

/// An Ethernet frame with a UDP datagram from 10.0.0.1:5000 to 10.0.0.2.
fn frame(dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut data = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    data.extend([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    data[16..18].copy_from_slice(&(28 + payload.len() as u16).to_be_bytes());
    data.extend(5000u16.to_be_bytes());
    data.extend(dst_port.to_be_bytes());
    data.extend((8 + payload.len() as u16).to_be_bytes());
    data.extend([0, 0]);
    data.extend(payload);
    data
}

/// Numbers in one of the two byte orders.
fn number(big: bool, value: u32) -> [u8; 4] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn pcap(big: bool, nanos: bool, link: u32, packets: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let magic = if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut out = number(big, magic).to_vec();
    let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
    out.extend(version);
    for word in [0, 0, 65_535, link] {
        out.extend(number(big, word));
    }
    for (micros, data) in packets {
        let fraction = (micros % 1_000_000) as u32 * if nanos { 1000 } else { 1 };
        for word in [(micros / 1_000_000) as u32, fraction, data.len() as u32, data.len() as u32 + 100] {
            out.extend(number(big, word));
        }
        out.extend(data);
    }
    out
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = 12 + body.len().next_multiple_of(4);
    let mut out = [kind.to_le_bytes(), (length as u32).to_le_bytes()].concat();
    out.extend(body);
    out.resize(length - 4, 0);
    out.extend((length as u32).to_le_bytes());
    out
}

fn section() -> Vec<u8> {
    block(0x0a0d_0d0a, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8]].concat())
}

/// An interface whose clock ticks at 10^-`resolution` seconds.
fn interface(link: u16, resolution: u8) -> Vec<u8> {
    let head = [link.to_le_bytes(), [0, 0]].concat();
    block(1, &[&head[..], &[0, 0, 4, 0], &[9, 0, 1, 0, resolution, 0, 0, 0], &[0; 4]].concat())
}

fn enhanced(interface: u32, ticks: u64, data: &[u8]) -> Vec<u8> {
    let length = data.len() as u32;
    let words = [interface, (ticks >> 32) as u32, ticks as u32, length, length];
    block(6, &[&words.map(u32::to_le_bytes).concat()[..], data].concat())
}

type Seen = (Micros, LinkType, Vec<u8>, u32);

fn read(file: &[u8]) -> (Vec<Seen>, Option<CaptureFileError>, CaptureFileStats) {
    let mut reader = match CaptureReader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error), CaptureFileStats::default()),
    };
    let mut all = Vec::new();
    loop {
        match reader.next_packet() {
            Ok(Some(packet)) => all.push((packet.time, packet.link, packet.data.to_vec(), packet.wire_len)),
            Ok(None) => return (all, None, reader.stats()),
            Err(error) => {
                assert!(matches!(reader.next_packet(), Ok(None)), "after an error there is nothing more");
                return (all, Some(error), reader.stats());
            }
        }
    }
}

#[test]
fn pcap_in_both_byte_orders_and_resolutions() {
    let packets: Vec<(i64, Vec<u8>)> = (0..500).map(|i| (T + i, frame(53, &vec![7; i as usize]))).collect();
    for (big, nanos) in [(false, false), (false, true), (true, false), (true, true)] {
        let file = pcap(big, nanos, 1, &packets);
        let (all, error, stats) = read(&file);
        assert!(error.is_none(), "{error:?}");
        assert_eq!((stats.packets, stats.bytes), (500, file.len() as u64));
        assert!(stats.issues().is_empty());
        for (seen, (micros, data)) in all.iter().zip(&packets) {
            assert_eq!(*seen, (Micros(*micros), LinkType::Ethernet, data.clone(), data.len() as u32 + 100));
        }
    }
}

#[test]
fn pcapng_with_several_interfaces_clocks_and_sections() {
    let data = frame(53, b"hello");
    let file = [
        section(),
        interface(1, 6),
        interface(101, 9),
        block(0x0bad, b"a block of a kind that nobody knows"),
        enhanced(0, T as u64, &data),
        enhanced(1, T as u64 * 1000 + 999, &data[14..]),
        block(3, &[&(data.len() as u32).to_le_bytes()[..], &data].concat()),
        enhanced(7, 0, &data),
        section(),
        interface(276, 3),
        interface(105, 6),
        enhanced(0, T as u64 / 1000, &data),
        enhanced(1, T as u64, &data),
    ]
    .concat();
    let (all, error, stats) = read(&file);
    assert!(error.is_none(), "{error:?}");
    let seen: Vec<_> = all.iter().map(|(time, link, data, _)| (time.0, *link, data.len())).collect();
    assert_eq!(
        seen,
        [
            (T, LinkType::Ethernet, 47),
            (T, LinkType::RawIp, 33),
            (T, LinkType::Ethernet, 47),
            (T / 1000 * 1000, LinkType::LinuxSll2, 47),
        ]
    );
    assert_eq!((stats.other_link, stats.other_link_packets, stats.orphan_packets), (Some(105), 1, 1));
    assert_eq!(stats.issues().len(), 2);
}

#[test]
fn a_damaged_file_gives_what_is_before_the_damage() {
    let packets: Vec<(i64, Vec<u8>)> = (0..3).map(|i| (T + i, frame(53, &[0; 100]))).collect();
    let good = pcap(false, false, 1, &packets);
    let size = 16 + 142;
    let mut claims = good.clone();
    claims[24 + 2 * size + 8..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
    claims.resize(40 << 20, 0);
    let ng = [section(), interface(1, 6), enhanced(0, T as u64, &packets[0].1), enhanced(0, T as u64, &packets[1].1)];
    let mut contradicts = ng.concat();
    let last = contradicts.len() - 4;
    contradicts[last..].copy_from_slice(&[9, 9, 9, 9]);
    let table: &[(&str, &[u8], usize, &str)] = &[
        ("empty", b"", 0, "the file is empty"),
        ("text", b"hello, this is some text and no capture", 0, "this is no capture file"),
        ("a header alone, cut", &good[..20], 0, "this is no capture file"),
        ("cut in a packet", &good[..good.len() - 1], 2, "cut off in the middle of a packet; the 2 packets"),
        ("cut in a header", &good[..24 + size + 7], 1, "cut off in the middle of a packet; the 1 packets"),
        ("a length beyond everything", &claims, 2, "damaged at byte 340: a block claims to be larger"),
        ("pcapng, cut", &ng.concat()[..last - 20], 1, "cut off in the middle of a packet; the 1 packets"),
        ("pcapng, lengths that differ", &contradicts, 1, "damaged at byte"),
    ];
    for (name, file, packets, text) in table {
        let (all, error, _) = read(file);
        assert_eq!(all.len(), *packets, "{name}");
        let error = error.unwrap_or_else(|| panic!("{name}: no error")).to_string();
        assert!(error.contains(text), "{name}: {error}");
    }
}

#[test]
fn every_cut_and_every_flipped_byte_is_survived() {
    let pcap = pcap(false, false, 1, &[(T, frame(53, &[1; 20])), (T + 1, frame(53, &[2; 20]))]);
    let pcapng = [section(), interface(1, 6), enhanced(0, T as u64, &frame(53, &[1; 20]))].concat();
    for file in [pcap, pcapng] {
        for at in 0..file.len() {
            let (all, ..) = read(&file[..at]);
            assert!(all.len() <= 2);
            for flip in [0xff, 0x80, 0x01] {
                let mut damaged = file.clone();
                damaged[at] ^= flip;
                let (all, ..) = read(&damaged);
                assert!(all.len() <= 2);
            }
        }
    }
}

/// Fails when so many bytes were read.
struct Broken(usize);
impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(buffer.len().min(1000)).ok_or(io::ErrorKind::TimedOut)?;
        Ok(buffer.len().min(1000))
    }
}

#[test]
fn packets_larger_than_the_buffer_are_read_and_failures_told() {
    let packets = [(T, vec![0x45; 1 << 20]), (T, vec![0x60; 3 << 20]), (T, vec![0x45; 10])];
    let (all, error, _) = read(&pcap(false, false, 101, &packets));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(all.iter().map(|(_, _, data, _)| data.len()).collect::<Vec<_>>(), [1 << 20, 3 << 20, 10]);
    let file = pcap(false, false, 1, &vec![(T, frame(53, &[0; 1000])); 100]);
    let mut reader = CaptureReader::new(file.as_slice().chain(Broken(0))).expect("a capture");
    let mut packets = 0;
    let error = loop {
        match reader.next_packet() {
            Ok(Some(_)) => packets += 1,
            Ok(None) => panic!("the failure was swallowed"),
            Err(error) => break error,
        }
    };
    assert_eq!(packets, 100);
    assert!(
        matches!(&error, CaptureFileError::Read { packets: 100, source } if source.kind() == io::ErrorKind::TimedOut)
    );
}

#[test]
fn exports_are_told_from_traffic() {
    let netflow5 = [&[0, 5, 0, 1][..], &[0; 68]].concat();
    let netflow9 = [&[0, 9, 0, 1][..], &[0; 16], &[0, 0, 0, 12], &[0; 8]].concat();
    let ipfix = [&[0, 10, 0, 20][..], &[0; 16]].concat();
    let sflow = [&[0, 0, 0, 5, 0, 0, 0, 1][..], &[0; 20]].concat();
    for (payload, is) in [
        (&netflow5[..], true),
        (&netflow5[..71], false),
        (&netflow9, true),
        (&netflow9[..23], false),
        (&ipfix, true),
        (&ipfix[..19], false),
        (&sflow, true),
        (&sflow[..27], false),
        (b"", false),
        (b"\x00\x05", false),
    ] {
        assert_eq!(looks_like_export(payload), is, "{payload:?}");
    }
    let exports = [(T + 5, frame(2055, &netflow5)), (T, frame(6343, &sflow)), (T + 2, frame(53, b"answer"))];
    let survey = Survey::of(&pcap(false, false, 1, &exports)[..], &EXPORT_PORTS).expect("a capture");
    assert_eq!((survey.packets, survey.ip_packets, survey.exports), (3, 3, 2));
    assert_eq!(survey.span, Some((Micros(T), Micros(T + 5))));
    assert!(survey.is_flow_export() && survey.error.is_none());
    let elsewhere = Survey::of(&pcap(false, false, 1, &exports)[..], &[9]).expect("a capture");
    assert!(!elsewhere.is_flow_export());

    let file = pcap(false, false, 1, &exports);
    let mut reader = CaptureReader::new(&file[..]).expect("a capture");
    let packet = reader.next_packet().expect("no error").expect("a packet");
    let datagram = packet.udp_payload().expect("a datagram");
    assert_eq!((datagram.src_ip.to_string(), datagram.src_port, datagram.dst_port), ("10.0.0.1".into(), 5000, 2055));
    assert_eq!(datagram.payload, netflow5);
}
