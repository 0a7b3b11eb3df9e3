//! Telemetry classes and their field tables: each column is declared once, and the Arrow schema, the SQL columns,
//! the Sigma mapping, the OCSF paths and the documentation derive from that declaration.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};

/// Key of the Arrow field metadata that carries [`Kind::name`], so that readers can show `Ip` and `Mac` columns.
pub const KIND_METADATA_KEY: &str = "guardian.kind";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Truth value.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// UTC microseconds.
    Time,
    /// Address in 16 bytes, see [`crate::Ip`].
    Ip,
    /// MAC address in 6 bytes.
    Mac,
    /// Text out of few distinct values: dictionary-encoded.
    Label,
    /// Free text.
    Text,
    /// Bytes as received.
    Bytes,
}

impl Kind {
    /// The Arrow type of the column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::U8 => DataType::UInt8,
            Self::U16 => DataType::UInt16,
            Self::U32 => DataType::UInt32,
            Self::U64 => DataType::UInt64,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("+00:00"))),
            Self::Ip => DataType::FixedSizeBinary(16),
            Self::Mac => DataType::FixedSizeBinary(6),
            Self::Label => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
        }
    }

    /// The name used in metadata, documentation and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Time => "time",
            Self::Ip => "ip",
            Self::Mac => "mac",
            Self::Label => "label",
            Self::Text => "text",
            Self::Bytes => "bytes",
        }
    }
}

/// One column of a class.
#[derive(Debug)]
pub struct Field {
    /// Stable number of the column within its class; never reused.
    pub id: u16,
    /// The SQL name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether a row may lack it.
    pub nullable: bool,
    /// Unit, or empty where the value has none.
    pub unit: &'static str,
    /// Path in OCSF 1.8, or empty where OCSF has no place for it (exported under `unmapped`).
    pub ocsf: &'static str,
    /// Names under which Sigma rules know it, beside its own.
    pub sigma: &'static [&'static str],
    /// Whether it is personal data, masked for roles that may not see it.
    pub personal: bool,
    /// One sentence for people.
    pub doc: &'static str,
}

/// A telemetry class: a name and its columns.
#[derive(Debug)]
pub struct Class {
    /// The SQL table name.
    pub name: &'static str,
    /// Stable number of the class in everything that is stored; never reused. It is the OCSF class uid where no other
    /// class has that.
    pub uid: u32,
    /// OCSF 1.8 class uid; 0 is the base event. Two classes may be the same to OCSF.
    pub ocsf_class_uid: u32,
    /// One sentence for people.
    pub doc: &'static str,
    /// The columns in order.
    pub fields: &'static [Field],
    #[doc(hidden)]
    pub cached: &'static OnceLock<SchemaRef>,
}

impl Class {
    /// The Arrow schema. Column ids and kinds travel in the field metadata (`PARQUET:field_id`, `guardian.kind`).
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.cached.get_or_init(|| {
            let fields = self.fields.iter().map(|f| {
                ArrowField::new(f.name, f.kind.data_type(), f.nullable).with_metadata(HashMap::from([
                    ("PARQUET:field_id".to_owned(), f.id.to_string()),
                    (KIND_METADATA_KEY.to_owned(), f.kind.name().to_owned()),
                ]))
            });
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        }))
    }

    /// Position of the column with this SQL name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// Position of the column that a Sigma rule calls `name`; SQL names are accepted too.
    pub fn sigma_index_of(&self, name: &str) -> Option<usize> {
        self.index_of(name).or_else(|| self.fields.iter().position(|f| f.sigma.contains(&name)))
    }
}

/// Declares a class: the static table and an enum with one variant a column, whose value is the column's position.
macro_rules! class {
    (
        $(#[$doc:meta])* $table:ident, $(#[$enum_doc:meta])* $enum:ident,
        name $name:literal, ocsf $ocsf_uid:literal $(, uid $uid:literal)?, $class_doc:literal;
        $( $variant:ident = $id:literal $col:literal $kind:ident $(? $null:tt)? [$unit:literal] $ocsf:literal
           [$($sigma:literal),*] $($personal:ident)? : $text:literal; )*
    ) => {
        $(#[$doc])*
        pub static $table: $crate::Class = {
            static CACHED: std::sync::OnceLock<arrow::datatypes::SchemaRef> = std::sync::OnceLock::new();
            static FIELDS: &[$crate::Field] = &[$(
                $crate::Field {
                    id: $id, name: $col, kind: $crate::Kind::$kind, nullable: $crate::class::given!($($null)?),
                    unit: $unit, ocsf: $ocsf, sigma: &[$($sigma),*],
                    personal: $crate::class::given!($($personal)?), doc: $text,
                },
            )*];
            $crate::Class {
                name: $name, uid: $crate::class::uid!($ocsf_uid $($uid)?), ocsf_class_uid: $ocsf_uid,
                doc: $class_doc, fields: FIELDS, cached: &CACHED,
            }
        };

        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum $enum { $( #[doc = $text] $variant, )* }

        impl $enum {
            /// All columns in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Position of the column in the class and in every batch of it.
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

macro_rules! given {
    () => {
        false
    };
    ($t:tt) => {
        true
    };
}

macro_rules! uid {
    ($ocsf:literal) => {
        $ocsf
    };
    ($ocsf:literal $own:literal) => {
        $own
    };
}

pub(crate) use {class, given, uid};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::ALL_CLASSES;

    #[test]
    fn tables_are_sound() {
        let (mut classes, mut uids) = (HashSet::new(), HashSet::from([0]));
        for class in ALL_CLASSES {
            assert!(classes.insert(class.name));
            assert!(uids.insert(class.uid), "{}: the number {} is taken", class.name, class.uid);
            let (mut ids, mut names) = (HashSet::new(), HashSet::new());
            for field in class.fields {
                assert!(ids.insert(field.id), "{}.{}: id {} is taken", class.name, field.name, field.id);
                assert!(field.doc.ends_with('.'), "{}.{}: a sentence ends with a full stop", class.name, field.name);
                for name in field.sigma.iter().chain([&field.name]) {
                    assert!(names.insert(*name), "{}: the name {name} means two columns", class.name);
                }
            }
            assert_eq!(class.schema().fields().len(), class.fields.len());
        }
    }
}
