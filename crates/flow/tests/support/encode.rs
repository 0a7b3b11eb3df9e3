//! A small encoder of flow-export datagrams, shared by tests and benchmarks. It writes what it is told, sound or not.

/// A template field: enterprise number, element id, length.
pub(crate) type Field = (u32, u16, u16);

/// One field of IANA's registry.
pub(crate) const fn iana(id: u16, len: u16) -> Field {
    (0, id, len)
}

/// A NetFlow v9 or IPFIX message.
pub(crate) struct Message {
    ipfix: bool,
    head: Vec<u8>,
    sets: Vec<u8>,
    count: u16,
}

impl Message {
    /// RFC 3954 section 5.1.
    pub(crate) fn v9(uptime: u32, secs: u32, sequence: u32, source_id: u32) -> Self {
        let head = [uptime, secs, sequence, source_id].iter().flat_map(|v| v.to_be_bytes()).collect();
        Self { ipfix: false, head, sets: Vec::new(), count: 0 }
    }

    /// RFC 7011 section 3.1.
    pub(crate) fn ipfix(secs: u32, sequence: u32, domain: u32) -> Self {
        let head = [secs, sequence, domain].iter().flat_map(|v| v.to_be_bytes()).collect();
        Self { ipfix: true, head, sets: Vec::new(), count: 0 }
    }

    /// A set with any body.
    pub(crate) fn set(self, id: u16, body: &[u8]) -> Self {
        let len = 4 + body.len() as u16;
        self.raw_set(id, len, body)
    }

    /// A set that claims any length.
    pub(crate) fn raw_set(mut self, id: u16, len: u16, body: &[u8]) -> Self {
        self.sets.extend_from_slice(&id.to_be_bytes());
        self.sets.extend_from_slice(&len.to_be_bytes());
        self.sets.extend_from_slice(body);
        self
    }

    fn fields(&self, fields: &[Field]) -> Vec<u8> {
        let mut out = Vec::new();
        for (pen, id, len) in fields {
            let enterprise = self.ipfix && *pen != 0;
            out.extend_from_slice(&(id | if enterprise { 0x8000 } else { 0 }).to_be_bytes());
            out.extend_from_slice(&len.to_be_bytes());
            if enterprise {
                out.extend_from_slice(&pen.to_be_bytes());
            }
        }
        out
    }

    /// A set with one template.
    pub(crate) fn template(mut self, id: u16, fields: &[Field]) -> Self {
        self.count += 1;
        let mut body = [id.to_be_bytes(), (fields.len() as u16).to_be_bytes()].concat();
        body.extend(self.fields(fields));
        let set = if self.ipfix { 2 } else { 0 };
        self.set(set, &body)
    }

    /// A set with one options template.
    pub(crate) fn options(mut self, id: u16, scopes: &[Field], fields: &[Field]) -> Self {
        self.count += 1;
        let counts = if self.ipfix {
            [(scopes.len() + fields.len()) as u16, scopes.len() as u16]
        } else {
            [4 * scopes.len() as u16, 4 * fields.len() as u16]
        };
        let mut body = [id.to_be_bytes(), counts[0].to_be_bytes(), counts[1].to_be_bytes()].concat();
        body.extend(self.fields(scopes));
        body.extend(self.fields(fields));
        let set = if self.ipfix { 3 } else { 1 };
        self.set(set, &body)
    }

    /// A set of data records, padded to four bytes.
    pub(crate) fn data(mut self, id: u16, records: &[Vec<u8>]) -> Self {
        self.count += records.len() as u16;
        let mut body = records.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        self.set(id, &body)
    }

    /// The datagram.
    pub(crate) fn build(self) -> Vec<u8> {
        let second = if self.ipfix { 4 + self.head.len() + self.sets.len() } else { usize::from(self.count) };
        let version: u16 = if self.ipfix { 10 } else { 9 };
        [&version.to_be_bytes()[..], &(second as u16).to_be_bytes(), &self.head, &self.sets].concat()
    }
}

/// Puts big-endian values one after the other into a record.
#[macro_export]
macro_rules! record {
    ($($value:expr),* $(,)?) => {{
        let mut record: Vec<u8> = Vec::new();
        $( record.extend_from_slice(&($value).to_be_bytes()); )*
        record
    }};
}

/// The header of NetFlow v5 (with `sampling`) or v7.
pub(crate) fn header_v5(version: u16, count: u16, uptime: u32, secs: u32, sequence: u32, sampling: u16) -> Vec<u8> {
    record![version, count, uptime, secs, 500_000_000u32, sequence, 0x0102u16, sampling]
}

/// A NetFlow v5 record; v7 appends the router's address.
pub(crate) fn record_v5(i: u32, first: u32, last: u32, protocol: u8) -> Vec<u8> {
    record![
        0x0a00_0001 + i,
        0xc000_0201u32,
        0xc000_02feu32,
        3u16,
        4u16,
        10 + i,
        1000 + i,
        first,
        last,
        40_000u16 + i as u16,
        443u16,
        0u8,
        0x1bu8,
        protocol,
        0x20u8,
        64_500u16,
        64_501u16,
        24u8,
        16u8,
        0u16,
    ]
}
