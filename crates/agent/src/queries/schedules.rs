//! What cron runs.

use guardian_inventory::cron;
use rusqlite::types::Value;

use super::{Answered, Asked, Table, all, read, row, text};

/// Tables of users, where different systems keep them.
const OF_USERS: [&str; 3] = ["/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron"];

/// `crontab`.
pub(super) const CRONTAB: Table = Table {
    name: "crontab",
    about: "Jobs of cron",
    needs: false,
    columns: &[
        text("event", "A word such as @reboot in place of a time"),
        text("minute", "Minutes"),
        text("hour", "Hours"),
        text("day_of_month", "Days of the month"),
        text("month", "Months"),
        text("day_of_week", "Days of the week"),
        text("command", "What runs; in tables of the system the user stands before it"),
        text("path", "The table"),
    ],
    rows: crontab,
};

fn crontab(_: &Asked<'_>) -> Answered {
    let system = read::names("/etc/cron.d").into_iter().map(|name| format!("/etc/cron.d/{name}"));
    let system = ["/etc/crontab".to_owned()].into_iter().chain(system).map(|path| (path, true));
    let users = OF_USERS.into_iter().flat_map(|folder| {
        let files = read::names(folder).into_iter().map(move |name| format!("{folder}/{name}"));
        files.filter(|path| std::fs::metadata(path).is_ok_and(|m| m.is_file())).map(|path| (path, false))
    });
    let mut rows = Vec::new();
    for (path, of_system) in system.chain(users) {
        let jobs = cron::parse(&read::bytes(&path).unwrap_or_default(), of_system).entries;
        rows.extend(jobs.into_iter().map(|job| job_row(job, &path)));
    }
    all(rows)
}

fn job_row(job: cron::Job, path: &str) -> Vec<Value> {
    let event = if job.when.starts_with('@') { job.when.as_str() } else { "" };
    let mut fields = job.when.split_whitespace().filter(|_| event.is_empty());
    let mut field = || fields.next().unwrap_or_default().to_owned();
    let command = format!("{} {}", job.user, job.command);
    row![event, field(), field(), field(), field(), field(), command.trim(), path]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_have_their_five_fields_or_a_word() {
        let jobs = cron::parse(b"17 * * * 1-5 root run-parts /etc/cron.hourly\n@reboot web /srv/start\n", true).entries;
        let rows: Vec<Vec<Value>> = jobs.into_iter().map(|job| job_row(job, "/etc/crontab")).collect();
        let text = |words: [&str; 8]| words.map(|word| Value::Text(word.into())).to_vec();
        let hourly = text(["", "17", "*", "*", "*", "1-5", "root run-parts /etc/cron.hourly", "/etc/crontab"]);
        assert_eq!(rows, [hourly, text(["@reboot", "", "", "", "", "", "web /srv/start", "/etc/crontab"])]);
    }
}
