//! What package managers say they did: dpkg's log and apt's history, dnf's history database, pacman's log, apk's log.
//! Such a log explains and dates a change; it proves nothing, and its times are those of the machine.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::sqlite::{Database, Value};
use crate::text::{clip, lines, lossy, stanzas};
use crate::{Found, Malformed, Manager};

/// What was done to a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new.
    Install,
    /// It is newer.
    Upgrade,
    /// It is older.
    Downgrade,
    /// The same version was put there again.
    Reinstall,
    /// It is gone.
    Remove,
}

/// What was done to one package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// What manages the package.
    pub manager: Manager,
    /// When, as the log says: seconds since the epoch where the log says so much, else none.
    pub at_s: Option<i64>,
    /// When, as the log writes it: local time in most.
    pub at: String,
    /// What was done.
    pub action: Action,
    /// Name of the package.
    pub name: String,
    /// Its architecture, where the log has it.
    pub arch: String,
    /// Version before; empty where there was none, or the log does not say.
    pub old: String,
    /// Version after; empty where there is none.
    pub new: String,
    /// The command, where the log has it.
    pub command: String,
    /// Who asked for it, where the log has it.
    pub by: String,
}

impl Transaction {
    fn new(manager: Manager, at: &str, action: Action, name: &str) -> Self {
        Self {
            manager,
            at_s: None,
            at: clip(at),
            action,
            name: clip(name),
            arch: String::new(),
            old: String::new(),
            new: String::new(),
            command: String::new(),
            by: String::new(),
        }
    }

    fn versions(mut self, old: &str, new: &str) -> Self {
        (self.old, self.new) = (clip(old), clip(new));
        self
    }
}

fn some(version: &str) -> &str {
    if version == "<none>" { "" } else { version }
}

/// The lines of `/var/log/dpkg.log` that say what was done: install, upgrade (also to an older version, which dpkg does
/// not tell apart here), remove and purge.
pub fn dpkg_log(log: &[u8]) -> Found<Transaction> {
    let mut found = Found::default();
    for (number, line) in lines(log) {
        let words: Vec<&str> = line.split(' ').collect();
        let [date, time, action, package, old, new] = words[..] else { continue };
        let action = match action {
            "install" => Action::Install,
            "upgrade" if old == new => Action::Reinstall,
            "upgrade" => Action::Upgrade,
            // Purging removes what was left of a package that is gone already.
            "remove" => Action::Remove,
            _ => continue,
        };
        let (name, arch) = package.split_once(':').unwrap_or((package, ""));
        if name.is_empty() {
            found.issue(number, "a line without a package");
            continue;
        }
        let mut one = Transaction::new(Manager::Dpkg, &format!("{date} {time}"), action, name);
        // The last word of a removal is `<none>`, and so is the old version of a new package.
        one = one.versions(some(old), some(new));
        one.arch = clip(arch);
        found.push(one);
    }
    found
}

/// The transactions of `/var/log/apt/history.log`, which has the command and who asked.
pub fn apt_history(history: &[u8]) -> Found<Transaction> {
    let mut found = Found::default();
    // The lists of packages are long: they are read from the lines, the rest from the stanza.
    for stanza in history.split(|b| *b == b'\n').collect::<Vec<_>>().split(|line| line.is_empty()) {
        let joined = stanza.iter().filter(|line| line.len() < 4_096).fold(Vec::new(), |mut all: Vec<u8>, line| {
            all.extend_from_slice(line);
            all.push(b'\n');
            all
        });
        let Some(head) = stanzas(&joined).next() else { continue };
        let at: Vec<&str> = head.get("Start-Date").split_whitespace().collect();
        for line in stanza {
            let line = String::from_utf8_lossy(line);
            let Some((key, packages)) = line.split_once(": ") else { continue };
            let action = match key {
                "Install" => Action::Install,
                "Upgrade" => Action::Upgrade,
                "Downgrade" => Action::Downgrade,
                "Reinstall" => Action::Reinstall,
                "Remove" | "Purge" => Action::Remove,
                _ => continue,
            };
            for part in packages.split("), ") {
                let Some((package, versions)) = part.trim_end_matches(')').split_once(" (") else { continue };
                let (name, arch) = package.split_once(':').unwrap_or((package, ""));
                let mut versions = versions.split(", ").filter(|version| *version != "automatic");
                let (first, second) = (versions.next().unwrap_or(""), versions.next().unwrap_or(""));
                let one = Transaction::new(Manager::Dpkg, &at.join(" "), action, name);
                let mut one = match action {
                    Action::Install => one.versions("", first),
                    Action::Reinstall => one.versions(first, first),
                    Action::Remove => one.versions(first, ""),
                    Action::Upgrade | Action::Downgrade => one.versions(first, second),
                };
                one.arch = clip(arch);
                head.get("Commandline").clone_into(&mut one.command);
                head.get("Requested-By").clone_into(&mut one.by);
                found.push(one);
            }
        }
    }
    found
}

/// The lines of `/var/log/pacman.log` by libalpm, and who asked from the line before them.
pub fn pacman_log(log: &[u8]) -> Found<Transaction> {
    let mut found = Found::default();
    let mut command = String::new();
    for (number, line) in lines(log) {
        let Some((at, rest)) = line.strip_prefix('[').and_then(|line| line.split_once("] ")) else { continue };
        if let Some(ran) = rest.strip_prefix("[PACMAN] Running '") {
            command = clip(ran.trim_end_matches('\''));
        }
        let Some(rest) = rest.strip_prefix("[ALPM] ") else { continue };
        let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let action = match verb {
            "installed" => Action::Install,
            "upgraded" => Action::Upgrade,
            "downgraded" => Action::Downgrade,
            "reinstalled" => Action::Reinstall,
            "removed" => Action::Remove,
            _ => continue,
        };
        let Some((name, versions)) = rest.strip_suffix(')').and_then(|rest| rest.split_once(" (")) else {
            found.issue(number, "a package without versions");
            continue;
        };
        let one = Transaction::new(Manager::Pacman, at, action, name);
        let mut one = match (action, versions.split_once(" -> ")) {
            (Action::Install, _) => one.versions("", versions),
            (Action::Remove, _) => one.versions(versions, ""),
            (_, Some((old, new))) => one.versions(old, new),
            (_, None) => one.versions(versions, versions),
        };
        command.clone_into(&mut one.command);
        found.push(one);
    }
    found
}

/// The lines of `/var/log/apk.log` (apk-tools 3, times in UTC) that say what was done, such as
/// `(1/2) Upgrading musl (1.2.4-r0 -> 1.2.4-r1)`.
pub fn apk_log(log: &[u8]) -> Found<Transaction> {
    let mut found = Found::default();
    let (mut at, mut command) = (String::new(), String::new());
    for (_, line) in lines(log) {
        if let Some((ran, when)) = line.strip_prefix("Running `").and_then(|line| line.split_once("` at ")) {
            (at, command) = (clip(when), clip(ran));
            continue;
        }
        let Some((_, rest)) = line.strip_prefix('(').and_then(|line| line.split_once(") ")) else { continue };
        let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let action = match verb {
            "Installing" => Action::Install,
            "Upgrading" => Action::Upgrade,
            "Downgrading" => Action::Downgrade,
            "Reinstalling" | "Replacing" => Action::Reinstall,
            "Purging" => Action::Remove,
            _ => continue,
        };
        let Some((name, versions)) = rest.split_once(" (") else { continue };
        let versions = versions.split(')').next().unwrap_or_default();
        let one = Transaction::new(Manager::Apk, &at, action, name);
        let mut one = match (action, versions.split_once(" -> ")) {
            (Action::Install, _) => one.versions("", versions),
            (Action::Remove, _) => one.versions(versions, ""),
            (_, Some((old, new))) => one.versions(old, new),
            (_, None) => one.versions(versions, versions),
        };
        command.clone_into(&mut one.command);
        found.push(one);
    }
    found
}

fn number(value: Option<&Value<'_>>) -> Option<i64> {
    value.and_then(Value::integer)
}

fn string(value: Option<&Value<'_>>) -> String {
    value.and_then(|value| value.bytes()).map(lossy).unwrap_or_default()
}

/// The transactions of `/var/lib/dnf/history.sqlite` with its `-wal` file.
pub fn dnf_history(file: &[u8], wal: Option<&[u8]>) -> Result<Found<Transaction>, Malformed> {
    let database = Database::open(file, wal)?;
    let full = crate::limits::ENTRIES_MAX;
    let mut ran: HashMap<i64, (i64, i64, String)> = HashMap::new();
    database.rows("trans", |id, values| {
        let (begin, user) = (number(values.get(1)).unwrap_or(0), number(values.get(6)).unwrap_or(-1));
        ran.insert(id, (begin, user, string(values.get(7))));
        ran.len() < full
    })?;
    let mut packages: HashMap<i64, (String, String, String)> = HashMap::new();
    database.rows("rpm", |_, values| {
        let Some(item) = number(values.first()) else { return true };
        let epoch = number(values.get(2)).filter(|epoch| *epoch != 0).map(|epoch| format!("{epoch}:"));
        let [version, release] = [3, 4].map(|i| string(values.get(i)));
        let version = format!("{}{version}-{release}", epoch.unwrap_or_default());
        packages.insert(item, (string(values.get(1)), string(values.get(5)), version));
        packages.len() < full
    })?;
    // A change is two rows: what came and what went for it.
    let mut items: Vec<(i64, i64, i64)> = Vec::new();
    database.rows("trans_item", |_, values| {
        if let (Some(run), Some(item), Some(action)) =
            (number(values.get(1)), number(values.get(2)), number(values.get(4)))
        {
            items.push((run, item, action));
        }
        items.len() < full
    })?;
    let mut went: HashMap<(i64, &str, &str), &str> = HashMap::new();
    for (run, item, action) in &items {
        if let (3 | 7 | 10, Some((name, arch, version))) = (action, packages.get(item)) {
            went.insert((*run, name, arch), version);
        }
    }
    let mut found = Found::default();
    for (run, item, action) in &items {
        let action = match action {
            1 => Action::Install,
            2 => Action::Downgrade,
            6 => Action::Upgrade,
            9 => Action::Reinstall,
            5 | 8 => Action::Remove,
            _ => continue,
        };
        let (Some((name, arch, version)), Some((begin, user, command))) = (packages.get(item), ran.get(run)) else {
            found.issue(0, "a change of a package or by a run that is not there");
            continue;
        };
        let one = Transaction::new(Manager::Rpm, "", action, name);
        let old = went.get(&(*run, name, arch)).copied().unwrap_or_default();
        let mut one = match action {
            Action::Remove => one.versions(version, ""),
            Action::Reinstall => one.versions(version, version),
            _ => one.versions(old, version),
        };
        one.at_s = Some(*begin);
        one.arch.clone_from(arch);
        one.command.clone_from(command);
        // The number that stands for nobody.
        one.by = if (0..i64::from(u32::MAX)).contains(user) { user.to_string() } else { String::new() };
        found.push(one);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(found: &Found<Transaction>) -> Vec<String> {
        let line = |t: &Transaction| {
            format!("{} {:?} {}:{} {}->{} {}{}", t.at, t.action, t.name, t.arch, t.old, t.new, t.command, t.by)
        };
        found.entries.iter().map(line).collect()
    }

    #[test]
    fn dpkg_and_apt() {
        let log = b"2026-11-22 21:33:31 startup archives unpack\n2026-11-22 21:33:32 install aide:amd64 <none> 0.18\n2026-11-22 21:33:32 status unpacked aide:amd64 0.18\n2026-11-22 21:33:33 upgrade bash:amd64 5.1 5.2\n2026-11-22 21:33:34 remove old:all 1 <none>\n2026-11-22 21:33:35 upgrade same:all 1 1\n";
        let expected = [
            "2026-11-22 21:33:32 Install aide:amd64 ->0.18 ",
            "2026-11-22 21:33:33 Upgrade bash:amd64 5.1->5.2 ",
            "2026-11-22 21:33:34 Remove old:all 1-> ",
            "2026-11-22 21:33:35 Reinstall same:all 1->1 ",
        ];
        assert_eq!(told(&dpkg_log(log)), expected);
        let history = b"\nStart-Date: 2026-11-22  16:00:17\nCommandline: apt-get dist-upgrade\nRequested-By: jane (1000)\nInstall: a:amd64 (1:2, automatic), b:all (3)\nUpgrade: c:amd64 (1, 2), d:amd64 (3, 4)\nPurge: e:amd64 (5)\nEnd-Date: 2026-11-22  16:00:37\n";
        let end = "apt-get dist-upgradejane (1000)";
        let at = "2026-11-22 16:00:17";
        let expected = [
            format!("{at} Install a:amd64 ->1:2 {end}"),
            format!("{at} Install b:all ->3 {end}"),
            format!("{at} Upgrade c:amd64 1->2 {end}"),
            format!("{at} Upgrade d:amd64 3->4 {end}"),
            format!("{at} Remove e:amd64 5-> {end}"),
        ];
        assert_eq!(told(&apt_history(history)), expected);
    }

    #[test]
    fn pacman_and_apk() {
        let log = b"[2026-01-01T12:00:00+0000] [PACMAN] Running 'pacman -Syu'\n[2026-01-01T12:00:01+0000] [ALPM] transaction started\n[2026-01-01T12:00:01+0000] [ALPM] installed a (1-1)\n[2026-01-01T12:00:01+0000] [ALPM] upgraded b (1:1-1 -> 1:2-1)\n[2026-01-01T12:00:02+0000] [ALPM] removed c (3-1)\n[2026-01-01T12:00:02+0000] [ALPM] reinstalled d (4-1)\n";
        let told_of = told(&pacman_log(log));
        assert_eq!(told_of[0], "2026-01-01T12:00:01+0000 Install a: ->1-1 pacman -Syu");
        assert_eq!(told_of[1], "2026-01-01T12:00:01+0000 Upgrade b: 1:1-1->1:2-1 pacman -Syu");
        assert_eq!(told_of[3], "2026-01-01T12:00:02+0000 Reinstall d: 4-1->4-1 pacman -Syu");
        assert_eq!(told_of.len(), 4);
        let log = b"Running `apk upgrade` at 2026-01-01 12:00:00\n(1/2) Upgrading musl (1.2.4-r0 -> 1.2.4-r1)\n(2/2) Purging x (1-r0)\nOK: 5 MiB in 3 packages\n";
        assert_eq!(
            told(&apk_log(log)),
            [
                "2026-01-01 12:00:00 Upgrade musl: 1.2.4-r0->1.2.4-r1 apk upgrade",
                "2026-01-01 12:00:00 Remove x: 1-r0-> apk upgrade"
            ]
        );
    }
}
