//! Decoding in steady state does not allocate: neither per record nor per datagram.

use super::{Rig, SECS};
use crate::encode::{Message, header_v5, iana, record_v5};
use crate::record;

#[test]
fn no_allocation_per_datagram() {
    let fields = [iana(8, 4), iana(12, 4), iana(7, 2), iana(4, 1), iana(1, 3), iana(302, 1), iana(999, 2)];
    let mut varying = fields.to_vec();
    varying.push(iana(82, 65_535));
    let fixed = |i: u32| record![i, i + 1, 80u16, 1u8, 0u16, 1u8, 1u8, 7u16];
    let records = |tail: &[u8]| (0..20).map(|i| [&fixed(i)[..], tail].concat()).collect::<Vec<_>>();
    let mut v5 = header_v5(5, 30, 1000, SECS, 0, 0);
    (0..30).for_each(|i| v5.extend(record_v5(i, 10, 20, 6)));
    let datagrams = [
        v5,
        Message::v9(1000, SECS, 0, 1).template(256, &fields).data(256, &records(&[])).build(),
        Message::ipfix(SECS, 0, 1).template(256, &varying).data(256, &records(&[2, 0, 0])).build(),
    ];
    for datagram in datagrams {
        let mut rig = Rig::new();
        // Columns grow to the size of a batch; the next batch is allocated at once, at the first touch.
        for _ in 0..2 {
            (0..300).for_each(|_| assert!(rig.send(datagram.clone()).flows > 0));
            rig.rows();
        }
        rig.send(datagram.clone());
        let copies: Vec<_> = (0..100).map(|_| datagram.clone()).collect();
        let (decoder, out, now) = (&mut rig.decoder, &mut rig.out, rig.now);
        let peer = guardian_flow::Peer { ip: guardian_model::Ip::v4([192, 0, 2, 1]), port: 2055 };
        let info = allocation_counter::measure(|| {
            for copy in &copies {
                decoder.decode(peer, now, copy, out);
            }
        });
        assert!(out.len() >= 2000);
        assert_eq!(info.count_total, 0, "allocations for {} datagrams of {} bytes", copies.len(), datagram.len());
    }
}
