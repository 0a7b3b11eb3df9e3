//! Accounts: users with the state of their passwords, groups, keys that open them, and who may become whom.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use guardian_inventory::{accounts, keys as key_files, sudoers as sudo};
use guardian_protocol::lists::List;
use serde_json::{Value, json};

use super::{entry, text};
use crate::files::Root;

/// Where sshd looks unless it is told otherwise, from a user's home.
const USUAL_KEYS: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];
/// Files that sudoers may include, all together.
const SUDOERS_MAX: usize = 200;

pub(super) fn users(root: &mut Root, list: &mut List) {
    let shadow = root.read("/etc/shadow").unwrap_or_default();
    let passwords: HashMap<String, accounts::Password> =
        accounts::parse_shadow(&shadow).entries.into_iter().map(|p| (p.name.clone(), p)).collect();
    let passwd = root.read("/etc/passwd").unwrap_or_default();
    for user in accounts::parse_passwd(&passwd).entries {
        let password = passwords.get(&user.name);
        let state = password.map_or(Value::Null, |p| json!(p.state));
        let value = json!({
            "user": user.name,
            "uid": user.uid,
            "gid": user.gid,
            "comment": user.comment,
            "home": user.home,
            "shell": user.shell,
            "password": if user.no_password { json!("empty") } else { state },
            "method": password.map(|p| p.method),
            "changed_day": password.and_then(|p| p.changed_day),
            "valid_days": password.and_then(|p| p.valid_days),
            "expires_day": password.and_then(|p| p.expires_day),
        });
        list.put(&user.name, &entry(value));
    }
}

pub(super) fn groups(root: &mut Root, list: &mut List) {
    let file = root.read("/etc/group").unwrap_or_default();
    for group in accounts::parse_group(&file).entries {
        // One text, so that it is masked as a name would be.
        let value = json!({ "name": group.name, "gid": group.gid, "user": group.members.join(" ") });
        list.put(&group.name, &entry(value));
    }
}

pub(super) fn keys(root: &mut Root, list: &mut List) {
    let passwd = root.read("/etc/passwd").unwrap_or_default();
    let patterns = key_patterns(root);
    let users = accounts::parse_passwd(&passwd).entries;
    let place = |user: &accounts::User, pattern: &str| {
        let path = pattern.replace("%u", &user.name).replace("%h", &user.home).replace("%%", "%");
        if path.starts_with('/') { path } else { format!("{}/{path}", user.home) }
    };
    // Which files there are is settled before any of them is read, because users write them.
    for (user, pattern) in users.iter().flat_map(|user| patterns.iter().map(move |pattern| (user, pattern))) {
        if !USUAL_KEYS.contains(&pattern.as_str()) {
            root.resolve(Path::new(&place(user, pattern)));
        }
    }
    for user in users {
        for pattern in &patterns {
            let path = place(&user, pattern);
            let Some(file) = root.read(&path) else { continue };
            for key in key_files::parse(&file).entries {
                let value = json!({
                    "user": user.name,
                    "kind": key.kind,
                    "bits": key.bits,
                    "fingerprint": key.fingerprint,
                    "comment": key.comment,
                    "options": key.options,
                    "path": path,
                });
                list.put(&format!("{}/{path}/{}", user.name, key.fingerprint), &entry(value));
            }
        }
    }
}

/// Where sshd looks for keys: `AuthorizedKeysFile`, or its default (sshd_config(5)).
fn key_patterns(root: &mut Root) -> Vec<String> {
    let mut files = vec!["/etc/ssh/sshd_config".to_owned()];
    let more = root.names("/etc/ssh/sshd_config.d").into_iter().filter(|name| name.ends_with(".conf"));
    files.extend(more.map(|name| format!("/etc/ssh/sshd_config.d/{name}")));
    let mut patterns: Vec<String> = Vec::new();
    for file in files {
        for line in text(root, &file).lines() {
            let mut words = line.split_whitespace();
            if words.next().is_some_and(|word| word.eq_ignore_ascii_case("AuthorizedKeysFile")) {
                patterns.extend(words.map(str::to_owned).filter(|w| w != "none"));
            }
        }
    }
    for usual in USUAL_KEYS {
        if !patterns.iter().any(|p| p == usual || *p == format!("%h/{usual}")) {
            patterns.push(usual.into());
        }
    }
    patterns
}

pub(super) fn sudoers(root: &mut Root, list: &mut List) {
    let (mut waiting, mut seen) = (vec!["/etc/sudoers".to_owned()], HashSet::new());
    while let Some(path) = waiting.pop() {
        if seen.len() >= SUDOERS_MAX || !seen.insert(path.clone()) {
            continue;
        }
        let Some(file) = root.read(&path) else { continue };
        for (number, found) in sudo::parse(&file).entries.into_iter().enumerate() {
            match found {
                sudo::Entry::Include(what) => {
                    let what = if what.starts_with('/') { what } else { format!("/etc/{what}") };
                    let inside = root.names(&what);
                    if inside.is_empty() {
                        waiting.push(what);
                    } else {
                        // Names with a dot or a tilde at the end are left alone, as sudo does.
                        let counts = |name: &String| !name.contains('.') && !name.ends_with('~');
                        waiting.extend(inside.into_iter().filter(counts).map(|name| format!("{what}/{name}")));
                    }
                }
                sudo::Entry::Defaults(setting) => {
                    let value = json!({ "kind": "defaults", "value": setting, "path": path });
                    list.put(&format!("{path}/defaults/{setting}"), &entry(value));
                }
                sudo::Entry::Permission(permission) => {
                    let value = json!({
                        "kind": "permission",
                        "user": permission.who.join(" "),
                        "hosts": permission.hosts,
                        "run_as": permission.run_as.join(" "),
                        "no_password": permission.no_password,
                        "command_line": permission.commands.join(", "),
                        "path": path,
                    });
                    let key = format!("{path}/{}/{}", permission.who.join(","), permission.commands.join(","));
                    // The same twice is seldom meant, and is two entries all the same.
                    let key = if list.iter().any(|(known, _)| known == key) { format!("{key}/{number}") } else { key };
                    list.put(&key, &entry(value));
                }
            }
        }
    }
}
