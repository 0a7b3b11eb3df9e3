//! What runs by the clock: tables of cron, folders of scripts, and jobs of at. Timers are units, and so services.

use guardian_inventory::cron as tables;
use guardian_protocol::lists::List;
use serde_json::json;

use super::entry;
use crate::files::Root;

/// What moves when somebody changes a schedule.
pub(super) const WATCHED: &[&str] = &[
    "/etc/crontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/etc/anacrontab",
    "/var/spool/cron",
    "/var/spool/cron/crontabs",
    "/var/spool/cron/atjobs",
    "/var/spool/at",
];
/// Tables of users, where different systems keep them.
const OF_USERS: [&str; 3] = ["/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron"];
const SCRIPTS: [&str; 4] = ["hourly", "daily", "weekly", "monthly"];

pub(super) fn cron(root: &mut Root, list: &mut List) {
    let mut system = vec!["/etc/crontab".to_owned()];
    system.extend(root.names("/etc/cron.d").into_iter().map(|name| format!("/etc/cron.d/{name}")));
    for path in system {
        table(root, list, &path, None);
    }
    for folder in OF_USERS {
        for user in root.names(folder) {
            table(root, list, &format!("{folder}/{user}"), Some(&user));
        }
    }
    for when in SCRIPTS {
        let folder = format!("/etc/cron.{when}");
        for name in root.names(&folder).into_iter().filter(|name| !name.starts_with('.')) {
            let path = format!("{folder}/{name}");
            let value = json!({ "kind": "script", "when": when, "user": "root", "command_line": path, "path": path });
            list.put(&path, &entry(value));
        }
    }
    for folder in ["/var/spool/cron/atjobs", "/var/spool/at"] {
        for name in root.names(folder).into_iter().filter(|name| name.starts_with(['a', '='])) {
            let path = format!("{folder}/{name}");
            list.put(&path, &json!({ "kind": "at", "path": path }));
        }
    }
}

fn table(root: &mut Root, list: &mut List, path: &str, user: Option<&str>) {
    let Some(file) = root.read(path) else { return };
    for job in tables::parse(&file, user.is_none()).entries {
        let user = user.map_or(job.user, str::to_owned);
        let key = format!("{path}/{user}/{}/{}", job.when, job.command);
        let value =
            json!({ "kind": "cron", "when": job.when, "user": user, "command_line": job.command, "path": path });
        list.put(&key, &entry(value));
    }
}
