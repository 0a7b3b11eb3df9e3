//! Users and groups: passwd(5), group(5), and the state of the password in shadow(5). The password's hash is looked at and
//! never kept.

use serde::Serialize;

use crate::Found;
use crate::text::{clip, lines, list};

/// A user of `passwd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Number of the first group.
    pub gid: u32,
    /// Full name and what else stands in the comment field.
    pub comment: String,
    /// Home folder.
    pub home: String,
    /// Program that is started at login.
    pub shell: String,
    /// Whether the password field is empty: no password is asked.
    pub no_password: bool,
}

/// A group of `group`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Number.
    pub gid: u32,
    /// Names of members that do not have it as their first group.
    pub members: Vec<String>,
}

/// What can be done with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordState {
    /// There is one.
    Set,
    /// No password is asked.
    Empty,
    /// None fits, but there was one: `!` stands before it.
    Locked,
    /// None ever fits.
    Never,
}

/// State of a user's password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Password {
    /// Name of the user.
    pub name: String,
    /// What can be done with it.
    pub state: PasswordState,
    /// How it is hashed, by name; empty where there is none.
    pub method: &'static str,
    /// Day of the last change, since the epoch; 0 for a change at the next login.
    pub changed_day: Option<i64>,
    /// Days after which it must be changed.
    pub valid_days: Option<i64>,
    /// Day on which the account ends, since the epoch.
    pub expires_day: Option<i64>,
}

/// Splits the lines at colons; comments and the `+`/`-` lines of NIS are left out.
fn rows<T>(file: &[u8], fields: usize, mut row: impl FnMut(&[&str]) -> Option<T>) -> Found<T> {
    let mut found = Found::default();
    for (number, line) in lines(file) {
        if line.trim().is_empty() || line.starts_with(['#', '+', '-']) {
            continue;
        }
        let parts: Vec<&str> = line.splitn(fields + 1, ':').collect();
        match (parts.len() == fields).then(|| row(&parts)).flatten() {
            Some(entry) => found.push(entry),
            None => found.issue(number, "a line with other fields than it should have"),
        }
    }
    found
}

/// The users of `/etc/passwd`.
pub fn parse_passwd(file: &[u8]) -> Found<User> {
    rows(file, 7, |f| {
        Some(User {
            name: clip(f[0]),
            uid: f[2].parse().ok()?,
            gid: f[3].parse().ok()?,
            comment: clip(f[4]),
            home: clip(f[5]),
            shell: clip(f[6]),
            no_password: f[1].is_empty(),
        })
    })
}

/// The groups of `/etc/group`.
pub fn parse_group(file: &[u8]) -> Found<Group> {
    rows(file, 4, |f| Some(Group { name: clip(f[0]), gid: f[2].parse().ok()?, members: list(f[3].split(',')) }))
}

/// The states of `/etc/shadow`.
pub fn parse_shadow(file: &[u8]) -> Found<Password> {
    rows(file, 9, |f| {
        let (state, hash) = match f[1] {
            "" => (PasswordState::Empty, ""),
            "!" | "!!" | "*" | "!*" | "x" => (PasswordState::Never, ""),
            locked if locked.starts_with('!') => (PasswordState::Locked, locked.trim_start_matches('!')),
            hash => (if hash.starts_with('*') { PasswordState::Never } else { PasswordState::Set }, hash),
        };
        Some(Password {
            name: clip(f[0]),
            state,
            method: method(hash),
            changed_day: f[2].parse().ok(),
            valid_days: f[4].parse().ok(),
            expires_day: f[7].parse().ok(),
        })
    })
}

/// The method of a hash (crypt(5)).
fn method(hash: &str) -> &'static str {
    let prefixes = [
        ("$y$", "yescrypt"),
        ("$gy$", "gost-yescrypt"),
        ("$7$", "scrypt"),
        ("$2", "bcrypt"),
        ("$6$", "sha512crypt"),
        ("$5$", "sha256crypt"),
        ("$sha1", "sha1crypt"),
        ("$md5", "sunmd5"),
        ("$1$", "md5crypt"),
        ("$3$", "nthash"),
        ("_", "bsdicrypt"),
    ];
    match prefixes.iter().find(|(prefix, _)| hash.starts_with(prefix)) {
        Some((_, name)) => name,
        None if hash.len() == 13 => "descrypt",
        None if hash.is_empty() || hash.starts_with('*') => "",
        None => "unknown",
    }
}
