//! Who is on the machine and who was: the records of utmp(5).

use rusqlite::types::Value;

use super::{Answered, Asked, Table, all, int, read, row, text};

/// Bytes of a record, the same on every architecture that Linux keeps them small on.
const RECORD: usize = 384;
const USER: i16 = 7;
const DEAD: i16 = 8;

/// `logged_in_users`.
pub(super) const LOGGED_IN_USERS: Table = Table {
    name: "logged_in_users",
    about: "Sessions and what else the system notes in utmp",
    needs: false,
    columns: &[
        text("type", "Kind of the record: user, login, boot_time and so on"),
        text("user", "Who"),
        text("tty", "Terminal"),
        text("host", "From where"),
        super::big("time", "Since when, in seconds since the epoch"),
        int("pid", "Process"),
    ],
    rows: logged_in,
};

/// `last`.
pub(super) const LAST: Table = Table {
    name: "last",
    about: "Begun and ended sessions, as wtmp has them",
    needs: false,
    columns: &[
        text("username", "Who"),
        text("tty", "Terminal"),
        int("pid", "Process"),
        int("type", "Kind of the record: 7 begun, 8 ended"),
        text("type_name", "Kind of the record, by name"),
        int("time", "When, in seconds since the epoch"),
        text("host", "From where"),
    ],
    rows: last,
};

#[derive(Debug, PartialEq, Eq)]
struct Record {
    kind: i16,
    pid: i32,
    line: String,
    user: String,
    host: String,
    time: u32,
}

fn records(file: &[u8]) -> Vec<Record> {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, i32::from_ne_bytes);
    let one = |record: &[u8; RECORD]| Record {
        kind: i16::from_ne_bytes([record[0], record[1]]),
        pid: number(&record[4..8]),
        line: text(&record[8..40]),
        user: text(&record[44..76]),
        host: text(&record[76..332]),
        time: number(&record[340..344]).cast_unsigned(),
    };
    file.as_chunks::<RECORD>().0.iter().map(one).collect()
}

fn logged_in(_: &Asked<'_>) -> Answered {
    let file = read::bytes("/run/utmp").or_else(|| read::bytes("/var/run/utmp")).unwrap_or_default();
    let row = |record: Record| -> Option<Vec<Value>> {
        let kind = match record.kind {
            1 => "runlevel",
            2 => "boot_time",
            3 => "new_time",
            4 => "old_time",
            5 => "init",
            6 => "login",
            USER => "user",
            DEAD => "dead",
            _ => return None,
        };
        Some(row![kind, record.user, record.line, record.host, record.time, record.pid])
    };
    all(records(&file).into_iter().filter_map(row).collect())
}

fn last(_: &Asked<'_>) -> Answered {
    let row = |record: Record| -> Option<Vec<Value>> {
        let name = match record.kind {
            USER => "user-process",
            DEAD => "dead-process",
            _ => return None,
        };
        Some(row![record.user, record.line, record.pid, i32::from(record.kind), name, record.time, record.host])
    };
    all(records(&read::database("/var/log/wtmp").unwrap_or_default()).into_iter().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_from_its_places_and_a_torn_one_is_left() {
        let mut file = vec![0; RECORD];
        file[0..2].copy_from_slice(&USER.to_ne_bytes());
        file[4..8].copy_from_slice(&4_711_i32.to_ne_bytes());
        file[8..13].copy_from_slice(b"pts/0");
        file[44..47].copy_from_slice(b"ann");
        file[76..85].copy_from_slice(b"192.0.2.7");
        file[340..344].copy_from_slice(&1_700_000_000_i32.to_ne_bytes());
        file.extend([7; 100]);
        let expected = Record {
            kind: USER,
            pid: 4_711,
            line: "pts/0".into(),
            user: "ann".into(),
            host: "192.0.2.7".into(),
            time: 1_700_000_000,
        };
        assert_eq!(records(&file), [expected]);
    }
}
