//! Which files each task is about: a child gets these and no others, whatever it asks for.

use crate::inventory::lists::{certificates, libraries};

/// How a path is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is handed over.
    Yes,
    /// It is handed over if it is a program.
    IfProgram,
    /// It is not.
    No,
}

/// What a task may ask for.
#[derive(Debug)]
pub(super) struct Allowed {
    /// The list, or what is no list: `owned`, `transactions`, `logs`.
    name: &'static str,
    /// Whether a path is read; both as it is asked for and where it leads to.
    pub(super) file: fn(&str) -> Answer,
    /// Whether a folder is listed.
    pub(super) folder: fn(&str) -> bool,
    /// Whether programs are run for it.
    pub(super) programs: bool,
    /// What of a task's files only the configuration says that root wrote: files and folders that are handed over as well, as
    /// long as the child was handed nothing that somebody else could have written, or asked for them before that.
    pub(super) named: fn(&str) -> bool,
    /// Whether its files hold secrets: a child for it alone, which no other task went before and none follows.
    pub(super) alone: bool,
    /// Whether a child that did it does nothing else but it: what is read comes all the time, and from whoever knocks.
    pub(super) apart: bool,
}

/// Of what most tasks are.
const USUAL: Allowed = Allowed {
    name: "",
    file: |_| Answer::No,
    folder: |_| false,
    programs: false,
    named: |_| false,
    alone: false,
    apart: false,
};

/// Every task. A list that is not here is read by this process: it says what the kernel says.
const ALL: &[Allowed] = &[
    Allowed { name: "owned", file: |path| yes(below(path, DATABASES)), folder: |path| below(path, DATABASES), ..USUAL },
    Allowed { name: "transactions", file: |path| yes(crate::files::is_log(path)), ..USUAL },
    Allowed { name: "logs", apart: true, ..USUAL },
    Allowed { name: "packages", file: package_file, folder: package_folder, ..USUAL },
    Allowed { name: "libraries", file: library, folder: |path| below(path, &libraries::ROOTS), ..USUAL },
    Allowed {
        name: "certificates",
        file: |path| yes(certificates::is_one(last(path))),
        folder: |path| below(path, &certificates::ROOTS),
        ..USUAL
    },
    Allowed {
        name: "firewall",
        file: firewall,
        folder: |path| below(path, FIREWALL) || path.ends_with("/net") || path == WANTED,
        programs: true,
        ..USUAL
    },
    Allowed { name: "containers", file: container, folder: |path| below(path, CONTAINERS), ..USUAL },
    Allowed { name: "services", file: unit, folder: |path| below(path, UNITS) || is_level(path), ..USUAL },
    Allowed { name: "cron", file: |path| yes(below(path, SCHEDULES)), folder: |path| below(path, SCHEDULES), ..USUAL },
    Allowed { name: "users", file: |path| yes(below(path, &["/etc/passwd", "/etc/shadow"])), alone: true, ..USUAL },
    Allowed { name: "groups", file: |path| yes(path == "/etc/group"), ..USUAL },
    Allowed {
        name: "keys",
        file: |path| yes(path == "/etc/passwd" || below(path, SSHD) || is_keys(path)),
        folder: |path| below(path, SSHD),
        named: is_no_secret,
        alone: true,
        ..USUAL
    },
    Allowed {
        name: "sudoers",
        file: |path| yes(below(path, SUDOERS)),
        folder: |path| below(path, SUDOERS),
        named: is_no_secret,
        alone: true,
        ..USUAL
    },
];

const DATABASES: &[&str] = &[
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/usr/lib/sysimage/rpm",
    "/lib/apk/db",
    "/usr/lib/apk/db",
    "/var/lib/pacman/local",
    "/var/db/pkg",
];
const OTHER_PACKAGES: &[&str] = &["/nix/var/nix/db"];
const APPS: &[&str] = &["/snap", "/var/lib/snapd/snap", "/var/lib/flatpak"];
const LICENCES: &[&str] = &["/usr/share/doc", "/usr/share/common-licenses", "/usr/share/licenses"];
const FIREWALL: &[&str] = &["/etc/ufw", "/etc/default/ufw", "/etc/firewalld", "/usr/lib/firewalld"];
/// Where it stands whether firewalld is started.
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants";
const CONTAINERS: &[&str] = &["/var/lib/docker/containers", "/var/lib/containers/storage/overlay-containers"];
const SSHD: &[&str] = &["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d"];
const SUDOERS: &[&str] = &["/etc/sudoers", "/etc/sudoers.d"];
/// What no configuration names rightly: what the kernel shows, devices, passwords, and where private keys of the system are.
const SECRET: &[&str] =
    &["/proc", "/sys", "/dev", "/etc/shadow", "/etc/gshadow", "/etc/ssl/private", "/etc/pki/tls/private"];
const UNITS: &[&str] = &[
    "/etc/systemd",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/init.d",
];
const UNIT_ENDS: &[&str] = &[".service", ".timer", ".socket", ".path", ".mount", ".conf"];
const HOMES: &[&str] = &["/root", "/home"];
const SCHEDULES: &[&str] = &[
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/var/spool/cron",
    "/var/spool/at",
];
const LIBRARY_NAMES: &[&str] = &["METADATA", "PKG-INFO", "package.json", ".crates2.json"];
const LIBRARY_ENDS: &[&str] = &[".egg-info", ".gemspec", ".jar", ".war", ".ear"];

impl Allowed {
    /// The task that its children are kept for; none where others may come after it.
    pub(super) fn kept_for(&self) -> Option<&'static str> {
        self.apart.then_some(self.name)
    }

    /// Of a task.
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|allowed| allowed.name == name)
    }

    /// How a file is treated that is asked for by one path and lies at another. Who may put a link somewhere must not
    /// choose what is read: what it leads to is one of the task's files as well, or at least is called the same.
    pub(super) fn answer(&self, asked: &str, place: &str) -> Answer {
        match ((self.file)(asked), (self.file)(place)) {
            (Answer::No, _) => Answer::No,
            (answer, Answer::No) if last(asked) == last(place) => answer,
            (_, Answer::No) => Answer::No,
            (Answer::IfProgram, _) | (_, Answer::IfProgram) => Answer::IfProgram,
            (Answer::Yes, Answer::Yes) => Answer::Yes,
        }
    }
}

const fn yes(is: bool) -> Answer {
    if is { Answer::Yes } else { Answer::No }
}

fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Whether a path is one of these, or below one; no path is that goes up again.
fn below(path: &str, folders: &[&str]) -> bool {
    let inside =
        |folder: &&str| path.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    folders.iter().any(inside) && !path.split('/').any(|part| part == "..")
}

fn package_folder(path: &str) -> bool {
    [DATABASES, OTHER_PACKAGES, APPS].iter().any(|folders| below(path, folders))
}

fn package_file(path: &str) -> Answer {
    let app = || below(path, APPS) && (matches!(last(path), "snap.yaml" | "metadata") || path.ends_with(".xml"));
    let licence = || below(path, LICENCES) && (last(path) == "copyright" || below(path, &LICENCES[1..]));
    yes(below(path, DATABASES) || below(path, OTHER_PACKAGES) || app() || licence())
}

fn library(path: &str) -> Answer {
    let name = last(path);
    if !below(path, &libraries::ROOTS) && !below(path, &["/usr"]) {
        Answer::No
    } else if LIBRARY_NAMES.contains(&name) || LIBRARY_ENDS.iter().any(|end| name.ends_with(end)) {
        Answer::Yes
    } else {
        // Where programs are, and not beside them.
        let programs = path.starts_with("/opt/") || path.split('/').any(|part| part == "bin" || part == "sbin");
        if programs { Answer::IfProgram } else { Answer::No }
    }
}

fn firewall(path: &str) -> Answer {
    yes(below(path, FIREWALL) || matches!(path, "/proc/sys/net/ipv4/ip_forward" | "/proc/net/if_inet6"))
}

fn container(path: &str) -> Answer {
    yes(below(path, CONTAINERS) && matches!(last(path), "config.v2.json" | "hostconfig.json" | "containers.json"))
}

fn unit(path: &str) -> Answer {
    yes(UNIT_ENDS.iter().any(|end| path.ends_with(end)) && !below(path, HOMES))
}

/// Where sshd looks for keys unless it is told otherwise.
fn is_keys(path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    matches!(last(path), "authorized_keys" | "authorized_keys2") && last(folder) == ".ssh"
}

/// Whether root's own configuration may name it.
fn is_no_secret(path: &str) -> bool {
    let copy = last(path).trim_end_matches(['-', '~']);
    let host_key = copy.starts_with("ssh_host_") && copy.ends_with("_key");
    !below(path, SECRET)
        && !matches!(copy, "shadow" | "gshadow")
        && !host_key
        && !path.split('/').any(|part| part == "..")
}

/// The folder of a run level, `/etc/rc3.d`.
fn is_level(path: &str) -> bool {
    path.strip_prefix("/etc/rc").is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9', b'.', b'd']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::lists;

    fn of(task: &str, asked: &str, place: &str) -> Answer {
        Allowed::of(task).unwrap().answer(asked, place)
    }

    #[test]
    fn every_task_is_known_and_has_a_list() {
        for allowed in ALL.iter().filter(|allowed| !["logs", "owned", "transactions"].contains(&allowed.name)) {
            assert!(lists::find(allowed.name).is_some(), "{}", allowed.name);
        }
        for secret in ["users", "keys", "sudoers"] {
            assert!(Allowed::of(secret).unwrap().alone, "{secret} names files with secrets");
        }
    }

    #[test]
    fn a_task_gets_its_own_files_alone() {
        for (task, path, expected) in [
            ("owned", "/var/lib/dpkg/info/bash.list", Answer::Yes),
            ("owned", "/var/lib/dpkg/../../../etc/shadow", Answer::No),
            ("owned", "/var/lib/dpkgs", Answer::No),
            ("owned", "/etc/shadow", Answer::No),
            ("transactions", "/var/log/dpkg.log", Answer::Yes),
            ("transactions", "/var/log/auth.log", Answer::No),
            ("packages", "/usr/share/doc/bash/copyright", Answer::Yes),
            ("packages", "/usr/share/doc/bash/changelog", Answer::No),
            ("packages", "/snap/x/current/meta/snap.yaml", Answer::Yes),
            ("packages", "/snap/x/current/etc/secret", Answer::No),
            ("libraries", "/home/ann/x/node_modules/y/package.json", Answer::Yes),
            ("libraries", "/home/ann/.ssh/id_ed25519", Answer::No),
            ("libraries", "/usr/local/bin/tool", Answer::IfProgram),
            ("libraries", "/opt/app/secret.conf", Answer::IfProgram),
            ("certificates", "/etc/ssl/web.pem", Answer::Yes),
            ("certificates", "/etc/ssl/private/web.key", Answer::No),
            ("containers", "/var/lib/docker/containers/a/config.v2.json", Answer::Yes),
            ("containers", "/var/lib/docker/containers/a/a-json.log", Answer::No),
            ("services", "/etc/systemd/system/web.service", Answer::Yes),
            ("cron", "/var/spool/cron/crontabs/ann", Answer::Yes),
            ("cron", "/etc/passwd", Answer::No),
            ("users", "/etc/shadow", Answer::Yes),
            ("users", "/etc/sudoers", Answer::No),
            ("groups", "/etc/shadow", Answer::No),
            ("keys", "/srv/ann/.ssh/authorized_keys", Answer::Yes),
            ("keys", "/srv/ann/.ssh/id_ed25519", Answer::No),
            ("keys", "/etc/ssh/ssh_host_ed25519_key", Answer::No),
            ("sudoers", "/etc/sudoers.d/web", Answer::Yes),
        ] {
            assert_eq!(of(task, path, path), expected, "{task} {path}");
        }
    }

    #[test]
    fn configuration_names_no_secret() {
        let keys = Allowed::of("keys").unwrap();
        for (path, expected) in [
            ("/var/keys/ann", true),
            ("/etc/ssh/keys/ann", true),
            ("/etc/shadow", false),
            ("/etc/shadow-", false),
            ("/data/etc/shadow", false),
            ("/etc/ssh/ssh_host_rsa_key", false),
            ("/etc/ssh/../shadow", false),
            ("/proc/1/environ", false),
        ] {
            assert_eq!((keys.named)(path), expected, "{path}");
        }
        assert!(!(Allowed::of("packages").unwrap().named)("/var/keys/ann"));
    }

    #[test]
    fn a_link_does_not_choose_what_is_read() {
        let asked = "/home/ann/node_modules/x/package.json";
        assert_eq!(of("libraries", asked, "/etc/shadow"), Answer::No);
        assert_eq!(of("libraries", asked, "/srv/x/package.json"), Answer::Yes);
        assert_eq!(of("libraries", asked, "/data/home/ann/node_modules/x/package.json"), Answer::Yes);
        assert_eq!(of("cron", "/var/spool/cron/crontabs/ann", "/etc/shadow"), Answer::No);
        let docker = "/data/docker/containers/a/config.v2.json";
        assert_eq!(of("containers", "/var/lib/docker/containers/a/config.v2.json", docker), Answer::Yes);
    }
}
