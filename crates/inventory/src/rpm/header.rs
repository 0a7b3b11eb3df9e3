//! The header of an rpm package as the database keeps it: number of entries, length of the data, entries (tag, type,
//! offset, count), data; all big-endian.

use serde::Serialize;

use crate::limits::{ENTRIES_MAX, LIST_MAX};
use crate::text::{clip, list, lossy};
use crate::{Found, Malformed, Manager, Package};

const SHA1: u32 = 269;
const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const INSTALLTIME: u32 = 1008;
const SIZE: u32 = 1009;
const VENDOR: u32 = 1011;
const LICENSE: u32 = 1014;
const PACKAGER: u32 = 1015;
const GROUP: u32 = 1016;
const URL: u32 = 1020;
const ARCH: u32 = 1022;
const FILESIZES: u32 = 1028;
const FILESTATES: u32 = 1029;
const FILEMODES: u32 = 1030;
const FILERDEVS: u32 = 1033;
const FILEMTIMES: u32 = 1034;
const FILEDIGESTS: u32 = 1035;
const FILELINKTOS: u32 = 1036;
const FILEFLAGS: u32 = 1037;
const FILEUSERNAME: u32 = 1039;
const FILEGROUPNAME: u32 = 1040;
const SOURCERPM: u32 = 1044;
const FILEVERIFYFLAGS: u32 = 1045;
const DIRINDEXES: u32 = 1116;
const BASENAMES: u32 = 1117;
const DIRNAMES: u32 = 1118;
const LONGFILESIZES: u32 = 5008;
const LONGSIZE: u32 = 5009;
const FILECAPS: u32 = 5010;
const FILEDIGESTALGO: u32 = 5011;
const MODULARITYLABEL: u32 = 5096;

const ENTRY_BYTES: usize = 16;
/// Entries of a header; rpm's own limit.
const INDEX_ENTRIES_MAX: usize = 0xffff;

const fn malformed(what: &'static str) -> Malformed {
    Malformed { format: "an rpm header", what }
}

/// A header whose frame is sound. Values are looked up when asked for.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

/// A file that a package owns, to compare with what is on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its path.
    pub path: String,
    /// Type and permissions.
    pub mode: u16,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Digest in hex; empty for what is not a regular file.
    pub digest: String,
    /// Number of the digest's algorithm (RFC 9580 section 9.5): 1 MD5, 2 SHA-1, 8 SHA-256, 10 SHA-512.
    pub algorithm: u32,
    /// Target of a symbolic link.
    pub link: String,
    /// Owner.
    pub user: String,
    /// Group.
    pub group: String,
    /// Flags: 1 configuration, 2 documentation, 8 may be missing, 16 not to be replaced, 64 not stored ("ghost").
    pub flags: u32,
    /// Last change, in seconds since the epoch.
    pub modified_s: i64,
    /// Number of the device, for devices.
    pub device: u32,
    /// Capabilities in their text form; none where the package says nothing of capabilities.
    pub capabilities: Option<String>,
    /// What `rpm -V` compares (rpmvf.h): 1 digest, 2 size, 4 target, 8 owner, 16 group, 32 time, 64 mode, 128 device, 256
    /// capabilities.
    pub verify: u32,
    /// State: 0 installed, 1 replaced by another package, 2 not installed, 3 on a shared disk, 4 of another colour.
    pub state: u8,
}

impl File {
    /// As the other managers' files. What the package does not want to have compared is left out.
    pub fn owned(&self) -> crate::Owned {
        use crate::owned::{Account, Algorithm, Digest, FOLDER, KIND_MASK, LINK, Owned, REGULAR};
        let kind = u32::from(self.mode) & KIND_MASK;
        // What is made later has no content to compare, and rpm does not compare its type.
        let (ghost, content) = (self.flags & 64 != 0, 1 | 2 | 4 | 32);
        let compared = |flag: u32| self.verify & flag != 0 && !(ghost && flag & content != 0);
        let algorithm = Algorithm::of_openpgp(self.algorithm);
        Owned {
            path: self.path.clone().into_bytes(),
            kind: (!ghost).then_some(kind),
            mode: (compared(64) && kind != LINK).then_some(u32::from(self.mode) & !KIND_MASK),
            user: compared(8).then(|| Account::Name(self.user.clone())),
            group: compared(16).then(|| Account::Name(self.group.clone())),
            size: (compared(2) && kind == REGULAR).then_some(self.size_bytes),
            modified_s: (compared(32) && kind != LINK && kind != FOLDER).then_some(self.modified_s),
            target: (compared(4) && kind == LINK).then(|| self.link.clone().into_bytes()),
            digest: algorithm
                .filter(|_| compared(1) && kind == REGULAR)
                .and_then(|algorithm| Digest::of_hex(algorithm, self.digest.as_bytes())),
            capabilities: self.capabilities.clone().filter(|_| compared(256) && kind == REGULAR),
            device: (compared(128) && !matches!(kind, REGULAR | FOLDER | LINK)).then_some(u64::from(self.device)),
            config: self.flags & 1 != 0,
            ghost,
            may_miss: self.flags & (8 | 64) != 0,
        }
    }
}

impl<'a> Header<'a> {
    /// Looks at the frame.
    pub fn parse(blob: &'a [u8]) -> Result<Self, Malformed> {
        let (head, rest) = blob.split_first_chunk::<8>().ok_or(malformed("it is too short"))?;
        let count = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if count > INDEX_ENTRIES_MAX {
            return Err(malformed("it has too many entries"));
        }
        let (index, data) = rest.split_at_checked(count * ENTRY_BYTES).ok_or(malformed("its entries are cut off"))?;
        let data = data.get(..length).ok_or(malformed("its data is cut off"))?;
        Ok(Self { index, data })
    }

    /// Type, count, and the data from where the value begins.
    fn entry(&self, tag: u32) -> Option<(u32, usize, &'a [u8])> {
        let entry = self.index.chunks_exact(ENTRY_BYTES).find(|entry| entry[..4] == tag.to_be_bytes())?;
        let field = |at: usize| Some(u32::from_be_bytes(entry.get(at..at + 4)?.try_into().ok()?));
        Some((field(4)?, field(12)? as usize, self.data.get(field(8)? as usize..)?))
    }

    fn strings(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (count, mut rest) = match self.entry(tag) {
            Some((6, _, data)) => (1, data),
            Some((8 | 9, count, data)) => (count, data),
            _ => (0, &[][..]),
        };
        // The count is somebody's claim: the data ends the walk.
        (0..count).map_while(move |_| {
            let end = rest.iter().position(|b| *b == 0)?;
            let text = &rest[..end];
            rest = &rest[end + 1..];
            Some(text)
        })
    }

    fn string(&self, tag: u32) -> String {
        self.strings(tag).next().map(lossy).unwrap_or_default()
    }

    fn numbers(&self, tag: u32) -> impl Iterator<Item = u64> + use<'a> {
        let (width, count, data) = match self.entry(tag) {
            Some((1 | 2, count, data)) => (1, count, data),
            Some((3, count, data)) => (2, count, data),
            Some((4, count, data)) => (4, count, data),
            Some((5, count, data)) => (8, count, data),
            _ => (1, 0, &[][..]),
        };
        data.chunks_exact(width).take(count).map(|bytes| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn number(&self, tag: u32) -> Option<u64> {
        self.numbers(tag).next()
    }

    /// The package.
    pub fn package(&self) -> Result<Package, Malformed> {
        let (name, version, release) = (self.string(NAME), self.string(VERSION), self.string(RELEASE));
        if name.is_empty() || version.is_empty() {
            return Err(malformed("it has no name or no version"));
        }
        let epoch = self.number(EPOCH).map(|epoch| format!("{epoch}:")).unwrap_or_default();
        let mut package = Package::new(Manager::Rpm, &name, &format!("{epoch}{version}-{release}"));
        package.arch = self.string(ARCH);
        package.licences = list([self.string(LICENSE).as_str()]);
        package.vendor = self.string(VENDOR);
        if package.vendor.is_empty() {
            package.vendor = self.string(PACKAGER);
        }
        package.url = self.string(URL);
        package.installed_s = self.number(INSTALLTIME).map(u64::cast_signed);
        package.size_bytes = self.number(LONGSIZE).or_else(|| self.number(SIZE));
        let source = self.string(SOURCERPM);
        // NAME-VERSION-RELEASE.ARCH.rpm, where neither version nor release has a hyphen.
        let mut parts = source.rsplitn(3, '-');
        if let (Some(release), Some(version), Some(name)) = (parts.next(), parts.next(), parts.next()) {
            let release = release.rsplitn(3, '.').nth(2).unwrap_or(release);
            package.source_version = clip(&format!("{version}-{release}"));
            package.source = clip(name);
        }
        Ok(package)
    }

    /// Name, version and release, and the epoch where there is one, each by itself.
    pub fn parts(&self) -> (String, String, String, Option<u64>) {
        (self.string(NAME), self.string(VERSION), self.string(RELEASE), self.number(EPOCH))
    }

    /// The file name of the source package.
    pub fn source_file(&self) -> String {
        self.string(SOURCERPM)
    }

    /// SHA-1 of the header, in hex.
    pub fn sha1(&self) -> String {
        self.string(SHA1)
    }

    /// The group that the packager put it in.
    pub fn group(&self) -> String {
        self.string(GROUP)
    }

    /// The module that the package belongs to, `NAME:STREAM`; empty where it is of none.
    pub fn module(&self) -> String {
        // NAME:STREAM:VERSION:CONTEXT
        let label = self.string(MODULARITYLABEL);
        label.match_indices(':').nth(1).map_or(label.as_str(), |(at, _)| &label[..at]).to_owned()
    }

    /// The files that the package owns.
    pub fn files(&self) -> Found<File> {
        let mut found = Found::default();
        let folders: Vec<&[u8]> = self.strings(DIRNAMES).take(ENTRIES_MAX).collect();
        let algorithm = self.number(FILEDIGESTALGO).unwrap_or(1) as u32;
        let mut folder_of = self.numbers(DIRINDEXES);
        let mut sizes: Box<dyn Iterator<Item = u64> + '_> = match self.entry(LONGFILESIZES) {
            Some(_) => Box::new(self.numbers(LONGFILESIZES)),
            None => Box::new(self.numbers(FILESIZES)),
        };
        let (mut times, mut devices) = (self.numbers(FILEMTIMES), self.numbers(FILERDEVS));
        let (mut verify, mut states) = (self.numbers(FILEVERIFYFLAGS), self.numbers(FILESTATES));
        let (mut capabilities, has_capabilities) = (self.strings(FILECAPS), self.entry(FILECAPS).is_some());
        let (mut modes, mut flags) = (self.numbers(FILEMODES), self.numbers(FILEFLAGS));
        let (mut digests, mut links) = (self.strings(FILEDIGESTS), self.strings(FILELINKTOS));
        let (mut users, mut groups) = (self.strings(FILEUSERNAME), self.strings(FILEGROUPNAME));
        let text = |bytes: Option<&[u8]>| bytes.map(lossy).unwrap_or_default();
        for (i, name) in self.strings(BASENAMES).take(ENTRIES_MAX).enumerate() {
            let folder = folder_of.next().and_then(|at| folders.get(at as usize));
            if folder.is_none() && found.issues.len() < LIST_MAX {
                found.issue(i + 1, "a file without a folder");
            }
            let folder = folder.copied().unwrap_or_default();
            found.push(File {
                path: clip(&format!("{}{}", lossy(folder), lossy(name))),
                mode: modes.next().unwrap_or(0) as u16,
                size_bytes: sizes.next().unwrap_or(0),
                digest: text(digests.next()),
                algorithm,
                link: text(links.next()),
                user: text(users.next()),
                group: text(groups.next()),
                flags: flags.next().unwrap_or(0) as u32,
                modified_s: times.next().unwrap_or(0) as i64,
                device: devices.next().unwrap_or(0) as u32,
                capabilities: has_capabilities.then(|| text(capabilities.next())),
                verify: verify.next().map_or(u32::MAX, |flags| flags as u32),
                state: states.next().unwrap_or(0) as u8,
            });
        }
        found
    }
}
