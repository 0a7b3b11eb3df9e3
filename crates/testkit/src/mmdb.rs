//! Writes small MaxMind DB files (format 2.0), so that tests need no third-party database. Made for correctness, not
//! for size: data is written once per network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

/// Bytes between the search tree and the data.
const SEPARATOR: [u8; 16] = [0; 16];

/// What stands before the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// Numbers of the unsigned types (MaxMind DB format, section "Output Data Section").
const U16: u8 = 5;
const U32: u8 = 6;
const U64: u8 = 9;

/// A database in the making, for both address families.
#[derive(Debug, Default)]
pub struct Mmdb {
    database_type: String,
    /// By prefix length out of 128 and first address, so that outer networks are written before inner ones.
    records: BTreeMap<(u8, u128), Value>,
}

#[derive(Clone, Copy)]
enum Link {
    Empty,
    Node(usize),
    Data(usize),
}

impl Mmdb {
    /// An empty database of this type, such as `GeoLite2-City`.
    pub fn new(database_type: &str) -> Self {
        Self { database_type: database_type.to_owned(), records: BTreeMap::new() }
    }

    /// Adds a network such as `192.0.2.0/24` with its record, a JSON object. Inner networks override outer ones.
    ///
    /// # Panics
    /// If the network cannot be read: the fault is in the test.
    #[must_use]
    pub fn with(mut self, network: &str, record: Value) -> Self {
        let (ip, length) = network.split_once('/').unwrap_or((network, "128"));
        let (ip, length) = match (ip.parse(), length.parse::<u8>()) {
            (Ok(IpAddr::V4(ip)), Ok(length)) => (u128::from(ip.to_bits()), length.min(32) + 96),
            (Ok(IpAddr::V6(ip)), Ok(length)) => (ip.to_bits(), length),
            _ => panic!("{network} is not a network"),
        };
        self.records.insert((length, ip), record);
        self
    }

    /// The file's bytes.
    pub fn finish(self) -> Vec<u8> {
        let mut nodes = vec![[Link::Empty; 2]];
        let mut data = Vec::new();
        for ((length, first), record) in &self.records {
            let offset = data.len();
            write_value(&mut data, record);
            insert(&mut nodes, *first, *length, offset);
        }
        let count = nodes.len();
        let mut file = Vec::new();
        for link in nodes.iter().flatten() {
            let value = match link {
                Link::Empty => count,
                Link::Node(node) => *node,
                Link::Data(offset) => count + SEPARATOR.len() + offset,
            };
            file.extend_from_slice(&(value as u32).to_be_bytes());
        }
        file.extend_from_slice(&SEPARATOR);
        file.extend_from_slice(&data);
        file.extend_from_slice(MARKER);
        write_metadata(&mut file, &self.database_type, count);
        file
    }
}

fn insert(nodes: &mut Vec<[Link; 2]>, first: u128, length: u8, offset: usize) {
    let mut node = 0;
    for depth in 0..length {
        let bit = (first >> (127 - depth) & 1) as usize;
        if depth + 1 == length {
            nodes[node][bit] = Link::Data(offset);
            return;
        }
        node = match nodes[node][bit] {
            Link::Node(next) => next,
            // What covered the whole keeps covering both halves.
            covering => {
                nodes.push([covering; 2]);
                let next = nodes.len() - 1;
                nodes[node][bit] = Link::Node(next);
                next
            }
        };
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => {
            control(out, 2, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        Value::Object(entries) => write_map(out, entries),
        Value::Array(items) => {
            control(out, 11, items.len());
            for item in items {
                write_value(out, item);
            }
        }
        Value::Bool(flag) => control(out, 14, usize::from(*flag)),
        Value::Number(number) => {
            if let Some(n) = number.as_u64() {
                write_unsigned(out, if u32::try_from(n).is_ok() { U32 } else { U64 }, n);
            } else {
                control(out, 3, 8);
                out.extend_from_slice(&number.as_f64().unwrap_or_default().to_be_bytes());
            }
        }
        Value::Null => write_map(out, &Map::new()),
    }
}

fn write_map(out: &mut Vec<u8>, entries: &Map<String, Value>) {
    control(out, 7, entries.len());
    for (key, value) in entries {
        control(out, 2, key.len());
        out.extend_from_slice(key.as_bytes());
        write_value(out, value);
    }
}

/// Unsigned integers drop their leading zero bytes.
fn write_unsigned(out: &mut Vec<u8>, kind: u8, n: u64) {
    let bytes: Vec<u8> = n.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
    control(out, kind, bytes.len());
    out.extend_from_slice(&bytes);
}

/// The metadata, whose integers must have the widths that the format says.
fn write_metadata(out: &mut Vec<u8>, database_type: &str, node_count: usize) {
    let numbers = [
        ("binary_format_major_version", U16, 2),
        ("binary_format_minor_version", U16, 0),
        ("build_epoch", U64, 1_760_000_000),
        ("ip_version", U16, 6),
        ("node_count", U32, node_count as u64),
        ("record_size", U16, 32),
    ];
    let others = [
        ("database_type", json!(database_type)),
        ("description", json!({"en": "test data"})),
        ("languages", json!(["en"])),
    ];
    control(out, 7, numbers.len() + others.len());
    for (key, kind, number) in numbers {
        write_value(out, &json!(key));
        write_unsigned(out, kind, number);
    }
    for (key, value) in others {
        write_value(out, &json!(key));
        write_value(out, &value);
    }
}

/// Type and size (MaxMind DB format, section "Data field format").
fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let (short, more): (usize, &[u8]) = match size {
        0..29 => (size, &[]),
        29..285 => (29, &[(size - 29) as u8]),
        _ => (30, &((size - 285) as u16).to_be_bytes()),
    };
    if kind < 8 {
        out.push(kind << 5 | short as u8);
    } else {
        out.extend_from_slice(&[short as u8, kind - 7]);
    }
    out.extend_from_slice(more);
}
