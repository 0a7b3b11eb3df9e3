//! cron's tables: crontab(5). The tables of the system (`/etc/crontab`, `/etc/cron.d`) name a user before the command, those
//! of users do not.

use serde::Serialize;

use crate::Found;
use crate::text::{clip, lines};

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Its line in the file.
    pub line: u64,
    /// Five fields, or a word such as `@reboot`.
    pub when: String,
    /// As whom it runs; empty in a user's own table.
    pub user: String,
    /// What runs.
    pub command: String,
}

/// The jobs of one table; `with_user` for those of the system. Settings of the environment are left out.
pub fn parse(table: &[u8], with_user: bool) -> Found<Job> {
    let mut found = Found::default();
    for (number, line) in lines(table) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || is_setting(line) {
            continue;
        }
        match job(number, line, with_user) {
            Some(job) => found.push(job),
            None => found.issue(number, "a line that is neither a job nor a setting"),
        }
    }
    found
}

fn is_setting(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or_default().trim();
    line.contains('=')
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'"')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn job(number: usize, line: &str, with_user: bool) -> Option<Job> {
    let mut rest = line;
    let mut word = || {
        rest = rest.trim_start();
        let end = rest.find(char::is_whitespace)?;
        let word = &rest[..end];
        rest = &rest[end..];
        Some(word)
    };
    let first = word()?;
    let when = if first.starts_with('@') {
        first.to_owned()
    } else {
        let fields = [first, word()?, word()?, word()?, word()?];
        // Times are numbers, ranges, lists and steps, months and weekdays also names; `~` is for a random one.
        let fits = |(i, field): (usize, &&str)| {
            field.bytes().all(|b| b.is_ascii_digit() || b"*/,-~".contains(&b) || (i > 2 && b.is_ascii_alphabetic()))
        };
        if !fields.iter().enumerate().all(fits) {
            return None;
        }
        fields.join(" ")
    };
    // Some implementations take `-` before the user for "do not log".
    let user = if with_user { word()?.trim_start_matches('-') } else { "" };
    let command = rest.trim();
    (!command.is_empty()).then(|| Job {
        line: number as u64,
        when: clip(&when),
        user: clip(user),
        command: clip(command),
    })
}
