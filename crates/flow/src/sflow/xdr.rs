//! The part of XDR (RFC 4506) that sFlow uses: big-endian words, opaque data padded to whole words.
//!
//! It must never hand out bytes beyond its slice.

use guardian_model::Ip;

/// The data ended too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut;

/// What is still to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn u32(&mut self) -> Result<u32, Cut> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Cut> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Cut> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Cut)?;
        self.0 = rest;
        Ok(*head)
    }

    /// A MAC address, padded to eight bytes.
    pub(crate) fn mac(&mut self) -> Result<[u8; 6], Cut> {
        let padded: [u8; 8] = self.array()?;
        padded.first_chunk().copied().ok_or(Cut)
    }

    /// Opaque data with its length before it. Padding may be missing at the very end.
    pub(crate) fn opaque(&mut self) -> Result<&'a [u8], Cut> {
        let length = self.u32()? as usize;
        if length > self.0.len() {
            return Err(Cut);
        }
        let (data, _) = self.0.split_at(length);
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Ok(data)
    }

    /// A structure with its format before it: enterprise (20 bits) and format (12), then opaque data.
    pub(crate) fn structure(&mut self) -> Result<(u32, Reader<'a>), Cut> {
        let format = self.u32()?;
        Ok((format, Reader(self.opaque()?)))
    }

    /// An address with its type before it: 1 is IPv4, 2 IPv6, 0 none.
    pub(crate) fn address(&mut self) -> Result<Option<Ip>, Cut> {
        Ok(match self.u32()? {
            1 => Some(Ip::v4(self.array()?)),
            2 => Some(Ip(self.array()?)),
            0 => None,
            _ => return Err(Cut),
        })
    }
}
