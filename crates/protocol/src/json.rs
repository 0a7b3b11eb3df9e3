//! How bytes stand in JSON: identifiers, hashes and keys in hexadecimal digits, what is longer in base64.

/// An identifier as 32 hexadecimal digits; hyphens, as in a UUID, are passed over.
pub(crate) mod hex_id {
    pub(crate) use super::fixed::{deserialize, serialize};
}

/// A key as 64 hexadecimal digits; empty for none, which is zeros.
pub(crate) mod hex_key {
    pub(crate) use super::fixed::{deserialize, serialize};
}

fn digits(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|n| char::from(b"0123456789abcdef"[usize::from(n)]))
        .collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

mod fixed {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer, const N: usize>(value: &[u8; N], to: S) -> Result<S::Ok, S::Error> {
        let empty = value.iter().all(|byte| *byte == 0);
        to.serialize_str(&if empty { String::new() } else { super::digits(value) })
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok([0; N]);
        }
        let value = super::bytes(&text).and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
        value.ok_or_else(|| D::Error::custom(format!("{} hexadecimal digits were expected", 2 * N)))
    }
}

/// A hash as hexadecimal digits; empty for none.
pub(crate) mod hex_blob {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::Blob;

    pub(crate) fn serialize<S: Serializer>(value: &Blob, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::digits(&value.0))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Blob, D::Error> {
        let bytes = super::bytes(&String::deserialize(from)?);
        bytes.map(Blob).ok_or_else(|| D::Error::custom("hexadecimal digits were expected"))
    }
}

/// Bytes as base64 with the usual alphabet and padding (RFC 4648, section 4).
pub(crate) mod base64_blob {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::Blob;

    pub(crate) fn serialize<S: Serializer>(value: &Blob, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&value.0))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Blob, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Blob).map_err(|_| D::Error::custom("base64 was expected"))
    }
}
