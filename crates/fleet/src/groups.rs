//! Groups by expression: a host's facts as one thing that the filter language asks.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryBuilder, StringArray, TimestampMicrosecondArray, types::Int32Type,
};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use guardian_catalog::Host;
use guardian_expr::{Expr, ExprError, RecordFilter};
use guardian_model::{Class, Field, Ip, Kind, Micros};

const fn field(id: u16, name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { id, name, kind, nullable: true, unit: "", ocsf: "", sigma: &[], personal: false, doc }
}

static FIELDS: &[Field] = &[
    field(1, "name", Kind::Text, "Its name."),
    field(2, "status", Kind::Label, "online, offline, never or revoked."),
    field(3, "platform", Kind::Label, "linux, windows or other."),
    field(4, "os", Kind::Text, "Distribution and release."),
    field(5, "kernel", Kind::Text, "Kernel release."),
    field(6, "architecture", Kind::Label, "Processor architecture."),
    field(7, "agent_version", Kind::Label, "Version of the agent's program."),
    field(8, "address", Kind::Ip, "Where it last connected from."),
    field(9, "tag", Kind::Text, "Its tags: a test passes if one of them does."),
    field(10, "group", Kind::Text, "Groups that somebody put it in: a test passes if one of them does."),
    field(11, "enrolled", Kind::Time, "When it came in."),
    field(12, "last_seen", Kind::Time, "When it was last heard."),
];

static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();

/// What an expression of a group may ask of a host. It is no telemetry: nothing of it is stored as such.
pub static HOST_FACTS: Class = Class {
    name: "hosts",
    uid: 0,
    ocsf_class_uid: 0,
    doc: "What is known of a host, for groups by expression.",
    fields: FIELDS,
    cached: &SCHEMA,
};

/// Reads the expression of a group. The error says what is wrong, and where.
pub fn group_filter(text: &str, now: Micros) -> Result<RecordFilter, ExprError> {
    Expr::parse(text)?.check_records(&HOST_FACTS, now)
}

/// A host as an expression sees it.
pub fn host_facts(host: &Host, now: Micros) -> Option<RecordBatch> {
    let rows = host.tags.len().max(host.groups.len()).max(1);
    let one = |text: &str| -> Vec<Option<String>> { vec![Some(text.to_owned()).filter(|text| !text.is_empty()); rows] };
    let many = |texts: &[String]| -> Vec<Option<String>> {
        (0..rows).map(|i| texts.get(i).or(texts.last()).cloned()).collect()
    };
    let texts = |values: Vec<Option<String>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let labels = |values: Vec<Option<String>>| -> ArrayRef {
        Arc::new(values.iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>())
    };
    let times = |time: Option<Micros>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![time.map(|t| t.0); rows]).with_timezone("+00:00"))
    };
    let address: Option<Ip> = host.address.as_deref().and_then(|a| a.parse::<IpAddr>().ok()).map(Ip::from);
    let mut addresses = FixedSizeBinaryBuilder::with_capacity(rows, 16);
    for _ in 0..rows {
        match address {
            Some(ip) => addresses.append_value(ip.0).ok()?,
            None => addresses.append_null(),
        }
    }
    let columns: Vec<ArrayRef> = vec![
        texts(one(&host.name)),
        labels(one(host.status(now).as_str())),
        labels(one(&host.platform)),
        texts(one(&host.system)),
        texts(one(&host.kernel)),
        labels(one(&host.architecture)),
        labels(one(&host.program)),
        Arc::new(addresses.finish()),
        texts(many(&host.tags)),
        texts(many(&host.groups)),
        times(Some(host.enrolled)),
        times(host.last_seen),
    ];
    RecordBatch::try_new(HOST_FACTS.schema(), columns).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use guardian_catalog::HostHealth;
    use guardian_model::TenantId;
    use uuid::Uuid;

    use super::*;

    pub(crate) fn host(tags: &[&str], groups: &[&str]) -> Host {
        let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect();
        Host {
            id: Uuid::nil(),
            tenant: TenantId::DEFAULT,
            token: None,
            name: "web-1".into(),
            platform: "linux".into(),
            system: "Debian GNU/Linux 12".into(),
            kernel: "6.1.0".into(),
            architecture: "x86_64".into(),
            program: "0.1.0".into(),
            address: Some("10.1.2.3".into()),
            tags: texts(tags),
            groups: texts(groups),
            matched: Vec::new(),
            policy_version: 0,
            policy_hash: String::new(),
            offline_told: None,
            agent: guardian_catalog::HostAgent::Guardian,
            node_key: None,
            serial: String::new(),
            previous_serial: None,
            not_after: Micros(0),
            enrolled: Micros(1_000_000),
            revoked: None,
            last_seen: Some(Micros(2_000_000)),
            online_until: Micros(9_000_000),
            health: HostHealth::default(),
            version: 1,
            updated: Micros(0),
        }
    }

    #[test]
    fn expressions_ask_for_one_of_several() {
        let now = Micros(3_000_000);
        let tagged = host_facts(&host(&["prod", "web"], &["shop"]), now).unwrap();
        let bare = host_facts(&host(&[], &[]), now).unwrap();
        for (text, expected) in [
            ("tag = web", (true, false)),
            ("tag != web", (false, true)),
            ("tag in (db, prod) and not tag = db", (true, false)),
            ("tag like we*", (true, false)),
            ("tag is null", (false, true)),
            ("group = shop", (true, false)),
            ("address in 10.0.0.0/8 and status = online", (true, true)),
            ("os like *debian* and name = WEB-1", (true, true)),
            ("enrolled < 2026-01-01", (true, true)),
            ("", (true, true)),
        ] {
            let filter = group_filter(text, now).unwrap();
            assert_eq!((filter.passes(&tagged), filter.passes(&bare)), expected, "{text}");
        }
        let wrong = group_filter("tags = web", now).unwrap_err().to_string();
        assert!(wrong.contains("hosts have no field `tags`"), "{wrong}");
    }
}
