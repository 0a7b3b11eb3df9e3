//! What makes something run again: schedules, units, keys, start-up files of shells, loaders, modules. Files are taken as they
//! are; the shadow file with its hashes of passwords is not.

use std::fs;
use std::path::{Path, PathBuf};

use guardian_inventory::accounts::parse_passwd;

use super::super::doing::Stop;
use super::{Gather, files};

/// Bytes of one such file.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Such files in all.
const FILES_MAX: u64 = 20_000;
/// Folders within folders.
const DEPTH_MAX: usize = 8;

/// Files, and folders with all that is in them.
const PLACES: &[&str] = &[
    "/etc/crontab",
    "/etc/anacrontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/etc/crontabs",
    "/var/spool/cron",
    "/var/spool/at",
    "/etc/systemd/system",
    "/etc/systemd/user",
    "/etc/systemd/system-generators",
    "/usr/local/lib/systemd",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/etc/init.d",
    "/etc/inittab",
    "/etc/rc.local",
    "/etc/rc.d/rc.local",
    "/etc/local.d",
    "/etc/ld.so.preload",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/environment",
    "/etc/environment.d",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/bash.bashrc",
    "/etc/bashrc",
    "/etc/zsh",
    "/etc/modules",
    "/etc/modules-load.d",
    "/etc/modprobe.d",
    "/etc/udev/rules.d",
    "/etc/pam.d",
    "/etc/security",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/doas.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d",
    "/etc/ssh/ssh_config",
    "/etc/ssh/sshrc",
    "/etc/xdg/autostart",
    "/etc/update-motd.d",
    "/etc/apt/apt.conf.d",
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/yum.repos.d",
    "/etc/NetworkManager/dispatcher.d",
    "/etc/network/if-up.d",
    "/etc/ppp/ip-up.d",
    "/etc/logrotate.d",
    "/etc/audit",
    "/etc/rsyslog.d",
    "/etc/nftables.conf",
    "/etc/inetd.conf",
    "/etc/xinetd.d",
    "/etc/binfmt.d",
];

/// The same of each user, below the home folder.
const OF_USERS: &[&str] = &[
    ".ssh/authorized_keys",
    ".ssh/authorized_keys2",
    ".ssh/rc",
    ".ssh/environment",
    ".ssh/config",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".bash_aliases",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".pam_environment",
    ".forward",
    ".xinitrc",
    ".xsession",
    ".config/autostart",
    ".config/systemd/user",
    ".config/fish/config.fish",
];

/// What the kernel says of itself.
const KERNEL: &[(&str, &str)] = &[
    ("/proc/modules", "kernel/modules"),
    ("/proc/cmdline", "kernel/cmdline"),
    ("/proc/mounts", "kernel/mounts"),
    ("/proc/sys/kernel/tainted", "kernel/tainted"),
    ("/proc/sys/kernel/core_pattern", "kernel/core_pattern"),
    ("/proc/sys/kernel/modprobe", "kernel/modprobe"),
    ("/sys/kernel/debug/kprobes/list", "kernel/kprobes"),
];

fn take(gather: &mut Gather<'_, '_>, path: &Path, depth: usize, count: &mut u64) -> Result<(), Stop> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
    if *count >= FILES_MAX {
        gather.left_out(&path.to_string_lossy(), "there are too many");
        return Ok(());
    }
    if !meta.is_dir() {
        *count += u64::from(files::add(gather, "persistence", path, FILE_BYTES_MAX)?);
    } else if depth < DEPTH_MAX {
        for path in files::inside(path) {
            take(gather, &path, depth + 1, count)?;
        }
    }
    Ok(())
}

/// Takes all of them.
pub(super) fn persistence(gather: &mut Gather<'_, '_>) -> Result<u64, Stop> {
    let mut count = 0;
    for (path, name) in KERNEL {
        if let Ok(text) = fs::read(path) {
            gather.text(name, &text)?;
            count += 1;
        }
    }
    for place in PLACES {
        take(gather, Path::new(place), 0, &mut count)?;
    }
    let users = parse_passwd(&fs::read("/etc/passwd").unwrap_or_default());
    let mut homes: Vec<PathBuf> = users.entries.iter().map(|user| PathBuf::from(&user.home)).collect();
    homes.push("/root".into());
    homes.sort_unstable();
    homes.dedup();
    let real = |home: &&PathBuf| home.is_absolute() && home.components().count() > 1 && home.is_dir();
    for home in homes.iter().filter(real).take(4_096) {
        for name in OF_USERS {
            take(gather, &home.join(name), 0, &mut count)?;
        }
    }
    Ok(count)
}
