//! Pseudonyms for personal data: what people see who may work with telemetry but not know whom it is about.
//!
//! They are keyed, so that nobody can compute them who lacks the key, and always the same under one key, so that
//! counting, grouping and following somebody still work. Addresses become addresses, of a part of IPv6 that is assigned
//! to nobody (`4000::` to `bfff:…`): they fit wherever addresses fit, and can be told from real ones. With the key they
//! can be turned back, so that a filter may name them. Names become words.
//!
//! This module must never leave a personal value as it is because it does not understand it: what is a name becomes a
//! word, whatever it looks like.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{ALL_CLASSES, EntityKind, Ip};

/// What a masked name begins with.
const WORD: &str = "masked-";
/// Separators of one run of characters that are looked behind and before for an address.
const PARTS_MAX: usize = 40;
/// What the pseudonyms of MAC addresses begin with.
const MAC_PREFIX: [u8; 2] = [0xfe, 0x4d];
/// Rounds of the permutation; four already make it as good as a random one.
const ROUNDS: u8 = 6;
const LOW_63: u64 = u64::MAX >> 1;
const LOW_125: u128 = u128::MAX >> 3;
const LOW_126: u128 = u128::MAX >> 2;

/// Members of JSON objects that name something somebody may be known by.
const NAMES: [&str; 3] = ["entity", "entity_value", "indicator_value"];
/// Members that hold `name=value` pairs.
const GROUPS: [&str; 2] = ["group", "group_key"];
/// Members with addresses of devices that belong to nobody, and with words that are not for people.
const PLAIN: [&str; 3] = ["exporter", "next_hop", "next_cursor"];

/// Masks personal values under one key.
#[derive(Clone)]
pub struct Pseudonyms {
    key: [u8; 32],
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms")
    }
}

impl Pseudonyms {
    /// Under a key that nobody else knows.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The pseudonym of an address. What is one already, and the address of nobody (`0.0.0.0`, `::`), stays.
    pub fn ip(&self, ip: Ip) -> Ip {
        let value = u128::from_be_bytes(ip.0);
        let index = match value >> 125 {
            0 | 1 => value,
            7 => (1 << 126) | (value & LOW_125),
            _ => return ip,
        };
        if is_unspecified(ip) {
            return ip;
        }
        let place = self.permute(index, (0..ROUNDS).collect::<Vec<_>>().as_slice());
        let prefix: u128 = if place >> 126 == 0 { 1 } else { 2 };
        Ip(((prefix << 126) | (place & LOW_126)).to_be_bytes())
    }

    /// The address that has this pseudonym; none if it is not one.
    pub fn reveal_ip(&self, ip: Ip) -> Option<Ip> {
        if !is_pseudonym(ip) {
            return None;
        }
        let value = u128::from_be_bytes(ip.0);
        let place = (value & LOW_126) | if value >> 126 == 1 { 0 } else { 1 << 126 };
        let index = self.permute(place, (0..ROUNDS).rev().collect::<Vec<_>>().as_slice());
        match index >> 125 {
            0 | 1 => Some(Ip(index.to_be_bytes())),
            2 => Some(Ip(((7 << 125) | (index & LOW_125)).to_be_bytes())),
            _ => None,
        }
    }

    /// The pseudonym of a MAC address: one that is administered locally. What is one already stays.
    pub fn mac(&self, mac: [u8; 6]) -> [u8; 6] {
        if mac[..2] == MAC_PREFIX {
            return mac;
        }
        let hash = self.hash(b'm', &mac);
        [MAC_PREFIX[0], MAC_PREFIX[1], hash[0], hash[1], hash[2], hash[3]]
    }

    /// The pseudonym of what an entity is called. Addresses become addresses; what has no letter in it (a port, a number)
    /// is nobody's name and stays.
    pub fn name<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if let Ok(ip) = text.parse::<Ip>() {
            return Cow::Owned(self.ip(ip).to_string());
        }
        if let Some(mac) = parse_mac(text) {
            return Cow::Owned(mac_text(self.mac(mac)));
        }
        if text.starts_with(WORD) || !text.chars().any(char::is_alphabetic) {
            return self.text(text);
        }
        Cow::Owned(self.word(text))
    }

    /// `name=value` pairs separated by commas, with masked values.
    pub fn group(&self, text: &str) -> String {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) if is_plain(name.trim()) => format!("{name}={}", self.text(value)),
            Some((name, value)) => format!("{name}={}", self.name(value)),
            None => self.text(pair).into_owned(),
        };
        text.split(", ").map(pair).collect::<Vec<_>>().join(", ")
    }

    /// Free text in which every address, MAC address and mail address is masked.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // Most texts hold nothing of the kind, and this tells it quickly.
        if !text.bytes().any(|b| matches!(b, b'.' | b':' | b'-' | b'@')) {
            return Cow::Borrowed(text);
        }
        let mut out: Option<String> = None;
        let mut copied = 0;
        for (start, end) in Runs::new(text) {
            let mut start = start;
            while let Some((from, to, masked)) = self.run(&text[start..end]) {
                let out = out.get_or_insert_with(|| String::with_capacity(text.len() * 2));
                out.push_str(&text[copied..start + from]);
                out.push_str(&masked);
                copied = start + to;
                start = copied;
            }
        }
        match out {
            None => Cow::Borrowed(text),
            Some(mut out) => {
                out.push_str(&text[copied..]);
                Cow::Owned(out)
            }
        }
    }

    /// The first address within a run of characters: where it begins and ends, and what it becomes.
    fn run(&self, run: &str) -> Option<(usize, usize, String)> {
        if let Some((_, domain)) = run.split_once('@') {
            return domain.contains('.').then(|| (0, run.len(), self.word(run)));
        }
        // An address may have a port behind it or a word before it, so that it may begin and end at any of these.
        let separators: Vec<usize> =
            run.match_indices([':', '-', '_', '+']).map(|(at, _)| at).take(PARTS_MAX).collect();
        for start in [0].into_iter().chain(separators.iter().map(|at| at + 1)) {
            let ends = separators.iter().copied().filter(|end| *end > start).rev();
            for end in [run.len()].into_iter().chain(ends) {
                let candidate = run[start..end].trim_end_matches(['.', ':', '-', '_', '+']);
                let end = start + candidate.len();
                if let Ok(ip) = candidate.parse::<Ip>() {
                    return (!is_unspecified(ip) && !is_pseudonym(ip)).then(|| (start, end, self.ip(ip).to_string()));
                }
                if let Some(mac) = parse_mac(candidate) {
                    return Some((start, end, mac_text(self.mac(mac))));
                }
            }
        }
        None
    }

    /// A JSON document with everything personal in it masked, by what its members are called and by what texts look
    /// like.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.text(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(object) => self.object(object),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn object(&self, object: &mut Map<String, Value>) {
        // {"kind": "user", "value": "ann"}: an entity or observable; the same with `entity_kind` and `entity`.
        let named = object.get("kind").and_then(Value::as_str).is_some_and(is_entity_kind);
        for (key, value) in object.iter_mut() {
            match value {
                _ if PLAIN.contains(&key.as_str()) => {}
                Value::String(text)
                    if (named && key == "value") || NAMES.contains(&key.as_str()) || is_personal(key) =>
                {
                    *text = self.name(text).into_owned();
                }
                Value::String(text) if GROUPS.contains(&key.as_str()) => *text = self.group(text),
                other => self.value(other),
            }
        }
        // Counts by address are objects whose members are called by them.
        if object.keys().any(|key| matches!(self.text(key), Cow::Owned(_))) {
            let members = std::mem::take(object);
            *object = members.into_iter().map(|(key, value)| (self.text(&key).into_owned(), value)).collect();
        }
    }

    /// What the pseudonym of an address stands for, so that a filter may name it; none for anything else: whoever sees
    /// pseudonyms has no business to ask for a real address.
    pub fn reveal(&self, text: &str) -> Option<String> {
        let text = text.trim();
        match text.parse::<Ip>() {
            Ok(ip) => self.reveal_ip(ip).map(|ip| ip.to_string()),
            Err(_) => None,
        }
    }

    fn word(&self, text: &str) -> String {
        let hash = self.hash(b'w', text.to_lowercase().as_bytes());
        let hex: String = hash[..6].iter().map(|b| format!("{b:02x}")).collect();
        format!("{WORD}{hex}")
    }

    fn hash(&self, domain: u8, bytes: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[domain]);
        hasher.update(bytes);
        *hasher.finalize().as_bytes()
    }

    /// A Feistel permutation of 127 bits, one half of 64 and one of 63; the rounds in reverse undo it.
    fn permute(&self, value: u128, rounds: &[u8]) -> u128 {
        let (mut left, mut right) = ((value >> 63) as u64, value as u64 & LOW_63);
        for &round in rounds {
            let from = if round % 2 == 0 { left } else { right };
            let mut input = [round; 9];
            input[1..].copy_from_slice(&from.to_le_bytes());
            let hash = self.hash(b'i', &input);
            let mut word = [0; 8];
            word.copy_from_slice(&hash[..8]);
            let word = u64::from_le_bytes(word);
            if round % 2 == 0 {
                right ^= word & LOW_63;
            } else {
                left ^= word;
            }
        }
        (u128::from(left) << 63) | u128::from(right)
    }
}

/// Whether an address is of the part of IPv6 that pseudonyms are from.
pub fn is_pseudonym(ip: Ip) -> bool {
    matches!(ip.0[0] >> 6, 1 | 2)
}

fn is_unspecified(ip: Ip) -> bool {
    ip == Ip::default() || ip == Ip::v4([0; 4])
}

fn is_entity_kind(kind: &str) -> bool {
    let kinds = [EntityKind::Ip, EntityKind::Host, EntityKind::User, EntityKind::Domain, EntityKind::Other];
    kinds.iter().any(|k| k.as_str() == kind) || matches!(kind, "email" | "mac" | "account" | "hostname")
}

/// Whether a member is called like a personal column.
fn is_personal(name: &str) -> bool {
    // Findings' longer texts are masked word by word.
    let text = ["summary", "measures", "group_key"];
    ALL_CLASSES.iter().flat_map(|class| class.fields).any(|f| f.personal && f.name == name && !text.contains(&name))
}

/// Whether a column is declared and not personal.
fn is_plain(name: &str) -> bool {
    let mut declared = ALL_CLASSES.iter().flat_map(|class| class.fields).filter(|f| f.name == name).peekable();
    declared.peek().is_some() && declared.all(|f| !f.personal)
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next().filter(|p| p.len() == 2)?, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

/// The runs of characters that addresses are made of, and mail addresses.
struct Runs<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Runs<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
}

impl Iterator for Runs<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let belongs = |c: char| c.is_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '@' | '+');
        let start = self.at + self.text[self.at..].find(belongs)?;
        let length = self.text[start..].find(|c| !belongs(c)).unwrap_or(self.text.len() - start);
        self.at = start + length;
        Some((start, self.at))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masks() -> Pseudonyms {
        Pseudonyms::new([7; 32])
    }

    #[test]
    fn addresses_become_others_and_back() {
        let masks = masks();
        for text in ["10.0.0.1", "203.0.113.9", "2001:db8::1", "fe80::1", "ff02::1", "::1", "3fff:ffff::1"] {
            let ip: Ip = text.parse().unwrap();
            let masked = masks.ip(ip);
            assert!(is_pseudonym(masked) && !is_pseudonym(ip), "{text}: {masked}");
            assert_eq!(masks.reveal_ip(masked), Some(ip), "{text}");
            assert_eq!(masks.ip(masked), masked, "masking twice changes nothing");
            assert_ne!(Pseudonyms::new([8; 32]).ip(ip), masked, "another key, another pseudonym");
        }
        // Neighbours have nothing in common.
        let near = masks.ip(Ip::v4([10, 0, 0, 1])).0[0..4] == masks.ip(Ip::v4([10, 0, 0, 2])).0[0..4];
        assert!(!near);
        assert_eq!(masks.ip(Ip::v4([0; 4])), Ip::v4([0; 4]));
        assert_eq!(masks.reveal("10.0.0.1"), None, "a real address is no pseudonym");
    }

    #[test]
    fn texts_lose_addresses_and_keep_the_rest() {
        let masks = masks();
        let ip = masks.ip(Ip::v4([10, 0, 0, 5])).to_string();
        let v6 = masks.name("2001:db8::7").into_owned();
        for (text, expected) in [
            ("SSH from 10.0.0.5.", format!("SSH from {ip}.")),
            ("10.0.0.5:22, 10.0.0.5", format!("{ip}:22, {ip}")),
            ("network 10.0.0.5/24", format!("network {ip}/24")),
            ("from:10.0.0.5-10.0.0.5", format!("from:{ip}-{ip}")),
            ("[2001:db8::7]", format!("[{v6}]")),
            (
                "at 2026-11-22T10:20:30.5Z, t1046, std::vec, 12:30",
                "at 2026-11-22T10:20:30.5Z, t1046, std::vec, 12:30".into(),
            ),
            ("0192f0c1-1c1a-7aaa-8bbb-0123456789ab", "0192f0c1-1c1a-7aaa-8bbb-0123456789ab".into()),
            ("ann@example.org wrote", format!("{} wrote", masks.word("ann@example.org"))),
            ("by 00:1a:2b:3c:4d:5e", format!("by {}", mac_text(masks.mac([0, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e])))),
            (ip.as_str(), ip.clone()),
        ] {
            assert_eq!(masks.text(text), expected, "{text}");
        }
    }

    #[test]
    fn documents_lose_names_by_what_they_are_called() {
        let masks = masks();
        let ip = masks.name("10.0.0.5").into_owned();
        let mut value = json!({
            "entity": "ann", "entity_kind": "user", "group": "src_ip=10.0.0.5, dst_port=22", "exporter": "10.9.9.9",
            "title": "Port scan", "observable": {"kind": "user", "value": "ann"}, "count": 3,
            "evidence": [{"event": {"src_ip": "10.0.0.5", "src_country": "NZ"}}], "by": {"10.0.0.5": 4},
        });
        masks.value(&mut value);
        let ann = masks.word("ann");
        assert_eq!(
            value,
            json!({
                "entity": ann, "entity_kind": "user", "group": format!("src_ip={ip}, dst_port=22"),
                "exporter": "10.9.9.9", "title": "Port scan", "observable": {"kind": "user", "value": ann}, "count": 3,
                "evidence": [{"event": {"src_ip": ip, "src_country": "NZ"}}], "by": {ip: 4},
            })
        );
    }
}
