//! Accounts: users, groups, the state of passwords, keys that open accounts, and who may become whom.

use std::collections::{BTreeSet, HashSet};

use guardian_inventory::{accounts, keys, sudoers};
use rusqlite::types::Value;

use super::{Answered, Asked, Table, all, big, read, row, text};

/// Files that sudoers may include, all together.
const SUDOERS_MAX: usize = 200;

/// `users`.
pub(super) const USERS: Table = Table {
    name: "users",
    about: "Users of the machine's own file",
    needs: false,
    columns: &[
        big("uid", "Number").given(),
        big("gid", "Number of the first group"),
        big("uid_signed", "Number, as a signed one of 32 bits"),
        big("gid_signed", "Number of the first group, as a signed one of 32 bits"),
        text("username", "Name"),
        text("description", "Full name and what else stands in the comment"),
        text("directory", "Home folder"),
        text("shell", "Program that is started at login"),
        text("uuid", "Always empty here"),
    ],
    rows: users,
};

/// `groups`.
pub(super) const GROUPS: Table = Table {
    name: "groups",
    about: "Groups of the machine's own file",
    needs: false,
    columns: &[
        big("gid", "Number"),
        big("gid_signed", "Number, as a signed one of 32 bits"),
        text("groupname", "Name"),
    ],
    rows: groups,
};

/// `user_groups`.
pub(super) const USER_GROUPS: Table = Table {
    name: "user_groups",
    about: "Which users are in which groups, their first ones included",
    needs: false,
    columns: &[big("uid", "User").given(), big("gid", "Group")],
    rows: user_groups,
};

/// `shadow`.
pub(super) const SHADOW: Table = Table {
    name: "shadow",
    about: "The state of passwords; never what they are hashed to",
    needs: false,
    columns: &[
        text("password_status", "active, locked, not_set or empty"),
        text("hash_alg", "How it is hashed, by the letters of crypt(5)"),
        big("last_change", "Day of the last change, since the epoch"),
        big("min", "Days before it may be changed again"),
        big("max", "Days after which it must be changed"),
        big("warning", "Days of warning before that"),
        big("inactive", "Days after that until the account is locked"),
        big("expire", "Day on which the account ends, since the epoch"),
        big("flag", "Reserved"),
        text("username", "User"),
    ],
    rows: shadow,
};

/// `authorized_keys`.
pub(super) const AUTHORIZED_KEYS: Table = Table {
    name: "authorized_keys",
    about: "Keys that open accounts by SSH",
    needs: false,
    columns: &[
        big("uid", "Whose account").given(),
        text("algorithm", "Type of the key"),
        text("key", "The public key, Base64"),
        text("options", "Restrictions and commands"),
        text("comment", "What the comment says"),
        text("key_file", "The file it stands in"),
    ],
    rows: authorized_keys,
};

/// `sudoers`.
pub(super) const SUDOERS: Table = Table {
    name: "sudoers",
    about: "Rules of sudo, with the files that are included",
    needs: false,
    columns: &[
        text("source", "The file"),
        text("header", "The first word: who, an alias, or Defaults"),
        text("rule_details", "The rest"),
    ],
    rows: sudoers_rules,
};

fn users(asked: &Asked<'_>) -> Answered {
    let row = |user: accounts::User| {
        let signed = |number: u32| number.cast_signed();
        row![user.uid, user.gid, signed(user.uid), signed(user.gid), user.name, user.comment, user.home, user.shell, "",]
    };
    all(read::users_of(asked.number("uid")).into_iter().map(row).collect())
}

fn group_file() -> Vec<accounts::Group> {
    accounts::parse_group(&read::bytes("/etc/group").unwrap_or_default()).entries
}

fn groups(_: &Asked<'_>) -> Answered {
    all(group_file().into_iter().map(|group| row![group.gid, group.gid.cast_signed(), group.name]).collect())
}

fn user_groups(asked: &Asked<'_>) -> Answered {
    let groups = group_file();
    let mut pairs = BTreeSet::new();
    for user in read::users_of(asked.number("uid")) {
        pairs.insert((user.uid, user.gid));
        let member = groups.iter().filter(|group| group.members.contains(&user.name));
        pairs.extend(member.map(|group| (user.uid, group.gid)));
    }
    all(pairs.into_iter().map(|(uid, gid)| row![uid, gid]).collect())
}

fn shadow(_: &Asked<'_>) -> Answered {
    all(read::text("/etc/shadow").lines().filter_map(shadow_row).collect())
}

fn shadow_row(line: &str) -> Option<Vec<Value>> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, password, rest @ ..] = fields.as_slice() else { return None };
    // As osquery has it: what is absent is -1.
    let number = |at: usize| rest.get(at).and_then(|field| field.parse::<i64>().ok()).unwrap_or(-1);
    let status = match *password {
        "" => "empty",
        "!!" => "not_set",
        locked if locked.starts_with(['!', '*', 'x']) => "locked",
        _ => "active",
    };
    let method = password.strip_prefix('$').and_then(|rest| rest.split('$').next()).unwrap_or_default();
    Some(row![status, method, number(0), number(1), number(2), number(3), number(4), number(5), number(6), *name,])
}

fn authorized_keys(asked: &Asked<'_>) -> Answered {
    let rows = read::users_of(asked.number("uid")).into_iter().flat_map(|user| {
        let files = [".ssh/authorized_keys", ".ssh/authorized_keys2"].map(|file| format!("{}/{file}", user.home));
        files.into_iter().flat_map(move |path| {
            let file = read::text(&path);
            let lines: Vec<&str> = file.lines().collect();
            let one = |key: keys::AuthorizedKey| {
                let line = lines.get(usize::try_from(key.line).ok()?.checked_sub(1)?)?;
                // The key itself stands behind its type.
                let blob = line.split_whitespace().skip_while(|word| *word != key.kind).nth(1)?;
                let (kind, options, comment) = (key.kind.as_str(), key.options.join(","), key.comment.as_str());
                Some(row![user.uid, kind, blob, options, comment, path.as_str()])
            };
            keys::parse(file.as_bytes()).entries.into_iter().filter_map(one).collect::<Vec<_>>()
        })
    });
    Ok(Box::new(rows))
}

fn sudoers_rules(_: &Asked<'_>) -> Answered {
    let (mut waiting, mut seen, mut rows) = (vec!["/etc/sudoers".to_owned()], HashSet::new(), Vec::new());
    while let Some(path) = waiting.pop() {
        if seen.len() >= SUDOERS_MAX || !seen.insert(path.clone()) {
            continue;
        }
        let Some(file) = read::bytes(&path) else { continue };
        // A line that ends with a backslash goes on with the next.
        let joined = String::from_utf8_lossy(&file).replace("\\\n", " ");
        for line in joined.lines().map(str::trim) {
            let includes = ["#include", "@include"].iter().any(|word| line.starts_with(word));
            if !line.is_empty() && (includes || !line.starts_with('#')) {
                let (header, details) = line.split_once([' ', '\t']).unwrap_or((line, ""));
                rows.push(row![path.as_str(), header, details.trim()]);
            }
        }
        for found in sudoers::parse(&file).entries {
            let sudoers::Entry::Include(what) = found else { continue };
            let what = if what.starts_with('/') { what } else { format!("/etc/{what}") };
            let inside = read::names(&what);
            // Names with a dot or a tilde at the end are left alone, as sudo does.
            let counts = |name: &String| !name.contains('.') && !name.ends_with('~');
            waiting.extend(inside.iter().rev().filter(|name| counts(name)).map(|name| format!("{what}/{name}")));
            if inside.is_empty() {
                waiting.push(what);
            }
        }
    }
    all(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_passwords_are_told_and_hashes_are_not() {
        let integer = |number: i64| Value::Integer(number);
        for (line, status, method) in [
            ("ann:$6$salt$hash:19000:0:99999:7:::", "active", "6"),
            ("bob:!$y$j9T$x:19000:0:99999:7:::", "locked", ""),
            ("web:*:19000:0:99999:7:::", "locked", ""),
            ("new:!!:19000::::::", "not_set", ""),
            ("open::19000::::::", "empty", ""),
        ] {
            let row = shadow_row(line).unwrap();
            assert_eq!(row.len(), SHADOW.columns.len());
            assert_eq!((&row[0], &row[1]), (&Value::Text(status.into()), &Value::Text(method.into())), "{line}");
            assert_eq!(row[2], integer(19_000));
            assert_eq!(row[9], Value::Text(line.split(':').next().unwrap().into()));
            assert!(!format!("{row:?}").contains("salt"));
        }
        assert_eq!(shadow_row("ann:*:1:2:3:4:5:6:7").unwrap()[3..9], [2, 3, 4, 5, 6, 7].map(integer));
        assert!(shadow_row("junk").is_none());
    }
}
