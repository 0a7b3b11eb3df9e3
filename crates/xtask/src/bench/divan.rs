//! Reads the table that divan prints: a tree of names, times in columns, and under each time the items a second. The
//! median of those is what counts.

use std::collections::BTreeMap;

/// Columns of the table: fastest, slowest, median, mean, samples, iterations.
const COLUMNS: usize = 6;
/// The median among them.
const MEDIAN: usize = 2;

/// Items a second by path, such as `guardian/netflow9`.
pub(crate) fn rates(table: &str) -> BTreeMap<String, f64> {
    let mut rates = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    for line in table.lines() {
        let parts: Vec<&str> = line.split('│').collect();
        let Some(columns) = parts.len().checked_sub(COLUMNS).map(|first| &parts[first..]) else {
            continue;
        };
        if let Some((depth, name)) = branch(line) {
            path.truncate(depth);
            path.push(name);
        } else if let Some(rate) = items_a_second(columns[MEDIAN]) {
            rates.insert(path.join("/"), rate);
        }
    }
    rates
}

/// Depth and name of a line that begins a branch: `│  ├─ netflow9    11.2 µs`.
fn branch(line: &str) -> Option<(usize, String)> {
    let mark = line.find("├─ ").or_else(|| line.find("╰─ "))?;
    // Each level is three characters wide.
    let depth = line[..mark].chars().count() / 3;
    let rest = line[mark..].split_once(' ')?.1;
    let name = rest.split("  ").next().unwrap_or_default().trim();
    Some((depth, name.to_owned()))
}

/// `81.2 Mitem/s` as a number.
fn items_a_second(text: &str) -> Option<f64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let factor = match unit.strip_suffix("item/s")? {
        "" => 1.0,
        "K" | "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nested_names_and_medians() {
        let table = "\
Timer precision: 20 ns
decode               fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ guardian                        │               │               │               │         │
│  ├─ netflow5       10.21 µs      │ 20.11 µs      │ 10.5 µs       │ 11 µs         │ 100     │ 100
│  │                 188 Mitem/s   │ 95.4 Mitem/s  │ 182.8 Mitem/s │ 174 Mitem/s   │         │
│  ╰─ netflow9       30 µs         │ 40 µs         │ 31 µs         │ 32 µs         │ 100     │ 100
│                    58 Mitem/s    │ 40 Mitem/s    │ 56 Mitem/s    │ 55 Mitem/s    │         │
╰─ flat              1 ms          │ 2 ms          │ 1.5 ms        │ 1.5 ms        │ 100     │ 100
                     900 Kitem/s   │ 500 Kitem/s   │ 650.5 Kitem/s │ 650 Kitem/s   │         │
";
        let rates = rates(table);
        let expected = [("flat", 650_500.0), ("guardian/netflow5", 182.8e6), ("guardian/netflow9", 56e6)];
        assert_eq!(rates.len(), expected.len());
        for (name, rate) in expected {
            assert!((rates[name] - rate).abs() < 1.0, "{name}: {}", rates[name]);
        }
    }
}
