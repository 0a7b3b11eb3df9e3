//! What starts with the system: units of systemd as they are now, and what else begins at a start.

use std::collections::BTreeMap;

use guardian_inventory::cron;
use rusqlite::types::Value;

use super::read::Program;
use super::{Answered, Asked, Table, all, big, read, row, text};

/// Properties of a unit, in the order of the columns.
const PROPERTIES: [&str; 13] = [
    "Id",
    "Description",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "Following",
    "Job",
    "JobType",
    "JobPath",
    "FragmentPath",
    "User",
    "SourcePath",
];

/// What says how they are.
pub(super) static PROGRAM: Program = Program::new(["/usr/bin/systemctl", "/bin/systemctl"], || {
    let wanted = format!("--property={}", PROPERTIES.join(","));
    ["--no-pager", "--all", "show", &wanted, "*"].map(str::to_owned).to_vec()
});

/// `systemd_units`.
pub(super) const SYSTEMD_UNITS: Table = Table {
    name: "systemd_units",
    about: "Units that systemd has loaded; none where it does not run",
    needs: false,
    columns: &[
        text("id", "Name"),
        text("description", "What it is"),
        text("load_state", "Whether it could be read"),
        text("active_state", "Whether it runs"),
        text("sub_state", "The same in the words of its kind"),
        text("unit_file_state", "Whether it begins with the system"),
        text("following", "The unit whose state this one has"),
        text("object_path", "Its name on the bus"),
        big("job_id", "Number of the job that waits; 0 for none"),
        text("job_type", "Kind of that job"),
        text("job_path", "Name of that job on the bus"),
        text("fragment_path", "Its file"),
        text("user", "As whom it runs"),
        text("source_path", "The file it was made from"),
    ],
    rows: systemd_units,
};

/// `startup_items`.
pub(super) const STARTUP_ITEMS: Table = Table {
    name: "startup_items",
    about: "What begins with the system or with a session: units, scripts of init, jobs at a start, entries of desktops",
    needs: false,
    columns: &[
        text("name", "Name"),
        text("path", "The file that says so"),
        text("args", "What it is started with"),
        text("type", "systemd unit, init script, crontab or desktop entry"),
        text("source", "The folder or table it is from"),
        text("status", "Its state, where one is known"),
        text("username", "As whom it runs"),
    ],
    rows: startup_items,
};

/// The properties of units as `systemctl show` prints them: one in a line, a blank line between units.
fn shown(said: &str) -> Vec<BTreeMap<String, String>> {
    let unit = |block: &str| {
        let pairs = block.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
    };
    said.split("\n\n").map(unit).filter(|unit| !unit.is_empty()).collect()
}

fn units() -> Vec<BTreeMap<String, String>> {
    shown(PROGRAM.said().unwrap_or_default())
}

/// The name of a unit on the bus: what is no letter or digit stands as its number.
fn object_path(id: &str) -> String {
    let letter = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("_{byte:02x}"),
    };
    format!("/org/freedesktop/systemd1/unit/{}", id.bytes().map(letter).collect::<String>())
}

fn unit_row(unit: &BTreeMap<String, String>) -> Vec<Value> {
    let said = |name: &str| unit.get(name).cloned().unwrap_or_default();
    let job = said("Job").parse::<u64>().unwrap_or(0);
    let job_path = if job > 0 { format!("/org/freedesktop/systemd1/job/{job}") } else { "/".into() };
    row![
        said("Id"),
        said("Description"),
        said("LoadState"),
        said("ActiveState"),
        said("SubState"),
        said("UnitFileState"),
        said("Following"),
        object_path(&said("Id")),
        job,
        said("JobType"),
        job_path,
        said("FragmentPath"),
        said("User"),
        said("SourcePath"),
    ]
}

fn systemd_units(_: &Asked<'_>) -> Answered {
    all(units().iter().map(unit_row).collect())
}

fn startup_items(_: &Asked<'_>) -> Answered {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for unit in units() {
        let said = |name: &str| unit.get(name).map(String::as_str).unwrap_or_default();
        if matches!(said("UnitFileState"), "enabled" | "enabled-runtime" | "generated") {
            let folder = said("FragmentPath").rsplit_once('/').map_or("", |(folder, _)| folder);
            let path = said("FragmentPath");
            rows.push(row![said("Id"), path, "", "systemd unit", folder, said("ActiveState"), said("User")]);
        }
    }
    for name in read::names("/etc/init.d").into_iter().filter(|name| name != "README") {
        let path = format!("/etc/init.d/{name}");
        rows.push(row![name, path, "", "init script", "/etc/init.d", "", "root"]);
    }
    for path in ["/etc/rc.local", "/etc/rc.d/rc.local"] {
        if std::path::Path::new(path).is_file() {
            rows.push(row!["rc.local", path, "", "init script", "/etc", "", "root"]);
        }
    }
    let tables = read::names("/etc/cron.d").into_iter().map(|name| format!("/etc/cron.d/{name}"));
    for table in ["/etc/crontab".to_owned()].into_iter().chain(tables) {
        let jobs = cron::parse(&read::bytes(&table).unwrap_or_default(), true).entries;
        for job in jobs.into_iter().filter(|job| job.when == "@reboot") {
            let (program, arguments) = job.command.split_once(' ').unwrap_or((&job.command, ""));
            rows.push(row![program, program, arguments, "crontab", table.as_str(), "", job.user.as_str()]);
        }
    }
    let of_users = read::users().into_iter().map(|user| (format!("{}/.config/autostart", user.home), user.name));
    for (folder, user) in [("/etc/xdg/autostart".to_owned(), String::new())].into_iter().chain(of_users) {
        for name in read::names(&folder).into_iter().filter(|name| name.ends_with(".desktop")) {
            let path = format!("{folder}/{name}");
            let entry = read::text(&path);
            let command = entry.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap_or_default();
            let (_, arguments) = command.split_once(' ').unwrap_or((command, ""));
            rows.push(row![name, path, arguments, "desktop entry", folder.as_str(), "", user.as_str()]);
        }
    }
    all(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_block_by_block_and_have_their_name_on_the_bus() {
        let said = "Id=ssh.service\nDescription=OpenSSH=server\nActiveState=active\nJob=12\n\nId=a-b.mount\nActiveState=inactive\n";
        let rows: Vec<_> = shown(said).iter().map(unit_row).collect();
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.len() == SYSTEMD_UNITS.columns.len()));
        assert_eq!((&rows[0][0], &rows[0][1]), (&text("ssh.service"), &text("OpenSSH=server")));
        assert_eq!((&rows[0][8], &rows[0][10]), (&Value::Integer(12), &text("/org/freedesktop/systemd1/job/12")));
        assert_eq!(rows[1][7], text("/org/freedesktop/systemd1/unit/a_2db_2emount"));
    }
}
