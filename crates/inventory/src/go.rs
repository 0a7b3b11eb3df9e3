//! Go programs carry the modules they were built from (`debug/buildinfo`): a mark, and since Go 1.18 two texts with their
//! lengths behind it, the toolchain's version and the module list. Older programs have pointers there and are left alone.

use crate::text::clip;
use crate::{Found, Malformed, Manager, Package};

const MARK: &[u8] = b"\xff Go buildinf:";
/// The mark lies at a multiple of this.
const ALIGNMENT: usize = 16;
/// Where the texts begin, behind the mark.
const TEXTS_AT: usize = 32;
const FLAG_TEXTS_HERE: u8 = 2;
/// The module list stands between two marks of this length.
const SENTINEL_BYTES: usize = 16;
/// Bytes of a module list; the largest programs have some tens of thousands.
const MODULES_BYTES_MAX: usize = 4 << 20;

/// What a program was built from: the toolchain as `stdlib`, the main module, and the modules it depends on. An error for
/// anything that is not a Go program of 1.18 or later.
pub fn parse(program: &[u8]) -> Result<Found<Package>, Malformed> {
    let malformed = |what| Malformed { format: "a Go program", what };
    let at = find(program).ok_or(malformed("it has no build information"))?;
    let info = &program[at..];
    if info.get(15).is_none_or(|flags| flags & FLAG_TEXTS_HERE == 0) {
        return Err(malformed("it was built by Go 1.17 or older"));
    }
    let mut rest = info.get(TEXTS_AT..).ok_or(malformed("its build information is cut off"))?;
    let cut_off = malformed("its build information is cut off");
    let toolchain = text(&mut rest).ok_or(cut_off.clone())?;
    let modules = text(&mut rest).ok_or(cut_off)?;
    let mut found = Found::default();
    let version = toolchain.split(' ').next().unwrap_or_default();
    found.push(Package::new(Manager::Go, "stdlib", version.strip_prefix("go").unwrap_or(version)));
    // Lines are `path P`, `mod P V H`, `dep P V H`, `=> P V H` (what takes the place of the one above), `build K=V`.
    for (number, line) in modules.lines().enumerate() {
        let mut words = line.split('\t');
        let (kind, Some(path)) = (words.next().unwrap_or_default(), words.next()) else { continue };
        let version = words.next().unwrap_or_default();
        match kind {
            "mod" | "dep" if version.is_empty() => found.issue(number + 1, "a module without a version"),
            "mod" | "dep" => found.push(Package::new(Manager::Go, path, version)),
            "=>" => {
                if let Some(package) = found.entries.last_mut() {
                    package.source = std::mem::replace(&mut package.name, clip(path));
                    package.version = clip(version);
                }
            }
            "build" => {
                if let Some(arch) = path.strip_prefix("GOARCH=") {
                    found.entries.iter_mut().for_each(|package| package.arch = clip(arch));
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn find(program: &[u8]) -> Option<usize> {
    (0..program.len()).step_by(ALIGNMENT).find(|at| program[*at..].starts_with(MARK))
}

/// A text behind its length; the marks around the module list are taken off.
fn text(rest: &mut &[u8]) -> Option<String> {
    let mut length = 0usize;
    for shift in (0..28).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let (text, tail) = rest.split_at_checked(length.min(MODULES_BYTES_MAX))?;
            *rest = tail;
            let framed = text.len() >= 2 * SENTINEL_BYTES + 1 && text[text.len() - SENTINEL_BYTES - 1] == b'\n';
            let inside = if framed { &text[SENTINEL_BYTES..text.len() - SENTINEL_BYTES] } else { text };
            return Some(String::from_utf8_lossy(inside).into_owned());
        }
    }
    None
}
