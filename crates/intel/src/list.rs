//! Reads indicator lists. A bad line is counted and reported with its number, and the rest loads: a feed with one
//! mistake in it must not switch detection off.

use guardian_model::Ip;

use crate::config::{IndicatorList, ListFormat};
use crate::prefix::Prefix;

/// Largest list file, in bytes.
pub(crate) const LIST_BYTES_MAX: u64 = 512 << 20;

/// Entries that one list can hold.
pub(crate) const ENTRIES_MAX: usize = 8_000_000;

/// Bad lines that are reported one by one; the rest is only counted.
pub(crate) const PROBLEMS_MAX: usize = 10;

/// Shortest prefixes that a list may hold. What is broader is a mistake that would mark half the Internet.
const V4_LENGTH_MIN: u8 = 8;
const V6_LENGTH_MIN: u8 = 16;

/// A line that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListProblem {
    /// Its number, counted from 1.
    pub line: u64,
    /// Why, with what was found.
    pub message: String,
}

/// A list that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedList {
    v4: Vec<(u32, u8)>,
    v6: Vec<(u128, u8)>,
    /// Lines that were not understood.
    pub malformed: u64,
    /// The first ten of them.
    pub problems: Vec<ListProblem>,
    /// Entries beyond the limit, which were left out.
    pub over_limit: u64,
}

impl ParsedList {
    /// The networks, IPv4 first.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> + '_ {
        let v4 = self.v4.iter().map(|(first, bits)| Prefix::new(Ip::v4(first.to_be_bytes()), *bits));
        v4.chain(self.v6.iter().map(|(first, bits)| Prefix::new(Ip(first.to_be_bytes()), *bits)))
    }

    /// How many networks there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that it occupies, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.v4.capacity() * size_of::<(u32, u8)>() + self.v6.capacity() * size_of::<(u128, u8)>()
    }

    fn add(&mut self, prefix: Prefix) {
        if self.len() >= ENTRIES_MAX {
            self.over_limit += 1;
        } else if prefix.is_v4() {
            self.v4.push((prefix.first() as u32, prefix.bits()));
        } else {
            self.v6.push((prefix.first(), prefix.bits()));
        }
    }

    fn refuse(&mut self, line: u64, message: impl Into<String>) {
        self.malformed += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(ListProblem { line, message: message.into() });
        }
    }

    fn take(&mut self, line: u64, entry: &str) {
        match parse_entry(entry) {
            Ok(Entry::One(prefix)) => self.add(prefix),
            Ok(Entry::Range(first, last)) => range_prefixes(first, last).for_each(|prefix| self.add(prefix)),
            Err(reason) => self.refuse(line, format!("{:?}: {reason}", entry.chars().take(60).collect::<String>())),
        }
    }
}

/// Reads a list as its configuration says.
pub fn parse_list(config: &IndicatorList, bytes: &[u8]) -> ParsedList {
    let mut list = ParsedList::default();
    match config.format {
        ListFormat::Plain => parse_plain(bytes, &mut list),
        ListFormat::Csv => parse_csv(bytes, &config.column, &mut list),
    }
    list.v4.shrink_to_fit();
    list.v6.shrink_to_fit();
    list
}

fn parse_plain(bytes: &[u8], list: &mut ParsedList) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let Ok(text) = std::str::from_utf8(line) else {
            list.refuse(i as u64 + 1, "not UTF-8 text");
            continue;
        };
        let text = text.split(['#', ';']).next().unwrap_or_default().trim();
        // Ranges may be written with blanks around the dash, so the dash is looked for before the first word is.
        let entry = if text.contains(" - ") { text } else { text.split_whitespace().next().unwrap_or_default() };
        if !entry.is_empty() {
            list.take(i as u64 + 1, entry);
        }
    }
}

fn parse_csv(bytes: &[u8], column: &str, list: &mut ParsedList) {
    let number = column.trim().parse::<usize>().ok().filter(|n| *n > 0);
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .flexible(true)
        .has_headers(number.is_none())
        .trim(csv::Trim::All)
        .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let named = || reader_position(&mut reader, column);
    let position = match number.map_or_else(named, |number| Ok(number - 1)) {
        Ok(position) => position,
        Err(message) => return list.refuse(1, message),
    };
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return,
            Err(e) if matches!(e.kind(), csv::ErrorKind::Io(_)) => return list.refuse(0, e.to_string()),
            Err(e) => {
                list.refuse(e.position().map_or(0, csv::Position::line), "not UTF-8 text");
                continue;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        match record.get(position) {
            Some(entry) if !entry.is_empty() => list.take(line, entry),
            _ => list.refuse(line, format!("there is nothing in column {column}")),
        }
    }
}

/// Where the header names the column.
fn reader_position(reader: &mut csv::Reader<&[u8]>, column: &str) -> Result<usize, String> {
    let headers = reader.headers().map_err(|_| "the header is not UTF-8 text".to_owned())?;
    headers.iter().position(|name| name.eq_ignore_ascii_case(column)).ok_or_else(|| {
        let names: String = headers.iter().collect::<Vec<_>>().join(", ").chars().take(200).collect();
        format!("there is no column `{column}`; the header names {names}")
    })
}

enum Entry {
    One(Prefix),
    Range(u128, u128),
}

/// An address, a network, a range `a-b`, or an address with a port; `[.]` reads as a dot.
fn parse_entry(entry: &str) -> Result<Entry, &'static str> {
    let plain = entry.trim_matches('"').trim();
    let undefanged;
    let text = if plain.contains("[.]") {
        undefanged = plain.replace("[.]", ".");
        &*undefanged
    } else {
        plain
    };
    if let Ok(prefix) = text.parse::<Prefix>() {
        return narrow_enough(prefix).map(Entry::One);
    }
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.trim().parse::<Ip>(), last.trim().parse::<Ip>())
    {
        if first.is_v4() != last.is_v4() || first > last {
            return Err("the range does not end after its beginning");
        }
        let (low, high) = (u128::from_be_bytes(first.0), u128::from_be_bytes(last.0));
        let most = if first.is_v4() { 32 - V4_LENGTH_MIN } else { 128 - V6_LENGTH_MIN };
        return if high - low >= 1 << most { Err("the range is too broad") } else { Ok(Entry::Range(low, high)) };
    }
    match text.parse::<std::net::SocketAddr>() {
        Ok(socket) => Ok(Entry::One(Prefix::host(socket.ip().into()))),
        Err(_) => Err("neither an address nor a network"),
    }
}

fn narrow_enough(prefix: Prefix) -> Result<Prefix, &'static str> {
    let least = if prefix.is_v4() { V4_LENGTH_MIN } else { V6_LENGTH_MIN };
    if prefix.len() < least { Err("the network is too broad") } else { Ok(prefix) }
}

/// The fewest networks that make up a range.
fn range_prefixes(first: u128, last: u128) -> impl Iterator<Item = Prefix> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let start = next.filter(|start| *start <= last)?;
        let aligned = start.trailing_zeros().min(127);
        let fitting = (last - start).checked_add(1).map_or(127, u128::ilog2);
        let host_bits = aligned.min(fitting);
        next = start.checked_add(1 << host_bits);
        Some(Prefix::new(Ip(start.to_be_bytes()), 128 - host_bits as u8))
    })
}

#[cfg(test)]
mod tests {
    use guardian_model::Severity;

    use super::*;

    fn read(format: ListFormat, column: &str, text: &str) -> (Vec<String>, Vec<(u64, String)>) {
        let config = IndicatorList {
            name: "l".to_owned(),
            path: "l".into(),
            format,
            column: column.to_owned(),
            severity: Severity::High,
        };
        let list = parse_list(&config, text.as_bytes());
        let problems = list.problems.iter().map(|p| (p.line, p.message.clone())).collect();
        (list.prefixes().map(|p| p.to_string()).collect(), problems)
    }

    #[test]
    fn plain_lists() {
        let text = "\u{feff}# head\n1.2.3.4\n\n 5.6.7.0/24 ; SBL1\r\n2001:db8::/32 # x\n9.9.9.9 seen today\n\
                    1.2.3[.]5\n7.7.7.7:443\n[2001:db8::1]:80\n10.0.0.1-10.0.0.4\n10.0.1.0 - 10.0.1.255\n\
                    evil.example\n0.0.0.0/0\n1.2.3.4/33\n10.0.0.9-10.0.0.1\n2000::/3\n";
        let (entries, problems) = read(ListFormat::Plain, "", text);
        assert_eq!(
            entries,
            [
                "1.2.3.4",
                "5.6.7.0/24",
                "9.9.9.9",
                "1.2.3.5",
                "7.7.7.7",
                "10.0.0.1",
                "10.0.0.2/31",
                "10.0.0.4",
                "10.0.1.0/24",
                "2001:db8::/32",
                "2001:db8::1"
            ]
        );
        let lines: Vec<u64> = problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [12, 13, 14, 15, 16]);
        assert!(problems[0].1.contains("evil.example") && problems[1].1.contains("too broad"));
    }

    #[test]
    fn csv_lists() {
        let text =
            "# comment\nfirst_seen,dst_ip,port\n\"2026-01-01\",\"1.2.3.4\",443\nx,not an ip,1\ny\nz,5.6.7.8,80\n";
        let (entries, problems) = read(ListFormat::Csv, "DST_IP", text);
        assert_eq!(entries, ["1.2.3.4", "5.6.7.8"]);
        assert_eq!(problems.iter().map(|p| p.0).collect::<Vec<_>>(), [4, 5]);
        let (entries, problems) = read(ListFormat::Csv, "2", "a,1.1.1.1\nb,2.2.2.2\n");
        assert_eq!((entries.len(), problems.len()), (2, 0));
        let (entries, problems) = read(ListFormat::Csv, "ip", "a,b\n1.1.1.1,2\n");
        assert!(entries.is_empty() && problems[0].1.contains("no column `ip`; the header names a, b"));
    }

    #[test]
    fn only_the_first_problems_are_told_and_all_are_counted() {
        let text = "bad\n".repeat(1000) + "1.1.1.1\n\u{0}\n";
        let config = IndicatorList {
            name: "l".to_owned(),
            path: "l".into(),
            format: ListFormat::Plain,
            column: String::new(),
            severity: Severity::High,
        };
        let list = parse_list(&config, text.as_bytes());
        assert_eq!((list.len(), list.malformed, list.problems.len()), (1, 1001, PROBLEMS_MAX));
        assert_eq!(parse_list(&config, b"\xff\xfe\n1.1.1.1").malformed, 1);
    }

    #[test]
    fn ranges_cover_exactly() {
        for (first, last) in [(0u128, 0u128), (1, 6), (0, 255), (7, 300), (u128::MAX - 5, u128::MAX)] {
            let mut next = first;
            for prefix in range_prefixes(first, last) {
                assert_eq!(prefix.first(), next);
                next = next.wrapping_add(1u128 << (128 - prefix.bits()));
            }
            assert_eq!(next, last.wrapping_add(1), "{first}-{last}");
        }
    }
}
