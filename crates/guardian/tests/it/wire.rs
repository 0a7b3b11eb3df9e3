//! Export datagrams, made by hand.

/// Records in one datagram.
pub(crate) const RECORDS: usize = 30;

/// A NetFlow v5 datagram whose records carry their own numbers as source addresses and sizes.
pub(crate) fn netflow5(sequence: u32) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(24 + RECORDS * 48);
    let now = jiff::Timestamp::now().as_second() as u32;
    datagram.extend_from_slice(&5_u16.to_be_bytes());
    datagram.extend_from_slice(&(RECORDS as u16).to_be_bytes());
    datagram.extend_from_slice(&60_000_u32.to_be_bytes());
    datagram.extend_from_slice(&now.to_be_bytes());
    datagram.extend_from_slice(&0_u32.to_be_bytes());
    datagram.extend_from_slice(&(sequence * RECORDS as u32).to_be_bytes());
    datagram.extend_from_slice(&[0; 4]);
    for record in 0..RECORDS as u32 {
        let number = sequence * RECORDS as u32 + record;
        let mut bytes = [0; 48];
        bytes[..4].copy_from_slice(&(0x0a00_0000 | (number & 0x00ff_ffff)).to_be_bytes());
        bytes[4..8].copy_from_slice(&[192, 0, 2, 1]);
        bytes[16..20].copy_from_slice(&1_u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&(number + 1).to_be_bytes());
        bytes[24..28].copy_from_slice(&59_000_u32.to_be_bytes());
        bytes[28..32].copy_from_slice(&59_500_u32.to_be_bytes());
        bytes[32..34].copy_from_slice(&40_000_u16.to_be_bytes());
        bytes[34..36].copy_from_slice(&443_u16.to_be_bytes());
        bytes[37] = 0x1b;
        bytes[38] = 6;
        datagram.extend_from_slice(&bytes);
    }
    datagram
}

/// Header of a NetFlow v9 datagram with one flow set.
fn netflow9(sequence: u32, set: u16, body: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    let now = jiff::Timestamp::now().as_second() as u32;
    datagram.extend_from_slice(&[0, 9, 0, 1]);
    for field in [60_000, now, sequence, 7] {
        datagram.extend_from_slice(&field.to_be_bytes());
    }
    datagram.extend_from_slice(&set.to_be_bytes());
    datagram.extend_from_slice(&(4 + body.len() as u16).to_be_bytes());
    datagram.extend_from_slice(body);
    datagram
}

/// The template of [`netflow9_data`]: addresses, ports, protocol, bytes, packets, first, last.
pub(crate) fn netflow9_template(sequence: u32) -> Vec<u8> {
    let fields: [(u16, u16); 9] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4), (22, 4), (21, 4)];
    let mut body = vec![1, 44, 0, fields.len() as u8];
    for (element, length) in fields {
        body.extend_from_slice(&element.to_be_bytes());
        body.extend_from_slice(&length.to_be_bytes());
    }
    netflow9(sequence, 0, &body)
}

/// Three records of the template of [`netflow9_template`].
pub(crate) fn netflow9_data(sequence: u32) -> Vec<u8> {
    let mut body = Vec::new();
    for host in 1..=3 {
        body.extend_from_slice(&[10, 0, 0, host, 192, 0, 2, 1]);
        body.extend_from_slice(&40_000_u16.to_be_bytes());
        body.extend_from_slice(&[1, 187, 6]);
        for field in [5_000_u32, 10, 58_000, 59_000] {
            body.extend_from_slice(&field.to_be_bytes());
        }
    }
    body.resize(body.len().next_multiple_of(4), 0);
    netflow9(sequence, 300, &body)
}
