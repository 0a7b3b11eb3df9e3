//! Maven's versions, as `org.apache.maven.artifact.versioning.ComparableVersion` of Maven 4 orders them.
//!
//! There a version is a list of items, in which a hyphen, and the step from a digit to a letter or back, opens a list in
//! the list. An inner list is always the last item of the outer one, so that the whole is one row of items with marks
//! where a list opens, which is what this file makes, without trailing zeros as Maven's `normalize` leaves them out.

use std::cmp::Ordering;

use super::parts;

/// An item of a list.
#[derive(Clone, Copy, Debug)]
enum Item<'a> {
    /// A number.
    Number(&'a [u8]),
    /// A qualifier.
    Word(&'a [u8]),
    /// A qualifier with its number.
    Both(&'a [u8], &'a [u8]),
    /// Here a list opens.
    List,
}

/// Items of one version; what is behind them counts only as text.
const ITEMS_MAX: usize = 32;

/// A version as its row of items.
struct Items<'a> {
    items: [Item<'a>; ITEMS_MAX],
    len: usize,
    /// What was too much.
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    fn new(version: &'a [u8]) -> Self {
        let mut items = Self { items: [Item::List; ITEMS_MAX], len: 0, rest: &[] };
        items.read(version);
        items.normalize();
        items
    }

    fn push(&mut self, item: Item<'a>) {
        if let Some(place) = self.items.get_mut(self.len) {
            *place = item;
            self.len += 1;
        }
    }

    /// Opens a list, unless the one that is open has nothing in it.
    fn open(&mut self) {
        if self.len > 0 && !matches!(self.items[self.len - 1], Item::List) {
            self.push(Item::List);
        }
    }

    fn read(&mut self, version: &'a [u8]) {
        let (mut start, mut digit, mut both) = (0, false, false);
        for (i, byte) in version.iter().enumerate() {
            // One byte adds two items at most.
            if self.len + 2 > ITEMS_MAX {
                self.rest = &version[start..];
                return;
            }
            match byte {
                b'.' => {
                    self.push(item(&version[start..i], digit, both));
                    both = false;
                    start = i + 1;
                }
                b'-' => {
                    if i > start && !digit && version.get(i + 1).is_some_and(u8::is_ascii_digit) {
                        // `x-1` is the same as `x1`.
                        both = true;
                        continue;
                    }
                    self.push(item(&version[start..i], digit, both));
                    start = i + 1;
                    self.open();
                    both = false;
                }
                b'0'..=b'9' => {
                    if !digit && i > start {
                        both = true;
                        self.open();
                    }
                    digit = true;
                }
                _ => {
                    if digit && i > start {
                        self.push(item(&version[start..i], true, both));
                        start = i;
                        self.open();
                        both = false;
                    }
                    digit = false;
                }
            }
        }
        if version.len() > start {
            if !digit {
                self.open();
            }
            self.push(item(&version[start..], digit, both));
        }
    }

    /// Leaves out zeros at the end of a list, and in front of a qualifier.
    fn normalize(&mut self) {
        // From the back; what stays is gathered at the end of the array.
        let mut kept = ITEMS_MAX;
        // What comes behind, in the list that is open and as the first item of the one behind it.
        let (mut next, mut qualifier) = (false, false);
        for i in (0..self.len).rev() {
            let item = self.items[i];
            let keep = match item {
                // A list with nothing in it is none.
                Item::List => next,
                Item::Number(digits) => !parts::without_zeros(digits).is_empty() || (next && !qualifier),
                Item::Word(_) | Item::Both(..) => true,
            };
            if !keep {
                continue;
            }
            kept -= 1;
            self.items[kept] = item;
            next = true;
            qualifier = match item {
                Item::Number(_) => false,
                Item::Word(_) => true,
                // Maven looks for a qualifier alone in the same list, for either kind as the first of an inner one.
                Item::Both(..) => self.opens_at(i),
                Item::List => qualifier && !matches!(self.items.get(kept + 1), Some(Item::List)),
            };
        }
        self.items.copy_within(kept.., 0);
        self.len = ITEMS_MAX - kept;
    }

    /// Whether the item is the first of an inner list, before anything is left out.
    fn opens_at(&self, i: usize) -> bool {
        i > 0 && matches!(self.items[i - 1], Item::List)
    }
}

fn item(text: &[u8], digit: bool, both: bool) -> Item<'_> {
    match text {
        [] => Item::Number(b""),
        _ if both => {
            let at = text.iter().position(u8::is_ascii_digit).unwrap_or(text.len());
            let (word, digits) = text.split_at(at);
            Item::Both(word.strip_suffix(b"-").unwrap_or(word), digits)
        }
        _ if digit => Item::Number(text),
        _ => Item::Word(text),
    }
}

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (Items::new(a), Items::new(b));
    let (items_a, items_b) = (&a.items[..a.len], &b.items[..b.len]);
    for i in 0..a.len.max(b.len) {
        let one = match (items_a.get(i), items_b.get(i)) {
            (Some(x), Some(y)) => two(x, y),
            (Some(x), None) => with_nothing(x),
            (None, Some(y)) => with_nothing(y).reverse(),
            (None, None) => Ordering::Equal,
        };
        if one.is_ne() {
            return one;
        }
    }
    a.rest.cmp(b.rest)
}

fn two(a: &Item<'_>, b: &Item<'_>) -> Ordering {
    match (a, b) {
        (Item::Number(x), Item::Number(y)) => parts::numbers(x, y),
        (Item::Word(x), Item::Word(y)) => words((x, false), (y, false)),
        (Item::Both(x, n), Item::Both(y, m)) => words((x, true), (y, true)).then_with(|| parts::numbers(n, m)),
        (Item::Word(x), Item::Both(y, _)) => words((x, false), (y, true)).then(Ordering::Less),
        (Item::Both(x, _), Item::Word(y)) => words((x, true), (y, false)).then(Ordering::Greater),
        // A qualifier is older than a list, and that than a number.
        _ => kind(a).cmp(&kind(b)),
    }
}

const fn kind(item: &Item<'_>) -> u8 {
    match item {
        Item::Word(_) | Item::Both(..) => 0,
        Item::List => 1,
        Item::Number(_) => 2,
    }
}

fn with_nothing(item: &Item<'_>) -> Ordering {
    match item {
        Item::Number(digits) => (!parts::without_zeros(digits).is_empty()).cmp(&false),
        Item::Word(word) => place(word, false).cmp(&RELEASE),
        Item::Both(word, _) => place(word, true).cmp(&RELEASE),
        Item::List => Ordering::Equal,
    }
}

const RELEASE: usize = 5;
const UNKNOWN: usize = 7;

/// Where a qualifier stands among the known ones; letters stand for words only before a number.
fn place(word: &[u8], numbered: bool) -> usize {
    const KNOWN: [&[u8]; 5] = [b"alpha", b"beta", b"milestone", b"rc", b"snapshot"];
    let is = |known: &[u8]| word.eq_ignore_ascii_case(known);
    if let Some(place) = KNOWN.iter().position(|known| is(known)) {
        return place;
    }
    match word {
        [] => RELEASE,
        [b'a' | b'A'] if numbered => 0,
        [b'b' | b'B'] if numbered => 1,
        [b'm' | b'M'] if numbered => 2,
        _ if is(b"cr") => 3,
        _ if [&b"ga"[..], b"final", b"release"].iter().any(|release| is(release)) => RELEASE,
        _ if is(b"sp") => RELEASE + 1,
        _ => UNKNOWN,
    }
}

fn words((a, numbered_a): (&[u8], bool), (b, numbered_b): (&[u8], bool)) -> Ordering {
    let (x, y) = (place(a, numbered_a), place(b, numbered_b));
    x.cmp(&y).then_with(|| if x == UNKNOWN { unknown(a, b) } else { Ordering::Equal })
}

/// Compares without case, of letters beyond ASCII too.
fn unknown(a: &[u8], b: &[u8]) -> Ordering {
    match (std::str::from_utf8(a), std::str::from_utf8(b)) {
        (Ok(a), Ok(b)) => a.chars().flat_map(char::to_lowercase).cmp(b.chars().flat_map(char::to_lowercase)),
        _ => parts::ignoring_case(a, b),
    }
}
