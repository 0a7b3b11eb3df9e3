//! Sections of a program in the Executable and Linkable Format (System V ABI, "Sections"), for 64 and 32 bits, whatever the
//! order of bytes.

/// Sections that are looked at.
const SECTIONS_MAX: u64 = 4_096;

/// The content of the section of that name, if the program has one.
pub fn section<'a>(program: &'a [u8], name: &str) -> Option<&'a [u8]> {
    if !program.starts_with(b"\x7fELF") {
        return None;
    }
    let (wide, little) = (*program.get(4)? == 2, *program.get(5)? == 1);
    let number = |at: u64, bytes: usize| {
        let at = usize::try_from(at).ok()?;
        let bytes = program.get(at..at.checked_add(bytes)?)?;
        let digit = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) })
    };
    // Where the table of sections is, how long a row is, how many there are, and which one is of the names.
    let (table, row, count, of_names) = if wide {
        (number(40, 8)?, number(58, 2)?, number(60, 2)?, number(62, 2)?)
    } else {
        (number(32, 4)?, number(46, 2)?, number(48, 2)?, number(50, 2)?)
    };
    let content = |section: u64| {
        let at = table.checked_add(row.checked_mul(section)?)?;
        let (offset, bytes) = if wide {
            (number(at.checked_add(24)?, 8)?, number(at.checked_add(32)?, 8)?)
        } else {
            (number(at.checked_add(16)?, 4)?, number(at.checked_add(20)?, 4)?)
        };
        let offset = usize::try_from(offset).ok()?;
        program.get(offset..offset.checked_add(usize::try_from(bytes).ok()?)?)
    };
    let names = content(of_names)?;
    let found = (0..count.min(SECTIONS_MAX)).find(|section| {
        let named = || {
            let at = number(table.checked_add(row.checked_mul(*section)?)?, 4)?;
            let rest = names.get(usize::try_from(at).ok()?..)?;
            Some(rest.strip_prefix(name.as_bytes())?.first() == Some(&0))
        };
        named() == Some(true)
    })?;
    content(found)
}
