//! From documents to what sources are started with. What the policy does not say is the default; what the command line says
//! holds whatever the policy says, and is told to the server as such.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guardian_protocol::policy::{self, Document, DropOrder, LogForm, PathSet, SYSTEM_SET};

use crate::files::{Policy, Rule, Watch, Weekly, Window};
use crate::sources::logs::Form;
use crate::sources::queries::Scheduled;
use crate::spool::Drop;
use crate::watchdog::Bounds;

/// What the agent does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each source is on or off")]
pub struct Settings {
    /// Programs that are run are watched.
    pub processes: bool,
    /// And each fork.
    pub forks: bool,
    /// Whether audit is given rules where it is needed to see programs.
    pub audit_rules: bool,
    /// Connections are watched.
    pub connections: bool,
    /// Logs are read.
    pub logs: bool,
    /// The machine's health is measured.
    pub health: bool,
    /// Lists are taken of what the machine has.
    pub inventory: bool,
    /// How often the agent says that it is there; none where the server decides.
    pub heartbeat: Option<Duration>,
    /// How often the machine's health is measured.
    pub health_every: Duration,
    /// How often the list of sockets is asked for; what ends meanwhile is told by the kernel.
    pub sockets_every: Duration,
    /// Which files are watched; none where none are.
    pub files: Option<Watched>,
    /// Log files beside what the machine itself keeps.
    pub follow: Vec<(PathBuf, Form)>,
    /// Queries that are asked of this machine again and again.
    pub queries: Vec<Scheduled>,
    /// Most bytes that may wait on the disk.
    pub spool_bytes_max: u64,
    /// What goes when there are more.
    pub drop: Drop,
    /// What the agent may use of the machine.
    pub bounds: Bounds,
}

/// Which files are watched, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// All sets as one.
    pub policy: Policy,
    /// Roots with the name of their set.
    pub sets: Vec<(PathBuf, String)>,
    /// Sets of which it is said whether their texts are shown.
    pub texts: BTreeMap<String, bool>,
    /// Bytes a second that a scan of all files reads; 0 for no limit.
    pub scan_bytes_per_second: u64,
    /// How often all files are read as proof; none for never.
    pub scan_every: Option<Duration>,
    /// Times in which changes are expected.
    pub windows: Vec<Window>,
}

impl Watched {
    /// The set that a path is watched by: that of the longest root above it.
    pub fn set_of(&self, path: &Path) -> &str {
        let above = self.sets.iter().filter(|(root, _)| path.starts_with(root));
        above.max_by_key(|(root, _)| root.as_os_str().len()).map_or(SYSTEM_SET, |(_, name)| name)
    }

    /// Whether what changes in a text is shown: where nothing is said of its set, if it is configuration.
    pub fn shows_text(&self, path: &Path) -> bool {
        self.texts.get(self.set_of(path)).copied().unwrap_or_else(|| Policy::shows_text(path))
    }
}

/// What the command line decides on this machine, whatever the policy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// Values of a policy.
    pub document: Document,
    /// How often health is measured, which may be more often than a policy can say.
    pub health_every: Option<Duration>,
    /// Whether audit is given rules: whoever is on the machine alone decides that.
    pub audit_rules: bool,
}

impl Local {
    /// What is done under a policy.
    pub fn settings(&self, policy: &Document) -> Settings {
        let mut all = Document::defaults();
        all.add(policy);
        all.add(&self.document);
        let on = |source: Option<bool>| source.unwrap_or(true);
        let seconds = |value: Option<u32>| Duration::from_secs(u64::from(value.unwrap_or_default()));
        let log = |file: &policy::LogFile| {
            let form = match file.form {
                LogForm::Syslog => Form::Syslog,
                LogForm::Audit => Form::Audit,
            };
            (PathBuf::from(&file.path), form)
        };
        Settings {
            processes: on(all.sources.processes),
            forks: on(all.sources.forks),
            audit_rules: self.audit_rules,
            connections: on(all.sources.connections),
            logs: on(all.sources.logs),
            health: on(all.sources.health),
            inventory: on(all.sources.inventory),
            heartbeat: all.intervals.heartbeat_s.map(|s| Duration::from_secs(u64::from(s))),
            health_every: self.health_every.unwrap_or_else(|| seconds(all.intervals.health_s)),
            sockets_every: seconds(all.intervals.connections_s),
            files: on(all.sources.files).then(|| watched(&all)).flatten(),
            follow: all.logs.follow.values().filter(|file| file.enabled.unwrap_or(true)).map(log).collect(),
            queries: all.queries.iter().filter(|(_, query)| query.enabled.unwrap_or(true)).map(scheduled).collect(),
            spool_bytes_max: u64::from(all.spool.mib_max.unwrap_or_default()) << 20,
            drop: match all.spool.drop {
                Some(DropOrder::Newest) => Drop::Newest,
                Some(DropOrder::Oldest) | None => Drop::Oldest,
            },
            bounds: Bounds {
                memory_bytes: u64::from(all.limits.memory_mib.unwrap_or_default()) << 20,
                cpu_percent: all.limits.cpu_percent.unwrap_or_default(),
                io_bytes_per_s: u64::from(all.limits.io_mib_per_s.unwrap_or_default()) << 20,
            },
        }
    }

    /// What is decided here: names of values, with the value.
    pub fn overrides(&self) -> Vec<String> {
        let json = serde_json::to_value(&self.document).unwrap_or_default();
        let shown = |name: &str| {
            // Names have no dots in them.
            let value = name.split('.').fold(&json, |at, part| &at[part]);
            format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let mut names: Vec<String> = self.document.said().iter().map(|(name, _)| shown(name)).collect();
        names.extend(self.audit_rules.then(|| "audit_rules=true".to_owned()));
        names.extend(self.health_every.map(|every| format!("intervals.health_s={}", every.as_secs_f64())));
        names
    }
}

fn scheduled((name, query): (&String, &policy::ScheduledQuery)) -> Scheduled {
    Scheduled {
        name: name.clone(),
        sql: query.sql.clone(),
        every: Duration::from_secs(u64::from(query.every_s.max(1))),
        snapshot: query.answer == policy::QueryAnswer::Snapshot,
    }
}

fn watched(all: &Document) -> Option<Watched> {
    let hash_bytes_max = u64::from(all.files.hash_mib_max.unwrap_or_default()) << 20;
    let mut policy = Policy { hash_bytes_max, ..Policy::default() };
    let (mut sets, mut texts) = (Vec::new(), BTreeMap::new());
    let system = PathSet::default();
    let others = all.files.sets.iter().filter(|(name, _)| *name != SYSTEM_SET).map(|(name, set)| (name.as_str(), set));
    let first = (SYSTEM_SET, all.files.sets.get(SYSTEM_SET).unwrap_or(&system));
    for (name, set) in std::iter::once(first).chain(others).filter(|(_, set)| set.is_on()) {
        let mut roots: Vec<PathBuf> = set.roots.iter().map(PathBuf::from).collect();
        if name == SYSTEM_SET {
            let own = Policy::of_this_machine();
            policy.rules.extend(own.rules);
            if roots.is_empty() {
                roots = own.roots;
            }
        }
        policy.rules.extend(set.rules.iter().map(rule));
        texts.extend(set.texts.map(|shown| (name.to_owned(), shown)));
        sets.extend(roots.into_iter().map(|root| (root, name.to_owned())));
    }
    policy.roots = sets.iter().map(|(root, _)| root.clone()).collect();
    let windows = all.maintenance.iter().filter(|(_, window)| window.enabled.unwrap_or(true));
    let every = all.files.scan_every_h.unwrap_or_default();
    (!policy.roots.is_empty()).then(|| Watched {
        policy,
        sets,
        texts,
        scan_bytes_per_second: u64::from(all.files.scan_mib_per_s.unwrap_or_default()) << 20,
        scan_every: (every > 0).then(|| Duration::from_secs(u64::from(every) * 3_600)),
        windows: windows.filter_map(|(name, window)| of_window(name, window)).collect(),
    })
}

fn rule(rule: &policy::PathRule) -> Rule {
    let watch = match rule.watch.as_slice() {
        [] => Watch::Nothing,
        properties => Watch::Properties(properties.to_vec()),
    };
    Rule { path: rule.path.clone(), watch }
}

/// A window that cannot be meant holds never; the check has said so.
fn of_window(name: &str, window: &policy::Window) -> Option<Window> {
    let bound = |text: Option<&str>, none: i64| text.map_or(Some(none), policy::time_s);
    let weekly = match &window.weekly {
        None => None,
        Some(weekly) => Some(Weekly {
            days: weekly.day_bits(),
            start_minute: weekly.start_minute()?,
            minutes: weekly.minutes,
            utc_offset_s: i32::from(weekly.utc_offset_minutes) * 60,
        }),
    };
    Some(Window {
        name: name.to_owned(),
        from_s: bound(window.from.as_deref(), i64::MIN)?,
        until_s: bound(window.until.as_deref(), i64::MAX)?,
        weekly,
        paths: window.paths.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Property;

    fn document(text: &str) -> Document {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_command_line_holds_whatever_the_policy_says() {
        let policy = document(
            r#"{"intervals": {"health_s": 60, "heartbeat_s": 5}, "spool": {"mib_max": 64}, "sources": {"logs": false}}"#,
        );
        let local = Local {
            document: document(r#"{"spool": {"mib_max": 100, "drop": "newest"}}"#),
            health_every: Some(Duration::from_millis(500)),
            audit_rules: true,
        };
        let settings = local.settings(&policy);
        assert_eq!((settings.spool_bytes_max, settings.drop), (100 << 20, Drop::Newest));
        assert_eq!(
            (settings.health_every, settings.logs, settings.processes),
            (Duration::from_millis(500), false, true)
        );
        assert_eq!(
            local.overrides(),
            ["spool.mib_max=100", "spool.drop=newest", "audit_rules=true", "intervals.health_s=0.5"]
        );
        let usual = Local::default().settings(&Document::default());
        assert_eq!((usual.health_every, usual.heartbeat), (Duration::from_secs(15), None));
        assert_eq!(usual.files.unwrap().policy, Policy::of_this_machine(), "what the distribution calls for");
    }

    #[test]
    fn path_sets_become_one_policy_that_knows_them_apart() {
        let policy = document(
            r#"{"files": {"sets": {
                "system": {"roots": ["/etc", "/etc/ssh"]},
                "web": {"roots": ["/srv/www"], "rules": [{"path": "/srv/www/cache", "watch": []}, {"path": "/srv/www/log", "watch": ["mode", "growing"]}]},
                "off": {"roots": ["/nothing"], "enabled": false}
            }}, "maintenance": {"once": {"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}, "gone": {"from": "2026-01-01T00:00:00Z", "enabled": false}}}"#,
        );
        let watched = Local::default().settings(&policy).files.unwrap();
        assert_eq!(watched.policy.roots, [Path::new("/etc"), Path::new("/etc/ssh"), Path::new("/srv/www")]);
        assert_eq!(watched.set_of(Path::new("/srv/www/index.html")), "web");
        assert_eq!(watched.set_of(Path::new("/etc/passwd")), "system");
        assert_eq!(watched.policy.properties(Path::new("/srv/www/cache/x")), None);
        assert_eq!(watched.policy.properties(Path::new("/etc/mtab")), None, "the distribution's rules hold too");
        let growing = [Property::Mode, Property::Growing];
        assert_eq!(watched.policy.properties(Path::new("/srv/www/log")), Some(growing.as_slice()));
        assert_eq!(watched.windows.len(), 1);
        assert!(watched.windows[0].holds(Path::new("/x"), 1_767_225_600));
        let none = document(r#"{"files": {"sets": {"system": {"enabled": false}}}}"#);
        assert_eq!(Local::default().settings(&none).files, None);
    }
}
