//! Writes small MaxMind DB files (format 2.0), so that tests need no third-party database. Made for correctness, not
//! for size: data is written once per network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

/// Bytes between the search tree and the data.
const SEPARATOR: [u8; 16] = [0; 16];

/// What stands before the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

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
        let metadata = json!({
            "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_760_000_000,
            "database_type": self.database_type, "description": {"en": "test data"}, "ip_version": 6,
            "languages": ["en"], "node_count": count, "record_size": 32,
        });
        write_value(&mut file, &metadata);
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
            items.iter().for_each(|item| write_value(out, item));
        }
        Value::Bool(flag) => control(out, 14, usize::from(*flag)),
        Value::Number(number) => {
            if let Some(n) = number.as_u64() {
                // Unsigned integers drop their leading zero bytes; 6 is 32 bits wide, 9 is 64.
                let bytes: Vec<u8> = n.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
                control(out, if bytes.len() <= 4 { 6 } else { 9 }, bytes.len());
                out.extend_from_slice(&bytes);
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
