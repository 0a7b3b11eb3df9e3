//! What scanning costs where there are floors: a bill of materials of 1,000 components, and an image of one GB, plain and
//! compressed. Each figure stands beside what the same run needs for the bare work: reading and inflating the same file.
//!
//! One JSON object a line in the form of `cargo xtask bench`; without `--json` too.

#![expect(clippy::print_stdout, reason = "the result is what a benchmark prints")]

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::time::Instant;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use guardian_vuln::load::Loader;
use guardian_vuln::report::{self, About, Words};
use guardian_vuln::sbom::{self, Form};
use guardian_vuln::scan;
use guardian_vuln::sources::Document;
use guardian_vuln::store::{Store, folder};
use serde_json::{Value, json};

type Failed = Box<dyn std::error::Error>;

/// Components of the bill of materials.
const COMPONENTS: usize = 1_000;
/// Packages that the store knows.
const KNOWN: usize = 20_000;
/// Files in the image, and bytes of each.
const FILES: usize = 2_000;
const FILE_BYTES: usize = 512 << 10;
/// Milliseconds that a bill of materials may take, and seconds of the plain image.
const BILL_MS_MAX: f64 = 50.0;
const IMAGE_S_MAX: f64 = 5.0;
/// How many times as long as inflating it the compressed image may take.
const INFLATING_MAX: f64 = 1.2;

fn main() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let store = store(home.path())?;
    bill(&store)?;
    image(home.path())
}

/// Prints a result; `most` is its floor.
fn result(bench: &str, value: f64, unit: &str, most: f64, peer: Option<(&str, f64)>) {
    let mut line = json!({ "bench": bench, "value": value, "unit": unit, "floor": most, "pass": value <= most });
    if let Some((peer, peer_value)) = peer {
        line["peer"] = json!(peer);
        line["peer_value"] = json!(peer_value);
        line["ratio"] = json!(value / peer_value);
    }
    println!("{line}");
}

/// The least of some runs, in seconds: what others on the machine do only adds.
fn least(runs: usize, mut run: impl FnMut() -> Result<(), Failed>) -> Result<f64, Failed> {
    let mut least = f64::INFINITY;
    for _ in 0..runs {
        let begun = Instant::now();
        run()?;
        least = least.min(begun.elapsed().as_secs_f64());
    }
    Ok(least)
}

fn store(home: &Path) -> Result<Store, Failed> {
    let mut loader = Loader::default();
    for number in 0..KNOWN {
        let advisory = json!({ "id": format!("CVE-2030-{number:05}"), "schema_version": "1.6.0",
            "modified": "2030-01-01T00:00:00Z", "summary": "Made up",
            "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }],
            "affected": [{ "package": { "ecosystem": "npm", "name": format!("package-{}", number / 2) },
                "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "2.0.0" }] }] }] });
        loader.document(&Document { name: "a.json", bytes: advisory.to_string().as_bytes() });
    }
    folder::publish(&home.join("store"), loader.finish(), 1, 1)?;
    Ok(folder::open(&home.join("store"), None)?)
}

fn bill(store: &Store) -> Result<(), Failed> {
    let packages: serde_json::Map<String, Value> = (0..COMPONENTS)
        .map(|number| {
            (format!("node_modules/package-{}", number * 7), json!({ "version": format!("{}.4.2", number % 4) }))
        })
        .collect();
    let project = tempfile::tempdir()?;
    let lock = json!({ "lockfileVersion": 3, "packages": packages });
    std::fs::write(project.path().join("package-lock.json"), lock.to_string())?;
    let about = About { version: "1", author: "", time_s: 0 };
    let bytes = sbom::write(Form::ALL[0].1, &scan::folder(project.path())?, &about).into_bytes();
    let read = || sbom::read("bill", &bytes).ok_or("no bill of materials")?.map_err(Failed::from);
    let parsed = read()?;
    let judged = least(20, || {
        let report = report::of(store, parsed.clone(), &Words::default());
        if report.packages == COMPONENTS { Ok(()) } else { Err("components were lost".into()) }
    })?;
    let whole = least(20, || {
        drop(report::of(store, read()?, &Words::default()));
        Ok(())
    })?;
    result("vuln/bill_of_1000_judged", judged * 1e3, "ms", BILL_MS_MAX, None);
    result("vuln/bill_of_1000_read_and_judged", whole * 1e3, "ms", BILL_MS_MAX, None);
    Ok(())
}

/// Content that shrinks to about half, as programs do.
fn content(number: usize, buffer: &mut [u8]) {
    let mut x = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for piece in buffer.chunks_mut(16) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        let half = piece.len().min(8);
        piece[..half].copy_from_slice(&x.to_le_bytes()[..half]);
        piece[half..].fill(b'a');
    }
}

/// An archive as `docker save` writes it, with one layer.
fn archive(to: &Path) -> Result<(), Failed> {
    let layer = to.with_extension("layer");
    let mut builder = tar::Builder::new(io::BufWriter::new(File::create(&layer)?));
    let mut buffer = vec![0; FILE_BYTES];
    let mut append = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, path, bytes)
    };
    append("etc/os-release", b"ID=debian\nVERSION_ID=12\n")?;
    for number in 0..FILES {
        content(number, &mut buffer);
        append(&format!("opt/data/{number:05}.bin"), &buffer)?;
        let package = json!({ "name": format!("package-{number}"), "version": "1.0.0" }).to_string();
        append(&format!("srv/node_modules/package-{number}/package.json"), package.as_bytes())?;
    }
    builder.into_inner()?.flush()?;
    let mut outer = tar::Builder::new(io::BufWriter::new(File::create(to)?));
    let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] } });
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["bench:1"], "Layers": ["layer.tar"] }]);
    for (name, text) in [("manifest.json", manifest.to_string()), ("config.json", config.to_string())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        outer.append_data(&mut header, name, text.as_bytes())?;
    }
    outer.append_file("layer.tar", &mut File::open(&layer)?)?;
    outer.into_inner()?.flush()?;
    Ok(std::fs::remove_file(layer)?)
}

fn image(home: &Path) -> Result<(), Failed> {
    let (plain, packed) = (home.join("image.tar"), home.join("image.tar.gz"));
    archive(&plain)?;
    let mut encoder = GzEncoder::new(File::create(&packed)?, Compression::fast());
    io::copy(&mut File::open(&plain)?, &mut encoder)?;
    encoder.finish()?;
    let scan = |path: &Path| {
        let scanned = scan::archive(File::open(path)?, "amd64")?;
        if scanned.packages.len() == FILES {
            Ok(())
        } else {
            Err(format!("{} packages", scanned.packages.len()).into())
        }
    };
    let reading = least(3, || Ok(drain(File::open(&plain)?)?))?;
    let scanning = least(3, || scan(&plain))?;
    let inflating =
        least(3, || Ok(drain(MultiGzDecoder::new(BufReader::with_capacity(1 << 20, File::open(&packed)?)))?))?;
    let scanning_packed = least(3, || scan(&packed))?;
    result("vuln/image_of_1_gb", scanning, "s", IMAGE_S_MAX, Some(("reading", reading)));
    result("vuln/image_compressed", scanning_packed, "s", inflating * INFLATING_MAX, Some(("inflating", inflating)));
    Ok(())
}

fn drain(mut reader: impl Read) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    while reader.read(&mut buffer)? > 0 {}
    Ok(())
}
