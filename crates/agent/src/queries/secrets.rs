//! What users keep in their home folders: keys of SSH, hosts they know, and what they typed into shells.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guardian_inventory::accounts::User;
use rusqlite::types::Value;

use super::{Answered, Asked, Table, big, int, read, row, text};

/// Files of one user's folder that are looked at.
const FILES_MAX: usize = 1_000;
/// What begins a private key in the form of OpenSSH (PROTOCOL.key).
const OPENSSH: &[u8] = b"openssh-key-v1\0";
const HISTORIES: [&str; 5] = [".bash_history", ".zsh_history", ".sh_history", ".ash_history", ".history"];

/// `user_ssh_keys`.
pub(super) const USER_SSH_KEYS: Table = Table {
    name: "user_ssh_keys",
    about: "Private keys in the .ssh folders of users",
    needs: false,
    columns: &[
        big("uid", "Whose folder").given(),
        text("path", "The file"),
        int("encrypted", "Whether a passphrase opens it"),
        text("key_type", "Type of the key: rsa, dsa, ecdsa or ed25519"),
        text("key_group_name", "Curve of an elliptic key"),
        int("key_length", "Length in bits; -1 where it cannot be seen"),
        int("key_security_bits", "Strength in bits (NIST SP 800-57); -1 where it cannot be seen"),
    ],
    rows: ssh_keys,
};

/// `known_hosts`.
pub(super) const KNOWN_HOSTS: Table = Table {
    name: "known_hosts",
    about: "Keys of hosts that users have accepted",
    needs: false,
    columns: &[big("uid", "Whose file").given(), text("key", "The line"), text("key_file", "The file")],
    rows: known_hosts,
};

/// `shell_history`.
pub(super) const SHELL_HISTORY: Table = Table {
    name: "shell_history",
    about: "What users typed into shells, as far as the shells wrote it down",
    needs: false,
    columns: &[
        big("uid", "Who").given(),
        int("time", "When, in seconds since the epoch; 0 where the shell does not say"),
        text("command", "What"),
        text("history_file", "The file"),
    ],
    rows: history,
};

/// A key as far as it can be seen without its passphrase.
#[derive(Debug, PartialEq, Eq)]
struct Private {
    encrypted: bool,
    kind: &'static str,
    group: &'static str,
    bits: i32,
}

impl Private {
    /// NIST SP 800-57 part 1, table 2.
    fn strength(&self) -> i32 {
        match (self.kind, self.bits) {
            ("rsa" | "dsa", 15_360..) => 256,
            ("rsa" | "dsa", 7_680..) => 192,
            ("rsa" | "dsa", 3_072..) => 128,
            ("rsa" | "dsa", 2_048..) => 112,
            ("rsa" | "dsa", 1_024..) => 80,
            ("ed25519", _) => 128,
            ("ecdsa", bits @ 1..) => bits / 2,
            _ => -1,
        }
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    let (value, tail) = tail.split_at_checked(u32::from_be_bytes(*head) as usize)?;
    *rest = tail;
    Some(value)
}

/// What a file says, if it is a private key.
fn private(file: &str) -> Option<Private> {
    let begin = file.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
    let kind = begin.strip_suffix("PRIVATE KEY")?.trim();
    let old = |kind: &'static str| {
        let encrypted = file.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"));
        Private { encrypted, kind, group: "", bits: -1 }
    };
    match kind {
        "OPENSSH" => {
            let text: String = file.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
            openssh(&STANDARD.decode(text).ok()?)
        }
        "RSA" => Some(old("rsa")),
        "DSA" => Some(old("dsa")),
        "EC" => Some(old("ecdsa")),
        // PKCS #8 says the type inside alone.
        "ENCRYPTED" => Some(Private { encrypted: true, ..old("") }),
        "" => Some(old("")),
        _ => None,
    }
}

fn openssh(bytes: &[u8]) -> Option<Private> {
    let mut rest = bytes.strip_prefix(OPENSSH)?;
    let encrypted = take(&mut rest)? != b"none";
    // Name and options of what makes the key out of the passphrase, and the number of keys.
    take(&mut rest)?;
    take(&mut rest)?;
    let mut public = take(&mut rest.split_at_checked(4)?.1)?;
    let (kind, group, bits) = match take(&mut public)? {
        b"ssh-rsa" => {
            take(&mut public)?;
            let modulus = take(&mut public)?;
            let modulus = &modulus[modulus.iter().take_while(|byte| **byte == 0).count()..];
            let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
            ("rsa", "", i32::try_from(bits).ok()?)
        }
        b"ssh-dss" => ("dsa", "", 1_024),
        b"ssh-ed25519" => ("ed25519", "", 256),
        b"ecdsa-sha2-nistp256" => ("ecdsa", "nistp256", 256),
        b"ecdsa-sha2-nistp384" => ("ecdsa", "nistp384", 384),
        b"ecdsa-sha2-nistp521" => ("ecdsa", "nistp521", 521),
        _ => ("", "", -1),
    };
    Some(Private { encrypted, kind, group, bits })
}

fn ssh_keys(asked: &Asked<'_>) -> Answered {
    let rows = read::users_of(asked.number("uid")).into_iter().flat_map(|user| {
        let folder = format!("{}/.ssh", user.home);
        let one = |name: String| {
            let path = format!("{folder}/{name}");
            let regular = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file() && m.len() < 1 << 20);
            let key = regular.then(|| private(&read::text(&path))).flatten()?;
            Some(row![user.uid, path, key.encrypted, key.kind, key.group, key.bits, key.strength()])
        };
        read::names(&folder).into_iter().take(FILES_MAX).filter_map(one).collect::<Vec<_>>()
    });
    Ok(Box::new(rows))
}

fn known_hosts(asked: &Asked<'_>) -> Answered {
    let rows = read::users_of(asked.number("uid")).into_iter().flat_map(|user| {
        let path = format!("{}/.ssh/known_hosts", user.home);
        let file = read::text(&path);
        let lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| row![user.uid, line, path.as_str()]).collect::<Vec<_>>()
    });
    Ok(Box::new(rows))
}

fn history(asked: &Asked<'_>) -> Answered {
    let of = |user: User| {
        HISTORIES.into_iter().flat_map(move |name| history_rows(user.uid, &format!("{}/{name}", user.home)))
    };
    Ok(Box::new(read::users_of(asked.number("uid")).into_iter().flat_map(of)))
}

fn history_rows(uid: u32, path: &str) -> Vec<Vec<Value>> {
    // A device in place of the file would never end.
    if !std::fs::metadata(path).is_ok_and(|m| m.is_file()) {
        return Vec::new();
    }
    typed(&read::text(path)).into_iter().map(|(time, command)| row![uid, time, command, path]).collect()
}

/// What was typed and when: `#SECONDS` before a command (bash), or `: SECONDS:LENGTH;command` (zsh).
fn typed(file: &str) -> Vec<(u64, String)> {
    let mut time = 0;
    let mut all = Vec::new();
    for line in file.lines().filter(|line| !line.is_empty()) {
        if let Some(stamp) = line.strip_prefix('#').and_then(|rest| rest.parse().ok()) {
            time = stamp;
            continue;
        }
        let extended = line.strip_prefix(": ").and_then(|rest| {
            let (head, command) = rest.split_once(';')?;
            Some((head.split_once(':')?.0.trim().parse().ok()?, command))
        });
        let (at, command) = extended.unwrap_or((time, line));
        all.push((at, command.to_owned()));
        time = 0;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_of_shells_have_times_where_they_say_them() {
        let file = "ls\n#1700000000\nsudo id\ncd /\n: 1700000001:0;make; make install\n# not a time\n";
        let expected: Vec<(u64, String)> = [
            (0, "ls"),
            (1_700_000_000, "sudo id"),
            (0, "cd /"),
            (1_700_000_001, "make; make install"),
            (0, "# not a time"),
        ]
        .map(|(time, command)| (time, command.to_owned()))
        .into();
        assert_eq!(typed(file), expected);
    }

    fn field(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
    }

    #[test]
    fn private_keys_are_known_without_their_passphrase() {
        let public = [field(b"ssh-ed25519"), field(&[7; 32])].concat();
        let inside = |cipher: &[u8]| {
            let whole =
                [OPENSSH.to_vec(), field(cipher), field(b"bcrypt"), field(b""), vec![0, 0, 0, 1], field(&public)]
                    .concat();
            format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
                STANDARD.encode(whole)
            )
        };
        let key = private(&inside(b"aes256-ctr")).unwrap();
        assert_eq!(key, Private { encrypted: true, kind: "ed25519", group: "", bits: 256 });
        assert_eq!(key.strength(), 128);
        assert!(!private(&inside(b"none")).unwrap().encrypted);
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert!(private(old).unwrap().encrypted);
        assert_eq!(private("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"), None);
        assert_eq!(private("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"), None);
    }
}
