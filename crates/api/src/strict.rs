//! Refuses arrays where a request's members have names. The derived deserialisers take `["a", 1]` for
//! `{"name": "a", "count": 1}`, which no document of ours says and no caller means.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// Whether `body`, which `T` was read from, has an array in the place of an object.
pub(crate) fn has_unnamed_members<T: DeserializeOwned>(body: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    matches!(T::deserialize(Strict(value)), Err(Refusal::Unnamed))
}

/// Why a second reading failed; all but the one reason is the first reading's business.
#[derive(Debug)]
enum Refusal {
    Unnamed,
    Other,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array where an object belongs, or something else")
    }
}

impl std::error::Error for Refusal {}

impl serde::de::Error for Refusal {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

/// A JSON value that is read as an object only where it is one.
struct Strict(Value);

impl IntoDeserializer<'_, Refusal> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(value) => value.deserialize_any(visitor).map_err(serde::de::Error::custom),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Self))),
            Value::Object(members) => {
                visitor.visit_map(MapDeserializer::new(members.into_iter().map(|(name, value)| (name, Self(value)))))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        if self.0.is_array() { Err(Refusal::Unnamed) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::Object(members) => {
                let members = MapDeserializer::new(members.into_iter().map(|(name, value)| (name, Self(value))));
                MapAccessDeserializer::new(members).deserialize_enum(name, variants, visitor)
            }
            Value::String(text) => {
                let text: serde::de::value::StringDeserializer<Refusal> = text.into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            other => Self(other).deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::has_unnamed_members;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only their shapes are looked at")]
    struct Outer {
        name: String,
        inner: Option<Inner>,
        pair: Option<(u8, f64)>,
        sort: Option<Sort>,
    }

    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Inner {
        limit: Option<usize>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only their shapes are looked at")]
    enum Sort {
        Newest,
        By { inner: Inner },
    }

    #[test]
    fn only_objects_are_objects() {
        for (body, refused) in [
            (r#"{"name": "a", "inner": {"limit": 3}, "pair": [1, 2], "sort": "newest"}"#, false),
            (r#"{"name": "a", "inner": null, "sort": {"by": {"inner": {}}}}"#, false),
            (r#"{"name": "a", "inner": [null]}"#, true),
            (r#"{"name": "a", "inner": []}"#, true),
            (r#"{"name": "a", "sort": {"by": {"inner": [1]}}}"#, true),
            (r#"["a", null, null, null]"#, true),
        ] {
            assert!(serde_json::from_str::<Outer>(body).is_ok(), "serde takes {body}");
            assert_eq!(has_unnamed_members::<Outer>(body.as_bytes()), refused, "{body}");
        }
    }
}
