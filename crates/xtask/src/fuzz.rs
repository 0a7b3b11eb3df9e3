//! `cargo xtask fuzz`: every decoder of untrusted input against inputs that nobody wrote, starting from what the
//! recorded captures, the shipped rules and the fixtures of the agent's crates hold. Needs a nightly toolchain;
//! cargo-fuzz is installed when missing.

mod agent;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{cargo, say};

/// The targets, in the order in which they are run.
const TARGETS: &[&str] = &[
    "netflow",
    "ipfix",
    "sflow",
    "packet",
    "sigma",
    "protocol",
    "action",
    "release",
    "evidence",
    "inventory",
    "files",
    "versions",
    "advisories",
    "documents",
    "bundles",
    "osquery",
    "logs",
    "lists",
    "queries",
    "kernel",
    "apart",
    "enrol",
    "policy",
    "baselines",
];
/// What a machine can be told to do.
const ACTIONS: &[&str] = &[
    r#"{"kind": "isolate", "seconds": 3600, "keep": ["192.0.2.0/24", "2001:db8::/32"]}"#,
    r#"{"kind": "block", "address": "192.0.2.1", "seconds": 60}"#,
    r#"{"kind": "kill", "pid": 4711, "start_ticks": 7564352, "tree": true}"#,
    r#"{"kind": "quarantine", "path": "/tmp/x"}"#,
    r#"{"kind": "disable_user", "name": "eve", "sessions": true}"#,
    r#"{"kind": "release"}"#,
    r#"{"kind": "unblock", "address": "2001:db8::/64"}"#,
];
/// What nodes of osquery send: to come in, of the logger, answers, and carves.
const NODES: &[&str] = &[
    r#"{"enroll_secret": "gde_x", "host_identifier": "web-1", "host_details": {"os_version": {"name": "Debian", "platform": "debian"}, "osquery_info": {"version": "5.12.1"}, "system_info": {"hostname": "web-1"}}}"#,
    r#"{"node_key": "k", "log_type": "result", "data": [{"name": "users", "action": "added", "unixTime": 7, "columns": {"uid": "0"}}]}"#,
    r#"{"node_key": "k", "log_type": "result", "data": [{"name": "users", "unixTime": "7", "diffResults": {"added": [{"a": 1}], "removed": []}}, {"name": "all", "action": "snapshot", "snapshot": [{"a": "1"}]}]}"#,
    r#"{"node_key": "k", "log_type": "status", "data": [{"severity": "2", "filename": "tls.cpp", "line": 9, "message": "no"}]}"#,
    r#"{"node_key": "k", "queries": {"a": [{"x": "1"}, {"y": null}], "b": ""}, "statuses": {"a": 0, "b": "1"}, "messages": {"b": "no such table"}}"#,
    r#"{"node_key": "k"}"#,
    r#"{"node_key": "k", "block_count": 2, "block_size": 8192, "carve_size": 9000, "carve_id": "c", "request_id": "r"}"#,
    r#"{"session_id": "s", "block_id": 0, "request_id": "r", "data": "aGVsbG8="}"#,
    "SELECT * FROM \"carves\" WHERE path = 'it''s' AND [carve] = 1 -- now",
];
/// What is signed about releases of the agent.
const RELEASES: &[&str] = &[
    r#"{"version": "1.2.3-rc.1", "platform": "linux", "architecture": "x86_64", "size": 9, "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "replaces_up_to": "2.0.0"}"#,
    r#"{"manifest": "{\"version\": \"1.0.0\"}", "key": "AAAA", "signature": "AAAA"}"#,
    "1.0.0-alpha.1\n1.0.0-alpha.beta",
    "guardian-agent version note:1.2.3\0",
    r#"{"version": "2.0.0", "platforms": [{"os": "linux", "arch": "x86_64", "sha256": "00", "bytes": 1}], "created": 0}"#,
    r#"{"version": "0.9.0", "replaces_up_to": "1.0.0"}"#,
    r#"{"version": "not one"}"#,
    "{}",
];
/// What daemons, the journal and the kernel's audit write.
const LOGS: &[&str] = &[
    "Nov 22 22:05:55 web-1 sshd[15219]: Failed password for invalid user eve from 192.0.2.1 port 47500 ssh2",
    "2026-11-22T22:05:55.407255+00:00 web-1 sshd[7]: message repeated 3 times: [ Failed password for root from 2001:db8::1 port 1 ssh2]",
    "2026-11-22T22:05:55.40\0~\u{2b0}+00:00 web-1 sshd[7]: message repeated 3 times: [ x ]",
    "Nov 22 22:05:55 web-1 sudo: eve : TTY=pts/0 ; PWD=/home/eve ; USER=root ; COMMAND=/bin/sh -c id",
    "Nov 22 22:05:55 web-1 su: pam_unix(su-l:auth): authentication failure; logname= uid=1000 euid=0 tty=pts/1 ruser=eve rhost=  user=root",
    r#"{"__CURSOR": "s=1;i=1", "__REALTIME_TIMESTAMP": "1795385155407255", "SYSLOG_IDENTIFIER": "sshd", "_PID": "7", "_UID": "0", "MESSAGE": "Accepted publickey for eve from 192.0.2.1 port 2 ssh2: ED25519 SHA256:x"}"#,
    r#"{"__REALTIME_TIMESTAMP": "1", "MESSAGE": [72, 101, 255, 0], "PRIORITY": "3"}"#,
    "type=EXECVE msg=audit(1795385155.407:99): argc=3 a0=\"sh\" a1=\"-c\" a2=69640A",
    "type=USER_LOGIN msg=audit(1795385155.407:100): pid=7 uid=0 auid=4294967295 msg='op=login acct=\"eve\" exe=\"/usr/sbin/sshd\" addr=192.0.2.1 res=failed'",
];
/// Versions, and ranges of npm.
const VERSIONS: &[&str] = &[
    "1.0\n1.0.1",
    "1:2.30-1ubuntu3~20.04.1\n1:2.30-1+b1",
    "1.2.3-alpha.1+build\n>=1.2 <2 || ~3.4",
    "2024.1.dev3+local\n2024!1rc1.post2",
    "1.5.9-RC0\n1.5.9.RC1",
    "1.2_alpha3-r4\n1.2_p1",
    "v0.0.0-20200101000000-abcdefabcdef\nv1.2.3+incompatible",
];
/// Advisories in forms of which there is no recording.
const ADVISORIES: &[&str] = &[
    "cve,epss,percentile\nCVE-2026-0001,0.9,0.99\n",
    r#"{"vulnerabilities": [{"cveID": "CVE-2026-0001", "dateAdded": "2026-01-02", "dueDate": "2026-02-01"}]}"#,
    r#"{"dataType": "CVE_RECORD", "dataVersion": "5.1", "cveMetadata": {"cveId": "CVE-2026-0001", "state": "PUBLISHED"}}"#,
    r#"{"@context": "https://openvex.dev/ns/v0.2.0", "statements": [{"vulnerability": {"name": "CVE-2026-0001"}, "status": "fixed"}]}"#,
    r#"[{"name": "AVG-1", "packages": ["a"], "status": "Fixed", "affected": "1-1", "fixed": "1-2", "issues": ["CVE-2026-0001"]}]"#,
];
/// Bills of materials, statements on products, and what says what an image is.
const DOCUMENTS: &[&str] = &[
    r#"{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library", "name": "a", "purl": "pkg:npm/a@1.0.0"}]}"#,
    r#"<bom xmlns="http://cyclonedx.org/schema/bom/1.6"><components><component><purl>pkg:npm/a@1</purl></component></components></bom>"#,
    r#"{"spdxVersion": "SPDX-2.3", "name": "a", "packages": [{"name": "a", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:npm/a@1"}]}]}"#,
    "SPDXVersion: SPDX-2.3\nDocumentName: a\nPackageName: a\nExternalRef: PACKAGE-MANAGER purl pkg:npm/a@1\n",
    r#"{"statements": [{"vulnerability": {"name": "CVE-1"}, "products": [{"@id": "pkg:npm/a"}], "status": "not_affected"}]}"#,
    r#"{"document": {"csaf_version": "2.0"}, "product_tree": {"branches": []}, "vulnerabilities": [{"cve": "CVE-1", "product_status": {"fixed": ["a"]}}]}"#,
];
/// Names of images, manifests and indices of a registry.
const BUNDLES: &[&str] = &[
    "registry.example/team/app:1.2",
    "localhost:5000/a@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "docker.io/library/alpine",
    r#"{"schemaVersion": 2, "config": {"digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000"}, "layers": []}"#,
    r#"{"manifests": [{"digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000", "platform": {"os": "linux", "architecture": "amd64"}}]}"#,
    r#"{"version": 2, "packages": {"a": {"name": "a-1", "pname": "a", "meta": {"knownVulnerabilities": ["CVE-2026-0001"]}}}}"#,
];
/// Files of an archive of advisories.
const BUNDLE_NAMES: &[&str] = &["osv/a.json", "../a.json", "kev.json"];
const BUNDLE: &str = r#"{"vulnerabilities": [{"cveID": "CVE-2026-0001", "dateAdded": "2026-01-02"}]}"#;
/// [`BUNDLE`] as gzip, zstd, xz (plain, and with a filter and SHA-256) and bzip2 compress it, and a list of a channel of
/// NixOS as Brotli does.
const PACKED: &[&str] = &[
    "1f8b0800000000000203ab562a2bcdc94b2d4a4ccaccc92cc94c2d56b25288ae564a2e4bf5740132959cc35c758d0c8ccc740d0c0c0c957414952\
     4124b521d5352525340b21019435d0323a5dad85a000c1da0b74c000000",
    "28b52ffd244c6102007b2276756c6e65726162696c6974696573223a205b7b226376654944223a20224356452d323032362d30303031222c20226\
     46174654164646564223a2022323032362d30312d3032227d5d7d90d78885",
    "fd377a585a000004e6d6b446020021011c00000010cf58cce0004b00485d003d888ac793d5ed00a864217deb47808d817ccfaa96d7fd54a4e137f\
     157a04ffdf7e5fdead8ace029a8c546a175b093bd74554281e366dee48dacb00267f0293fa1e079a16250abc000912c06ca7088165e0001644c33\
     167d5e1fb6f37d010000000004595a",
    "fd377a585a00000ae1fb0ca10201040021010800d2b974cbe0004b00485d003d888ac793d5ed00a864217deb47808d817ccfaa96d7fd54a4e137f\
     157a04ffdf7e5fdead8ace029a8c546a175b093bd74554281e366dee48dacb00267f0293fa1e079a16250abc000e34a28a644bb4679132030c815\
     735062d6a4bfbcf2c6c9200e1d2f5fcc8788e900017c4c6a8e66dc189b4b9a01000000000a595a",
    "425a68393141592653595b31eb160000249f80500671102e20010a3e251f0a2000546369a8d1934c418836d41a9e8a34c8f50641a0040297ae8dc\
     afa4dd1610c5af043c2391e81423a865359b7ddca91b0f67604963fd1609b838f51b24085c5dc914e142416cc7ac580",
    "1b8800a0ac0aec86d78f57150d847346e8e363dd865a646f4b66eac0b0e8e4c84f1af8fd70086aad620c38d24c161c6c3dfab24524464f16723ed\
     9a6988d28341b59cef486cd47293794e2144be8068b210465a4541f087204e98621375db8abfc02f73ff8b5f7e1c39b3e70c1d851b5f52b",
];
/// Files of an image, and what one of them may say.
const IMAGE_NAMES: &[&str] = &["manifest.json", "index.json", "blobs/sha256/0"];
const IMAGE: &str = r#"[{"Config": "c", "Layers": ["l"]}]"#;
/// Names in a pack of evidence, good and bad.
const PACK_NAMES: &[&str] = &["a", "proc/1/maps", "../a", "/etc/passwd", "a/./b", "manifest.json"];
/// Ends a pack of evidence.
const MANIFEST: &str = r#"{"entries": [{"name": "a", "bytes": 1, "blake3": "00", "sha256": "00", "path": "/a"}]}"#;
/// Seeds that are texts: target, name, and the texts.
const TEXTS: &[(&str, &str, &[&str])] = &[
    ("action", "action", ACTIONS),
    ("osquery", "node", NODES),
    ("logs", "log", LOGS),
    ("documents", "document", DOCUMENTS),
    ("bundles", "bundle", BUNDLES),
    ("release", "release", RELEASES),
    ("advisories", "advisory", ADVISORIES),
    ("versions", "versions", VERSIONS),
];
/// Seeds that are archives of one file: target, names of it, and its content.
const ARCHIVES: &[(&str, &[&str], &str)] =
    &[("documents", IMAGE_NAMES, IMAGE), ("evidence", PACK_NAMES, MANIFEST), ("bundles", BUNDLE_NAMES, BUNDLE)];
/// Longest input that is tried; the decoders' limits are set so that it reaches them.
const INPUT_BYTES_MAX: u32 = 4_000;
/// Packets of one capture that make one seed.
const PACKETS_PER_SEED: usize = 12;

/// Options of `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct Options {
    /// Targets to run instead of all
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TARGETS))]
    target: Vec<String>,
    /// How long each runs
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Only write the seeds
    #[arg(long)]
    seeds: bool,
}

/// Writes the seeds, builds and runs the targets; what one finds ends the run and stays in `fuzz/artifacts`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = cargo::root();
    let corpus = root.join("fuzz/corpus");
    let count = seeds(&root, &corpus)?;
    say::step(&format!("{count} seeds in {}", corpus.display()));
    if options.seeds {
        return Ok(());
    }
    if !succeeds(Command::new("cargo").args(["+nightly", "--version"])) {
        bail!("fuzzing needs a nightly compiler: rustup toolchain install nightly");
    }
    if !succeeds(Command::new("cargo").args(["fuzz", "--version"])) {
        say::step("Installing cargo-fuzz");
        cargo::run(&["install", "cargo-fuzz", "--locked"])?;
    }
    let chosen = |target: &&&str| options.target.is_empty() || options.target.iter().any(|t| t == **target);
    for target in TARGETS.iter().filter(chosen) {
        say::step(&format!("{target}: {} s", options.seconds));
        let status = Command::new("cargo")
            .current_dir(&root)
            .args(["+nightly", "fuzz", "run", target, "--"])
            .args(["-rss_limit_mb=2048", "-timeout=10", "-print_final_stats=1"])
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-max_total_time={}", options.seconds))
            .status()
            .context("cargo does not start")?;
        ensure!(status.success(), "{target} found something: the input is in fuzz/artifacts/{target}");
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Writes what the targets start from; returns how many files.
fn seeds(root: &Path, corpus: &Path) -> Result<usize> {
    for target in TARGETS {
        fs::create_dir_all(corpus.join(target)).with_context(|| format!("cannot make {}", corpus.display()))?;
    }
    let mut count = 0;
    let mut write = |target: &str, name: &str, bytes: &[u8]| {
        count += 1;
        let file = corpus.join(target).join(name);
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))
    };
    for file in files(&root.join("captures"), "pcap")? {
        let name = file.file_stem().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let packets: Vec<_> = packets(&bytes).take(PACKETS_PER_SEED).collect();
        let target = match name.rsplit_once('.').map(|(_, export)| export) {
            None => "packet",
            Some("sflow") => "sflow",
            Some(export) if export.starts_with("ipfix") => "ipfix",
            Some(_) => "netflow",
        };
        let one = |(data, wire): &(&[u8], u32)| match target {
            "packet" => packet(data, *wire),
            _ => udp_payload(data).map(|payload| datagram(target, payload)).unwrap_or_default(),
        };
        let records: Vec<Vec<u8>> = packets.iter().map(one).collect();
        write(target, &name, &records.concat())?;
        write(target, &format!("{name}-first"), records.first().map_or(&[], Vec::as_slice))?;
    }
    for folder in fs::read_dir(root.join("rules/network"))?.flatten() {
        for file in files(&folder.path(), "yml")? {
            let rule = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let name = folder.file_name().to_string_lossy().into_owned();
            let filter = "src_ip in 10.0.0.0/8 and (dst_port = 22 or bytes > 10MB)";
            write("sigma", &name, format!("{filter}\n{rule}").as_bytes())?;
        }
    }
    for (target, folder) in [("protocol", "protocol"), ("inventory", "inventory"), ("advisories", "vuln")] {
        for file in files_of(&root.join("crates").join(folder).join("fixtures"))? {
            let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            // What is longer would be cut, and what is compressed is not what a decoder reads.
            let compressed = file.extension().is_some_and(|e| e == "zst");
            if bytes.len() <= INPUT_BYTES_MAX as usize && !compressed {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                write(target, &name, &bytes)?;
                // Configuration of all kinds is also what the masks for secrets are tried on.
                if target == "inventory" {
                    write("files", &name, &bytes)?;
                }
            }
        }
    }
    for (target, name, texts) in TEXTS {
        for (at, text) in texts.iter().enumerate() {
            write(target, &format!("{name}-{at}"), text.as_bytes())?;
        }
    }
    for (target, name, bytes) in agent::seeds() {
        write(target, &name, &bytes)?;
    }
    for (target, names, text) in ARCHIVES {
        for (at, name) in names.iter().enumerate() {
            write(target, &format!("archive-{at}"), &archive(name, text.as_bytes()))?;
        }
    }
    for (at, digits) in PACKED.iter().enumerate() {
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(of_hex).collect();
        write("bundles", &format!("packed-{at}"), &bytes.context("a seed is not in hexadecimal digits")?)?;
    }
    Ok(count)
}

fn of_hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// An archive with one file, in the form of POSIX (ustar).
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut head = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    // The sum counts itself as spaces.
    put(148, b"        ");
    put(156, b"0ustar");
    put(257, b"ustar\x0000");
    let sum: u32 = head.iter().map(|&byte| u32::from(byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; content.len().next_multiple_of(512) - content.len() + 1_024];
    [&head, content, &padding].concat()
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = files_of(folder)?;
    found.retain(|path| path.extension().is_some_and(|e| e == extension));
    Ok(found)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

/// One datagram in the form of `fuzz/support/datagrams.rs`; the target of sFlow has no head but the length.
fn datagram(target: &str, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(usize::from(u16::MAX))];
    let length = (payload.len() as u16).to_be_bytes();
    // The low bits of the control byte choose the version: those of v5 and v7 come last in its list.
    let control = match payload {
        [0, 5, ..] => 6,
        [0, 7, ..] => 7,
        _ => 0,
    };
    let head: &[u8] = if target == "sflow" { &[] } else { &[control, 0] };
    [head, &length, payload].concat()
}

/// One packet in the form of `fuzz/fuzz_targets/packet.rs`.
fn packet(data: &[u8], wire_bytes: u32) -> Vec<u8> {
    let data = &data[..data.len().min(200)];
    let wire = (wire_bytes.min(u32::from(u16::MAX)) as u16).to_be_bytes();
    [&[9, 0, 1, wire[0], wire[1], data.len() as u8], data].concat()
}

/// The packets of a capture as our recordings have it (little-endian, Ethernet) with their lengths on the wire.
fn packets(capture: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    let mut rest = capture.get(24..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<16>()?;
        let field = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let (held, wire) = (field(8)? as usize, field(12)?);
        rest = tail.get(held..)?;
        Some((tail.get(..held)?, wire))
    })
}

/// What is in a UDP datagram over IPv4 over Ethernet.
fn udp_payload(frame: &[u8]) -> Option<&[u8]> {
    let ip = frame.get(14..)?;
    let head = usize::from(ip.first()? & 15) * 4;
    ip.get(head + 8..)
}

#[cfg(test)]
mod tests {
    use super::{TARGETS, seeds};
    use crate::cargo;

    #[test]
    fn every_target_has_seeds_of_its_own() {
        let corpus = std::env::temp_dir().join(format!("guardian-seeds-{}", std::process::id()));
        let count = seeds(&cargo::root(), &corpus).unwrap();
        let files = |target: &str| std::fs::read_dir(corpus.join(target)).unwrap().count();
        assert_eq!(TARGETS.iter().map(|t| files(t)).sum::<usize>(), count);
        assert!(TARGETS.iter().all(|t| files(t) > 5));
        assert!(cargo::root().join("fuzz/fuzz_targets").read_dir().unwrap().flatten().all(|f| {
            let path = f.path();
            TARGETS.iter().any(|t| path.file_stem().is_some_and(|s| s == *t))
        }));
        std::fs::remove_dir_all(corpus).unwrap();
    }
}
