//! Predicates: one test of one column, as plain values that compare and hash, so that equal tests of different rules
//! and filters are computed once.

use guardian_model::{Class, Kind};

use crate::cidr::Cidr;
use crate::text::TextPattern;

/// One test of one column. A null cell passes no test but [`Test::Null`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// Position of the column in its class.
    pub column: usize,
    /// What is asked of it.
    pub test: Test,
}

/// What is asked of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// The cell is null.
    Null,
    /// The truth value is this one.
    Bool(bool),
    /// An unsigned number from the first to the second, both included.
    Range(u64, u64),
    /// An unsigned number out of these, which are sorted and distinct.
    OneOf(Box<[u64]>),
    /// All of these bits are set.
    Bits(u64),
    /// None of these bits is set.
    NoBits(u64),
    /// A time from the first to the second, both included, in microseconds.
    Time(i64, i64),
    /// An address in one of these prefixes.
    Ip(Box<[Cidr]>),
    /// A MAC address (or its first bytes) out of these.
    Mac(Box<[Box<[u8]>]>),
    /// Text that matches one of these patterns.
    Text(Box<[TextPattern]>),
    /// A relation to another column of the same row.
    Column(Relation, usize),
}

/// How two columns of a row relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Equal.
    Equal,
    /// Less than.
    Less,
    /// Less than or equal.
    LessOrEqual,
    /// Greater than.
    Greater,
    /// Greater than or equal.
    GreaterOrEqual,
}

impl Relation {
    pub(crate) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Test {
    /// Numbers out of a list, in canonical form.
    pub fn one_of(numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut numbers: Vec<_> = numbers.into_iter().collect();
        numbers.sort_unstable();
        numbers.dedup();
        match numbers.as_slice() {
            [only] => Self::Range(*only, *only),
            [first, .., last] if last - first == numbers.len() as u64 - 1 => Self::Range(*first, *last),
            _ => Self::OneOf(numbers.into()),
        }
    }

    /// Addresses out of a list of prefixes, in canonical form.
    pub fn ip_in(prefixes: impl IntoIterator<Item = Cidr>) -> Self {
        let mut prefixes: Vec<_> = prefixes.into_iter().collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        Self::Ip(prefixes.into())
    }

    /// Text out of a list of patterns, in canonical form.
    pub fn text(patterns: impl IntoIterator<Item = TextPattern>) -> Self {
        let mut patterns: Vec<_> = patterns.into_iter().collect();
        patterns.sort_unstable();
        patterns.dedup();
        Self::Text(patterns.into())
    }

    /// Whether the test makes sense for a column of this kind.
    pub fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Null | Self::Column(..) => true,
            Self::Bool(_) => kind == Kind::Bool,
            Self::Range(..) | Self::OneOf(_) | Self::Bits(_) | Self::NoBits(_) => integer_max(kind).is_some(),
            Self::Time(..) => kind == Kind::Time,
            Self::Ip(_) => kind == Kind::Ip,
            Self::Mac(_) => kind == Kind::Mac,
            Self::Text(_) => matches!(kind, Kind::Label | Kind::Text),
        }
    }

    /// The smallest and the largest number or time that passes.
    pub(crate) fn bounds(&self) -> Option<(i128, i128)> {
        match self {
            Self::Range(from, to) => Some(((*from).into(), (*to).into())),
            Self::OneOf(numbers) => Some(((*numbers.first()?).into(), (*numbers.last()?).into())),
            Self::Time(from, to) => Some(((*from).into(), (*to).into())),
            _ => None,
        }
    }

    /// What it costs, roughly: cheaper tests go first.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Bool(_) | Self::Range(..) | Self::Bits(_) | Self::NoBits(_) | Self::Time(..) => 1,
            Self::OneOf(_) => 2,
            Self::Ip(prefixes) => 4 + prefixes.len().ilog2(),
            Self::Mac(prefixes) => 4 + prefixes.len() as u32,
            Self::Column(..) => 6,
            Self::Text(_) => 8,
        }
    }
}

/// The largest value of an integer column; `None` for other kinds.
pub const fn integer_max(kind: Kind) -> Option<u64> {
    match kind {
        Kind::U8 => Some(u8::MAX as u64),
        Kind::U16 => Some(u16::MAX as u64),
        Kind::U32 => Some(u32::MAX as u64),
        Kind::U64 => Some(u64::MAX),
        _ => None,
    }
}

impl Predicate {
    /// A test of a column. The error says why the column cannot be tested so.
    pub fn new(class: &Class, column: usize, test: Test) -> Result<Self, String> {
        let field = class.fields.get(column).ok_or_else(|| format!("{} has no column {column}", class.name))?;
        if !test.fits(field.kind) {
            return Err(format!("`{}` holds {}", field.name, kind_words(field.kind)));
        }
        if let Test::Column(_, other) = test {
            let right = class.fields.get(other).ok_or_else(|| format!("{} has no column {other}", class.name))?;
            if !comparable(field.kind, right.kind) {
                return Err(format!(
                    "`{}` holds {} and `{}` holds {}: they cannot be compared",
                    field.name,
                    kind_words(field.kind),
                    right.name,
                    kind_words(right.kind)
                ));
            }
        }
        Ok(Self { column, test })
    }
}

fn comparable(a: Kind, b: Kind) -> bool {
    let text = |k| matches!(k, Kind::Label | Kind::Text);
    (integer_max(a).is_some() && integer_max(b).is_some()) || (text(a) && text(b)) || (a == b && a != Kind::Bytes)
}

/// What a column holds, in words.
pub const fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::U8 => "a number of 0 to 255",
        Kind::U16 => "a number of 0 to 65535",
        Kind::U32 | Kind::U64 => "a number",
        Kind::Time => "a time",
        Kind::Ip => "an address",
        Kind::Mac => "a MAC address",
        Kind::Label | Kind::Text => "text",
        Kind::Bytes => "bytes",
    }
}
