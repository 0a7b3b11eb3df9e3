//! What dpkg keeps of files (dpkg-divert(1), dpkg-statoverride(1), deb-md5sums(5), dpkg's `info/NAME.list`).

use crate::limits::ENTRIES_MAX;
use crate::owned::{Account, Algorithm, Digest};
use crate::text::{byte_lines, clip_bytes, lossy};
use crate::{Found, Malformed};

/// A file that was made to make room for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// Where packages want to have it.
    pub from: Vec<u8>,
    /// Where it is put instead.
    pub to: Vec<u8>,
    /// The package whose own file is not moved; none where the administrator did it.
    pub package: Option<String>,
}

/// Owner and permissions that the administrator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The path.
    pub path: Vec<u8>,
    /// Owner.
    pub user: Account,
    /// Group.
    pub group: Account,
    /// Permissions.
    pub mode: u32,
}

/// A configuration file as a package brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conffile {
    /// Package that it belongs to, without its architecture.
    pub package: String,
    /// Architecture of that package.
    pub arch: String,
    /// The path.
    pub path: Vec<u8>,
    /// MD5 of what the package brought; none while it is not known (`newconffile`).
    pub digest: Option<Digest>,
    /// Whether newer versions of the package do not have it any more.
    pub obsolete: bool,
}

/// One line of an `info/NAME.md5sums`: path without a slash in front, and digest; none where it is none.
pub fn md5sum(line: &[u8]) -> Option<(&[u8], Digest)> {
    let (hex, rest) = line.split_at_checked(32)?;
    let digest = Digest::of_hex(Algorithm::Md5, hex)?;
    let path = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    let path = path.strip_prefix(b"./").unwrap_or(path);
    (!path.is_empty()).then(|| (path.strip_prefix(b"/").unwrap_or(path), digest))
}

/// The lines of an `info/NAME.md5sums`: path with a slash in front, and digest.
pub fn md5sums(md5sums: &[u8]) -> Found<(Vec<u8>, Digest)> {
    let mut found = Found::default();
    for (number, line) in byte_lines(md5sums) {
        match md5sum(line) {
            Some((path, digest)) => found.push((clip_bytes(&[b"/", path].concat()), digest)),
            None if line.is_empty() => {}
            None => found.issue(number, "not a digest and a path"),
        }
    }
    found
}

/// One line of an `info/NAME.list`: a path; none for the root itself, and where it is none.
pub fn listed(line: &[u8]) -> Option<&[u8]> {
    (line.starts_with(b"/") && line != b"/.").then_some(line)
}

/// The paths of an `info/NAME.list`, files and folders; the root itself is left out.
pub fn list(list: &[u8]) -> Found<Vec<u8>> {
    let mut found = Found::default();
    for (number, line) in byte_lines(list) {
        match listed(line) {
            Some(path) => found.push(clip_bytes(path)),
            None if matches!(line, b"" | b"/.") => {}
            None => found.issue(number, "a path without a slash in front"),
        }
    }
    found
}

/// The entries of `/var/lib/dpkg/diversions`: three lines each.
pub fn diversions(diversions: &[u8]) -> Found<Diversion> {
    let mut found = Found::default();
    let mut lines = byte_lines(diversions);
    while let Some((number, from)) = lines.next() {
        let (Some((_, to)), Some((_, package))) = (lines.next(), lines.next()) else {
            found.issue(number, "a diversion that is cut off");
            break;
        };
        let package = (package != b":").then(|| lossy(package));
        found.push(Diversion { from: clip_bytes(from), to: clip_bytes(to), package });
    }
    found
}

fn account(text: &[u8]) -> Account {
    let number = text.strip_prefix(b"#").and_then(|n| str::from_utf8(n).ok()?.parse().ok());
    number.map_or_else(|| Account::Name(lossy(text)), Account::Number)
}

/// The lines of `/var/lib/dpkg/statoverride`: owner, group, permissions, path.
pub fn overrides(statoverride: &[u8]) -> Found<Override> {
    let mut found = Found::default();
    for (number, line) in byte_lines(statoverride) {
        let mut parts = line.splitn(4, |b| *b == b' ');
        let four = (parts.next(), parts.next(), parts.next(), parts.next());
        let entry = (|| {
            let (Some(user), Some(group), Some(mode), Some(path)) = four else { return None };
            let mode = u32::from_str_radix(str::from_utf8(mode).ok()?, 8).ok().filter(|mode| *mode <= 0o7777)?;
            Some(Override { path: clip_bytes(path), user: account(user), group: account(group), mode })
        })();
        match entry {
            Some(entry) => found.push(entry),
            None if line.is_empty() => {}
            None => found.issue(number, "not owner, group, permissions and path"),
        }
    }
    found
}

/// The configuration files that `status` names, of every package that still has any.
pub fn conffiles(status: &[u8]) -> Found<Conffile> {
    let mut found = Found::default();
    let (mut package, mut arch, mut inside) = (String::new(), String::new(), false);
    let mut first = 0;
    for (number, line) in byte_lines(status) {
        if inside && line.first() == Some(&b' ') {
            match conffile(&line[1..]) {
                Ok(conffile) => found.push(conffile),
                Err(malformed) => found.issue(number, malformed.what),
            }
            continue;
        }
        inside = line == b"Conffiles:";
        let ended = line.is_empty();
        if let Some(name) = line.strip_prefix(b"Package: ") {
            package = lossy(name.trim_ascii());
        } else if let Some(name) = line.strip_prefix(b"Architecture: ") {
            arch = lossy(name.trim_ascii());
        }
        if ended || inside {
            // Package and architecture may come after the files.
            fill(&mut found, &mut first, &package, &arch);
        }
        if ended {
            (package, arch) = (String::new(), String::new());
        }
    }
    fill(&mut found, &mut first, &package, &arch);
    found
}

fn fill(found: &mut Found<Conffile>, first: &mut usize, package: &str, arch: &str) {
    for entry in &mut found.entries[*first..] {
        package.clone_into(&mut entry.package);
        arch.clone_into(&mut entry.arch);
    }
    *first = found.entries.len().min(ENTRIES_MAX);
}

/// One line: path, digest or `newconffile`, and flags behind.
fn conffile(line: &[u8]) -> Result<Conffile, Malformed> {
    let malformed = Malformed { format: "a configuration file of dpkg", what: "not a path and a digest" };
    let (mut rest, mut obsolete) = (line, false);
    loop {
        if let Some(before) = rest.strip_suffix(b" obsolete") {
            (rest, obsolete) = (before, true);
        } else if let Some(before) = rest.strip_suffix(b" remove-on-upgrade") {
            rest = before;
        } else {
            break;
        }
    }
    let space = rest.iter().rposition(|b| *b == b' ').ok_or(malformed.clone())?;
    let (path, digest) = (&rest[..space], &rest[space + 1..]);
    let digest = match digest {
        b"newconffile" => None,
        hex => Some(Digest::of_hex(Algorithm::Md5, hex).ok_or(malformed.clone())?),
    };
    if path.first() != Some(&b'/') {
        return Err(malformed);
    }
    Ok(Conffile { package: String::new(), arch: String::new(), path: clip_bytes(path), digest, obsolete })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

    #[test]
    fn conffiles_with_every_flag() {
        let status = format!(
            "Package: a\nConffiles:\n /etc/a b {MD5}\n /etc/old {MD5} obsolete\n /etc/new newconffile remove-on-upgrade\n odd\nArchitecture: amd64\n\nPackage: b\nArchitecture: all\nConffiles:\n /etc/b {MD5}\nDescription: x\n y\n"
        );
        let found = conffiles(status.as_bytes());
        let told: Vec<_> = found
            .entries
            .iter()
            .map(|c| (&c.package[..], &c.arch[..], lossy(&c.path), c.digest.is_some(), c.obsolete))
            .collect();
        let expected = [
            ("a", "amd64", "/etc/a b".to_owned(), true, false),
            ("a", "amd64", "/etc/old".into(), true, true),
            ("a", "amd64", "/etc/new".into(), false, false),
            ("b", "all", "/etc/b".into(), true, false),
        ];
        assert_eq!(told, expected);
        assert_eq!(found.issues.iter().map(|i| i.at).collect::<Vec<_>>(), [6]);
    }

    #[test]
    fn sums_lists_diversions_and_overrides() {
        let sums = md5sums(format!("{MD5}  usr/bin/a b\n{MD5} */x\nodd\n").as_bytes());
        assert_eq!(sums.entries.iter().map(|e| lossy(&e.0)).collect::<Vec<_>>(), ["/usr/bin/a b", "/x"]);
        assert_eq!(sums.issues.len(), 1);
        assert_eq!(list(b"/.\n/usr\n/usr/x\n").entries.len(), 2);
        let diverted = diversions(b"/a\n/a.distrib\n:\n/b\n/b.x\npkg\n/c\n");
        assert_eq!((diverted.entries.len(), diverted.issues.len()), (2, 1));
        assert_eq!(
            (diverted.entries[0].package.as_deref(), diverted.entries[1].package.as_deref()),
            (None, Some("pkg"))
        );
        let forced = overrides(b"root #104 4754 /usr/x y\nroot root 99999 /z\n");
        assert_eq!((forced.entries.len(), forced.issues.len()), (1, 1));
        assert_eq!((forced.entries[0].mode, &forced.entries[0].group), (0o4754, &Account::Number(104)));
        assert_eq!(forced.entries[0].path, b"/usr/x y");
    }
}
