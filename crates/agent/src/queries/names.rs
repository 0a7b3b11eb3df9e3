//! How names become addresses and numbers: resolvers, hosts, services, protocols.

use rusqlite::types::Value;

use super::{Answered, Asked, Table, all, big, int, read, row, text};

/// `dns_resolvers`.
pub(super) const DNS_RESOLVERS: Table = Table {
    name: "dns_resolvers",
    about: "What the resolver of the C library is told",
    needs: false,
    columns: &[
        int("id", "Place among those of its type, from 0"),
        text("type", "nameserver, search or sortlist"),
        text("address", "Address, or domain that is tried"),
        text("netmask", "Bits of the network, or its mask"),
        big("options", "Always 0 here"),
    ],
    rows: resolvers,
};

/// `etc_hosts`.
pub(super) const ETC_HOSTS: Table = Table {
    name: "etc_hosts",
    about: "Names that the machine's own file has",
    needs: false,
    columns: &[text("address", "Address"), text("hostnames", "Its names, with blanks between them")],
    rows: hosts,
};

/// `etc_services`.
pub(super) const ETC_SERVICES: Table = Table {
    name: "etc_services",
    about: "Names of ports that the machine's own file has",
    needs: false,
    columns: &[
        text("name", "Name"),
        int("port", "Port"),
        text("protocol", "Protocol"),
        text("aliases", "Other names"),
        text("comment", "What the comment says"),
    ],
    rows: services,
};

/// `etc_protocols`.
pub(super) const ETC_PROTOCOLS: Table = Table {
    name: "etc_protocols",
    about: "Names of protocols that the machine's own file has",
    needs: false,
    columns: &[
        text("name", "Name"),
        int("number", "Number"),
        text("alias", "Other names"),
        text("comment", "What the comment says"),
    ],
    rows: protocols,
};

fn resolvers(_: &Asked<'_>) -> Answered {
    all(resolver_rows(&read::text("/etc/resolv.conf")))
}

fn resolver_rows(file: &str) -> Vec<Vec<Value>> {
    let (mut servers, mut search, mut sorted) = (Vec::new(), Vec::new(), Vec::new());
    for line in file.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => servers.extend(words.next()),
            // The last one of both counts (resolv.conf(5)).
            Some("search" | "domain") => search = words.collect(),
            Some("sortlist") => sorted = words.collect(),
            _ => {}
        }
    }
    let mut rows = Vec::new();
    for (kind, values) in [("nameserver", servers), ("sortlist", sorted), ("search", search)] {
        for (id, value) in values.iter().enumerate() {
            let (address, mask) = match kind {
                "nameserver" => (value.as_str(), "32"),
                "sortlist" => value.split_once('/').unwrap_or((value, "")),
                _ => (value.as_str(), ""),
            };
            rows.push(row![id as u64, kind, address, mask, 0]);
        }
    }
    rows
}

/// A line in words: the first ones, and the rest with blanks between them.
fn words<const N: usize>(line: &str) -> Option<([&str; N], String)> {
    let mut words = line.split_whitespace();
    let mut first = [""; N];
    for word in &mut first {
        *word = words.next()?;
    }
    Some((first, words.collect::<Vec<_>>().join(" ")))
}

fn hosts(_: &Asked<'_>) -> Answered {
    let row = |(line, _): (String, String)| words(&line).map(|([address], names)| row![address, names]);
    all(read::configured("/etc/hosts").into_iter().filter_map(row).collect())
}

fn services(_: &Asked<'_>) -> Answered {
    let row = |(line, comment): (String, String)| {
        let ([name, port], aliases) = words(&line)?;
        let (port, protocol) = port.split_once('/')?;
        Some(row![name, port.parse::<u16>().ok()?, protocol, aliases, comment])
    };
    all(read::configured("/etc/services").into_iter().filter_map(row).collect())
}

fn protocols(_: &Asked<'_>) -> Answered {
    let row = |(line, comment): (String, String)| {
        let ([name, number], aliases) = words(&line)?;
        Some(row![name, number.parse::<u32>().ok()?, aliases, comment])
    };
    all(read::configured("/etc/protocols").into_iter().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_have_their_servers_and_the_last_search_list() {
        let file =
            "# x\nnameserver 192.0.2.53 # first\nnameserver 2001:db8::53\ndomain old\nsearch a.example b.example\n";
        let seen: Vec<_> =
            resolver_rows(file).into_iter().map(|row| (row[0].clone(), row[1].clone(), row[2].clone())).collect();
        let row =
            |id: i64, kind: &str, what: &str| (Value::Integer(id), Value::Text(kind.into()), Value::Text(what.into()));
        let expected = [
            row(0, "nameserver", "192.0.2.53"),
            row(1, "nameserver", "2001:db8::53"),
            row(0, "search", "a.example"),
            row(1, "search", "b.example"),
        ];
        assert_eq!(seen, expected);
    }
}
