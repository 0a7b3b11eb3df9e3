//! One line of a selection against a class: field, modifiers and values become predicates, or an explanation why the
//! line can never match.

use std::net::IpAddr;

use guardian_expr::{
    Cidr, Graph, NodeId, PATTERN_BYTES_MAX, Predicate, Relation, Test, TextKind, TextPattern, integer_max, kind_words,
};
use guardian_model::{Class, Field, Kind};

use crate::document::{Item, Scalar};
use crate::encode;
use crate::read::scalar_text;

/// A message and a help.
pub(crate) type Failure = (String, String);

fn fail<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Failure> {
    Err((message.into(), help.into()))
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    Contains,
    StartsWith,
    EndsWith,
    Regex,
    Cidr,
    Exists,
    FieldRef,
    Bits,
    NoBits,
    Order(Relation),
}

const OPERATORS: &[(&str, Operator)] = &[
    ("contains", Operator::Contains),
    ("startswith", Operator::StartsWith),
    ("endswith", Operator::EndsWith),
    ("re", Operator::Regex),
    ("cidr", Operator::Cidr),
    ("exists", Operator::Exists),
    ("fieldref", Operator::FieldRef),
    ("bits", Operator::Bits),
    ("nobits", Operator::NoBits),
    ("gt", Operator::Order(Relation::Greater)),
    ("gte", Operator::Order(Relation::GreaterOrEqual)),
    ("lt", Operator::Order(Relation::Less)),
    ("lte", Operator::Order(Relation::LessOrEqual)),
];

struct Line<'a> {
    class: &'static Class,
    column: usize,
    field: &'static Field,
    item: &'a Item,
    operator: Operator,
}

/// The position of a field, or what it might have been.
pub(crate) fn column(class: &Class, name: &str) -> Result<usize, Failure> {
    class.sigma_index_of(name).ok_or_else(|| {
        let known: Vec<&str> =
            class.fields.iter().flat_map(|f| std::iter::once(&f.name).chain(f.sigma)).copied().collect();
        (format!("{} have no field `{name}`", class.name), crate::suggest(name, &known))
    })
}

/// The node of a line.
pub(crate) fn compile(graph: &mut Graph, item: &Item) -> Result<NodeId, Failure> {
    if item.modifiers.iter().any(|m| m == "expand") {
        return fail("`expand` needs placeholders, which are not supported", "write the values themselves");
    }
    let Some(name) = &item.field else { return keywords(graph, item) };
    let class = graph.class();
    let column = column(class, name)?;
    let line = Line { class, column, field: &class.fields[column], item, operator: operator(item)? };
    let node = line.compile(graph)?;
    Ok(if has(item, "neq") { graph.not(node) } else { node })
}

fn has(item: &Item, modifier: &str) -> bool {
    item.modifiers.iter().any(|m| m == modifier)
}

fn operator(item: &Item) -> Result<Operator, Failure> {
    let mut found = OPERATORS.iter().filter(|(name, _)| has(item, name));
    let first = found.next();
    // `fieldref` takes the others as a relation; everything else stands alone.
    match (first, found.next()) {
        (Some((a, _)), Some((b, _))) if !has(item, "fieldref") => {
            fail(format!("`{a}` and `{b}` cannot be combined"), "write two lines")
        }
        _ if has(item, "fieldref") => Ok(Operator::FieldRef),
        (Some((_, operator)), _) => Ok(*operator),
        (None, _) => Ok(Operator::Equals),
    }
}

/// Keywords match in any text of the event, and, where they are addresses, in any address.
fn keywords(graph: &mut Graph, item: &Item) -> Result<NodeId, Failure> {
    let class = graph.class();
    if item.modifiers.iter().any(|m| m != "all" && m != "cased") {
        return fail("keywords take no modifier but `all` and `cased`", "name a field before the modifier");
    }
    let mut values = Vec::new();
    for value in &item.values {
        let text = scalar_text(value);
        let pattern = TextPattern::wildcard(&text, true, true, has(item, "cased"));
        let cidr: Option<Cidr> = text.parse().ok();
        let mut columns = Vec::new();
        for (column, field) in class.fields.iter().enumerate() {
            let test = match (field.kind, cidr) {
                (Kind::Label | Kind::Text, _) => Test::text([pattern.clone()]),
                (Kind::Ip, Some(cidr)) => Test::ip_in([cidr]),
                _ => continue,
            };
            columns.push(graph.test(Predicate { column, test }).map_err(|m| (m, String::new()))?);
        }
        values.push(graph.or(columns));
    }
    Ok(if has(item, "all") { graph.and(values) } else { graph.or(values) })
}

impl Line<'_> {
    fn compile(&self, graph: &mut Graph) -> Result<NodeId, Failure> {
        match self.operator {
            Operator::Exists => self.exists(graph),
            Operator::FieldRef => self.field_ref(graph),
            _ => self.values(graph),
        }
    }

    fn node(&self, graph: &mut Graph, test: Test) -> Result<NodeId, Failure> {
        let predicate = Predicate::new(self.class, self.column, test).map_err(|m| (m, String::new()))?;
        graph.test(predicate).map_err(|m| (format!("`{}`: {m}", self.field.name), String::new()))
    }

    fn exists(&self, graph: &mut Graph) -> Result<NodeId, Failure> {
        let [Scalar::Bool(wanted)] = self.item.values.as_slice() else {
            return fail("`exists` needs true or false", "");
        };
        let null = self.node(graph, Test::Null)?;
        Ok(if *wanted { graph.not(null) } else { null })
    }

    fn field_ref(&self, graph: &mut Graph) -> Result<NodeId, Failure> {
        let relation = OPERATORS.iter().find(|(name, op)| *op != Operator::FieldRef && has(self.item, name)).map_or(
            Ok(Relation::Equal),
            |(name, op)| match op {
                Operator::Order(relation) => Ok(*relation),
                _ => fail(format!("`{name}` cannot be combined with `fieldref`"), ""),
            },
        )?;
        let mut nodes = Vec::new();
        for value in &self.item.values {
            let other = column(self.class, &scalar_text(value))?;
            nodes.push(self.node(graph, Test::Column(relation, other))?);
        }
        Ok(self.joined(graph, nodes))
    }

    fn joined(&self, graph: &mut Graph, nodes: Vec<NodeId>) -> NodeId {
        if has(self.item, "all") { graph.and(nodes) } else { graph.or(nodes) }
    }

    /// Alternatives of one kind become one predicate; with `all`, each value is its own.
    fn values(&self, graph: &mut Graph) -> Result<NodeId, Failure> {
        let mut nodes = Vec::new();
        let mut plain = Vec::new();
        for value in &self.item.values {
            if *value == Scalar::Null {
                if self.operator != Operator::Equals {
                    return fail(format!("`{}`: null goes with no modifier", self.field.name), "");
                }
                nodes.push(self.node(graph, Test::Null)?);
            } else {
                plain.push(value);
            }
        }
        let tests = if has(self.item, "all") {
            plain.into_iter().map(|v| self.tests(&[v])).collect::<Result<Vec<_>, _>>()?.concat()
        } else if plain.is_empty() {
            Vec::new()
        } else {
            self.tests(&plain)?
        };
        for test in tests {
            nodes.push(self.node(graph, test)?);
        }
        Ok(self.joined(graph, nodes))
    }

    /// The tests that stand for these alternatives.
    fn tests(&self, values: &[&Scalar]) -> Result<Vec<Test>, Failure> {
        let kind = self.field.kind;
        match kind {
            Kind::Bool => values.iter().map(|v| self.boolean(v)).collect(),
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => self.numbers(values),
            Kind::Time => values.iter().map(|v| self.time(v)).collect(),
            Kind::Ip => {
                let prefixes = values.iter().map(|v| self.prefixes(v)).collect::<Result<Vec<_>, _>>()?.concat();
                Ok(vec![Test::ip_in(prefixes)])
            }
            Kind::Mac => {
                let mut macs = values.iter().map(|v| self.mac(v)).collect::<Result<Vec<_>, _>>()?;
                macs.sort();
                macs.dedup();
                Ok(vec![Test::Mac(macs.into())])
            }
            Kind::Label | Kind::Text => {
                let patterns = values.iter().map(|v| self.patterns(v)).collect::<Result<Vec<_>, _>>()?.concat();
                Ok(vec![Test::text(patterns)])
            }
            Kind::Bytes => fail(format!("`{}` holds bytes: only `exists` and null can be asked", self.field.name), ""),
        }
    }

    fn unfit<T>(&self, value: &Scalar) -> Result<T, Failure> {
        let message = format!(
            "`{}` is {}: `{}` can never match",
            self.field.name,
            kind_words(self.field.kind),
            scalar_text(value)
        );
        fail(message, "")
    }

    fn modifier_unfit<T>(&self) -> Result<T, Failure> {
        let name = OPERATORS.iter().find(|(_, op)| *op == self.operator).map_or("this modifier", |(name, _)| name);
        fail(format!("`{}` is {}, to which `{name}` does not apply", self.field.name, kind_words(self.field.kind)), "")
    }

    fn boolean(&self, value: &Scalar) -> Result<Test, Failure> {
        if self.operator != Operator::Equals {
            return self.modifier_unfit();
        }
        match value {
            Scalar::Bool(b) => Ok(Test::Bool(*b)),
            Scalar::Text(t) if t.eq_ignore_ascii_case("true") => Ok(Test::Bool(true)),
            Scalar::Text(t) if t.eq_ignore_ascii_case("false") => Ok(Test::Bool(false)),
            other => self.unfit(other),
        }
    }

    fn numbers(&self, values: &[&Scalar]) -> Result<Vec<Test>, Failure> {
        match self.operator {
            Operator::Equals => {
                let numbers = values.iter().map(|v| self.number(v)).collect::<Result<Vec<_>, _>>()?;
                Ok(vec![Test::one_of(numbers)])
            }
            Operator::Bits => values.iter().map(|v| self.number(v).map(Test::Bits)).collect(),
            Operator::NoBits => values.iter().map(|v| self.number(v).map(Test::NoBits)).collect(),
            Operator::Order(relation) => values.iter().map(|v| self.order(relation, v)).collect(),
            _ => self.modifier_unfit(),
        }
    }

    /// A number, or a name that stands for one in this field.
    fn number(&self, value: &Scalar) -> Result<u64, Failure> {
        let max = integer_max(self.field.kind).unwrap_or(u64::MAX);
        let number = match value {
            Scalar::Int(i) => u64::try_from(*i).ok(),
            Scalar::Text(t) if self.field.name == "protocol" && guardian_expr::protocol(t).is_some() => {
                guardian_expr::protocol(t).map(u64::from)
            }
            Scalar::Text(t)
                if guardian_expr::is_tcp_flags(self.field.name) && guardian_expr::tcp_flags(t).is_some() =>
            {
                guardian_expr::tcp_flags(t).map(u64::from)
            }
            Scalar::Text(t) => match t.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None if t.is_empty() => None,
                None => guardian_expr::size(t),
            },
            _ => None,
        };
        match number {
            Some(n) if n <= max => Ok(n),
            _ if self.field.name == "protocol" => {
                let names: Vec<&str> = guardian_expr::PROTOCOLS.iter().map(|(n, _)| *n).collect();
                let text = scalar_text(value);
                fail(format!("`protocol`: `{text}` is no protocol number or name"), crate::suggest(&text, &names))
            }
            _ if guardian_expr::is_tcp_flags(self.field.name) => {
                let text = scalar_text(value);
                let help = "flags are FIN, SYN, RST, PSH, ACK, URG, ECE and CWR, with commas between them";
                fail(format!("`{}`: `{text}` is no TCP flag", self.field.name), help)
            }
            _ => self.unfit(value),
        }
    }

    fn order(&self, relation: Relation, value: &Scalar) -> Result<Test, Failure> {
        let max = integer_max(self.field.kind).unwrap_or(u64::MAX);
        let bound = match value {
            // Between two whole numbers: `> 1.5` is `> 1`, `< 1.5` is `<= 1`.
            Scalar::Float(x) if x.is_finite() && *x >= 0.0 => {
                let floor = x.floor() as u64;
                return Ok(match relation {
                    Relation::Greater | Relation::GreaterOrEqual if floor >= max => return self.unfit(value),
                    Relation::Greater | Relation::GreaterOrEqual => Test::Range(floor + 1, max),
                    _ => Test::Range(0, floor.min(max)),
                });
            }
            other => self.number(other)?,
        };
        match relation {
            Relation::Greater if bound == max => self.unfit(value),
            Relation::Less if bound == 0 => self.unfit(value),
            Relation::Greater => Ok(Test::Range(bound + 1, max)),
            Relation::GreaterOrEqual => Ok(Test::Range(bound, max)),
            Relation::Less => Ok(Test::Range(0, bound - 1)),
            Relation::LessOrEqual => Ok(Test::Range(0, bound)),
            Relation::Equal => Ok(Test::Range(bound, bound)),
        }
    }

    fn time(&self, value: &Scalar) -> Result<Test, Failure> {
        let micros = match value {
            Scalar::Int(i) => i64::try_from(*i).ok(),
            Scalar::Text(t) => guardian_expr::time(t),
            _ => None,
        };
        let Some(t) = micros else {
            return fail(
                format!("`{}`: `{}` is no time", self.field.name, scalar_text(value)),
                "write it as 2026-01-31T12:00:00Z",
            );
        };
        match self.operator {
            Operator::Equals => Ok(Test::Time(t, t)),
            Operator::Order(Relation::Greater) => Ok(Test::Time(t.saturating_add(1), i64::MAX)),
            Operator::Order(Relation::GreaterOrEqual) => Ok(Test::Time(t, i64::MAX)),
            Operator::Order(Relation::Less) => Ok(Test::Time(i64::MIN, t.saturating_sub(1))),
            Operator::Order(Relation::LessOrEqual) => Ok(Test::Time(i64::MIN, t)),
            _ => self.modifier_unfit(),
        }
    }

    fn prefixes(&self, value: &Scalar) -> Result<Vec<Cidr>, Failure> {
        let Scalar::Text(text) = value else { return self.unfit(value) };
        let invalid = |message: String| (format!("`{}`: {message}", self.field.name), String::new());
        match self.operator {
            Operator::Cidr | Operator::Equals if !text.contains('*') => {
                if self.operator == Operator::Equals && text.contains('/') {
                    return fail(
                        format!("`{}`: `{text}` is a prefix", self.field.name),
                        format!("write `{}|cidr: {text}`", self.field.name),
                    );
                }
                text.parse().map(|c| vec![c]).map_err(invalid)
            }
            Operator::Equals if text.ends_with('*') && text.find('*') == Some(text.len() - 1) => {
                starting_with(&text[..text.len() - 1]).map_err(invalid)
            }
            Operator::StartsWith => starting_with(text).map_err(invalid),
            Operator::Equals => fail(
                format!("`{}`: in addresses a `*` may only be the last character", self.field.name),
                "use the modifier `cidr`",
            ),
            _ => self.modifier_unfit(),
        }
    }

    fn mac(&self, value: &Scalar) -> Result<Box<[u8]>, Failure> {
        let Scalar::Text(text) = value else { return self.unfit(value) };
        let text = match self.operator {
            Operator::Equals => text.trim_end_matches('*'),
            Operator::StartsWith => text.as_str(),
            _ => return self.modifier_unfit(),
        };
        let bytes: Option<Box<[u8]>> = text
            .trim_end_matches([':', '-'])
            .split([':', '-'])
            .map(|part| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok()).flatten())
            .collect();
        match bytes {
            Some(bytes) if bytes.len() <= 6 => Ok(bytes),
            _ => self.unfit(value),
        }
    }

    fn patterns(&self, value: &Scalar) -> Result<Vec<TextPattern>, Failure> {
        let text = scalar_text(value);
        if text.len() > PATTERN_BYTES_MAX {
            return fail(format!("`{}`: a value has at most {PATTERN_BYTES_MAX} bytes", self.field.name), "");
        }
        let cased = has(self.item, "cased");
        if self.operator == Operator::Regex {
            let kind = TextKind::Regex { pattern: text, multi_line: has(self.item, "m"), dot_all: has(self.item, "s") };
            // Sigma's regular expressions mind the case unless `i` is there.
            return Ok(vec![TextPattern { kind, cased: !has(self.item, "i") }]);
        }
        let (prefix, suffix) = match self.operator {
            Operator::Equals => (false, false),
            Operator::Contains => (true, true),
            Operator::StartsWith => (false, true),
            Operator::EndsWith => (true, false),
            _ => return self.modifier_unfit(),
        };
        let texts = if has(self.item, "windash") { encode::windash(&text) } else { vec![text] };
        let mut patterns = Vec::new();
        for text in texts {
            match self.encoded(&text) {
                // Encoded text has no wildcards and minds the case.
                Some(encoded) => {
                    patterns.extend(encoded.iter().map(|t| TextPattern::wildcard(t, prefix, suffix, true)));
                }
                None => patterns.push(TextPattern::wildcard(&text, prefix, suffix, cased)),
            }
        }
        Ok(patterns)
    }

    fn encoded(&self, text: &str) -> Option<Vec<String>> {
        let mut bytes = text.as_bytes().to_vec();
        if ["wide", "utf16", "utf16le"].iter().any(|m| has(self.item, m)) {
            bytes = encode::utf16(&bytes, false);
        } else if has(self.item, "utf16be") {
            bytes = encode::utf16(&bytes, true);
        }
        if has(self.item, "base64offset") {
            return Some(encode::base64_offsets(&bytes));
        }
        has(self.item, "base64").then(|| vec![encode::base64(&bytes)])
    }
}

/// The prefixes of all addresses whose text starts so: `10.`, `192.168.1`, `fe80:`.
fn starting_with(text: &str) -> Result<Vec<Cidr>, String> {
    let invalid = || format!("`{text}` is not the start of an address; use the modifier `cidr`");
    if text.contains(':') {
        let groups: Vec<&str> = text.strip_suffix(':').ok_or_else(invalid)?.split(':').collect();
        let mut bytes = [0; 16];
        if groups.len() > 7 {
            return Err(invalid());
        }
        for (i, group) in groups.iter().enumerate() {
            let group = u16::from_str_radix(group, 16).map_err(|_| invalid())?;
            bytes[2 * i..2 * i + 2].copy_from_slice(&group.to_be_bytes());
        }
        return Ok(vec![Cidr::new(guardian_model::Ip(bytes), 16 * groups.len() as u8)]);
    }
    let (whole, partial) = text.rsplit_once('.').unwrap_or(("", text));
    let octets: Vec<&str> = if whole.is_empty() { Vec::new() } else { whole.split('.').collect() };
    if octets.len() > 3 {
        return Err(invalid());
    }
    let prefix = |last: Option<u8>| -> Result<Cidr, String> {
        let mut all: Vec<String> = octets.iter().map(|o| (*o).to_owned()).collect();
        all.extend(last.map(|n| n.to_string()));
        let length = 96 + 8 * all.len() as u8;
        all.resize(4, "0".to_owned());
        let ip: IpAddr = all.join(".").parse().map_err(|_| invalid())?;
        Ok(Cidr::new(ip.into(), length))
    };
    if partial.is_empty() && !octets.is_empty() {
        return Ok(vec![prefix(None)?]);
    }
    let candidates: Vec<u8> = (0..=255).filter(|n: &u8| n.to_string().starts_with(partial)).collect();
    if candidates.is_empty() || partial.is_empty() {
        return Err(invalid());
    }
    candidates.into_iter().map(|n| prefix(Some(n))).collect()
}
