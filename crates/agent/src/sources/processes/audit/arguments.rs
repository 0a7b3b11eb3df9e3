//! Arguments in `EXECVE` records: `argc=3 a0="sh" a1="-c" a2=6964`, where a long argument comes in parts (`a2_len=18110 a2[0]=…
//! a2[1]=…`) and long lists go on in further records of the same event. Pure; what is kept of them is bounded.

/// Bytes of arguments that are kept of one event, each with a zero behind it.
const ARGUMENTS_BYTES_MAX: usize = 16 << 10;

/// The arguments of one event, as its records bring them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Arguments, each with a zero behind it but one that still has parts to come.
    bytes: Vec<u8>,
    /// How many there are, as the first record says.
    declared: Option<u32>,
    /// The number of the next one.
    next: u32,
    /// The one whose parts come, and the number of the next part.
    open: Option<(u32, u32)>,
    /// Letters of its parts that are to come still, as its length says.
    missing: usize,
    /// Whether some are missing in between.
    gap: bool,
    /// Whether there was no room for all.
    full: bool,
}

/// What a key of such a record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Count,
    Whole(u32),
    Length(u32),
    Part(u32, u32),
}

impl Key {
    fn of(text: &str) -> Option<Self> {
        if text == "argc" {
            return Some(Self::Count);
        }
        let rest = text.strip_prefix('a')?;
        if let Some(number) = rest.strip_suffix("_len") {
            return Some(Self::Length(number.parse().ok()?));
        }
        match rest.split_once('[') {
            Some((number, part)) => Some(Self::Part(number.parse().ok()?, part.strip_suffix(']')?.parse().ok()?)),
            None => Some(Self::Whole(rest.parse().ok()?)),
        }
    }
}

impl Arguments {
    /// Takes what stands behind the stamp of a record.
    pub(crate) fn take(&mut self, text: &str) {
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(' ');
            let Some((key, value)) = rest.split_once('=') else { return };
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => {
                    let end = quoted.find('"').unwrap_or(quoted.len());
                    (value.get(..end + 1).unwrap_or(value), quoted.get(end + 1..).unwrap_or_default())
                }
                None => value.split_at(value.find([' ', '\u{1d}']).unwrap_or(value.len())),
            };
            if let Some(key) = Key::of(key) {
                self.one(key, value);
            }
            // What auditd adds of its own has nothing of arguments in it.
            if after.starts_with('\u{1d}') {
                return;
            }
            rest = after;
        }
    }

    fn one(&mut self, key: Key, value: &str) {
        match key {
            Key::Count => self.declared = self.declared.or_else(|| value.parse().ok()),
            Key::Whole(number) => {
                self.close();
                if self.expects(number) {
                    self.add(value);
                    self.end();
                }
            }
            Key::Length(number) => {
                self.close();
                if self.expects(number) {
                    self.open = Some((number, 0));
                    self.missing = value.parse().unwrap_or(0);
                }
            }
            Key::Part(number, part) if self.open == Some((number, part)) => {
                self.add(value);
                self.open = Some((number, part.saturating_add(1)));
            }
            // The parts before it did not come.
            Key::Part(number, part) => {
                self.gap = true;
                if self.open.is_none_or(|(open, _)| open != number) {
                    self.close();
                    if !self.expects(number) {
                        return;
                    }
                }
                self.add(value);
                self.open = Some((number, part.saturating_add(1)));
            }
        }
    }

    /// Whether an argument of this number may come now: it is passed over where it was there before.
    fn expects(&mut self, number: u32) -> bool {
        self.gap |= number != self.next;
        let news = number >= self.next;
        if news {
            self.next = number.saturating_add(1);
        }
        news
    }

    fn add(&mut self, value: &str) {
        self.missing = self.missing.saturating_sub(value.trim_matches('"').len());
        if self.bytes.len() >= ARGUMENTS_BYTES_MAX {
            self.full |= !value.is_empty();
            return;
        }
        let room = ARGUMENTS_BYTES_MAX - self.bytes.len();
        // Two digits are a byte; more of them need not be looked at.
        let bytes = value_bytes(cut(value, 2 * room + 2));
        self.full |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end(&mut self) {
        if self.bytes.len() < ARGUMENTS_BYTES_MAX {
            self.bytes.push(0);
        }
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.gap |= std::mem::take(&mut self.missing) > 0;
            self.end();
        }
    }

    /// The arguments, each with a zero behind it, and whether all of them came.
    pub(crate) fn finish(mut self) -> (Vec<u8>, bool) {
        self.close();
        let whole = !self.gap && self.declared.is_some_and(|count| count == self.next);
        (self.bytes, whole)
    }
}

/// The front of a text.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// What a value stands for: in quotes as it is, else in hexadecimal digits. What is neither is taken as it is.
pub(crate) fn value_bytes(value: &str) -> Vec<u8> {
    if let Some(quoted) = value.strip_prefix('"') {
        return quoted.strip_suffix('"').unwrap_or(quoted).as_bytes().to_vec();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    // A last digit alone is what was cut off.
    let bytes: Option<Vec<u8>> =
        value.as_bytes().chunks_exact(2).map(|two| Some(digit(two[0])? << 4 | digit(two[1])?)).collect();
    bytes.unwrap_or_else(|| value.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(records: &[&str]) -> (String, bool) {
        let mut arguments = Arguments::default();
        records.iter().for_each(|text| arguments.take(text));
        let (bytes, whole) = arguments.finish();
        (String::from_utf8_lossy(&bytes).replace('\0', "|"), whole)
    }

    #[test]
    fn arguments_are_put_together() {
        let cases: &[(&[&str], &str, bool)] = &[
            (&[r#" argc=3 a0="sh" a1="-c" a2=69640A"#], "sh|-c|id\n|", true),
            (&[r#" argc=2 a0="/bin/true" a1=612062"#], "/bin/true|a b|", true),
            (&[r#" argc=2 a0="x" a1="""#], "x||", true),
            (&[r#" argc=2 a0="x" a1_len=6 a1[0]=6162"#, r#" a1[1]=63"#], "x|abc|", true),
            (&[r#" argc=2 a0="x" a1_len=6 a1[0]=6162"#], "x|ab|", false),
            (&[r#" argc=3 a0="x""#, r#" a1="y" a2="z""#], "x|y|z|", true),
            // A record in between did not come.
            (&[r#" argc=4 a0="x""#, r#" a3="z""#], "x|z|", false),
            (&[r#" argc=2 a0="x" a1_len=6 a1[0]=6162"#, r#" a1[2]="d""#], "x|abd|", false),
            (&[r#" argc=2 a0="x""#], "x|", false),
            (&[r#" a1="y""#], "y|", false),
            (&[""], "", false),
            // Twice the same, and what is no argument.
            (&[r#" argc=1 a0="x" a0="y" key="z" a="b" a-1="c" a0_length="d""#], "x|", false),
            (&[" argc=1 a0=\"x\"\u{1d}ARCH=x86_64 a1=\"y\""], "x|", true),
        ];
        for (records, expected, whole) in cases {
            assert_eq!(of(records), ((*expected).to_owned(), *whole), "{records:?}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = "41".repeat(ARGUMENTS_BYTES_MAX);
        let first = format!(" argc=2 a0={long} a1=\"y\"");
        let (text, whole) = of(&[&first, &first]);
        assert_eq!(text.len(), ARGUMENTS_BYTES_MAX);
        assert!(text.bytes().all(|byte| byte == b'A') && !whole);
        let many: String = (0..100_000).map(|number| format!(" a{number}=\"\"")).collect();
        assert_eq!(of(&[&many]).0.len(), ARGUMENTS_BYTES_MAX);
    }

    /// As the kernel writes an argument.
    fn written(argument: &[u8]) -> String {
        let plain = argument.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'"');
        match str::from_utf8(argument) {
            Ok(text) if plain => format!("\"{text}\""),
            _ => data_encoding::HEXLOWER.encode(argument),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            arguments in proptest::collection::vec(proptest::collection::vec(1u8.., 0..40), 1..40),
            part in 1usize..20,
            split in 1usize..8,
        ) {
            let mut records = vec![format!(" argc={}", arguments.len())];
            for (number, argument) in arguments.iter().enumerate() {
                if number % split == 0 {
                    records.push(String::new());
                }
                let record = records.last_mut().unwrap();
                if argument.len() > part {
                    record.push_str(&format!(" a{number}_len={}", argument.len()));
                    for (at, piece) in argument.chunks(part).enumerate() {
                        record.push_str(&format!(" a{number}[{at}]={}", written(piece)));
                    }
                } else {
                    record.push_str(&format!(" a{number}={}", written(argument)));
                }
            }
            let mut read = Arguments::default();
            records.iter().for_each(|record| read.take(record));
            let expected: Vec<u8> = arguments.iter().flat_map(|a| a.iter().copied().chain([0])).collect();
            prop_assert_eq!(read.finish(), (expected, true));
        }

        #[test]
        fn whatever_comes_does_no_harm(text in "( ?(argc|a[0-9]{1,11}|a1_len|a1\\[[0-9]\\])?=?(\"[^ ]{0,5}\"?|[0-9A-F]{0,9}|[^a-z]{0,3})){0,12}") {
            let mut read = Arguments::default();
            for end in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                read.take(&text[..end]);
            }
            prop_assert!(read.finish().0.len() <= ARGUMENTS_BYTES_MAX);
        }
    }
}
