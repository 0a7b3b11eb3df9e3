//! What is watched on each family of distributions where nobody says otherwise.

use std::path::Path;

use super::{Policy, Rule, Watch, fits};

/// A family of distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and those made of them.
    Debian,
    /// Fedora, Red Hat Enterprise Linux and those made of them.
    RedHat,
    /// SUSE Linux Enterprise and openSUSE.
    Suse,
    /// Alpine.
    Alpine,
    /// Arch.
    Arch,
    /// Gentoo.
    Gentoo,
    /// Any other.
    Other,
}

impl Family {
    /// From the bytes of `/etc/os-release` (os-release(5)): `ID`, else the first of `ID_LIKE` that is known.
    pub fn of_os_release(os_release: &[u8]) -> Self {
        let text = String::from_utf8_lossy(os_release);
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
        };
        let (id, like) = (field("ID"), field("ID_LIKE"));
        let known = |id: &str| match id {
            "debian" | "ubuntu" | "raspbian" | "devuan" => Some(Self::Debian),
            "fedora" | "rhel" | "centos" | "rocky" | "almalinux" | "ol" | "amzn" => Some(Self::RedHat),
            "suse" | "sles" | "sled" | "opensuse" | "opensuse-leap" | "opensuse-tumbleweed" => Some(Self::Suse),
            "alpine" | "postmarketos" | "wolfi" | "chainguard" => Some(Self::Alpine),
            "arch" | "archarm" | "manjaro" => Some(Self::Arch),
            "gentoo" => Some(Self::Gentoo),
            _ => None,
        };
        std::iter::once(id.as_str()).chain(like.split_whitespace()).find_map(known).unwrap_or(Self::Other)
    }

    /// What changes by itself here, and says nothing when it does: databases of package managers (which are compared as
    /// such), and caches of data. Caches that say which code is loaded are not among them.
    const fn ignored(self) -> &'static [&'static str] {
        match self {
            Self::Debian => &["/etc/apt/sources.list.d/*.save", "/etc/fake-hwclock.data", "/usr/share/info/dir"],
            Self::RedHat => &[
                "/usr/lib/sysimage",
                "/usr/share/info/dir",
                "/etc/lvm/devices/backup",
                "/etc/selinux/*/active",
                "/boot/grub2/grubenv",
                "/boot/loader/entries.srel",
            ],
            Self::Suse => &["/usr/lib/sysimage", "/usr/share/info/dir", "/etc/zypp/credentials.d/*.lock"],
            Self::Alpine => &["/lib/apk/db", "/usr/lib/apk/db", "/lib/apk/exec"],
            Self::Arch => &[
                "/etc/pacman.d/gnupg/random_seed",
                "/etc/pacman.d/gnupg/*.lock",
                "/etc/pacman.d/gnupg/S.*",
                "/etc/.updated",
                "/usr/share/info/dir",
            ],
            Self::Gentoo => &["/usr/portage", "/etc/config-archive", "/usr/share/info/dir"],
            Self::Other => &[],
        }
    }
}

/// Caches of data that all families have.
const CACHES: &[&str] = &[
    "/boot/grub/grubenv",
    "/etc/.pwd.lock",
    "/usr/share/icons/**/icon-theme.cache",
    "/usr/share/applications/mimeinfo.cache",
    "/usr/share/fonts/**/.uuid",
    "/usr/share/fonts/**/fonts.dir",
    "/usr/share/fonts/**/fonts.scale",
    "/usr/share/texmf/ls-R",
];

/// Where text is configuration, or code that root runs: what changed in it is worth reading.
const READABLE: &[&str] = &[
    "/etc",
    "/usr/local/etc",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/lib/systemd",
    "/lib/systemd",
    "/usr/lib/udev/rules.d",
    "/usr/lib/sysctl.d",
    "/usr/lib/tmpfiles.d",
    "/usr/lib/sysusers.d",
    "/usr/share/polkit-1",
    "/opt/**/etc",
    "/opt/**/conf",
    "/opt/**/config",
    "/boot/grub*/grub.cfg",
    "/boot/loader",
    "/var/spool/cron",
    concat!("/root", "/.*"),
];

impl Policy {
    /// What is watched on this machine where nobody says otherwise.
    pub fn of_this_machine() -> Self {
        let os_release =
            ["/etc/os-release", "/usr/lib/os-release"].into_iter().find_map(|path| std::fs::read(path).ok());
        Self::of_family(Family::of_os_release(&os_release.unwrap_or_default()))
    }

    /// What is watched on a family of distributions where nobody says otherwise.
    pub fn of_family(family: Family) -> Self {
        let mut policy = Self::linux();
        let quiet = CACHES.iter().chain(family.ignored());
        policy.rules.extend(quiet.map(|path| Rule { path: (*path).to_owned(), watch: Watch::Nothing }));
        policy
    }

    /// Whether the text of a file is to be kept, masked, so that differences of it can be shown.
    pub fn shows_text(path: &Path) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        READABLE.iter().any(|pattern| fits(pattern.as_bytes(), path.as_os_str().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_known_by_name_or_by_what_they_are_like() {
        for (text, expected) in [
            ("ID=debian\nVERSION_ID=\"12\"\n", Family::Debian),
            ("NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Family::Debian),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Family::RedHat),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", Family::Suse),
            ("ID=alpine\n", Family::Alpine),
            ("ID=endeavouros\nID_LIKE=arch\n", Family::Arch),
            ("ID=void\n", Family::Other),
            ("", Family::Other),
        ] {
            assert_eq!(Family::of_os_release(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_matters_is_watched_everywhere() {
        for family in [Family::Debian, Family::RedHat, Family::Suse, Family::Alpine, Family::Arch, Family::Gentoo] {
            let policy = Policy::of_family(family);
            for path in [
                "/etc/passwd",
                "/etc/ld.so.preload",
                "/etc/pam.d/sshd",
                "/etc/ssl/certs/ca-certificates.crt",
                "/etc/systemd/system/x.service",
                "/usr/bin/sudo",
                "/usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders.cache",
                "/boot/grub/grub.cfg",
                concat!("/root", "/.ssh/authorized_keys"),
                "/var/spool/cron/crontabs/x",
            ] {
                let path = Path::new(path);
                assert!(policy.properties(path).is_some(), "{family:?} {path:?}");
                assert!(policy.roots.iter().any(|root| path.starts_with(root)), "{family:?} {path:?}");
            }
            assert!(policy.properties(Path::new("/usr/share/icons/hicolor/icon-theme.cache")).is_none());
        }
        assert!(Policy::shows_text(Path::new("/etc/ssh/sshd_config")) && !Policy::shows_text(Path::new("/usr/bin/x")));
    }
}
