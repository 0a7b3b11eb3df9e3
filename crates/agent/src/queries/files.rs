//! Files that the statement names, by path, by folder or by pattern: what they are, their hashes and attributes; and the
//! programs that run with the rights of their owners.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use guardian_inventory::accounts;
use guardian_inventory::owned::Algorithm;
use guardian_sys::inspect;
use rusqlite::types::Value;

use super::{Answered, Asked, Table, big, int, read, row, text};
use crate::files::hash_file;

/// Entries of folders that one look may pass.
const ENTRIES_MAX: usize = 2_000_000;
/// How deep `%%` goes.
const DEPTH_MAX: usize = 64;
const PROGRAMS: [&str; 7] =
    ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/lib/openssh"];
const SUID: u32 = 0o4000;
const SGID: u32 = 0o2000;

/// `file`.
pub(super) const FILE: Table = Table {
    name: "file",
    about: "Files by path or folder; with LIKE, % is one part of a path and %% at its end all that is below",
    needs: true,
    columns: &[
        text("path", "Path").like(),
        text("directory", "Folder").like(),
        text("filename", "Name"),
        big("inode", "Inode"),
        big("uid", "Owner"),
        big("gid", "Group"),
        text("mode", "Permissions, octal"),
        big("device", "Device that it is, for a device"),
        big("size", "Bytes"),
        int("block_size", "Bytes of a block"),
        big("atime", "Last read, in seconds since the epoch"),
        big("mtime", "Last written, in seconds since the epoch"),
        big("ctime", "Last change of what is known of it, in seconds since the epoch"),
        big("btime", "When it was made, in seconds since the epoch"),
        int("hard_links", "Names it has"),
        int("symlink", "Whether the path is a link"),
        text("type", "regular, directory, symlink, block, character, fifo, socket"),
        text("symlink_target_path", "Where the link leads"),
    ],
    rows: file,
};

/// `hash`.
pub(super) const HASH: Table = Table {
    name: "hash",
    about: "Hashes of files by path or folder; only those that the statement asks for are made",
    needs: true,
    columns: &[
        text("path", "Path").like(),
        text("directory", "Folder").like(),
        text("md5", "MD5"),
        text("sha1", "SHA-1"),
        text("sha256", "SHA-256"),
    ],
    rows: hash,
};

/// `extended_attributes`.
pub(super) const EXTENDED_ATTRIBUTES: Table = Table {
    name: "extended_attributes",
    about: "Extended attributes of files by path or folder",
    needs: true,
    columns: &[
        text("path", "Path").like(),
        text("directory", "Folder").like(),
        text("key", "Name of the attribute"),
        text("value", "Its value"),
        int("base64", "Whether the value is Base64, because it is no text"),
    ],
    rows: attributes,
};

/// `suid_bin`.
pub(super) const SUID_BIN: Table = Table {
    name: "suid_bin",
    about: "Programs that run with the rights of their owner or group",
    needs: false,
    columns: &[
        text("path", "Path"),
        text("username", "Owner"),
        text("groupname", "Group"),
        text("permissions", "S for the owner's rights, G for the group's"),
    ],
    rows: suid_bin,
};

/// A file that is asked for: its path, and the folder as the statement has it.
struct Wanted {
    path: String,
    folder: String,
}

type Paths = Box<dyn Iterator<Item = Wanted>>;

fn wanted(asked: &Asked<'_>) -> Result<Paths, String> {
    let parent = |path: &str| Path::new(path).parent().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let of_path = move |path: String| Wanted { folder: parent(&path), path };
    let inside = |folder: String| {
        let prefix = folder.trim_end_matches('/').to_owned();
        let names = read::names(if folder.is_empty() { "/" } else { &folder });
        names.into_iter().map(move |name| Wanted { path: format!("{prefix}/{name}"), folder: folder.clone() })
    };
    if let Some(path) = asked.text("path") {
        return Ok(Box::new(std::iter::once(of_path(path.to_owned()))));
    }
    if let Some(folder) = asked.text("directory") {
        return Ok(Box::new(inside(folder.to_owned())));
    }
    if let Some(pattern) = asked.pattern("path") {
        return Ok(Box::new(Walk::new(pattern)?.map(of_path)));
    }
    let pattern = asked.pattern("directory").ok_or("a path or a folder has to be a text")?;
    let folders = Walk::new(pattern)?.filter(|path| Path::new(path).is_dir());
    Ok(Box::new(folders.flat_map(inside)))
}

/// Paths that fit a pattern, found folder by folder: `%` is anything within a part of the path, `%%` as the last part is
/// all that is below.
struct Walk {
    parts: Vec<String>,
    /// Paths and how many parts of the pattern they fit.
    waiting: Vec<(PathBuf, usize)>,
    entries: usize,
}

impl Walk {
    fn new(pattern: &str) -> Result<Self, String> {
        let rest = pattern.strip_prefix('/').ok_or_else(|| format!("the pattern {pattern} does not begin with /"))?;
        let parts: Vec<String> = rest.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if parts.iter().rev().skip(1).any(|part| part.contains("%%")) {
            return Err(format!("%% has to be the last part of the pattern {pattern}"));
        }
        Ok(Self { parts, waiting: vec![(PathBuf::from("/"), 0)], entries: 0 })
    }

    fn enter(&mut self, folder: &Path, part: &str, depth: usize) {
        let all_below = part.contains("%%");
        for name in read::names(folder).into_iter().rev() {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                self.waiting.clear();
                return;
            }
            if fits(&name, part) {
                let next = if all_below { depth } else { depth + 1 };
                self.waiting.push((folder.join(name), next));
            }
        }
    }
}

impl Iterator for Walk {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        while let Some((path, depth)) = self.waiting.pop() {
            let Some(part) = self.parts.get(depth).cloned() else {
                return Some(path.to_string_lossy().into_owned());
            };
            if part.contains("%%") {
                let real_folder = fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir());
                let below = path.components().count() > self.parts.len();
                if real_folder && path.components().count() < DEPTH_MAX {
                    // Only the name of the first level has to fit what stands around `%%`.
                    self.enter(&path, if below { "%%" } else { &part }, depth);
                }
                if below {
                    return Some(path.to_string_lossy().into_owned());
                }
            } else if part.contains('%') {
                self.enter(&path, &part, depth);
            } else {
                let next = path.join(&part);
                if fs::symlink_metadata(&next).is_ok() {
                    self.waiting.push((next, depth + 1));
                }
            }
        }
        None
    }
}

/// Whether a name fits a part of a pattern, where `%` is anything.
fn fits(name: &str, part: &str) -> bool {
    let mut pieces = part.split('%');
    let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

fn file(asked: &Asked<'_>) -> Answered {
    Ok(Box::new(wanted(asked)?.filter_map(file_row)))
}

fn file_row(wanted: Wanted) -> Option<Vec<Value>> {
    let own = fs::symlink_metadata(&wanted.path).ok()?;
    let is_link = own.is_symlink();
    // A link is told with what it leads to, and one that leads nowhere with itself.
    let meta = if is_link { fs::metadata(&wanted.path).unwrap_or(own) } else { own };
    let kind = match meta.file_type() {
        kind if kind.is_file() => "regular",
        kind if kind.is_dir() => "directory",
        kind if kind.is_symlink() => "symlink",
        kind if kind.is_block_device() => "block",
        kind if kind.is_char_device() => "character",
        kind if kind.is_fifo() => "fifo",
        kind if kind.is_socket() => "socket",
        _ => "unknown",
    };
    let name = Path::new(&wanted.path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let made = meta.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
    let target = if is_link { read::link(&wanted.path) } else { String::new() };
    Some(row![
        wanted.path,
        wanted.folder,
        name,
        meta.ino(),
        meta.uid(),
        meta.gid(),
        format!("{:04o}", meta.mode() & 0o7777),
        meta.rdev(),
        meta.size(),
        meta.blksize(),
        meta.atime(),
        meta.mtime(),
        meta.ctime(),
        made,
        meta.nlink(),
        is_link,
        kind,
        target,
    ])
}

fn hash(asked: &Asked<'_>) -> Answered {
    let all = [("md5", Algorithm::Md5), ("sha1", Algorithm::Sha1), ("sha256", Algorithm::Sha256)];
    let algorithms: Vec<Option<Algorithm>> =
        all.iter().map(|(name, which)| asked.uses(name).then_some(*which)).collect();
    let row = move |wanted: Wanted| {
        // A link is followed, as it would be by whoever opens it; what is no file has no hash.
        let path = fs::canonicalize(&wanted.path).ok().filter(|path| path.is_file())?;
        let asked_for: Vec<Algorithm> = algorithms.iter().copied().flatten().collect();
        // Who only counts files does not have them read.
        let digests = if asked_for.is_empty() { Vec::new() } else { hash_file(&path, &asked_for).ok()?.0 };
        let mut row = row![wanted.path, wanted.folder];
        let of = |which: &Option<Algorithm>| {
            let digest = digests.iter().find(|digest| Some(digest.algorithm) == *which)?;
            Some(HEXLOWER.encode(&digest.bytes))
        };
        row.extend(algorithms.iter().map(|which| super::Cell::cell(of(which))));
        Some(row)
    };
    Ok(Box::new(wanted(asked)?.filter_map(row)))
}

fn attributes(asked: &Asked<'_>) -> Answered {
    let rows = |wanted: Wanted| {
        let opens = fs::metadata(&wanted.path).is_ok_and(|meta| meta.is_file() || meta.is_dir());
        let found = opens.then(|| fs::File::open(&wanted.path).and_then(inspect::attributes).ok()).flatten();
        let one = move |(key, value): (Vec<u8>, Vec<u8>)| {
            let readable = str::from_utf8(&value).ok().filter(|text| !text.chars().any(char::is_control));
            let shown = readable.map_or_else(|| STANDARD.encode(&value), str::to_owned);
            let key = String::from_utf8_lossy(&key).into_owned();
            row![wanted.path.as_str(), wanted.folder.as_str(), key, shown, readable.is_none()]
        };
        found.unwrap_or_default().into_iter().map(one).collect::<Vec<_>>()
    };
    Ok(Box::new(wanted(asked)?.flat_map(rows)))
}

fn suid_bin(_: &Asked<'_>) -> Answered {
    let users = read::users();
    let groups = accounts::parse_group(&read::bytes("/etc/group").unwrap_or_default()).entries;
    let mut folders: Vec<PathBuf> = PROGRAMS.iter().filter_map(|folder| fs::canonicalize(folder).ok()).collect();
    folders.sort_unstable();
    // `/bin` often is `/usr/bin`.
    folders.dedup();
    let paths =
        folders.into_iter().flat_map(|folder| read::names(&folder).into_iter().map(move |name| folder.join(name)));
    let row = move |path: PathBuf| {
        let meta =
            fs::symlink_metadata(&path).ok().filter(|meta| meta.is_file() && meta.mode() & (SUID | SGID) != 0)?;
        let user = users.iter().find(|user| user.uid == meta.uid()).map(|user| user.name.clone());
        let group = groups.iter().find(|group| group.gid == meta.gid()).map(|group| group.name.clone());
        let letter = |bit: u32, letter: &'static str| if meta.mode() & bit != 0 { letter } else { "" };
        Some(row![
            path.to_string_lossy().into_owned(),
            user.unwrap_or_else(|| meta.uid().to_string()),
            group.unwrap_or_else(|| meta.gid().to_string()),
            format!("{}{}", letter(SUID, "S"), letter(SGID, "G")),
        ])
    };
    Ok(Box::new(paths.filter_map(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_walked_part_by_part() {
        for (name, part, expected) in [
            ("passwd", "passwd", true),
            ("passwd-", "passwd", false),
            ("passwd-", "passwd%", true),
            ("ssh_config", "%config", true),
            ("a.b.c", "a%c", true),
            ("a.b.c", "a%b%c", true),
            ("ac", "a%b%c", false),
            ("anything", "%%", true),
        ] {
            assert_eq!(fits(name, part), expected, "{name} {part}");
        }
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for path in ["a/one.txt", "a/two.log", "b/deep/er/three.txt"] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "x").unwrap();
        }
        std::os::unix::fs::symlink("/", root.join("b/loop")).unwrap();
        let found = |end: &str| {
            let walk = Walk::new(&format!("{}/{end}", root.display())).unwrap();
            let short = |path: String| path.strip_prefix(&format!("{}/", root.display())).unwrap().to_owned();
            walk.map(short).collect::<Vec<_>>()
        };
        assert_eq!(found("a/%.txt"), ["a/one.txt"]);
        assert_eq!(found("%/one.txt"), ["a/one.txt"]);
        assert_eq!(found("b/%%"), ["b/deep", "b/deep/er", "b/deep/er/three.txt", "b/loop"]);
        assert_eq!(found("c/%"), [""; 0]);
        assert!(Walk::new("etc/%").is_err());
        assert!(Walk::new("/%%/x").is_err());
    }
}
