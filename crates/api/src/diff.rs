//! The lines in which two texts differ. Pure.

use serde::Serialize;
use utoipa::ToSchema;

/// Cells of the table that is worth filling; texts that differ more are shown as one taken for the other.
const CELLS_MAX: usize = 4_000_000;

/// A line of two texts laid side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct DiffLine {
    /// same, removed or added.
    pub(crate) kind: &'static str,
    /// The line.
    pub(crate) text: String,
    /// Its number in the old text, from 1.
    pub(crate) old: Option<usize>,
    /// Its number in the new text, from 1.
    pub(crate) new: Option<usize>,
}

fn line(kind: &'static str, text: &str, old: Option<usize>, new: Option<usize>) -> DiffLine {
    DiffLine { kind, text: text.to_owned(), old: old.map(|i| i + 1), new: new.map(|i| i + 1) }
}

/// Lays two texts side by side with as many lines in common as there can be, the removed ones before the added ones.
pub(crate) fn lines(old: &str, new: &str) -> Vec<DiffLine> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (a_end, b_end) = (a.len() - tail, b.len() - tail);
    let mut out: Vec<DiffLine> = (0..head).map(|i| line("same", a[i], Some(i), Some(i))).collect();
    middle(&a[..a_end], &b[..b_end], head, &mut out);
    out.extend((0..tail).map(|i| line("same", a[a_end + i], Some(a_end + i), Some(b_end + i))));
    out
}

/// The part behind `head` equal lines, by the longest common subsequence.
fn middle(a: &[&str], b: &[&str], head: usize, out: &mut Vec<DiffLine>) {
    let (rows, columns) = (a.len() - head, b.len() - head);
    let width = columns + 1;
    let fits = (rows + 1).saturating_mul(width) <= CELLS_MAX;
    // Entry (i, j) is the length of the longest common subsequence of what follows i and j.
    let mut table = vec![0_u32; if fits { (rows + 1) * width } else { 0 }];
    if fits {
        for i in (0..rows).rev() {
            for j in (0..columns).rev() {
                table[i * width + j] = if a[head + i] == b[head + j] {
                    table[(i + 1) * width + j + 1] + 1
                } else {
                    table[(i + 1) * width + j].max(table[i * width + j + 1])
                };
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < rows || j < columns {
        if fits && i < rows && j < columns && a[head + i] == b[head + j] {
            out.push(line("same", a[head + i], Some(head + i), Some(head + j)));
            (i, j) = (i + 1, j + 1);
        } else if i < rows && (!fits || j == columns || table[(i + 1) * width + j] >= table[i * width + j + 1]) {
            out.push(line("removed", a[head + i], Some(head + i), None));
            i += 1;
        } else {
            out.push(line("added", b[head + j], None, Some(head + j)));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    fn told(old: &str, new: &str) -> Vec<String> {
        let mark = |kind: &str| match kind {
            "same" => ' ',
            "removed" => '-',
            _ => '+',
        };
        lines(old, new).iter().map(|l| format!("{}{}", mark(l.kind), l.text)).collect()
    }

    #[test]
    fn differences_are_as_small_as_they_can_be() {
        assert_eq!(told("a\nb\nc", "a\nb\nc"), [" a", " b", " c"]);
        assert_eq!(told("a\nb\nc", "a\nx\nc"), [" a", "-b", "+x", " c"]);
        assert_eq!(told("", "a"), ["+a"]);
        assert_eq!(told("a", ""), ["-a"]);
        assert_eq!(told("a\nb\nc\nd", "b\nd\ne"), ["-a", " b", "-c", " d", "+e"]);
        assert_eq!(told("a\na", "a"), [" a", "-a"]);
    }

    #[test]
    fn each_side_keeps_its_numbers_and_its_text() {
        let (old, new) = ("1\n2\n3\n4\n5", "0\n2\n3\n6\n5\n7");
        let all = lines(old, new);
        let of = |kind: &str| all.iter().filter(|l| l.kind != kind).map(|l| l.text.as_str()).collect::<Vec<_>>();
        assert_eq!(of("added"), old.lines().collect::<Vec<_>>());
        assert_eq!(of("removed"), new.lines().collect::<Vec<_>>());
        assert_eq!(all.iter().filter_map(|l| l.old).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(all.iter().filter_map(|l| l.new).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn texts_too_long_to_compare_are_exchanged() {
        let old: String = (0..3_000).map(|i| format!("{i}\n")).collect();
        let new: String = (0..3_000).map(|i| format!("x{i}\n")).collect();
        let all = lines(&old, &new);
        assert_eq!(all.len(), 6_000);
        assert!(all[..3_000].iter().all(|l| l.kind == "removed"));
    }
}
