//! The coding of messages: fields as (tag, length, value), numbers as LEB128 varints, signed ones zigzag.
//!
//! A reader skips tags that it does not know and leaves absent fields at their default, which is how versions differ
//! without breaking. A budget bounds how many values one message may make, whatever its lengths claim.

use crate::limits::{DEPTH_MAX, ITEMS_PER_MESSAGE_MAX, TEXT_BYTES_MAX};

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It ends in the middle of a value.
    #[error("it ends in the middle of a value")]
    Truncated,
    /// A number does not fit its type, or is not in its shortest range.
    #[error("a number is too large")]
    Number,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
    /// A limit of the protocol is exceeded.
    #[error("{0} exceeds its limit")]
    Limit(&'static str),
    /// A value has a shape that its type does not have.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A message of a kind that this version does not know.
    #[error("unknown kind {0}")]
    UnknownKind(u8),
    /// What came out of decompression is not what was said.
    #[error("a batch does not decompress to what it says")]
    Compression,
}

/// Bytes as a value of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

/// What one message may still make.
pub(crate) struct Budget {
    items: usize,
    depth: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { items: ITEMS_PER_MESSAGE_MAX, depth: DEPTH_MAX }
    }

    pub(crate) fn item(&mut self) -> Result<(), WireError> {
        self.items = self.items.checked_sub(1).ok_or(WireError::Limit("the number of values of a message"))?;
        Ok(())
    }

    pub(crate) fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, WireError>) -> Result<T, WireError> {
        self.depth = self.depth.checked_sub(1).ok_or(WireError::Limit("the depth of a message"))?;
        let result = f(self);
        self.depth += 1;
        result
    }
}

/// Appends an unsigned number, seven bits a byte, the lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes an unsigned number from the front.
pub(crate) fn take_varint(input: &mut &[u8]) -> Result<u64, WireError> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first().ok_or(WireError::Truncated)?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(WireError::Number);
        }
        n |= bits << shift;
        if byte < 0x80 {
            return Ok(n);
        }
    }
    Err(WireError::Number)
}

/// Signed numbers near zero as small unsigned ones.
pub(crate) const fn zigzag(n: i64) -> u64 {
    (n.cast_unsigned() << 1) ^ (n >> 63).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(crate) const fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
}

/// Takes `length` bytes from the front.
pub(crate) fn take_bytes<'a>(input: &mut &'a [u8], length: u64) -> Result<&'a [u8], WireError> {
    let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
    let (head, rest) = input.split_at_checked(length).ok_or(WireError::Truncated)?;
    *input = rest;
    Ok(head)
}

/// Appends bytes behind their length.
pub(crate) fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes bytes that stand behind their length.
pub(crate) fn take_prefixed<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let length = take_varint(input)?;
    take_bytes(input, length)
}

/// One value, whose length the caller knows.
pub(crate) trait Value: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(body: &[u8], budget: &mut Budget) -> Result<Self, WireError>;
}

fn whole<T>(mut body: &[u8], take: impl FnOnce(&mut &[u8]) -> Result<T, WireError>) -> Result<T, WireError> {
    let value = take(&mut body)?;
    if body.is_empty() { Ok(value) } else { Err(WireError::Malformed("a value with bytes behind it")) }
}

impl Value for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, *self);
    }
    fn take(body: &[u8], _: &mut Budget) -> Result<Self, WireError> {
        whole(body, take_varint)
    }
}

impl Value for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(*self));
    }
    fn take(body: &[u8], _: &mut Budget) -> Result<Self, WireError> {
        whole(body, take_varint)?.try_into().map_err(|_| WireError::Number)
    }
}

impl Value for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, zigzag(*self));
    }
    fn take(body: &[u8], _: &mut Budget) -> Result<Self, WireError> {
        whole(body, take_varint).map(unzigzag)
    }
}

impl Value for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(body: &[u8], _: &mut Budget) -> Result<Self, WireError> {
        match body {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(WireError::Malformed("a truth value")),
        }
    }
}

impl Value for String {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn take(body: &[u8], _: &mut Budget) -> Result<Self, WireError> {
        if body.len() > TEXT_BYTES_MAX {
            return Err(WireError::Limit("the length of a text"));
        }
        str::from_utf8(body).map(str::to_owned).map_err(|_| WireError::Utf8)
    }
}

impl Value for Blob {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn take(body: &[u8], _: &mut Budget) -> Result<Self, WireError> {
        Ok(Self(body.to_vec()))
    }
}

impl<const N: usize> Value for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn take(body: &[u8], _: &mut Budget) -> Result<Self, WireError> {
        body.try_into().map_err(|_| WireError::Malformed("a value of fixed length"))
    }
}

/// A field of a message: a value, none or one, or any number of them.
pub(crate) trait Field: Sized {
    fn put_field(&self, tag: u64, out: &mut Vec<u8>);
    fn take_field(&mut self, body: &[u8], budget: &mut Budget) -> Result<(), WireError>;
}

fn put_value(value: &impl Value, tag: u64, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    value.put(&mut body);
    put_varint(out, tag);
    put_prefixed(out, &body);
}

impl<T: Value + Default + PartialEq> Field for T {
    fn put_field(&self, tag: u64, out: &mut Vec<u8>) {
        if *self != T::default() {
            put_value(self, tag, out);
        }
    }
    fn take_field(&mut self, body: &[u8], budget: &mut Budget) -> Result<(), WireError> {
        budget.item()?;
        *self = budget.nested(|budget| T::take(body, budget))?;
        Ok(())
    }
}

impl<T: Value> Field for Option<T> {
    fn put_field(&self, tag: u64, out: &mut Vec<u8>) {
        if let Some(value) = self {
            put_value(value, tag, out);
        }
    }
    fn take_field(&mut self, body: &[u8], budget: &mut Budget) -> Result<(), WireError> {
        budget.item()?;
        *self = Some(budget.nested(|budget| T::take(body, budget))?);
        Ok(())
    }
}

impl<T: Value> Field for Vec<T> {
    fn put_field(&self, tag: u64, out: &mut Vec<u8>) {
        for value in self {
            put_value(value, tag, out);
        }
    }
    fn take_field(&mut self, body: &[u8], budget: &mut Budget) -> Result<(), WireError> {
        budget.item()?;
        self.push(budget.nested(|budget| T::take(body, budget))?);
        Ok(())
    }
}

/// Declares messages: each field is written once with its tag, which is never reused. A message has at least one field.
macro_rules! message {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$field_doc:meta])* $tag:literal $field:ident: $type:ty, )* } )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $( $(#[$field_doc])* pub $field: $type, )* }

        impl $crate::wire::Value for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $( $crate::wire::Field::put_field(&self.$field, $tag, out); )*
            }
            fn take(mut body: &[u8], budget: &mut $crate::wire::Budget) -> Result<Self, $crate::wire::WireError> {
                let mut message = Self::default();
                while !body.is_empty() {
                    let tag = $crate::wire::take_varint(&mut body)?;
                    let value = $crate::wire::take_prefixed(&mut body)?;
                    match tag {
                        $( $tag => $crate::wire::Field::take_field(&mut message.$field, value, budget)?, )*
                        _ => {}
                    }
                }
                Ok(message)
            }
        }
    )*};
}

/// Declares a choice between messages, each with its number.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $( $(#[$variant_doc:meta])* $kind:literal $variant:ident($type:ty), )* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name { $( $(#[$variant_doc])* $variant($type), )* }

        impl $name {
            /// The number of the kind.
            pub const fn kind(&self) -> u8 {
                match self { $( Self::$variant(_) => $kind, )* }
            }

            /// The number of every kind, in order.
            pub const KINDS: &'static [u8] = &[$($kind),*];

            pub(crate) fn put_body(&self, out: &mut Vec<u8>) {
                match self { $( Self::$variant(message) => $crate::wire::Value::put(message, out), )* }
            }

            pub(crate) fn take_body(
                kind: u8, body: &[u8], budget: &mut $crate::wire::Budget,
            ) -> Result<Self, $crate::wire::WireError> {
                Ok(match kind {
                    $( $kind => Self::$variant($crate::wire::Value::take(body, budget)?), )*
                    _ => return Err($crate::wire::WireError::UnknownKind(kind)),
                })
            }
        }

        impl $crate::wire::Value for $name {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(self.kind());
                self.put_body(out);
            }
            fn take(body: &[u8], budget: &mut $crate::wire::Budget) -> Result<Self, $crate::wire::WireError> {
                let (&kind, body) = body.split_first().ok_or($crate::wire::WireError::Truncated)?;
                budget.nested(|budget| Self::take_body(kind, body, budget))
            }
        }
    };
}

/// Declares numbers with names. A number of a later version reads as the first, which means "something else".
macro_rules! code {
    ($( $(#[$doc:meta])* $name:ident { $(#[$other_doc:meta])* $other:ident,
        $( $(#[$variant_doc:meta])* $code:literal $variant:ident, )* } )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { #[default] $(#[$other_doc])* $other, $( $(#[$variant_doc])* $variant, )* }

        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[Self::$other, $(Self::$variant),*];
        }

        impl $crate::wire::Value for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $crate::wire::put_varint(out, match self { Self::$other => 0, $( Self::$variant => $code, )* });
            }
            fn take(body: &[u8], budget: &mut $crate::wire::Budget) -> Result<Self, $crate::wire::WireError> {
                Ok(match <u64 as $crate::wire::Value>::take(body, budget)? {
                    $( $code => Self::$variant, )*
                    _ => Self::$other,
                })
            }
        }
    )*};
}

pub(crate) use {choice, code, message};

#[cfg(test)]
mod tests {
    #![expect(unreachable_pub, reason = "the macro declares messages for the public")]

    use super::*;

    #[test]
    fn numbers_go_both_ways_and_the_eleventh_byte_is_refused() {
        for n in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, n);
            let mut input = out.as_slice();
            assert_eq!(take_varint(&mut input), Ok(n));
            assert!(input.is_empty());
            assert_eq!(take_varint(&mut &out[..out.len() - 1]), Err(WireError::Truncated));
        }
        assert_eq!(take_varint(&mut [0xff; 10].as_slice()), Err(WireError::Number));
        assert_eq!(take_varint(&mut [0x80; 11].as_slice()), Err(WireError::Number));
        for n in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(n)), n);
        }
        assert_eq!((zigzag(-1), zigzag(1)), (1, 2));
    }

    message! {
        /// An old version.
        Old { 1 name: String, }
        /// The same, later.
        New { 1 name: String, 2 size: u64, 3 parts: Vec<Old>, 4 why: Option<u64>, }
    }

    #[test]
    fn versions_skip_what_they_do_not_know() {
        let new =
            New { name: "a".into(), size: 7, parts: vec![Old { name: "b".into() }, Old::default()], why: Some(0) };
        let mut bytes = Vec::new();
        new.put(&mut bytes);
        assert_eq!(New::take(&bytes, &mut Budget::new()), Ok(new));
        assert_eq!(Old::take(&bytes, &mut Budget::new()), Ok(Old { name: "a".into() }));
        let mut bytes = Vec::new();
        Old { name: "a".into() }.put(&mut bytes);
        assert_eq!(New::take(&bytes, &mut Budget::new()), Ok(New { name: "a".into(), ..New::default() }));
    }

    #[test]
    fn a_small_message_cannot_make_many_values() {
        let bytes: Vec<u8> = std::iter::repeat_n([3, 0], ITEMS_PER_MESSAGE_MAX + 1).flatten().collect();
        let refused = Err(WireError::Limit("the number of values of a message"));
        assert_eq!(New::take(&bytes, &mut Budget::new()), refused);
    }
}
