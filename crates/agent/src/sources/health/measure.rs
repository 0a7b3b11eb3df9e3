//! What `/proc` says of the host as a whole (proc(5)). Pure.

/// Counters that only grow: metric, object, count, unit of the rate.
pub type Counts = Vec<(&'static str, String, u64, &'static str)>;

/// Bytes of a sector in `diskstats`, whatever the disk's own are.
const SECTOR_BYTES: u64 = 512;

/// Processor time of all processors, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    user: u64,
    system: u64,
    idle: u64,
    waiting: u64,
    stolen: u64,
}

impl Processor {
    const fn total(&self) -> u64 {
        self.user + self.system + self.idle + self.waiting + self.stolen
    }

    /// Shares of the time since, in thousandths.
    pub fn since(&self, before: &Self) -> Vec<(&'static str, u64)> {
        let passed = self.total().saturating_sub(before.total());
        if passed == 0 {
            return Vec::new();
        }
        let share = |now: u64, then: u64| now.saturating_sub(then) * 1_000 / passed;
        let idle = share(self.idle + self.waiting, before.idle + before.waiting);
        vec![
            ("cpu_busy", 1_000u64.saturating_sub(idle)),
            ("cpu_user", share(self.user, before.user)),
            ("cpu_system", share(self.system, before.system)),
            ("cpu_waiting", share(self.waiting, before.waiting)),
            ("cpu_stolen", share(self.stolen, before.stolen)),
        ]
    }
}

/// The first line of `/proc/stat`.
pub fn processor(stat: &str) -> Option<Processor> {
    let words = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let n: Vec<u64> = words.map_while(|w| w.parse().ok()).collect();
    let at = |i: usize| n.get(i).copied().unwrap_or(0);
    (n.len() >= 4).then(|| Processor {
        user: at(0) + at(1),
        system: at(2) + at(5) + at(6),
        idle: at(3),
        waiting: at(4),
        stolen: at(7),
    })
}

/// `/proc/meminfo`, in bytes.
pub fn memory(meminfo: &str) -> Vec<(&'static str, u64)> {
    let named = [
        ("MemTotal", "memory_total"),
        ("MemAvailable", "memory_available"),
        ("SwapTotal", "swap_total"),
        ("SwapFree", "swap_free"),
    ];
    let value = |name: &str| {
        let line = meminfo.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    named.iter().filter_map(|(name, metric)| Some((*metric, value(name)?))).collect()
}

/// The averages of `/proc/loadavg`, in thousandths.
pub fn load(loadavg: &str) -> Option<(u64, u64, u64)> {
    let mut words = loadavg.split_whitespace().map(|w| w.parse::<f64>().ok().map(|l| (l * 1_000.0) as u64));
    Some((words.next()??, words.next()??, words.next()??))
}

/// Device and mount point of the file systems on disks, each device once, from `/proc/self/mounts`.
pub fn filesystems(mounts: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(point)) = (words.next(), words.next()) else { continue };
        let disk = device.starts_with("/dev/") && !device.starts_with("/dev/loop");
        if disk && !found.iter().any(|(d, _)| d == device) {
            found.push((device.to_owned(), unescape(point)));
        }
    }
    found
}

/// Blanks, tabs, line breaks and backslashes are written as three octal digits.
fn unescape(path: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(path.to_owned(), |path, (code, sign)| path.replace(code, sign))
}

/// Whole disks of `/proc/diskstats`: bytes read and written, and milliseconds at work (of a second: thousandths).
pub fn disks(diskstats: &str) -> Counts {
    let mut counts = Vec::new();
    for line in diskstats.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(name) = words.get(2) else { continue };
        if is_part(name) {
            continue;
        }
        let number = |i: usize| words.get(i).and_then(|w| w.parse::<u64>().ok()).unwrap_or(0);
        let (read, written, busy) = (number(5), number(9), number(12));
        if read + written == 0 {
            continue;
        }
        counts.push(("disk_read", (*name).to_owned(), read.saturating_mul(SECTOR_BYTES), "bytes/s"));
        counts.push(("disk_written", (*name).to_owned(), written.saturating_mul(SECTOR_BYTES), "bytes/s"));
        counts.push(("disk_busy", (*name).to_owned(), busy, "permille"));
    }
    counts
}

/// Loop devices, memory disks, and partitions: their disk counts them.
fn is_part(name: &str) -> bool {
    let digit = name.ends_with(|c: char| c.is_ascii_digit());
    let whole = name.trim_end_matches(|c: char| c.is_ascii_digit());
    name.starts_with("loop")
        || name.starts_with("ram")
        || (digit && ["sd", "hd", "vd", "xvd"].iter().any(|kind| name.starts_with(kind)))
        || (digit && whole.ends_with('p') && (name.starts_with("nvme") || name.starts_with("mmcblk")))
}

/// Interfaces of `/proc/net/dev` but the loopback.
pub fn interfaces(dev: &str) -> Counts {
    let mut counts = Vec::new();
    for line in dev.lines().skip(2) {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let name = name.trim();
        let n: Vec<u64> = rest.split_whitespace().map_while(|w| w.parse().ok()).collect();
        if name == "lo" || n.len() < 16 || n[0] + n[8] == 0 {
            continue;
        }
        counts.push(("network_received", name.to_owned(), n[0], "bytes/s"));
        counts.push(("network_sent", name.to_owned(), n[8], "bytes/s"));
        counts.push(("network_errors", name.to_owned(), n[2] + n[3] + n[10] + n[11], "packets/s"));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_files_are_read() {
        let before = processor("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1\n").unwrap();
        let now = processor("cpu  150 0 75 850 75 0 0 50 0 0\n").unwrap();
        let shares = now.since(&before);
        assert_eq!(shares[0], ("cpu_busy", 625));
        assert_eq!(shares[4], ("cpu_stolen", 250));
        assert!(now.since(&now).is_empty());
        assert_eq!(processor("intr 1 2 3"), None);
        let memory =
            memory("MemTotal:        8048832 kB\nMemFree: 1 kB\nMemAvailable:    4024416 kB\nSwapTotal: 0 kB\n");
        assert_eq!(memory, [("memory_total", 8_242_003_968), ("memory_available", 4_121_001_984), ("swap_total", 0)]);
        assert_eq!(load("3.21 2.05 1.00 4/512 1234\n"), Some((3_210, 2_050, 1_000)));
        let mounts = "/dev/vda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/vda1 /bind ext4 rw 0 0\n/dev/vdb /a\\040b xfs rw 0 0\n";
        let points: Vec<_> = filesystems(mounts).into_iter().map(|(_, point)| point).collect();
        assert_eq!(points, ["/", "/a b"]);
        let stats = " 253 0 vda 10 0 800 5 20 0 1600 9 0 77 14 0 0 0 0\n 253 1 vda1 10 0 800 5 20 0 1600 9 0 77 14\n 7 0 loop0 1 0 1 0 0 0 0 0 0 0 0\n";
        let disks: Vec<_> = disks(stats).into_iter().map(|(m, o, v, _)| (m, o, v)).collect();
        assert_eq!(
            disks,
            [
                ("disk_read", "vda".into(), 409_600),
                ("disk_written", "vda".into(), 819_200),
                ("disk_busy", "vda".into(), 77)
            ]
        );
        let dev =
            "Inter-|\n face |\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0: 1000 5 1 2 0 0 0 0 400 4 0 3 0 0 0 0\n";
        let nets: Vec<_> = interfaces(dev).into_iter().map(|(m, _, v, _)| (m, v)).collect();
        assert_eq!(nets, [("network_received", 1_000), ("network_sent", 400), ("network_errors", 6)]);
    }

    #[test]
    fn parts_of_disks_are_left_out() {
        let parts = ["sda1", "vda2", "nvme0n1p1", "mmcblk0p2", "loop3", "ram0"];
        assert!(parts.iter().all(|name| is_part(name)));
        assert!(["sda", "nvme0n1", "mmcblk0", "dm-0", "md127", "vdb"].iter().all(|name| !is_part(name)));
    }
}
