//! The value modifiers that rewrite text: `windash`, `wide`, `base64`, `base64offset`.

/// What may stand for the dash before a command-line option.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text with each kind of dash instead of those that start a word.
pub(crate) fn windash(text: &str) -> Vec<String> {
    let starts: Vec<usize> = text
        .char_indices()
        .filter(|(i, c)| matches!(c, '-' | '/') && text[..*i].chars().next_back().is_none_or(char::is_whitespace))
        .map(|(i, _)| i)
        .collect();
    if starts.is_empty() {
        return vec![text.to_owned()];
    }
    let with =
        |dash: char| text.char_indices().map(|(i, c)| if starts.contains(&i) { dash } else { c }).collect::<String>();
    DASHES.iter().map(|d| with(*d)).collect()
}

/// UTF-16 of the text; little-endian unless `big`.
pub(crate) fn utf16(text: &[u8], big: bool) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

/// Base64 with padding (RFC 4648 section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = (word >> (18 - 6 * i)) & 63;
            text.push(if i <= chunk.len() { ALPHABET[digit as usize] as char } else { '=' });
        }
    }
    text
}

/// What the bytes look like inside base64 text at each of the three possible offsets: only the characters that do
/// not depend on what stands before and after.
pub(crate) fn base64_offsets(bytes: &[u8]) -> Vec<String> {
    (0..3)
        .map(|offset| {
            let mut padded = vec![0; offset];
            padded.extend_from_slice(bytes);
            let text = base64(&padded);
            let start = [0, 2, 3][offset];
            let end = text.len() - [0, 3, 2][padded.len() % 3];
            text.get(start..end).unwrap_or_default().to_owned()
        })
        .filter(|t| !t.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{base64, base64_offsets, utf16, windash};

    #[test]
    fn encodings() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        // The example of the Sigma specification.
        assert_eq!(base64_offsets(b"http://"), ["aHR0cDovL", "h0dHA6Ly", "odHRwOi8v"]);
        for offset in 0..3 {
            let mut around = vec![b'x'; offset];
            around.extend_from_slice(b"http://y");
            assert!(base64(&around).contains(&base64_offsets(b"http://")[offset]));
        }
        assert_eq!(utf16(b"a", false), [b'a', 0]);
        assert_eq!(utf16(b"a", true), [0, b'a']);
        assert_eq!(windash("-a b-c /d").len(), 5);
        assert_eq!(windash("plain"), ["plain"]);
    }
}
