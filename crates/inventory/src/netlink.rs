//! Messages of netlink(7) and the attributes in them: how the kernel says what it has of tunnels. Pure; what is cut off is left
//! out.

/// Bytes of a message's head.
const HEAD: usize = 16;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// What of an attribute's kind says how it is coded.
const FLAGS: u16 = 0xc000;

/// A part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A message: its kind, and what is in it.
    Message(u16, &'a [u8]),
    /// The answer ends.
    End,
}

/// Asks for all of a kind.
pub fn dump(kind: u16, body: &[u8]) -> Vec<u8> {
    message(kind, DUMP, body)
}

/// Asks for one thing.
pub fn request(kind: u16, body: &[u8]) -> Vec<u8> {
    message(kind, REQUEST, body)
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEAD + body.len());
    message.extend(((HEAD + body.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// An attribute as it is sent.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + value.len().next_multiple_of(4));
    bytes.extend(((4 + value.len()) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The parts of a datagram.
pub fn parts(datagram: &[u8], mut each: impl FnMut(Part<'_>)) {
    let mut rest = datagram;
    while let Some(head) = rest.first_chunk::<HEAD>() {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if length < HEAD || length > rest.len() {
            return;
        }
        match u16::from_ne_bytes([head[4], head[5]]) {
            ERROR | DONE => each(Part::End),
            kind => each(Part::Message(kind, &rest[HEAD..length])),
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
}

/// The attributes in a message, or in another attribute: kind and value.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let head = rest.first_chunk::<4>()?;
        let length = u16::from_ne_bytes([head[0], head[1]]) as usize;
        if length < 4 || length > rest.len() {
            return None;
        }
        let (kind, value) = (u16::from_ne_bytes([head[2], head[3]]) & !FLAGS, &rest[4..length]);
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        Some((kind, value))
    })
}

pub(crate) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// An address of four or sixteen bytes.
pub(crate) fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    match bytes.len() {
        4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
        _ => None,
    }
}

/// A text with a zero behind it.
pub(crate) fn name(bytes: &[u8]) -> String {
    crate::text::lossy(bytes.split(|b| *b == 0).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_attributes_come_back_and_what_is_cut_off_does_not() {
        let body = [attribute(3, b"wg0\0"), attribute(0x8009, &attribute(1, b"x"))].concat();
        let mut sent = dump(28, &body);
        sent.extend(request(DONE, &[]));
        let mut found = Vec::new();
        parts(&sent, |part| match part {
            Part::Message(kind, body) => found.extend(attributes(body).map(|(k, v)| (kind, k, v.to_vec()))),
            Part::End => found.push((DONE, 0, Vec::new())),
        });
        assert_eq!(
            found,
            [(28, 3, b"wg0\0".to_vec()), (28, 9, attribute(1, b"x")[..].to_vec()), (DONE, 0, Vec::new())]
        );
        for length in 0..sent.len() - HEAD {
            parts(&sent[..length], |part| panic!("{length}: {part:?}"));
        }
        assert_eq!(attributes(&[1, 0, 0, 0, 9, 9]).count(), 0);
    }
}
