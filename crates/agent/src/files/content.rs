//! What changed in a text file, line by line, with its secrets masked. What is kept of configuration to be shown later is
//! masked before it is kept: neither the agent's disk nor the server ever has the secret.

mod mask;

pub use mask::Mask;

use serde::{Deserialize, Serialize};

/// Longest text of which is kept what was in it, in bytes.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// Lines of a text that are compared; the rest counts as one.
const LINES_MAX: usize = 20_000;
/// Steps of the search for the shortest difference; beyond it the middle is told as a whole.
const EDITS_MAX: usize = 1_000;
/// Lines around a change that are shown.
const CONTEXT: usize = 3;
/// Bytes of a difference; the rest is cut off and said so.
const DIFF_BYTES_MAX: usize = 64 << 10;
/// Bytes of one line that are shown.
const LINE_BYTES_MAX: usize = 1_000;

/// A text with its secrets masked, to be kept with a baseline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    lines: Vec<String>,
    /// Whether it was longer than is kept.
    cut: bool,
}

/// The difference between two texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// In the unified form, without the two lines of the names.
    pub unified: String,
    /// Lines that came.
    pub added: usize,
    /// Lines that went.
    pub removed: usize,
    /// Whether some of it was left out.
    pub cut: bool,
}

/// Whether bytes are text: no zero byte, hardly any other control characters, and nearly all of it UTF-8.
pub fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(8 << 10)];
    if head.contains(&0) {
        return false;
    }
    let odd = head.iter().filter(|b| b.is_ascii_control() && !matches!(b, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b | 0x08));
    let text = String::from_utf8_lossy(head);
    let replaced = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
    odd.count() * 100 <= head.len() && replaced * 20 <= head.len().max(20)
}

/// Masks a text to be kept; none where it is no text. `mask` must be made for its path, with the machine's key.
pub fn keep(bytes: &[u8], mask: &Mask<'_>) -> Option<Kept> {
    if !is_text(bytes) {
        return None;
    }
    let cut = bytes.len() > TEXT_BYTES_MAX;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]);
    let lines = mask.lines(text.lines().take(LINES_MAX));
    Some(Kept { cut: cut || text.lines().nth(LINES_MAX).is_some(), lines })
}

/// What changed between two kept texts. Secrets that differ have different masks, so that a changed password is seen.
pub fn difference(before: &Kept, after: &Kept) -> Difference {
    let (old, new) = (&before.lines[..], &after.lines[..]);
    let edits = edits(old, new);
    let mut told = Difference { unified: String::new(), added: 0, removed: 0, cut: before.cut || after.cut };
    for edit in &edits {
        match edit {
            Edit::Remove(_) => told.removed += 1,
            Edit::Add(_) => told.added += 1,
            Edit::Same(..) => {}
        }
    }
    for (from, to) in hunks(&edits) {
        if told.unified.len() >= DIFF_BYTES_MAX {
            told.cut = true;
            break;
        }
        write_hunk(&mut told, &edits[from..to], old, new);
    }
    told
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    /// Places in both.
    Same(usize, usize),
    /// Place in the old one.
    Remove(usize),
    /// Place in the new one.
    Add(usize),
}

/// The edits between two texts: what is the same at both ends is set aside, the rest compared by the algorithm of Myers
/// ("An O(ND) Difference Algorithm and Its Variations", 1986), as far as it goes.
fn edits(old: &[String], new: &[String]) -> Vec<Edit> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let mut all: Vec<Edit> = (0..head).map(|i| Edit::Same(i, i)).collect();
    all.extend(middle(&old[head..old_end], &new[head..new_end]).into_iter().map(|edit| match edit {
        Edit::Same(a, b) => Edit::Same(a + head, b + head),
        Edit::Remove(a) => Edit::Remove(a + head),
        Edit::Add(b) => Edit::Add(b + head),
    }));
    all.extend((0..tail).map(|i| Edit::Same(old_end + i, new_end + i)));
    all
}

fn middle(old: &[String], new: &[String]) -> Vec<Edit> {
    let (n, m) = (old.len() as isize, new.len() as isize);
    let limit = (old.len() + new.len()).min(EDITS_MAX) as isize;
    // For each number of edits, how far each diagonal came: kept to walk back.
    let mut reached: Vec<Vec<isize>> = Vec::new();
    let mut row = vec![0isize; 2 * limit as usize + 3];
    let place = |k: isize| (k + limit + 1) as usize;
    for d in 0..=limit {
        reached.push(row[place(-d - 1)..=place(d + 1)].to_vec());
        for k in (-d..=d).step_by(2) {
            let down = k == -d || (k != d && row[place(k - 1)] < row[place(k + 1)]);
            let mut x = if down { row[place(k + 1)] } else { row[place(k - 1)] + 1 };
            while x < n && x - k < m && x - k >= 0 && x >= 0 && old[x as usize] == new[(x - k) as usize] {
                x += 1;
            }
            row[place(k)] = x;
            if x >= n && x - k >= m {
                return walk_back(&reached, n, m);
            }
        }
    }
    // Too different: all of the one, then all of the other.
    (0..old.len()).map(Edit::Remove).chain((0..new.len()).map(Edit::Add)).collect()
}

fn walk_back(reached: &[Vec<isize>], n: isize, m: isize) -> Vec<Edit> {
    let (mut x, mut y) = (n, m);
    let mut back = Vec::new();
    for (d, row) in reached.iter().enumerate().rev() {
        let d = d as isize;
        let at = |k: isize| row[(k + d + 1) as usize];
        let k = x - y;
        let down = k == -d || (k != d && at(k - 1) < at(k + 1));
        let before = if down { k + 1 } else { k - 1 };
        let (from_x, from_y) = if d == 0 { (0, 0) } else { (at(before), at(before) - before) };
        while x > from_x && y > from_y {
            (x, y) = (x - 1, y - 1);
            back.push(Edit::Same(x as usize, y as usize));
        }
        if d > 0 {
            back.push(if down { Edit::Add((y - 1) as usize) } else { Edit::Remove((x - 1) as usize) });
            (x, y) = (from_x, from_y);
        }
    }
    back.reverse();
    back
}

/// Parts of the edits that are shown: each change with the lines around it, those that touch together.
fn hunks(edits: &[Edit]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (i, _) in edits.iter().enumerate().filter(|(_, edit)| !matches!(edit, Edit::Same(..))) {
        let (from, to) = (i.saturating_sub(CONTEXT), (i + CONTEXT + 1).min(edits.len()));
        match hunks.last_mut() {
            Some((_, end)) if *end >= from => *end = to,
            _ => hunks.push((from, to)),
        }
    }
    hunks
}

fn write_hunk(told: &mut Difference, edits: &[Edit], old: &[String], new: &[String]) {
    let olds =
        || edits.iter().filter_map(|edit| if let Edit::Same(a, _) | Edit::Remove(a) = edit { Some(*a) } else { None });
    let news =
        || edits.iter().filter_map(|edit| if let Edit::Same(_, b) | Edit::Add(b) = edit { Some(*b) } else { None });
    let range = |first: Option<usize>, count: usize| match (first, count) {
        (Some(first), 1) => (first + 1).to_string(),
        (Some(first), count) => format!("{},{count}", first + 1),
        (None, _) => "0,0".to_owned(),
    };
    let (a, b) = (range(olds().next(), olds().count()), range(news().next(), news().count()));
    told.unified.push_str(&format!("@@ -{a} +{b} @@\n"));
    for edit in edits {
        let (sign, line) = match edit {
            Edit::Same(a, _) => (' ', &old[*a]),
            Edit::Remove(a) => ('-', &old[*a]),
            Edit::Add(b) => ('+', &new[*b]),
        };
        if told.unified.len() >= DIFF_BYTES_MAX {
            told.cut = true;
            return;
        }
        let mut end = line.len().min(LINE_BYTES_MAX);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        told.unified.push(sign);
        told.unified.push_str(&line[..end]);
        told.unified.push_str(if end < line.len() { "…\n" } else { "\n" });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn kept(text: &str) -> Kept {
        keep(text.as_bytes(), &Mask::new(Path::new("/etc/x"), &[7; 32])).unwrap()
    }

    /// What `patch` makes of it.
    fn apply(old: &[String], difference: &Difference) -> Vec<String> {
        let (mut at, mut new) = (0, Vec::new());
        for line in difference.unified.lines() {
            if let Some(range) = line.strip_prefix("@@ -") {
                let first: usize = range.split([',', ' ']).next().unwrap().parse().unwrap();
                let empty = range.split(' ').next().unwrap() == "0,0";
                let to = if empty { at } else { first - 1 };
                new.extend_from_slice(&old[at..to]);
                at = to;
            } else if let Some(line) = line.strip_prefix('+') {
                new.push(line.to_owned());
            } else {
                assert_eq!(old[at], line[1..]);
                if line.starts_with(' ') {
                    new.push(line[1..].to_owned());
                }
                at += 1;
            }
        }
        new.extend_from_slice(&old[at..]);
        new
    }

    proptest! {
        #[test]
        fn a_difference_leads_from_one_to_the_other(
            old in prop::collection::vec("[abc]", 0..40),
            new in prop::collection::vec("[abc]", 0..40),
        ) {
            let (before, after) = (kept(&(old.join("\n") + "\n")), kept(&(new.join("\n") + "\n")));
            let told = difference(&before, &after);
            prop_assert_eq!(apply(&before.lines, &told), after.lines);
        }
    }

    #[test]
    fn it_is_what_diff_says() {
        let old: Vec<String> = (0..60).map(|i| format!("line {i}")).collect();
        let mut new = old.clone();
        new.remove(40);
        new[10] = "another".into();
        new.insert(20, "inserted".into());
        let told = difference(&kept(&(old.join("\n") + "\n")), &kept(&(new.join("\n") + "\n")));
        assert_eq!((told.added, told.removed, told.cut), (2, 2, false));
        let write = |lines: &[String]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
            file
        };
        let (a, b) = (write(&old), write(&new));
        let Ok(out) = Command::new("diff").arg("-u").arg(a.path()).arg(b.path()).output() else { return };
        let said = String::from_utf8(out.stdout).unwrap();
        assert_eq!(told.unified, said.splitn(3, '\n').nth(2).unwrap());
    }

    #[test]
    fn bounds_hold_and_binaries_are_none() {
        assert!(!is_text(b"\x7fELF\x02\x01\x01\0\0") && !is_text(&[0xff, 0xfe, 0x9c, 0x88].repeat(100)));
        assert!(is_text(b"") && is_text("grüße\n".as_bytes()) && is_text(b"caf\xe9 au lait, encore une fois\n"));
        let (old, new): (String, String) =
            ((0..30_000).map(|i| format!("a{i}\n")).collect(), (0..30_000).map(|i| format!("b{i}\n")).collect());
        let told = difference(&kept(&old), &kept(&new));
        assert!(told.cut && told.unified.len() < DIFF_BYTES_MAX + LINE_BYTES_MAX + 8, "{}", told.unified.len());
        // Hardly anything takes longer than anything else.
        let begun = std::time::Instant::now();
        for sign in ["$1$", "://a:b@", "password=", "a=", "{", "token ", "-----BEGIN "] {
            kept(&sign.repeat(TEXT_BYTES_MAX / sign.len()));
            kept(&format!("{sign}\n").repeat(LINES_MAX));
        }
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
        let told = difference(&kept("x\n"), &kept(&("é".repeat(5_000) + "\n")));
        assert!(told.unified.len() < 1_100);
    }
}
