//! sudoers(5): who may do what as whom, aliases resolved, and what it includes. Command lists are kept as written.

use std::collections::HashMap;

use serde::Serialize;

use crate::Found;
use crate::limits::{LIST_MAX, TEXT_BYTES_MAX};
use crate::text::{clip, lines, list};

/// One permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// Line on which it ends.
    pub line: u64,
    /// Users (`name`, `%group`, `#uid`, `%#gid`, `+netgroup`), aliases resolved.
    pub who: Vec<String>,
    /// Machines on which it holds.
    pub hosts: Vec<String>,
    /// As whom; `root` where nothing is said.
    pub run_as: Vec<String>,
    /// Whether no password is asked.
    pub no_password: bool,
    /// Commands, aliases resolved.
    pub commands: Vec<String>,
}

/// What a sudoers file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A permission.
    Permission(Permission),
    /// `Defaults` and what follows it.
    Defaults(String),
    /// Another file, or all of a folder.
    Include(String),
}

#[derive(Default)]
struct Aliases(HashMap<String, Vec<String>>);

impl Aliases {
    /// The members with aliases in their place, as deep as aliases may reasonably go.
    fn resolve(&self, names: Vec<String>, depth: usize) -> Vec<String> {
        let mut all = Vec::new();
        for name in names {
            let (not, plain) =
                if let Some(plain) = name.strip_prefix('!') { ("!", plain) } else { ("", name.as_str()) };
            match self.0.get(plain) {
                Some(members) if depth > 0 => {
                    let resolved = self.resolve(members.clone(), depth - 1);
                    all.extend(resolved.into_iter().map(|member| format!("{not}{member}")));
                }
                _ => all.push(name),
            }
            if all.len() >= LIST_MAX {
                all.truncate(LIST_MAX);
                break;
            }
        }
        all
    }
}

const ALIAS_DEPTH_MAX: usize = 4;
const ALIASES_MAX: usize = 4_096;

/// The entries of one file. Aliases are resolved where they are known before or after in the same file.
pub fn parse(file: &[u8]) -> Found<Entry> {
    let mut found = Found::default();
    let mut aliases = Aliases::default();
    let joined = join(file);
    for (_, line) in &joined {
        alias(line, &mut aliases);
    }
    for (number, line) in &joined {
        let include =
            ["#include ", "#includedir ", "@include ", "@includedir "].iter().find_map(|w| line.strip_prefix(w));
        if let Some(path) = include {
            found.push(Entry::Include(clip(path.trim().trim_matches('"'))));
            continue;
        }
        let is_uid = line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if line.is_empty() || (line.starts_with('#') && !is_uid) || is_alias(line) {
            continue;
        }
        if let Some(rest) = line.strip_prefix("Defaults") {
            found.push(Entry::Defaults(clip(rest.trim())));
        } else if let Some(all) = permissions(*number, line, &aliases) {
            all.into_iter().for_each(|permission| found.push(Entry::Permission(permission)));
        } else {
            found.issue(*number, "a line that says nothing known");
        }
    }
    found
}

/// Lines with their continuations, without comments.
fn join(file: &[u8]) -> Vec<(usize, String)> {
    let (mut joined, mut open) = (Vec::new(), String::new());
    for (number, line) in lines(file) {
        let line = if line.trim_start().starts_with('#') { &line } else { line.split(" #").next().unwrap_or_default() };
        let (part, goes_on) = match line.trim_end().strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line.trim_end(), false),
        };
        if open.len() < TEXT_BYTES_MAX {
            open.push_str(&clip(part.trim_start()));
        }
        if !goes_on {
            joined.push((number, std::mem::take(&mut open)));
        }
    }
    if !open.is_empty() {
        joined.push((joined.len() + 1, open));
    }
    joined
}

fn is_alias(line: &str) -> bool {
    ["User_Alias", "Runas_Alias", "Host_Alias", "Cmnd_Alias", "Cmd_Alias"]
        .iter()
        .any(|kind| line.strip_prefix(kind).is_some_and(|rest| rest.starts_with([' ', '\t'])))
}

fn alias(line: &str, aliases: &mut Aliases) {
    let Some((_, rest)) = line.split_once([' ', '\t']).filter(|_| is_alias(line)) else { return };
    for definition in rest.split(':') {
        if let Some((name, members)) = definition.split_once('=')
            && aliases.0.len() < ALIASES_MAX
        {
            aliases.0.insert(clip(name.trim()), list(members.split(',')));
        }
    }
}

/// The parts between commas that stand neither in brackets nor behind a backslash.
fn outside_brackets(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut before) = (Vec::new(), 0, 0usize, 0u8);
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 && before != b'\\' && parts.len() < LIST_MAX => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        before = b;
    }
    parts.push(&text[start..]);
    parts
}

/// `who host = (runas) TAG: command, command : host = …`
fn permissions(number: usize, line: &str, aliases: &Aliases) -> Option<Vec<Permission>> {
    let (left, right) = line.split_once('=')?;
    let (who, hosts) = left.trim().rsplit_once([' ', '\t'])?;
    let who = aliases.resolve(list(who.split(',')), ALIAS_DEPTH_MAX);
    let hosts = aliases.resolve(list(hosts.split(',')), ALIAS_DEPTH_MAX);
    let mut all: Vec<Permission> = Vec::new();
    let (mut run_as, mut no_password) = (vec!["root".to_owned()], false);
    for part in outside_brackets(right) {
        let mut part = part.trim();
        if let Some((inside, rest)) = part.strip_prefix('(').and_then(|p| p.split_once(')')) {
            run_as = aliases.resolve(list(inside.split(':').next()?.split(',')), ALIAS_DEPTH_MAX);
            part = rest.trim();
        }
        while let Some((tag, rest)) =
            part.split_once(':').filter(|(tag, _)| tag.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        {
            match tag {
                "NOPASSWD" => no_password = true,
                "PASSWD" => no_password = false,
                _ => {}
            }
            part = rest.trim();
        }
        let commands = aliases.resolve(list([part]), ALIAS_DEPTH_MAX);
        match all.last_mut().filter(|last| last.run_as == run_as && last.no_password == no_password) {
            Some(last) => last.commands.extend(commands),
            None => all.push(Permission {
                line: number as u64,
                who: who.clone(),
                hosts: hosts.clone(),
                run_as: run_as.clone(),
                no_password,
                commands,
            }),
        }
    }
    Some(all)
}
