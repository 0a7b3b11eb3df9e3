//! Small rules about text: enums that are stored as words, what may go into a text column, and how one is searched.

use sea_orm::sea_query::{Expr, ExprTrait, Func, LikeExpr};
use sea_orm::{ColumnTrait, Condition};

/// Longest text that is searched for, in characters.
pub(crate) const SEARCH_MAX: usize = 200;

/// Declares an enum that is a fixed word in the database, in JSON and in the API, each declared once.
#[macro_export]
#[doc(hidden)]
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them, in their order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word it is stored and shown as.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    format!("`{text}` is none of {}", words.join(", "))
                })
            }
        }
    };
}

/// Text from outside, fit for a column: PostgreSQL takes no NUL, and nothing may grow without end.
pub(crate) fn clean(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

/// Whether a column contains `text`, upper and lower case alike. At most [`SEARCH_MAX`] characters are looked for.
pub(crate) fn contains<C: ColumnTrait>(column: C, text: &str) -> Expr {
    let pattern = contains_pattern(&clean(text, SEARCH_MAX));
    Expr::expr(Func::lower(Expr::col(column.as_column_ref()))).like(LikeExpr::new(pattern).escape('\\'))
}

/// Whether one of the columns contains `text`.
pub(crate) fn any_contains<C: ColumnTrait>(columns: impl IntoIterator<Item = C>, text: &str) -> Condition {
    columns.into_iter().fold(Condition::any(), |any, column| any.add(contains(column, text)))
}

/// A `LIKE` pattern that finds `text` anywhere, with `\` as the escape character; lower-case.
fn contains_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.to_lowercase().chars().filter(|c| *c != '\0') {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::{clean, contains_pattern};

    #[test]
    fn text_is_made_safe() {
        assert_eq!(clean("a\0b", 10), "a\u{fffd}b");
        assert_eq!(clean("äöü", 2), "äö");
        assert_eq!(contains_pattern(r"50%_\X"), r"%50\%\_\\x%");
    }
}
