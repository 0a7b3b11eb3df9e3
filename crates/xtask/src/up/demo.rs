//! The recorded attacks that `up` shows, as an ordered table: what is replayed, in which form, how fast, and what it
//! must raise. One of every format that Guardian reads.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::child::Service;
use crate::{cargo, say};

/// One recording.
pub(crate) struct Recording {
    /// File under captures/.
    pub(crate) file: &'static str,
    /// Times the recorded speed.
    pub(crate) speed: u32,
    /// What happened in it.
    pub(crate) about: &'static str,
    /// Rules that must find it; empty for harmless traffic.
    pub(crate) expected: &'static [&'static str],
}

/// The recordings in the order they start, in two lanes that run side by side.
const LANES: &[&[Recording]] = &[
    &[
        Recording {
            file: "scan-vertical.netflow9.pcap",
            speed: 4,
            about: "a host outside tries 1,500 ports of a server (NetFlow v9)",
            expected: &["59ef4c50-9909-51ab-98e2-16ebdd0922c3"],
        },
        Recording {
            file: "ssh-brute-force.ipfix.pcap",
            speed: 10,
            about: "hydra guesses SSH passwords (IPFIX)",
            expected: &["b011da1a-86d5-5701-ace7-e0333372ae9a"],
        },
        Recording {
            file: "scan-horizontal.netflow5.pcap",
            speed: 10,
            about: "an inside host looks for file shares (NetFlow v5)",
            expected: &["5b0343d5-6348-5135-a7cd-7b8eafb810a2"],
        },
        Recording {
            file: "clear-text.pcap",
            speed: 10,
            about: "telnet and FTP (packets, metered)",
            expected: &["b20ea5fa-e1c0-5a02-b208-e874c6654881"],
        },
        Recording {
            file: "syn-flood.netflow9.pcap",
            speed: 10,
            about: "6,000 SYN from 100 forged sources (NetFlow v9)",
            expected: &["d5cf4b46-5337-587d-a1ca-08859d967e74"],
        },
        Recording {
            file: "dns-tunnel.pcap",
            speed: 10,
            about: "iodine through the resolver (packets, metered)",
            expected: &["guardian.dns-tunnel"],
        },
        Recording {
            file: "upload.ipfix.pcap",
            speed: 10,
            about: "80 MB to a host nobody else talks to (IPFIX)",
            expected: &["guardian.large-upload"],
        },
        Recording {
            file: "noise.sflow.pcap",
            speed: 20,
            about: "four minutes of an ordinary office (sFlow)",
            expected: &[],
        },
    ],
    &[Recording {
        file: "beacon.netflow9.pcap",
        speed: 20,
        about: "a machine calls home every 5 s ± 20 % among browsing (NetFlow v9)",
        expected: &["guardian.beaconing"],
    }],
];

/// The replays under way and what they raised.
pub(crate) struct Replays {
    data: std::path::PathBuf,
    lanes: Vec<(usize, Option<Service>)>,
    rules: BTreeSet<String>,
    /// Alerts seen so far.
    pub(crate) alerts: u64,
}

impl Replays {
    /// Starts the first recording of each lane.
    pub(crate) fn start(data: &Path) -> Result<Self> {
        let lanes = LANES.iter().map(|_| (0, None)).collect();
        let mut replays = Self { data: data.to_path_buf(), lanes, rules: BTreeSet::new(), alerts: 0 };
        replays.done()?;
        Ok(replays)
    }

    /// Starts what is next where something ended; whether all has ended.
    pub(crate) fn done(&mut self) -> Result<bool> {
        let mut done = true;
        for (lane, (next, running)) in LANES.iter().zip(&mut self.lanes) {
            if let Some(service) = running {
                match service.ended()? {
                    None => {
                        done = false;
                        continue;
                    }
                    Some(status) => {
                        let file = lane[*next - 1].file;
                        ensure!(
                            status.success(),
                            "the replay of {file} failed; try `guardian replay captures/{file}` for its reason"
                        );
                        *running = None;
                    }
                }
            }
            if let Some(recording) = lane.get(*next) {
                say::note(&format!("{}: {}", recording.file, recording.about));
                let mut command = Command::new(cargo::guardian());
                command.arg("--data").arg(&self.data).arg("replay").args(["--speed", &recording.speed.to_string()]);
                command.arg(cargo::root().join("captures").join(recording.file));
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                *running = Some(Service::start("guardian replay", &mut command)?);
                *next += 1;
                done = false;
            }
        }
        if !done {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(done)
    }

    /// Counts an alert.
    pub(crate) fn seen(&mut self, rule: &str, _title: &str) {
        self.alerts += 1;
        self.rules.insert(rule.to_owned());
    }

    /// Whether every expected rule has fired.
    pub(crate) fn all_seen(&self) -> bool {
        self.missing().is_empty()
    }

    /// Recording and rule of what did not come.
    fn missing(&self) -> Vec<(&'static str, &'static str)> {
        LANES
            .iter()
            .flat_map(|lane| lane.iter())
            .flat_map(|recording| recording.expected.iter().map(|rule| (recording.file, *rule)))
            .filter(|(_, rule)| !self.rules.contains(*rule))
            .collect()
    }

    /// The end of `--check`.
    pub(crate) fn verdict(&self, complete: bool) -> Result<()> {
        for (file, rule) in self.missing() {
            say::note(&format!("missing: {rule} on {file}"));
        }
        ensure!(complete, "not every expected alert was raised");
        say::step(&format!("{} alerts, every expected one among them", self.alerts));
        Ok(())
    }
}
