//! Locking accounts. The password is locked and the account expires on the first day there was, because a locked password
//! alone still lets keys in. What was before is noted, so that unlocking gives no more than there was.

use std::fs;

use data_encoding::HEXLOWER;
use guardian_inventory::accounts::parse_passwd;
use guardian_protocol::message::{Action, Denied, DisableUser, EnableUser};

use super::books::{Books, LockedUser, Standing};
use super::doing::{Doing, Done, Stop, denied, failed};
use super::{processes, program};

/// The day on which a locked account expires: the second of 1970, because the first reads as none to some.
const LONG_AGO: &str = "1";

/// The number of a local user.
fn uid_of(name: &str) -> Result<u32, Stop> {
    let users = parse_passwd(&fs::read("/etc/passwd").map_err(failed("/etc/passwd"))?);
    match users.entries.iter().find(|user| user.name == name) {
        Some(user) => Ok(user.uid),
        None => denied(Denied::NotFound, format!("`{name}` is no user of this machine's own")),
    }
}

/// How the account is in `/etc/shadow`.
fn shadow_of(name: &str) -> Result<LockedUser, Stop> {
    let shadow = fs::read_to_string("/etc/shadow").map_err(failed("/etc/shadow"))?;
    let line = shadow.lines().find(|line| line.split(':').next() == Some(name));
    let Some(line) = line else { return denied(Denied::Unsupported, format!("`{name}` has no entry in /etc/shadow")) };
    let fields: Vec<&str> = line.split(':').collect();
    let password = fields.get(1).copied().unwrap_or_default();
    let expires = fields.get(7).copied().unwrap_or_default();
    let expires = if expires.bytes().all(|b| b.is_ascii_digit()) { expires } else { "" };
    Ok(LockedUser {
        command: String::new(),
        was_locked: password.starts_with(['!', '*']),
        was_empty: password.is_empty(),
        expires: expires.to_owned(),
    })
}

/// Locks an account.
pub(crate) fn disable(books: &Books, wanted: &DisableUser, doing: &mut Doing<'_>) -> Result<Done, Stop> {
    let name = &wanted.name;
    let uid = uid_of(name)?;
    if uid == 0 || uid == nix::unistd::geteuid().as_raw() {
        return denied(Denied::Protected, format!("`{name}` is root, or the agent's own user"));
    }
    let before = LockedUser { command: HEXLOWER.encode(&doing.id), ..shadow_of(name)? };
    let mut usermod = program::of("usermod")?;
    usermod.args(["--lock", "--expiredate", LONG_AGO, name]);
    doing.step("lock", name, if before.was_locked { "its password is locked already" } else { "its password" });
    doing.step("expire", name, "the account, so that keys do not let it in either");
    if doing.dry {
        let ended = if wanted.sessions { processes::end_all_of(uid, doing)? } else { 0 };
        return Ok(Done::new(format!("`{name}` would be locked, and {ended} of its processes ended")));
    }
    let edit = |standing: &mut Standing| {
        // One that was locked twice keeps what was before the first time.
        standing.users.entry(name.clone()).or_insert(before);
        Ok(())
    };
    books.change(edit, |_| program::done(usermod, b"", doing))?;
    let ended = if wanted.sessions { processes::end_all_of(uid, doing)? } else { 0 };
    let undo = Action::EnableUser(EnableUser { name: name.clone() });
    Ok(Done::new(format!("`{name}` is locked, and {ended} of its processes ended")).undone_by(undo))
}

/// Unlocks an account that the agent had locked, as far as it was unlocked before.
pub(crate) fn enable(books: &Books, wanted: &EnableUser, doing: &mut Doing<'_>) -> Result<Done, Stop> {
    let name = &wanted.name;
    let Some(before) = books.standing()?.users.remove(name) else {
        return denied(Denied::NotFound, format!("`{name}` was not locked by the agent"));
    };
    uid_of(name)?;
    let mut usermod = program::of("usermod")?;
    usermod.args(["--expiredate", &before.expires]);
    let note =
        if before.expires.is_empty() { "it expires no more".to_owned() } else { format!("on day {}", before.expires) };
    doing.step("expire", name, note);
    if before.was_empty {
        usermod.args(["--password", ""]);
        doing.step("unlock", name, "it had no password");
    } else if before.was_locked {
        doing.step("leave", name, "its password was locked before");
    } else {
        usermod.arg("--unlock");
        doing.step("unlock", name, "its password");
    }
    usermod.arg(name);
    if doing.dry {
        return Ok(Done::new(format!("`{name}` would be unlocked")));
    }
    let edit = |standing: &mut Standing| {
        standing.users.remove(name);
        Ok(())
    };
    books.change(edit, |_| program::done(usermod, b"", doing))?;
    Ok(Done::new(format!("`{name}` is unlocked")))
}
