use std::path::Path;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, StringArray, UInt32Array, new_null_array,
};
use arrow::datatypes::{Int32Type, UInt32Type};
use guardian_kit::metrics::Metrics;
use guardian_model::{FLOW, FlowField, Ip, Severity};
use guardian_testkit::mmdb::Mmdb;
use serde_json::json;

use super::*;

/// A row: source, destination, AS numbers as exported.
type Row<'a> = (&'a str, &'a str, Option<u32>, Option<u32>);

fn batch(rows: &[Row<'_>]) -> RecordBatch {
    let ips = |end: fn(&Row<'_>) -> String| {
        let ips: Vec<[u8; 16]> = rows.iter().map(|row| end(row).parse::<Ip>().unwrap().0).collect();
        std::sync::Arc::new(FixedSizeBinaryArray::try_from_iter(ips.into_iter()).unwrap()) as ArrayRef
    };
    let schema = FLOW.schema();
    let columns = FlowField::ALL.iter().map(|field| match field {
        FlowField::SrcIp => ips(|row| row.0.to_owned()),
        FlowField::DstIp => ips(|row| row.1.to_owned()),
        FlowField::SrcAs => std::sync::Arc::new(UInt32Array::from_iter(rows.iter().map(|row| row.2))),
        FlowField::DstAs => std::sync::Arc::new(UInt32Array::from_iter(rows.iter().map(|row| row.3))),
        other => {
            let field = schema.field(other.index());
            if field.is_nullable() {
                new_null_array(field.data_type(), rows.len())
            } else {
                filled(field.data_type(), rows.len())
            }
        }
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

/// A column of zeros or empty texts, for what the tests do not look at.
fn filled(data_type: &arrow::datatypes::DataType, rows: usize) -> ArrayRef {
    let zeros = std::sync::Arc::new(arrow::array::Int64Array::from(vec![0; rows])) as ArrayRef;
    match data_type {
        arrow::datatypes::DataType::Dictionary(..) => {
            let labels: arrow::array::DictionaryArray<Int32Type> = vec!["x"; rows].into_iter().collect();
            std::sync::Arc::new(labels)
        }
        arrow::datatypes::DataType::FixedSizeBinary(16) => {
            std::sync::Arc::new(FixedSizeBinaryArray::try_from_iter(vec![[0u8; 16]; rows].into_iter()).unwrap())
        }
        other => arrow::compute::cast(&zeros, other).unwrap(),
    }
}

fn texts(batch: &RecordBatch, field: FlowField) -> Vec<Option<String>> {
    let column = batch.column(field.index()).as_dictionary::<Int32Type>();
    let column = column.downcast_dict::<StringArray>().unwrap();
    column.into_iter().map(|text| text.map(str::to_owned)).collect()
}

fn numbers(batch: &RecordBatch, field: FlowField) -> Vec<Option<u32>> {
    batch.column(field.index()).as_primitive::<UInt32Type>().iter().collect()
}

fn list(name: &str, path: &Path, severity: Severity) -> IndicatorList {
    let (name, path) = (name.to_owned(), path.to_owned());
    IndicatorList { name, path, format: ListFormat::Plain, column: "1".to_owned(), severity }
}

fn some(texts: &[Option<&str>]) -> Vec<Option<String>> {
    texts.iter().map(|text| text.map(str::to_owned)).collect()
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap();
    // Reloads go by modification time and size; make the time differ whatever the file system's resolution.
    let file = std::fs::File::open(path).unwrap();
    let before = file.metadata().unwrap().modified().unwrap();
    file.set_modified(before - std::time::Duration::from_secs(u64::from(rand_second()))).unwrap();
}

/// A different number at each call.
fn rand_second() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn every_makers_layout_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    let layouts = [
        (
            "GeoLite2-City",
            json!({"country": {"iso_code": "NZ", "names": {"en": "New Zealand"}}, "city": {"names": {"de": "x", "en": "Napier"}},
                   "location": {"latitude": -39.5}}),
            ("NZ", "Napier", 0, ""),
        ),
        (
            "GeoLite2-ASN",
            json!({"autonomous_system_number": 64500, "autonomous_system_organization": "Example Net"}),
            ("", "", 64500, "Example Net"),
        ),
        ("ip-location-db country", json!({"country_code": "DE"}), ("DE", "", 0, "")),
        (
            "ip-location-db city",
            json!({"city": "Jena", "country_code": "DE", "latitude": 50.9, "timezone": null}),
            ("DE", "Jena", 0, ""),
        ),
        (
            "ipinfo standard",
            json!({"country": "US", "country_name": "United States", "asn": "AS64501", "as_name": "Example LLC"}),
            ("US", "", 64501, "Example LLC"),
        ),
        (
            "ipinfo asn",
            json!({"asn": "AS64502", "name": "Other LLC", "domain": "x.example"}),
            ("", "", 64502, "Other LLC"),
        ),
        (
            "GeoIP2-Enterprise",
            json!({"registered_country": {"iso_code": "FR"},
                   "traits": {"autonomous_system_number": 64503, "autonomous_system_organization": "SA", "is_anycast": true}}),
            ("FR", "", 64503, "SA"),
        ),
    ];
    for (kind, record, (country, city, asn, org)) in layouts {
        let path = dir.path().join("x.mmdb");
        let file = Mmdb::new(kind).with("192.0.0.0/8", record.clone()).with("2a00:db8::/32", record).finish();
        std::fs::write(&path, file).unwrap();
        let config = IntelConfig { geo: vec![path], ..IntelConfig::default() };
        let (intel, notices) = Intel::open(&config, &Metrics::new()).unwrap();
        assert!(notices.iter().all(|n| !n.warning), "{kind}: {notices:?}");
        let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let expected =
            Place { country: set(country), city: set(city), asn: (asn != 0).then_some(asn), as_org: set(org) };
        for ip in ["192.1.2.3", "2a00:db8::1"] {
            assert_eq!(intel.place(ip.parse().unwrap()), expected, "{kind} {ip}");
        }
        for ip in ["193.0.0.1", "192.168.0.1", "2a01::1", "::1"] {
            assert_eq!(intel.place(ip.parse().unwrap()), Place::default(), "{kind} {ip}");
        }
        let info = &intel.status().databases[0];
        // The name of a type promises cities that the sample may lack.
        let cities = !city.is_empty() || kind.contains("Enterprise");
        assert_eq!((info.countries, info.cities, info.systems), (!country.is_empty(), cities, asn != 0), "{kind}");
    }
}

fn world(dir: &Path) -> IntelConfig {
    let city = Mmdb::new("GeoLite2-City")
        .with("8.0.0.0/8", json!({"country": {"iso_code": "US"}}))
        .with("8.8.8.0/24", json!({"country": {"iso_code": "US"}, "city": {"names": {"en": "Mountain View"}}}))
        .with("2a00::/16", json!({"country": {"iso_code": "DE"}}));
    let asn = Mmdb::new("GeoLite2-ASN")
        .with("8.8.0.0/16", json!({"autonomous_system_number": 15169, "autonomous_system_organization": "Google"}));
    std::fs::write(dir.join("city.mmdb"), city.finish()).unwrap();
    std::fs::write(dir.join("asn.mmdb"), asn.finish()).unwrap();
    write(&dir.join("bad.txt"), "203.0.113.5\n198.51.100.0/24\n");
    write(&dir.join("worse.txt"), "198.51.100.66\n");
    IntelConfig {
        geo: vec![dir.to_owned()],
        indicators: vec![
            list("bad", &dir.join("bad.txt"), Severity::Medium),
            list("worse", &dir.join("worse.txt"), Severity::Critical),
        ],
        ..IntelConfig::default()
    }
}

#[test]
fn batches_are_filled() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let (mut enricher, notices) = Enricher::open(&world(dir.path()), &metrics).unwrap();
    assert_eq!(notices, []);
    let rows = [
        ("10.0.0.1", "8.8.8.8", None, None),
        ("8.8.4.4", "192.168.1.1", Some(0), None),
        ("10.0.0.1", "10.0.0.2", None, Some(65000)),
        ("8.1.1.1", "203.0.113.5", None, Some(0)),
        ("10.0.0.1", "224.0.0.251", None, None),
        ("2a00::1", "198.51.100.66", Some(64499), None),
        ("203.0.113.5", "198.51.100.66", None, None),
        ("8.8.8.8", "8.8.8.8", Some(15169), Some(3)),
    ];
    // Twice, because the second time everything comes from the cache; and as a slice, whose offsets are not zero.
    for input in [batch(&rows), batch(&rows), batch(&[&rows[3..6], &rows[..]].concat()).slice(3, rows.len())] {
        let out = enricher.enrich(&input);
        assert_eq!(out.schema(), FLOW.schema());
        let us = Some("US");
        assert_eq!(texts(&out, FlowField::SrcCountry), some(&[None, us, None, us, None, Some("DE"), None, us]));
        assert_eq!(texts(&out, FlowField::DstCountry), some(&[us, None, None, None, None, None, None, us]));
        let city = Some("Mountain View");
        assert_eq!(texts(&out, FlowField::DstCity), some(&[city, None, None, None, None, None, None, city]));
        let google = Some("Google");
        assert_eq!(
            numbers(&out, FlowField::SrcAs),
            [None, Some(15169), None, None, None, Some(64499), None, Some(15169)]
        );
        assert_eq!(texts(&out, FlowField::SrcAsOrg), some(&[None, google, None, None, None, None, None, google]));
        assert_eq!(
            numbers(&out, FlowField::DstAs),
            [Some(15169), None, Some(65000), Some(0), None, None, None, Some(3)]
        );
        // The exporter says AS 3, so the organisation of AS 15169 is not put beside it.
        assert_eq!(texts(&out, FlowField::DstAsOrg), some(&[google, None, None, None, None, None, None, None]));
        let directions =
            ["outbound", "inbound", "internal", "external", "internal", "external", "external", "external"].map(Some);
        assert_eq!(texts(&out, FlowField::Direction), some(&directions));
        let names = [None, None, None, Some("bad"), None, Some("worse"), Some("worse"), None];
        assert_eq!(texts(&out, FlowField::Indicator), some(&names));
        let ips = out.column(FlowField::IndicatorIp.index()).as_fixed_size_binary();
        let ip = |row| ips.is_valid(row).then(|| Ip(ips.value(row).try_into().unwrap()).to_string());
        assert_eq!((0..8).filter_map(ip).collect::<Vec<_>>(), ["203.0.113.5", "198.51.100.66", "198.51.100.66"]);
    }
    let counted = metrics.snapshot();
    assert_eq!(counted["guardian_intel_flows_total"] as u64, 24);
    assert_eq!(counted["guardian_intel_indicator_hits_total"] as u64, 9);
    assert!(counted["guardian_intel_lookups_total"] <= 24.0, "{counted:?}");
}

#[test]
fn nothing_configured_leaves_columns_empty_and_says_so() {
    let config = IntelConfig { home_networks: Vec::new(), ..IntelConfig::default() };
    let (mut enricher, notices) = Enricher::open(&config, &Metrics::new()).unwrap();
    assert!(notices.iter().all(|n| !n.warning) && notices.len() == 2, "{notices:?}");
    assert!(notices[0].text.contains("country") && notices[0].remedy.contains("enrich.geo"));
    let input = batch(&[("10.0.0.1", "8.8.8.8", None, None)]);
    assert_eq!(enricher.enrich(&input), input);
    let empty = input.slice(0, 0);
    assert_eq!(enricher.enrich(&empty), empty);
    let foreign = input.project(&[0, 1]).unwrap();
    assert_eq!(enricher.enrich(&foreign), foreign);
}

#[test]
fn faults_in_files_are_told_and_the_rest_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = world(dir.path());
    write(&dir.path().join("bad.txt"), "203.0.113.5\nevil.example\n");
    std::fs::write(dir.path().join("broken.mmdb"), b"not a database").unwrap();
    config.geo.push("/no/such.mmdb".into());
    config.indicators.push(list("gone", &dir.path().join("gone.txt"), Severity::Low));
    let (intel, notices) = Intel::open(&config, &Metrics::new()).unwrap();
    let told: Vec<&str> = notices.iter().map(|n| &*n.text).collect();
    for part in ["broken.mmdb: not an MMDB", "/no/such.mmdb", "line 2: \"evil.example\"", "`gone`: cannot read"] {
        assert!(told.iter().any(|text| text.contains(part)), "{part} not in {told:#?}");
    }
    assert_eq!(intel.place("8.8.8.8".parse().unwrap()).asn, Some(15169));
    assert_eq!(intel.indicator("203.0.113.5".parse().unwrap()).as_deref(), Some("bad"));
    // What stays broken is not told again at each look.
    assert_eq!(intel.reload_if_changed(), Reload::default());

    let twice = IntelConfig {
        indicators: vec![list("a", Path::new("x"), Severity::Low), list("a", Path::new("y"), Severity::Low)],
        ..IntelConfig::default()
    };
    assert_eq!(Intel::open(&twice, &Metrics::new()).unwrap_err(), IntelError::DuplicateList("a".to_owned()));
}

#[test]
fn changed_files_take_effect_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = world(dir.path());
    let (mut enricher, _) = Enricher::open(&config, &Metrics::new()).unwrap();
    let input = batch(&[("10.0.0.1", "9.9.9.9", None, None)]);
    let seen = |enricher: &mut Enricher| {
        let out = enricher.enrich(&input);
        (texts(&out, FlowField::DstCountry).remove(0), texts(&out, FlowField::Indicator).remove(0))
    };
    assert_eq!(seen(&mut enricher), (None, None));
    let intel = enricher.intel().clone();
    assert_eq!(intel.reload_if_changed(), Reload::default());

    write(&dir.path().join("bad.txt"), "9.9.9.0/24\n");
    let more = Mmdb::new("Country").with("9.0.0.0/8", json!({"country_code": "CH"})).finish();
    write(&dir.path().join("more.mmdb"), more);
    assert!(intel.reload_if_changed().changed);
    assert_eq!(seen(&mut enricher), (Some("CH".to_owned()), Some("bad".to_owned())));

    // A list that became unreadable keeps what it had; one that is gone from the directory takes its answers along.
    std::fs::remove_file(dir.path().join("bad.txt")).unwrap();
    std::fs::remove_file(dir.path().join("more.mmdb")).unwrap();
    let reload = intel.reload_if_changed();
    assert!(reload.changed && reload.notices.len() == 1, "{reload:?}");
    assert_eq!(seen(&mut enricher), (None, Some("bad".to_owned())));
    write(&dir.path().join("bad.txt"), "1.1.1.1\n");
    assert!(intel.reload_if_changed().changed);
    assert_eq!(seen(&mut enricher.clone()), (None, None));
    assert_eq!(intel.status().lists[1].error, None);
}
