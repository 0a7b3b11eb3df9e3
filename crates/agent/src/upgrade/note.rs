//! The version of this program, as a note of fixed length within it. What `--version` and the greeting say is read from
//! there, and whoever signs or takes in a release reads the same place of its file.

use guardian_protocol::limits::VERSION_BYTES_MAX;
use guardian_protocol::release::Version;

const MARK_BYTES: usize = 28;
const NOTE_BYTES: usize = MARK_BYTES + VERSION_BYTES_MAX + 4;

#[used]
static NOTE: [u8; NOTE_BYTES] = note(env!("CARGO_PKG_VERSION").as_bytes());

const fn note(version: &[u8]) -> [u8; NOTE_BYTES] {
    let mark = *b"guardian-agent version note:";
    let mut note = [0; NOTE_BYTES];
    let mut at = 0;
    while at < MARK_BYTES {
        note[at] = mark[at];
        at += 1;
    }
    let mut at = 0;
    while at < version.len() {
        note[MARK_BYTES + at] = version[at];
        at += 1;
    }
    note
}

/// The version behind the mark, up to the first zero.
fn noted(note: &[u8]) -> Option<&str> {
    let text = note.get(..VERSION_BYTES_MAX + 1)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    str::from_utf8(&text[..end]).ok().filter(|text| Version::parse(text).is_some())
}

/// The version of this program.
pub fn version() -> &'static str {
    // What the compiler knows of the note must not be used instead of it.
    let note: &'static [u8; NOTE_BYTES] = std::hint::black_box(&NOTE);
    noted(&note[MARK_BYTES..]).unwrap_or(env!("CARGO_PKG_VERSION"))
}

/// The version of the program that a file holds, if it is an agent.
pub fn version_in(program: &[u8]) -> Option<&str> {
    // Put together here, so that the mark stands in the program once.
    let mark = [std::hint::black_box("guardian-agent ver"), "sion note:"].concat();
    let mark = mark.as_bytes();
    let mut from = 0;
    while let Some(at) = program.get(from..)?.windows(mark.len()).position(|window| window == mark) {
        let after = from + at + mark.len();
        if let Some(version) = program.get(after..).and_then(noted) {
            return Some(version);
        }
        from = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_says_what_the_program_is() {
        assert_eq!(version(), env!("CARGO_PKG_VERSION"));
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(version_in(&own), Some(env!("CARGO_PKG_VERSION")));
        let note = note(b"12.3.4-rc.1");
        assert_eq!(version_in(&[b"x".as_slice(), &note].concat()), Some("12.3.4-rc.1"));
        assert_eq!(version_in(&note[..40]), None, "cut off");
        assert_eq!(version_in(b""), None);
    }
}
