//! Disks, their parts, and what is mounted where.

use nix::sys::statvfs::statvfs;
use rusqlite::types::Value;

use super::{Answered, Asked, Table, all, big, int, read, row, text};

/// Bytes of a sector, as the kernel counts.
const SECTOR: u64 = 512;

/// `mounts`.
pub(super) const MOUNTS: Table = Table {
    name: "mounts",
    about: "What is mounted where, and how full it is",
    needs: false,
    columns: &[
        text("device", "Device"),
        text("device_alias", "The device itself, where that was a link"),
        text("path", "Where"),
        text("type", "File system"),
        big("blocks_size", "Bytes of a block"),
        big("blocks", "Blocks"),
        big("blocks_free", "Unused blocks"),
        big("blocks_available", "Unused blocks that users may have"),
        big("inodes", "Inodes"),
        big("inodes_free", "Unused inodes"),
        text("flags", "Options"),
    ],
    rows: mounts,
};

/// `block_devices`.
pub(super) const BLOCK_DEVICES: Table = Table {
    name: "block_devices",
    about: "Disks and their parts",
    needs: false,
    columns: &[
        text("name", "Device"),
        text("parent", "The disk that it is a part of"),
        text("vendor", "Maker"),
        text("model", "Model"),
        text("serial", "Serial number"),
        big("size", "Blocks"),
        int("block_size", "Bytes of a block"),
        text("uuid", "Identifier of the file system"),
        text("type", "File system"),
        text("label", "Name of the file system"),
    ],
    rows: block_devices,
};

fn mounts(_: &Asked<'_>) -> Answered {
    let mounts = read::text("/proc/self/mounts");
    let rows: Vec<String> = mounts.lines().map(str::to_owned).collect();
    Ok(Box::new(rows.into_iter().filter_map(|line| mount_row(&line))))
}

/// Blanks and the like stand as octal numbers (fstab(5)).
fn unescape(word: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(word.to_owned(), |word, (escape, letter)| word.replace(escape, letter))
}

fn mount_row(line: &str) -> Option<Vec<Value>> {
    let words: Vec<&str> = line.split(' ').collect();
    let [device, path, kind, options, ..] = words.as_slice() else { return None };
    let (device, path) = (unescape(device), unescape(path));
    let alias = std::fs::canonicalize(&device).ok().filter(|_| device.starts_with('/'));
    let alias = alias.map_or_else(|| device.clone(), |alias| alias.to_string_lossy().into_owned());
    let space = statvfs(path.as_str()).ok();
    let of = |count: fn(&nix::sys::statvfs::Statvfs) -> u64| space.as_ref().map(count);
    let (size, blocks, free) = (of(|s| s.fragment_size()), of(|s| s.blocks()), of(|s| s.blocks_free()));
    let available = of(|s| s.blocks_available());
    let (inodes, inodes_free) = (of(|s| s.files()), of(|s| s.files_free()));
    Some(row![device, alias, path, *kind, size, blocks, free, available, inodes, inodes_free, *options])
}

fn block_devices(_: &Asked<'_>) -> Answered {
    all(read::names("/sys/class/block").into_iter().map(|name| device_row(&name)).collect())
}

fn device_row(name: &str) -> Vec<Value> {
    let at = format!("/sys/class/block/{name}");
    let part = std::path::Path::new(&at).join("partition").exists();
    let link = read::link(&at);
    let parent = link.rsplit('/').nth(1).filter(|_| part).map(str::to_owned);
    let disk = parent.as_ref().map_or_else(|| at.clone(), |parent| format!("/sys/class/block/{parent}"));
    let size = read::line(format!("{disk}/queue/logical_block_size")).parse::<u64>().unwrap_or(SECTOR).max(SECTOR);
    let sectors = read::line(format!("{at}/size")).parse::<u64>().unwrap_or(0);
    // What udev found out about what is on it.
    let known = read::text(format!("/run/udev/data/b{}", read::line(format!("{at}/dev"))));
    let of = |key: &str| known.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
    row![
        format!("/dev/{name}"),
        parent.map(|parent| format!("/dev/{parent}")).unwrap_or_default(),
        read::line(format!("{disk}/device/vendor")),
        read::line(format!("{disk}/device/model")),
        Some(read::line(format!("{disk}/device/serial")))
            .filter(|s| !s.is_empty())
            .unwrap_or_else(|| of("E:ID_SERIAL_SHORT=")),
        sectors.saturating_mul(SECTOR) / size,
        size,
        of("E:ID_FS_UUID="),
        of("E:ID_FS_TYPE="),
        of("E:ID_FS_LABEL="),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_has_its_path_as_it_is_and_the_room_that_is_left() {
        let row = mount_row("tmpfs / tmpfs rw,nosuid 0 0").unwrap();
        assert_eq!(row.len(), MOUNTS.columns.len());
        assert_eq!((&row[0], &row[10]), (&Value::Text("tmpfs".into()), &Value::Text("rw,nosuid".into())));
        assert!(matches!(row[5], Value::Integer(1..)), "{row:?}");
        let gone = mount_row("/dev/x /no\\040such\\134place ext4 ro 0 0").unwrap();
        assert_eq!((&gone[2], &gone[5]), (&Value::Text("/no such\\place".into()), &Value::Null));
    }
}
