//! Summary templates: `Host {src_ip} tried {count} ports`. Rendering never fails; what is not known shows as `?`.

use std::fmt;

/// Most placeholders of a template.
const PLACEHOLDERS_MAX: usize = 32;

/// A sentence with placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(String),
}

impl Template {
    /// Reads a template. `{{` and `}}` stand for the braces themselves. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' | '}' if chars.peek() == Some(&c) => {
                    chars.next();
                    plain.push(c);
                }
                '{' => {
                    let name: String = chars.by_ref().take_while(|&c| c != '}').collect();
                    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "_.".contains(c)) {
                        return Err(format!("`{{{name}}}` is not a placeholder"));
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Placeholder(name));
                }
                '}' => return Err("`}` without `{`; write `}}` for the brace itself".to_owned()),
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        if parts.len() > 2 * PLACEHOLDERS_MAX {
            return Err(format!("a template has at most {PLACEHOLDERS_MAX} placeholders"));
        }
        Ok(Self { parts })
    }

    /// The names of the placeholders, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|p| match p {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The sentence, with what `lookup` knows.
    pub fn render(&self, mut lookup: impl FnMut(&str) -> Option<String>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(t) => text.push_str(t),
                Part::Placeholder(name) => text.push_str(lookup(name).as_deref().unwrap_or("?")),
            }
        }
        text
    }
}

impl fmt::Display for Template {
    /// The template as it would be written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(t) => f.write_str(&t.replace('{', "{{").replace('}', "}}")),
            Part::Placeholder(name) => write!(f, "{{{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn placeholders_are_filled_and_unknown_ones_show() {
        let t = Template::parse("{src_ip} tried {count} ports {{sic}} of {nobody}").expect("a template");
        assert_eq!(t.placeholders().collect::<Vec<_>>(), ["src_ip", "count", "nobody"]);
        let text = t.render(|name| match name {
            "src_ip" => Some("10.0.0.1".to_owned()),
            "count" => Some("12".to_owned()),
            _ => None,
        });
        assert_eq!(text, "10.0.0.1 tried 12 ports {sic} of ?");
        assert_eq!(Template::parse(&t.to_string()).expect("itself again"), t);
        for bad in ["{", "{}", "{a b}", "}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
