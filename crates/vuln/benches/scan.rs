//! What a scan costs: this machine from exec to result, a bill of materials, and images.
//!
//! `cargo bench --profile dev -p guardian-vuln` prints one JSON object a line, in the form of `cargo xtask bench`. Advisories
//! are made up, of the packages that this machine has, so that there is something to weigh for each.
#![expect(clippy::unwrap_used, reason = "a benchmark may end with a panic")]
#![expect(clippy::print_stdout, reason = "the result is what a benchmark prints")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use guardian_vuln::load::Loader;
use guardian_vuln::report::{self, About, Words};
use guardian_vuln::sbom::{self, Form};
use guardian_vuln::scan::{self, Scanned};
use guardian_vuln::sources::Document;
use guardian_vuln::store::folder;
use serde_json::json;

/// Floors: seconds and bytes of a scan of this machine, of a bill of materials, of an image, and of a compressed one as a
/// multiple of inflating it.
const MACHINE_S_MAX: f64 = 3.0;
const MACHINE_BYTES_MAX: f64 = 150e6;
const BILL_S_MAX: f64 = 0.05;
const IMAGE_S_MAX: f64 = 5.0;
const INFLATE_RATIO_MAX: f64 = 1.2;
/// Components of the bill of materials.
const COMPONENTS: usize = 1_000;
/// Bytes of the image's layer.
const IMAGE_BYTES: usize = 1_000_000_000;
/// Rounds, of which the best counts: other programs disturb them all.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mark, store, root] = arguments.as_slice()
        && mark == "--scan"
    {
        return once(Path::new(store), Path::new(root));
    }
    // Cargo adds an option of its own.
    if let [_, mark, folder, ..] = arguments.as_slice()
        && mark == "--inventory"
    {
        let seconds = best(|| assert!(!scan::target(Path::new(folder), "amd64").unwrap().packages.is_empty()));
        return println!("{seconds}");
    }
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = home.path().join("advisories");
    let scanned = scan::folder(Path::new("/")).unwrap();
    build(&store, &scanned);
    machine(&store);
    bill(&store, &scanned);
    drop(scanned);
    image(home.path());
}

fn tell(name: &str, value: f64, unit: &str, max: f64) {
    println!("{}", json!({"bench": name, "value": value, "unit": unit, "floor": max, "pass": value < max}));
}

/// The least of several rounds, in seconds.
fn best(mut what: impl FnMut()) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        what();
        begun.elapsed().as_secs_f64()
    });
    rounds.fold(f64::INFINITY, f64::min)
}

/// Three advisories a package: one that it has, one that it had, and one of a later version.
fn build(store: &Path, scanned: &Scanned) {
    let mut loader = Loader::default();
    let mut number = 0;
    for placed in &scanned.packages {
        let component = &placed.component;
        let Some(ecosystem) = osv(component.ecosystem.as_str()) else { continue };
        for (introduced, fixed) in [("0", "999999"), ("0", "0.0.0"), ("999998", "999999")] {
            number += 1;
            let name = if component.source.is_empty() { &component.name } else { &component.source };
            let advisory = json!({"schema_version": "1.6.0", "id": format!("CVE-2031-{:06}", number % 900_000),
                "modified": "2031-01-01T00:00:00Z", "summary": "Something is wrong with it",
                "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
                "affected": [{"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": "ECOSYSTEM",
                "events": [{"introduced": introduced}, {"fixed": fixed}]}]}]});
            loader.document(&Document { name: "osv.json", bytes: advisory.to_string().as_bytes() });
        }
    }
    folder::publish(store, loader.finish(), 0, 1).unwrap();
}

/// OSV's name of some of the ecosystems.
fn osv(ecosystem: &str) -> Option<String> {
    let (family, release) = ecosystem.split_once(':').unwrap_or((ecosystem, ""));
    Some(match family {
        "debian" => format!("Debian:{release}"),
        "ubuntu" => format!("Ubuntu:{release}"),
        "npm" => "npm".to_owned(),
        "pypi" => "PyPI".to_owned(),
        "cargo" => "crates.io".to_owned(),
        "go" => "Go".to_owned(),
        "maven" => "Maven".to_owned(),
        _ => return None,
    })
}

/// What `guardian scan` does, in a process of its own; says what it found and the memory that it took.
fn once(store: &Path, root: &Path) {
    let store = folder::open(store, None).unwrap();
    let scanned = scan::target(root, "amd64").unwrap();
    let (packages, files) = (scanned.packages.len(), scanned.files);
    let report = report::of(&store, scanned, &Words::default());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: f64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    println!("{} {packages} {files} {}", kib * 1024.0, report.findings.len());
}

fn machine(store: &Path) {
    let mut said = String::new();
    let seconds = best(|| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.arg("--scan").arg(store).arg("/").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        said = String::from_utf8(output.stdout).unwrap();
    });
    let words: Vec<f64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    tell("vuln/machine", seconds, "s", MACHINE_S_MAX);
    tell("vuln/machine_memory", words[0], "bytes", MACHINE_BYTES_MAX);
    for (name, value) in ["packages", "files", "findings"].into_iter().zip(&words[1..]) {
        println!("{}", json!({"bench": format!("vuln/machine_{name}"), "value": value, "unit": ""}));
    }
}

fn bill(store: &Path, scanned: &Scanned) {
    let mut packages = scanned.packages.clone();
    packages.dedup_by(|a, b| a.component == b.component);
    let few = packages.len() / COMPONENTS.min(packages.len()).max(1);
    let packages = packages.into_iter().step_by(few.max(1)).take(COMPONENTS).collect();
    let scanned = Scanned { os: scanned.os.clone(), packages, ..Scanned::default() };
    let about = About { version: "1", author: "", time_s: 0 };
    let text = sbom::write(Form::CycloneDxJson, &scanned, &about);
    let seconds = best(|| {
        let store = folder::open(store, None).unwrap();
        let read = sbom::read("x", text.as_bytes()).unwrap().unwrap();
        assert!(!report::of(&store, read, &Words::default()).findings.is_empty());
    });
    tell("vuln/bill_of_materials", seconds, "s", BILL_S_MAX);
}

/// An image as `docker save` writes it, of one layer: half of it cannot be compressed, as in most images.
fn layer(into: impl Write) {
    let mut builder = tar::Builder::new(into);
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content).unwrap();
    };
    add("etc/os-release", b"ID=debian\nVERSION_ID=12\n");
    let stanza = |n: usize| format!("Package: p{n}\nStatus: install ok installed\nVersion: 1.{n}-1\n\n");
    add("var/lib/dpkg/status", (0..500).map(stanza).collect::<String>().as_bytes());
    let (mut written, mut number, mut state) = (0, 0_usize, 0x9e37_79b9_7f4a_7c15_u64);
    while written < IMAGE_BYTES {
        let bytes = 1 << (10 + number % 12);
        let content: Vec<u8> = (0..bytes / 8)
            .flat_map(|at: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if at / 512 % 2 == 0 { state.to_le_bytes() } else { *b"the same" }
            })
            .collect();
        add(&format!("srv/{}/file-{number}", number % 100), &content);
        if number % 50 == 0 {
            let package = format!(r#"{{"name": "p{number}", "version": "1.0.0"}}"#);
            add(&format!("srv/node_modules/p{number}/package.json"), package.as_bytes());
        }
        (written, number) = (written + bytes, number + 1);
    }
    builder.into_inner().unwrap().flush().unwrap();
}

/// Wraps a layer into an archive.
fn archive(path: &Path, layer: &Path) {
    let mut builder = tar::Builder::new(BufWriter::new(File::create(path).unwrap()));
    builder.append_file("layer.tar", &mut File::open(layer).unwrap()).unwrap();
    for (name, text) in [
        ("config.json", r#"{"rootfs": {"diff_ids": ["sha256:aa"]}, "history": [{"created_by": "ADD"}]}"#),
        ("manifest.json", r#"[{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"]}]"#),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().flush().unwrap();
}

fn image(home: &Path) {
    let file = |name: &str| -> PathBuf { home.join(name) };
    layer(BufWriter::new(File::create(file("layer")).unwrap()));
    archive(&file("plain.tar"), &file("layer"));
    let packed = File::create(file("layer.gz")).unwrap();
    layer(GzEncoder::new(BufWriter::new(packed), Compression::fast()));
    archive(&file("packed.tar"), &file("layer.gz"));
    let scan = |name: &str| {
        let scanned = scan::archive(File::open(file(name)).unwrap(), "amd64").unwrap();
        assert!(scanned.packages.len() > 500, "{}", scanned.packages.len());
    };
    tell("vuln/image", best(|| scan("plain.tar")), "s", IMAGE_S_MAX);
    let inflate = best(|| {
        let packed = std::io::BufReader::new(File::open(file("layer.gz")).unwrap());
        let mut decoder = flate2::bufread::GzDecoder::new(packed);
        assert!(std::io::copy(&mut decoder, &mut std::io::sink()).unwrap() > IMAGE_BYTES as u64);
    });
    let ours = best(|| scan("packed.tar"));
    let ratio = ours / inflate;
    println!(
        "{}",
        json!({"bench": "vuln/image_compressed", "value": ours, "unit": "s", "peer": "inflating it", "peer_value": inflate,
            "ratio": ratio, "floor": inflate * INFLATE_RATIO_MAX, "pass": ratio < INFLATE_RATIO_MAX})
    );
}
