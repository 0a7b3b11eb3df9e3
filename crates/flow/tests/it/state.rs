//! What survives a restart.

use guardian_flow::TemplateStore;
use serde_json::json;

use super::{Rig, SECS, cells};
use crate::encode::{Message, iana};
use crate::record;

#[test]
fn templates_and_samplers_survive_a_restart() {
    let mut rig = Rig::new();
    let fields = [iana(12, 4), iana(22, 4), iana(82, 65_535), iana(302, 1)];
    let ipfix = Message::ipfix(SECS, 0, 3).template(256, &fields);
    let options = ipfix.options(257, &[iana(302, 1)], &[iana(305, 1), iana(306, 1), iana(160, 8)]);
    let start = u64::from(SECS) * 1000 - 60_000;
    rig.send_from(1, 777, options.data(257, &[record![4u8, 1u8, 9u8, start]]).build());
    rig.send_from(2, 778, Message::v9(1000, SECS, 0, 3).options(300, &[iana(1, 4)], &[iana(34, 1)]).build());
    let revision = rig.decoder.templates_revision();

    let text = serde_json::to_string(&rig.decoder.export_templates()).unwrap();
    let store: TemplateStore = serde_json::from_str(&text).unwrap();
    let (mut restored, taken) = Rig::restored(&store);
    assert_eq!(taken, 3);
    assert_eq!(restored.decoder.export_templates(), store);
    assert!(restored.decoder.state_bytes() > 0);

    let data = || Message::ipfix(SECS, 1, 3).data(256, &[record![1u32, 59_000u32, 0u8, 4u8]]).build();
    for rig in [&mut rig, &mut restored] {
        assert_eq!(rig.send_from(1, 777, data()).flows, 1);
        assert_eq!(cells(&rig.rows()[0], &["start", "sampling_rate"]), json!(["2025-12-31T23:59:59Z", 10]));
        assert_eq!(rig.send_from(1, 778, data()).held_sets, 1, "another session");
    }
    assert_eq!(rig.decoder.templates_revision(), revision, "data changes nothing that is kept");
}

#[test]
fn a_store_beyond_the_limits_is_taken_in_part() {
    let mut rig = Rig::new();
    for host in 0..20 {
        rig.send_from(host, 1, Message::v9(1000, SECS, 0, 3).template(256, &[iana(12, 4)]).build());
    }
    let store = rig.decoder.export_templates();
    let limits = guardian_flow::Limits { exporters_max: 5, ..guardian_flow::Limits::default() };
    let mut small = Rig::with(limits);
    small.decoder.import_templates(&store);
    assert_eq!(small.decoder.exporters().count(), 5);
}
