//! Which files are looked at, and which of their properties count, by path. Later rules override earlier ones.

mod family;

pub use family::Family;
pub use guardian_protocol::policy::PathProperty as Property;

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What counts where nothing else is said.
const PROPERTIES_DEFAULT: &[Property] =
    &[Property::Content, Property::Mode, Property::Owner, Property::Target, Property::Attributes, Property::Device];

/// How a path is treated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// These properties count.
    Properties(Vec<Property>),
    /// It is not looked at, nor anything below.
    Nothing,
}

/// One rule: paths and how they are treated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Absolute path. It holds for what is below too. `*` stands for any part of one name, `**` for any number of folders.
    pub path: String,
    /// How it is treated.
    pub watch: Watch,
}

/// Where scans begin, and the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Folders where scans begin.
    pub roots: Vec<PathBuf>,
    /// Rules; the last that fits a path decides, and where none fits the default properties count.
    pub rules: Vec<Rule>,
    /// Files longer than this are not hashed, in bytes; 0 for no limit.
    pub hash_bytes_max: u64,
}

impl Policy {
    /// What is watched on Linux where nobody says otherwise: programs, libraries, configuration, the boot files, and root's
    /// own folder, without what changes by itself. It holds for the Debian, Red Hat, SUSE, Alpine and Arch families: what
    /// one of them lacks is not there to be read.
    pub fn linux() -> Self {
        let roots = [
            "/boot",
            "/etc",
            "/root",
            "/home",
            "/usr",
            "/opt",
            "/bin",
            "/sbin",
            "/lib",
            "/lib64",
            "/var/spool/cron",
            "/var/spool/at",
            "/var/log",
            "/run/systemd",
        ];
        let ignored = [
            "/etc/mtab",
            "/etc/ld.so.cache",
            "/etc/adjtime",
            "/etc/resolv.conf",
            "/etc/cups/subscriptions.conf*",
            "/etc/lvm/archive",
            "/etc/lvm/backup",
            "/etc/lvm/cache",
            concat!("/root", "/.cache"),
            concat!("/root", "/.bash_history"),
            concat!("/root", "/.lesshst"),
            concat!("/root", "/.viminfo"),
            "/usr/share/mime/mime.cache",
            "/usr/lib/modules/*/modules.*.bin",
            "/usr/**/__pycache__",
            "/opt/**/__pycache__",
            "/opt/**/log",
            "/opt/**/logs",
            "/var/spool/**/.SEQ",
            "/var/spool/at/spool",
            "/var/spool/cron/atspool",
        ];
        let mut rules = ignored.map(|path| Rule { path: path.to_owned(), watch: Watch::Nothing }).to_vec();
        // The last one that fits decides: of what people have, only what is run when they come in.
        rules.push(Rule { path: "/home/*/*".to_owned(), watch: Watch::Nothing });
        let looked_at = || Watch::Properties(PROPERTIES_DEFAULT.to_vec());
        rules.extend(BEGINNINGS.map(|name| Rule { path: format!("/home/*/{name}"), watch: looked_at() }));
        // Of what systemd keeps in memory, only the units that somebody put there.
        rules.push(Rule { path: "/run/systemd/*".to_owned(), watch: Watch::Nothing });
        rules.extend(["system", "user"].map(|of| Rule { path: format!("/run/systemd/{of}"), watch: looked_at() }));
        // Logs may grow and be rotated; what was rotated before goes by itself.
        let log = Watch::Properties(vec![Property::Mode, Property::Owner, Property::Growing]);
        rules.push(Rule { path: "/var/log".to_owned(), watch: log });
        rules.extend(ROTATED.map(|name| Rule { path: format!("/var/log/**/{name}"), watch: Watch::Nothing }));
        Self { roots: roots.map(PathBuf::from).to_vec(), rules, hash_bytes_max: 0 }
    }

    /// Which properties count for a path; none where it is not looked at.
    pub fn properties(&self, path: &Path) -> Option<&[Property]> {
        let fitting = self.rules.iter().rev().find(|rule| fits(rule.path.as_bytes(), path.as_os_str().as_bytes()));
        match fitting.map(|rule| &rule.watch) {
            Some(Watch::Nothing) => None,
            Some(Watch::Properties(properties)) => Some(properties),
            None => Some(PROPERTIES_DEFAULT),
        }
    }
}

/// Names of logs that were rotated.
const ROTATED: [&str; 17] = [
    "*.gz",
    "*.xz",
    "*.zst",
    "*.bz2",
    "*.old",
    "*-20*",
    "*@*.journal*",
    "*.1",
    "*.2",
    "*.3",
    "*.4",
    "*.5",
    "*.6",
    "*.7",
    "*.8",
    "*.9",
    "*.10",
];

/// What is run, or lets somebody in, where people have their homes.
const BEGINNINGS: [&str; 21] = [
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".bash_aliases",
    ".profile",
    ".shrc",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".zlogout",
    ".kshrc",
    ".cshrc",
    ".tcshrc",
    ".login",
    ".logout",
    ".pam_environment",
    ".xprofile",
    ".xsessionrc",
    ".ssh",
];

/// Whether a pattern fits a path or a folder above it.
pub(crate) fn fits(pattern: &[u8], path: &[u8]) -> bool {
    // Nearly every path differs from nearly every pattern before its first star.
    let literal = pattern.split(|b| *b == b'*').next().unwrap_or_default();
    let literal = literal.strip_suffix(b"/").unwrap_or(literal);
    path.starts_with(literal) && parts_fit(parts(pattern), &parts(path).collect::<Vec<_>>())
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty())
}

fn parts_fit<'a>(pattern: impl Iterator<Item = &'a [u8]>, path: &[&[u8]]) -> bool {
    // One row of the table of (pattern parts used, path parts used), so that no pattern takes exponential time.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for part in pattern {
        if part == b"**" {
            let mut any = false;
            for place in &mut reached {
                any |= *place;
                *place = any;
            }
        } else {
            for i in (0..path.len()).rev() {
                reached[i + 1] = reached[i] && name_fits(part, path[i]);
            }
            reached[0] = false;
        }
    }
    reached.contains(&true)
}

/// `*` is any number of bytes. The classic walk with one place to come back to takes at most length times length steps.
fn name_fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut back) = (0, 0, None);
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            back = Some((p, n));
            p += 1;
        } else if pattern.get(p) == name.get(n) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((star, from)) = back {
            (p, n, back) = (star + 1, from + 1, Some((star, from + 1)));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_paths_and_what_is_below() {
        for (pattern, path, expected) in [
            ("/etc", "/etc/ssh/sshd_config", true),
            ("/etc", "/etcetera", false),
            ("/etc/*.conf", "/etc/a.conf", true),
            ("/etc/*.conf", "/etc/x/a.conf", false),
            ("/usr/**/__pycache__", "/usr/lib/python3/a/__pycache__/b.pyc", true),
            ("/usr/**/__pycache__", "/usr/__pycache__", true),
            ("/usr/**/__pycache__", "/usr/lib/pycache", false),
            ("/a*b*c", "/axxbyyc/z", true),
            ("/a*b*c", "/axxcyyb", false),
            ("/", "/anything", true),
            ("/**", "/anything", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn the_last_rule_decides() {
        let mut policy = Policy::linux();
        assert_eq!(policy.properties(Path::new("/etc/passwd")), Some(PROPERTIES_DEFAULT));
        assert_eq!(policy.properties(Path::new("/etc/lvm/archive/x")), None);
        let watch = Watch::Properties(vec![Property::Mode]);
        policy.rules.push(Rule { path: "/etc/lvm/archive/x".into(), watch });
        assert_eq!(policy.properties(Path::new("/etc/lvm/archive/x")), Some(&[Property::Mode][..]));
    }

    #[test]
    fn logs_may_grow_and_what_was_rotated_may_go() {
        let policy = Policy::linux();
        let log = [Property::Mode, Property::Owner, Property::Growing];
        for path in
            ["/var/log/auth.log", "/var/log/wtmp", "/var/log/audit/audit.log", "/var/log/journal/1f/system.journal"]
        {
            assert_eq!(policy.properties(Path::new(path)), Some(&log[..]), "{path}");
        }
        for path in [
            "/var/log/auth.log.1",
            "/var/log/apt/term.log.2.gz",
            "/var/log/messages-20261122",
            "/var/log/journal/1f/system@0006.journal",
            "/run/systemd/transient/x.scope",
            "/var/spool/cron/atjobs/.SEQ",
        ] {
            assert_eq!(policy.properties(Path::new(path)), None, "{path}");
        }
        for path in ["/run/systemd/system/x.service", "/var/spool/at/a00001", "/var/spool/cron/atjobs/a00001"] {
            assert_eq!(policy.properties(Path::new(path)), Some(PROPERTIES_DEFAULT), "{path}");
        }
    }

    #[test]
    fn of_what_people_have_only_how_they_come_in() {
        let policy = Policy::linux();
        for (path, expected) in [
            ("/home", true),
            ("/home/ada", true),
            ("/home/ada/.bashrc", true),
            ("/home/ada/.ssh", true),
            ("/home/ada/.ssh/authorized_keys", true),
            ("/home/ada/.bash_history", false),
            ("/home/ada/.config/browser/cache", false),
            ("/home/ada/work/.bashrc", false),
        ] {
            assert_eq!(policy.properties(Path::new(path)).is_some(), expected, "{path}");
        }
    }
}
