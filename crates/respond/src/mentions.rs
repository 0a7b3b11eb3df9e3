//! Mentions: `@name` in a Markdown text, outside of code.

/// Most names that one text mentions.
pub const MENTIONS_MAX: usize = 50;

/// The names that a text mentions, lower-case, each once, in the order they appear. A name begins after white space or
/// punctuation, so that mail addresses are not mentions, and ends before punctuation that closes a sentence.
pub fn names(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        // Every other piece between back-ticks is code.
        for (place, piece) in line.split('`').enumerate() {
            if place % 2 == 0 {
                for name in of_plain(piece) {
                    if !found.contains(&name) && found.len() < MENTIONS_MAX {
                        found.push(name);
                    }
                }
            }
        }
    }
    found
}

fn of_plain(text: &str) -> Vec<String> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    let mut found = Vec::new();
    let mut before = ' ';
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        before = rest[..at].chars().next_back().unwrap_or(before);
        let after = &rest[at + 1..];
        let end = after.find(|c| !fits(c)).unwrap_or(after.len());
        let name = after[..end].trim_end_matches(['.', '-', '_', '@', '+']);
        if !name.is_empty() && !before.is_alphanumeric() {
            found.push(name.to_lowercase());
        }
        before = after[..end].chars().next_back().unwrap_or('@');
        rest = &after[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_are_found_where_people_mean_them() {
        for (text, expected) in [
            ("@ada look at this", vec!["ada"]),
            ("ask @Ada, @bob-2 and (@carla.m).", vec!["ada", "bob-2", "carla.m"]),
            ("@ada @ada", vec!["ada"]),
            ("write to ada@example.org", vec![]),
            ("sign in as @ada@example.org", vec!["ada@example.org"]),
            ("`@ada` and @bob", vec!["bob"]),
            ("```\n@ada\n```\n@bob", vec!["bob"]),
            ("@ nobody, @.", vec![]),
            ("äöü @ünal!", vec!["ünal"]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }
}
