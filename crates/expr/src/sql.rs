//! Filters as SQL for the lake. Only names from the field table, numbers and quoted literals are ever written, so
//! that nothing a person types reaches the SQL parser as SQL.

use std::fmt::Write as _;

use guardian_model::{Class, Field, Kind};

use crate::check::{Checked, Typed};
use crate::predicate::{Predicate, Test};
use crate::text::TextPattern;

impl Typed {
    /// A `WHERE` text that keeps the rows that [`Typed::evaluate`] keeps; `true` for the empty filter. It uses the
    /// lake's functions `ip('…')` and `in_cidr(column, '…')`.
    pub fn to_sql(&self) -> String {
        self.root.as_ref().map_or_else(|| "true".to_owned(), |root| tree(self.class, root))
    }
}

fn tree(class: &Class, checked: &Checked) -> String {
    let joined = |parts: &[Checked], with: &str| {
        let parts: Vec<_> = parts.iter().map(|p| tree(class, p)).collect();
        format!("({})", parts.join(with))
    };
    match checked {
        Checked::And(parts) => joined(parts, " AND "),
        Checked::Or(parts) => joined(parts, " OR "),
        // SQL has three truth values and filters have two: unknown is not true.
        Checked::Not(part) => format!("({}) IS NOT TRUE", tree(class, part)),
        Checked::Test(predicate) => test(class, predicate),
    }
}

fn test(class: &Class, predicate: &Predicate) -> String {
    let field = &class.fields[predicate.column];
    let name = quoted_name(field);
    match &predicate.test {
        Test::Null => format!("{name} IS NULL"),
        Test::Bool(true) => name,
        Test::Bool(false) => format!("NOT {name}"),
        Test::Range(from, to) => range(field, &name, *from, *to),
        Test::OneOf(numbers) => {
            let list: Vec<_> = numbers.iter().map(ToString::to_string).collect();
            format!("{name} IN ({})", list.join(", "))
        }
        Test::Bits(bits) => format!("(CAST({name} AS BIGINT) & {bits}) = {bits}"),
        Test::NoBits(bits) => format!("(CAST({name} AS BIGINT) & {bits}) = 0"),
        Test::Time(from, to) => {
            let time = |t: i64| format!("arrow_cast({t}, 'Timestamp(Microsecond, Some(\"+00:00\"))')");
            match (*from, *to) {
                (i64::MIN, to) => format!("{name} <= {}", time(to)),
                (from, i64::MAX) => format!("{name} >= {}", time(from)),
                (from, to) if from == to => format!("{name} = {}", time(from)),
                (from, to) => format!("({name} >= {} AND {name} <= {})", time(from), time(to)),
            }
        }
        Test::Ip(prefixes) => any(prefixes.iter().map(|prefix| {
            if prefix.is_single() {
                format!("{name} = ip('{}')", prefix.ip())
            } else {
                format!("in_cidr({name}, '{prefix}')")
            }
        })),
        Test::Mac(macs) => any(macs.iter().map(|mac| mac_test(&name, mac))),
        Test::Text(patterns) => any(patterns.iter().map(|p| text_test(&name, p))),
        Test::Column(relation, other) => {
            format!("{name} {} {}", relation.sql(), quoted_name(&class.fields[*other]))
        }
    }
}

fn any(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<_> = parts.collect();
    if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(" OR ")) }
}

/// Some names (`start`, `end`, `domain`) are keywords.
fn quoted_name(field: &Field) -> String {
    format!("\"{}\"", field.name)
}

fn range(field: &Field, name: &str, from: u64, to: u64) -> String {
    let max = crate::predicate::integer_max(field.kind).unwrap_or(u64::MAX);
    if from == to {
        format!("{name} = {from}")
    } else if to >= max {
        format!("{name} >= {from}")
    } else if from == 0 {
        format!("{name} <= {to}")
    } else {
        format!("({name} >= {from} AND {name} <= {to})")
    }
}

fn mac_test(name: &str, mac: &[u8]) -> String {
    let literal = |fill: u8| {
        let mut hex = String::new();
        for byte in mac.iter().copied().chain(std::iter::repeat(fill)).take(6) {
            // Writing to a String cannot fail.
            write!(hex, "{byte:02X}").ok();
        }
        format!("arrow_cast(X'{hex}', '{}')", Kind::Mac.data_type())
    };
    if mac.len() == 6 {
        format!("{name} = {}", literal(0))
    } else {
        format!("({name} >= {} AND {name} <= {})", literal(0), literal(0xff))
    }
}

fn text_test(name: &str, pattern: &TextPattern) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match (pattern.like(), pattern.regex_source()) {
        (Some(like), _) if pattern.cased => format!("{name} LIKE {}", quote(&like)),
        (Some(like), _) => format!("{name} ILIKE {}", quote(&like)),
        (None, Some(regex)) => format!("regexp_like({name}, {})", quote(&regex)),
        (None, None) => "false".to_owned(),
    }
}
