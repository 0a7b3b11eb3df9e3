//! The machine and its system: what it is, how long it runs, what it has of memory and processors, and the time.

use std::collections::BTreeSet;

use rusqlite::types::Value;

use super::{Answered, Asked, Table, all, big, int, read, row, text};

const DMI: &str = "/sys/class/dmi/id";

/// `os_version`.
pub(super) const OS_VERSION: Table = Table {
    name: "os_version",
    about: "The operating system and its release",
    needs: false,
    columns: &[
        text("name", "Name"),
        text("version", "Release, for people"),
        int("major", "First number of the release"),
        int("minor", "Second number"),
        int("patch", "Third number"),
        text("build", "Build, where there is one"),
        text("platform", "Short name"),
        text("platform_like", "Short names of what it is made of"),
        text("codename", "Name of the release"),
        text("arch", "Processor architecture"),
    ],
    rows: os_version,
};

/// `system_info`.
pub(super) const SYSTEM_INFO: Table = Table {
    name: "system_info",
    about: "The machine: name, processors, memory, hardware",
    needs: false,
    columns: &[
        text("hostname", "Name on the network"),
        text("uuid", "Identifier of the hardware, else of the installation"),
        text("cpu_type", "Architecture"),
        text("cpu_subtype", "Model number of the processor"),
        text("cpu_brand", "Name of the processor"),
        int("cpu_physical_cores", "Cores"),
        int("cpu_logical_cores", "Threads"),
        int("cpu_sockets", "Processors"),
        text("cpu_microcode", "Version of the microcode"),
        big("physical_memory", "Memory in bytes"),
        text("hardware_vendor", "Maker"),
        text("hardware_model", "Model"),
        text("hardware_version", "Version of the model"),
        text("hardware_serial", "Serial number"),
        text("board_vendor", "Maker of the board"),
        text("board_model", "Model of the board"),
        text("board_version", "Version of the board"),
        text("board_serial", "Serial number of the board"),
        text("computer_name", "Name, for people"),
        text("local_hostname", "Name on the network"),
    ],
    rows: system_info,
};

/// `osquery_info`.
pub(super) const OSQUERY_INFO: Table = Table {
    name: "osquery_info",
    about: "Who answers: the agent, not osquery itself",
    needs: false,
    columns: &[
        int("pid", "Process that answers"),
        text("uuid", "Identifier of the hardware, else of the installation"),
        text("instance_id", "Always empty here"),
        text("version", "Version of the agent"),
        text("config_hash", "Always empty here"),
        int("config_valid", "Always 1 here"),
        text("extensions", "Always none here"),
        text("build_platform", "Always guardian-agent here"),
        text("build_distro", "Architecture it was built for"),
        int("start_time", "When the process that answers started, in seconds since the epoch"),
        int("watcher", "Process that started it"),
        int("platform_mask", "9: a Linux"),
    ],
    rows: osquery_info,
};

/// `uptime`.
pub(super) const UPTIME: Table = Table {
    name: "uptime",
    about: "How long the machine has run",
    needs: false,
    columns: &[
        int("days", "Days"),
        int("hours", "Hours of the day that has begun"),
        int("minutes", "Minutes of the hour"),
        int("seconds", "Seconds of the minute"),
        big("total_seconds", "All of it in seconds"),
    ],
    rows: uptime,
};

/// `time`.
pub(super) const TIME: Table = Table {
    name: "time",
    about: "The machine's clock, in UTC",
    needs: false,
    columns: &[
        text("weekday", "Day of the week"),
        int("year", "Year"),
        int("month", "Month"),
        int("day", "Day"),
        int("hour", "Hour"),
        int("minutes", "Minute"),
        int("seconds", "Second"),
        text("timezone", "Always UTC here"),
        text("local_timezone", "Time zone of the machine"),
        int("unix_time", "Seconds since the epoch"),
        text("timestamp", "As asctime(3) writes it"),
        text("datetime", "RFC 3339"),
        text("iso_8601", "RFC 3339"),
    ],
    rows: time,
};

/// `load_average`.
pub(super) const LOAD_AVERAGE: Table = Table {
    name: "load_average",
    about: "Processes that ran or waited, on average",
    needs: false,
    columns: &[text("period", "1m, 5m or 15m"), text("average", "How many")],
    rows: load_average,
};

/// `memory_info`.
pub(super) const MEMORY_INFO: Table = Table {
    name: "memory_info",
    about: "Memory, in bytes",
    needs: false,
    columns: &[
        big("memory_total", "All"),
        big("memory_free", "Unused"),
        big("memory_available", "What programs could still have"),
        big("buffers", "Buffers"),
        big("cached", "Cache of files"),
        big("swap_cached", "In memory and in swap"),
        big("active", "Used lately"),
        big("inactive", "Not used lately"),
        big("swap_total", "Swap"),
        big("swap_free", "Unused swap"),
    ],
    rows: memory_info,
};

/// `cpu_time`.
pub(super) const CPU_TIME: Table = Table {
    name: "cpu_time",
    about: "What processors did since the start, in ticks of a hundredth of a second",
    needs: false,
    columns: &[
        int("core", "Number of the thread"),
        big("user", "Programs"),
        big("nice", "Programs with low priority"),
        big("system", "The kernel"),
        big("idle", "Nothing"),
        big("iowait", "Waiting for disks"),
        big("irq", "Interrupts"),
        big("softirq", "Work that interrupts left"),
        big("steal", "Given to other machines"),
        big("guest", "Machines inside"),
        big("guest_nice", "Machines inside with low priority"),
    ],
    rows: cpu_time,
};

/// `cpu_info`.
pub(super) const CPU_INFO: Table = Table {
    name: "cpu_info",
    about: "Processors",
    needs: false,
    columns: &[
        text("device_id", "Number of the processor"),
        text("model", "Name"),
        text("manufacturer", "Maker"),
        text("processor_type", "Always empty here"),
        int("cpu_status", "Always 1 here: it runs"),
        text("number_of_cores", "Cores"),
        int("logical_processors", "Threads"),
        text("address_width", "Bits of an address"),
        int("current_clock_speed", "MHz now"),
        int("max_clock_speed", "MHz at most"),
        text("socket_designation", "Always empty here"),
    ],
    rows: cpu_info,
};

/// What a file of the system's release says; empty where it does not.
fn released(file: &str, key: &str) -> String {
    let line = file.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

fn os_version(_: &Asked<'_>) -> Answered {
    let release = ["/etc/os-release", "/usr/lib/os-release"].map(read::text);
    let release = release.iter().find(|text| !text.is_empty()).cloned().unwrap_or_default();
    let of = |key: &str| released(&release, key);
    let number = of("VERSION_ID");
    let mut numbers = number.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || numbers.next().unwrap_or(0);
    all(vec![row![
        of("NAME"),
        Some(of("VERSION")).filter(|version| !version.is_empty()).unwrap_or_else(|| number.clone()),
        part(),
        part(),
        part(),
        of("BUILD_ID"),
        of("ID"),
        of("ID_LIKE"),
        of("VERSION_CODENAME"),
        std::env::consts::ARCH,
    ]])
}

/// A processor, by its number, with what `/proc/cpuinfo` says of its first thread.
#[derive(Debug, Default, PartialEq)]
struct Processor {
    id: String,
    cores: BTreeSet<String>,
    threads: u32,
    first: String,
}

impl Processor {
    fn says(&self, key: &str) -> &str {
        said(&self.first, key).unwrap_or_default()
    }
}

fn said<'a>(block: &'a str, key: &str) -> Option<&'a str> {
    block.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.trim() == key)).map(|(_, v)| v.trim())
}

fn processors(info: &str) -> Vec<Processor> {
    let mut all: Vec<Processor> = Vec::new();
    for block in info.split("\n\n").filter(|block| said(block, "processor").is_some()) {
        // Where nothing is said of sockets, as on most Arm machines, there is one.
        let id = said(block, "physical id").unwrap_or("0").to_owned();
        let core = said(block, "core id").or_else(|| said(block, "processor")).unwrap_or_default().to_owned();
        let at = all.iter().position(|known| known.id == id).unwrap_or_else(|| {
            all.push(Processor { id, first: block.to_owned(), ..Processor::default() });
            all.len() - 1
        });
        all[at].cores.insert(core);
        all[at].threads += 1;
    }
    all
}

/// What names the machine for good.
fn uuid() -> String {
    let hardware = read::line(format!("{DMI}/product_uuid"));
    if hardware.is_empty() { read::line("/etc/machine-id") } else { hardware.to_uppercase() }
}

fn system_info(_: &Asked<'_>) -> Answered {
    let processors = processors(&read::text("/proc/cpuinfo"));
    let first = |key: &str| processors.first().map(|p| p.says(key).to_owned()).unwrap_or_default();
    let name = read::line("/proc/sys/kernel/hostname");
    let memory = said(&read::text("/proc/meminfo"), "MemTotal").and_then(kib);
    let dmi = |file: &str| read::line(format!("{DMI}/{file}"));
    all(vec![row![
        name.as_str(),
        uuid(),
        std::env::consts::ARCH,
        first("model"),
        first("model name"),
        processors.iter().map(|p| p.cores.len()).sum::<usize>() as u64,
        processors.iter().map(|p| p.threads).sum::<u32>(),
        processors.len() as u64,
        first("microcode"),
        memory,
        dmi("sys_vendor"),
        dmi("product_name"),
        dmi("product_version"),
        dmi("product_serial"),
        dmi("board_vendor"),
        dmi("board_name"),
        dmi("board_version"),
        dmi("board_serial"),
        name.as_str(),
        name.as_str(),
    ]])
}

fn osquery_info(_: &Asked<'_>) -> Answered {
    all(vec![row![
        std::process::id(),
        uuid(),
        "",
        crate::upgrade::version(),
        "",
        1,
        "none",
        "guardian-agent",
        std::env::consts::ARCH,
        crate::now() / 1_000_000,
        nix::unistd::getppid().as_raw(),
        9,
    ]])
}

fn uptime(_: &Asked<'_>) -> Answered {
    let seconds = read::line("/proc/uptime").split(['.', ' ']).next().and_then(|s| s.parse::<u64>().ok()).unwrap_or(0);
    all(vec![row![seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60, seconds]])
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant's `civil_from_days`).
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

fn time(_: &Asked<'_>) -> Answered {
    all(vec![time_row(crate::now().div_euclid(1_000_000), &local_zone())])
}

/// The name of the machine's time zone, from where its link leads.
fn local_zone() -> String {
    let link = read::link("/etc/localtime");
    let zone = link.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned());
    zone.unwrap_or_else(|| Some(read::line("/etc/timezone")).filter(|z| !z.is_empty()).unwrap_or_else(|| "UTC".into()))
}

fn time_row(now: i64, zone: &str) -> Vec<Value> {
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (now.div_euclid(86_400), now.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let name = MONTHS[(month - 1) as usize];
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    let stamp = format!("{} {name} {day:2} {clock} {year} UTC", &weekday[..3]);
    let iso = format!("{year:04}-{month:02}-{day:02}T{clock}Z");
    row![weekday, year, month, day, hour, minute, second, "UTC", zone, now, stamp, iso.as_str(), iso.as_str()]
}

fn load_average(_: &Asked<'_>) -> Answered {
    let line = read::line("/proc/loadavg");
    let averages = ["1m", "5m", "15m"].into_iter().zip(line.split_whitespace());
    all(averages.map(|(period, average)| row![period, average]).collect())
}

fn kib(amount: &str) -> Option<u64> {
    amount.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

fn memory_info(_: &Asked<'_>) -> Answered {
    let info = read::text("/proc/meminfo");
    let of = |key: &str| said(&info, key).and_then(kib);
    all(vec![row![
        of("MemTotal"),
        of("MemFree"),
        of("MemAvailable"),
        of("Buffers"),
        of("Cached"),
        of("SwapCached"),
        of("Active"),
        of("Inactive"),
        of("SwapTotal"),
        of("SwapFree"),
    ]])
}

fn cpu_time(_: &Asked<'_>) -> Answered {
    let row = |line: &str| -> Option<Vec<Value>> {
        let mut words = line.strip_prefix("cpu")?.split_whitespace();
        let core: u32 = words.next()?.parse().ok().filter(|_| !line.starts_with("cpu "))?;
        let mut row = row![core];
        row.extend((0..10).map(|_| super::Cell::cell(words.next().and_then(|word| word.parse::<u64>().ok()))));
        Some(row)
    };
    all(read::text("/proc/stat").lines().filter_map(row).collect())
}

fn cpu_info(_: &Asked<'_>) -> Answered {
    let most = read::line("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").parse::<u64>().ok();
    let row = |processor: Processor| {
        let now = processor.says("cpu MHz").split('.').next().and_then(|mhz| mhz.parse::<u64>().ok());
        let width = usize::BITS.to_string();
        row![
            format!("CPU{}", processor.id),
            processor.says("model name"),
            processor.says("vendor_id"),
            "",
            1,
            processor.cores.len().to_string(),
            processor.threads,
            width,
            now,
            most.map(|khz| khz / 1_000).or(now),
            "",
        ]
    };
    all(processors(&read::text("/proc/cpuinfo")).into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_holds_over_leap_days_and_before_the_epoch() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (19_782, (2024, 2, 29)),
            (20_055, (2024, 11, 28)),
        ] {
            assert_eq!(civil(days), expected, "{days}");
        }
        let row = time_row(1_732_752_065, "Europe/Berlin");
        assert_eq!(row[0], Value::Text("Thursday".into()));
        assert_eq!(row[12], Value::Text("2024-11-28T00:01:05Z".into()));
        assert_eq!(row[10], Value::Text("Thu Nov 28 00:01:05 2024 UTC".into()));
    }

    #[test]
    fn threads_are_counted_to_their_cores_and_processors() {
        let block = |thread: u32, socket: u32, core: u32| {
            format!("processor\t: {thread}\nmodel name\t: Fast: one\nphysical id\t: {socket}\ncore id\t\t: {core}\n")
        };
        let info = [block(0, 0, 0), block(1, 0, 0), block(2, 1, 0), block(3, 1, 1)].join("\n");
        let found = processors(&info);
        let seen: Vec<_> =
            found.iter().map(|p| (p.id.as_str(), p.cores.len(), p.threads, p.says("model name"))).collect();
        assert_eq!(seen, [("0", 1, 2, "Fast: one"), ("1", 2, 2, "Fast: one")]);
    }
}
