//! Images of containers, in every form in which they are kept: what their layers bring, take away and hide.

use std::path::{Path, PathBuf};

use guardian_vuln::scan::{self, Scanned};
use proptest::prelude::*;
use sha2::Digest as _;

use crate::support::{bzip2, gzip, xz};

/// An archive of these files; a path that ends with `->` and a target is a link, `=>` another name.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        if let Some((path, target)) = path.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, target).unwrap();
        } else if let Some((path, target)) = path.split_once(" => ") {
            header.set_entry_type(tar::EntryType::Link);
            header.set_size(0);
            builder.append_link(&mut header, path, target).unwrap();
        } else if path.contains("..") {
            // No honest program writes such a name.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        } else {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, *content).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

const RELEASE: &[u8] = b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n";

fn status(packages: &[&str]) -> Vec<u8> {
    let stanza =
        |name: &&str| format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n\n");
    packages.iter().map(stanza).collect::<String>().into_bytes()
}

fn lock(package: &str) -> Vec<u8> {
    format!(r#"{{"lockfileVersion": 3, "packages": {{"node_modules/{package}": {{"version": "1.0.0"}}}}}}"#)
        .into_bytes()
}

/// Three layers: a distribution, what an application brings, and what takes some of it away again.
fn layers() -> Vec<Vec<u8>> {
    let own = b"Metadata-Version: 2.1\nName: owned\nVersion: 1.0\n\n";
    let base = tar(&[
        ("usr/lib/os-release", RELEASE),
        ("var/lib/dpkg/status", &status(&["base", "python3-owned"])),
        ("var/lib/dpkg/info/python3-owned.list", b"/.\n/usr/lib/python3/dist-packages/owned-1.0.dist-info/METADATA\n"),
        ("usr/lib/python3/dist-packages/owned-1.0.dist-info/METADATA", own),
        ("old/a/package-lock.json", &lock("hidden")),
        ("gone/package-lock.json", &lock("gone")),
        ("covered/deep/package-lock.json", &lock("covered")),
    ]);
    let application = tar(&[
        ("var/lib/dpkg/status", &status(&["base", "python3-owned", "added"])),
        ("srv/package-lock.json", &lock("served")),
        ("srv/again/package-lock.json => srv/package-lock.json", b""),
        ("../outside/package-lock.json", &lock("outside")),
    ]);
    let last = tar(&[
        ("old/.wh..wh..opq", b""),
        ("old/b/package-lock.json", &lock("fresh")),
        (".wh.gone", b""),
        ("covered -> elsewhere", b""),
    ]);
    vec![base, application, last]
}

const CONFIG: &[u8] =
    br#"{"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ["sha256:aa", "sha256:bb", "sha256:cc"]},
  "history": [{"created_by": "ADD rootfs.tar"}, {"created_by": "ENV X=1", "empty_layer": true},
  {"created_by": "RUN install"}, {"created_by": "COPY . ."}]}"#;

/// As `docker save` writes it, with the list of layers behind them.
fn docker(layers: &[Vec<u8>]) -> Vec<u8> {
    let names: Vec<String> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": ["app:1"], "Layers": names }]).to_string();
    let mut files: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice)).collect();
    files.push(("config.json", CONFIG));
    files.push(("manifest.json", manifest.as_bytes()));
    tar(&files)
}

/// As OCI lays it out: files by their digest, which the tests make up.
fn oci(layers: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let layer = |number: usize| serde_json::json!({ "digest": format!("sha256:{number}"), "size": 1 });
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": { "digest": "sha256:c0" },
        "layers": (0..layers.len()).map(layer).collect::<Vec<_>>() });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [
        { "digest": "sha256:none", "platform": { "os": "unknown", "architecture": "unknown" } },
        { "digest": "sha256:arm", "platform": { "os": "linux", "architecture": "arm64" } },
        { "digest": "sha256:f0", "platform": { "os": "linux", "architecture": "amd64" },
          "annotations": { "org.opencontainers.image.ref.name": "app:1" } } ] });
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.to_string().into_bytes()),
        ("blobs/sha256/f0".to_owned(), manifest.to_string().into_bytes()),
        ("blobs/sha256/c0".to_owned(), CONFIG.to_vec()),
    ];
    let layers = layers.iter().enumerate().map(|(number, layer)| (format!("blobs/sha256/{number}"), layer.clone()));
    files.extend(layers);
    files
}

fn scanned(name: &str, bytes: &[u8]) -> std::io::Result<Scanned> {
    let home = tempfile::tempdir().unwrap();
    let path: PathBuf = home.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    scan::target(&path, "amd64")
}

fn write(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// What is to be found in the image, whatever holds it.
fn expect(scanned: &Scanned) {
    let found: Vec<(&str, &str, u32, Option<&str>)> = scanned
        .packages
        .iter()
        .map(|p| (p.component.name.as_str(), p.place.as_str(), p.layer.unwrap(), p.owner.as_deref()))
        .collect();
    let status = "/var/lib/dpkg/status";
    let own = "/usr/lib/python3/dist-packages/owned-1.0.dist-info/METADATA";
    let expected = [
        ("added", status, 1, None),
        ("base", status, 0, None),
        ("python3-owned", status, 0, None),
        ("fresh", "/old/b/package-lock.json", 2, None),
        ("served", "/srv/again/package-lock.json", 1, None),
        ("served", "/srv/package-lock.json", 1, None),
        ("owned", own, 0, Some("python3-owned")),
    ];
    assert_eq!(found, expected);
    assert_eq!(scanned.subject, "app:1");
    assert_eq!(scanned.os.as_ref().unwrap().version, "12");
    let steps: Vec<&str> = scanned.layers.iter().map(|layer| layer.made_by.as_str()).collect();
    assert_eq!(steps, ["ADD rootfs.tar", "RUN install", "COPY . ."]);
    assert_eq!(scanned.layers[1].digest, "sha256:bb");
    assert!(scanned.issues.is_empty(), "{:?}", scanned.issues);
}

#[test]
fn an_image_is_the_same_in_every_form() {
    let layers = layers();
    let packed: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
    let mixed = vec![layers[0].clone(), packed[1].clone(), zstd::bulk::compress(&layers[2], 3).unwrap()];
    let others = vec![xz(&layers[0]), bzip2(&layers[1]), packed[2].clone()];
    for layers in [&layers, &packed, &mixed, &others] {
        expect(&scanned("image.tar", &docker(layers)).unwrap());
        let files = oci(layers);
        let entries: Vec<(&str, &[u8])> =
            files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        expect(&scanned("image.tar", &tar(&entries)).unwrap());
        let home = tempfile::tempdir().unwrap();
        write(home.path(), &files);
        expect(&scan::target(home.path(), "amd64").unwrap());
    }
    expect(&scanned("image.tar.gz", &gzip(&docker(&layers))).unwrap());
    expect(&scanned("image.tar.zst", &zstd::bulk::compress(&docker(&packed), 3).unwrap()).unwrap());
    expect(&scanned("image.tar.xz", &xz(&docker(&others))).unwrap());
    expect(&scanned("image.tbz", &bzip2(&docker(&layers))).unwrap());
}

#[test]
fn what_is_no_image_or_not_whole_is_said() {
    let layers = layers();
    let error = |bytes: &[u8]| scanned("image.tar", bytes).unwrap_err().to_string();
    assert_eq!(error(&tar(&[("a", b"x")])), "index.json is missing");
    let manifest = br#"[{"Config": "config.json", "Layers": ["0/layer.tar"]}]"#;
    assert_eq!(
        error(&tar(&[("config.json", CONFIG), ("manifest.json", manifest)])),
        "the layer 0/layer.tar is missing"
    );
    // A layer that is cut off in the middle of a file.
    let cut = docker(&[layers[0][..1_500].to_vec()]);
    assert!(error(&cut).contains("cut off"), "{}", error(&cut));
    assert!(error(&docker(&[gzip(&layers[0])[..300].to_vec()])).contains("0/layer.tar"));
    // Documents that lead out of the folder.
    let home = tempfile::tempdir().unwrap();
    let mut files = oci(&layers);
    files[1].1 = br#"{"manifests": [{"digest": "sha256:../../../../etc/passwd"}]}"#.to_vec();
    write(home.path(), &files);
    assert!(scan::target(home.path(), "amd64").is_err());
    // An index that names itself.
    files[1].1 = br#"{"manifests": [{"digest": "sha256:f0"}]}"#.to_vec();
    files[2].1 = files[1].1.clone();
    write(home.path(), &files);
    assert_eq!(scan::target(home.path(), "amd64").unwrap_err().to_string(), "its indices are nested too deep");
}

#[test]
fn a_file_that_claims_to_be_endless_costs_nothing() {
    let mut header = tar::Header::new_gnu();
    header.set_path("var/lib/dpkg/status").unwrap();
    header.set_size(1 << 50);
    header.set_mode(0o644);
    header.set_cksum();
    let mut layer = header.as_bytes().to_vec();
    layer.extend_from_slice(&[0; 4_096]);
    let error = scanned("image.tar", &docker(&[layer])).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
    // A name that claims to be: it is passed over, not held.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let mut layer = header.as_bytes().to_vec();
    layer.extend_from_slice(&[b'a'; 4_096]);
    assert!(scanned("image.tar", &docker(&[layer])).unwrap_err().to_string().contains("cut off"));
}

#[test]
fn one_file_is_scanned_as_what_it_is() {
    let found = scanned("package-lock.json", &lock("one")).unwrap();
    assert_eq!(found.packages[0].component.name, "one");
    assert!(scanned("notes.txt", b"nothing").is_err());
    // Who names a file that cannot be read is told so: a report without findings would look like a good one.
    let damaged = scanned("package-lock.json", b"nothing").unwrap_err().to_string();
    assert!(damaged.contains("package-lock.json"), "{damaged}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_damaged_image_never_panics(at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let mut image = docker(&layers());
        let at = at.index(image.len());
        image[at] = to;
        drop(scanned("image.tar", &image));
        image.truncate(cut.index(image.len()));
        drop(scanned("image.tar", &image));
    }
}

/// A registry that holds what it was given, by tag or digest.
#[derive(Default)]
struct Held {
    things: std::collections::BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
}

impl Held {
    fn add(&mut self, bytes: &[u8]) -> String {
        let digest = sha2::Sha256::digest(bytes);
        let digest = format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        self.things.insert(digest.clone(), bytes.to_vec());
        digest
    }

    fn get(&mut self, name: &str) -> std::io::Result<Box<dyn std::io::Read + '_>> {
        self.asked.push(name.to_owned());
        let found = self.things.get(name).ok_or(std::io::Error::other("the registry has it not"))?;
        Ok(Box::new(found.as_slice()))
    }
}

impl scan::Registry for Held {
    fn manifest(&mut self, version: &str) -> std::io::Result<Box<dyn std::io::Read + '_>> {
        self.get(version)
    }

    fn blob(&mut self, digest: &str) -> std::io::Result<Box<dyn std::io::Read + '_>> {
        self.get(digest)
    }
}

/// The image of [`layers`] in a registry, for two architectures, with one layer compressed.
fn held() -> (Held, Vec<String>) {
    let mut held = Held::default();
    let all = layers();
    let digests = vec![held.add(&gzip(&all[0])), held.add(&all[1]), held.add(&all[2])];
    let config = held.add(CONFIG);
    let of = |digests: &[String]| {
        serde_json::json!({ "schemaVersion": 2, "config": { "digest": config },
            "layers": digests.iter().map(|digest| serde_json::json!({ "digest": digest })).collect::<Vec<_>>() })
    };
    let own = held.add(of(&digests).to_string().as_bytes());
    let other = held.add(of(&digests[..1]).to_string().as_bytes());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [
        { "digest": other, "platform": { "os": "linux", "architecture": "arm64" } },
        { "digest": own, "platform": { "os": "linux", "architecture": "amd64" } } ] });
    held.things.insert("1".to_owned(), index.to_string().into_bytes());
    (held, digests)
}

#[test]
fn an_image_of_a_registry_is_as_one_in_an_archive() {
    let reference: scan::Reference = "registry.example/team/app:1".parse().unwrap();
    let (mut registry, digests) = held();
    let pulled = scan::pull(&mut registry, &reference, "amd64").unwrap();
    let saved = scanned("image.tar", &docker(&layers())).unwrap();
    assert_eq!((pulled.packages, pulled.layers), (saved.packages, saved.layers));
    assert_eq!(pulled.subject, "registry.example/team/app:1");
    assert_eq!(registry.asked.iter().filter(|name| digests.contains(name)).count(), 3);
    let (mut registry, _) = held();
    assert_eq!(scan::pull(&mut registry, &reference, "arm64").unwrap().layers.len(), 1);
}

#[test]
fn what_a_registry_gives_is_believed_by_its_digest_alone() {
    let reference: scan::Reference = "registry.example/team/app:1".parse().unwrap();
    let whole = held().0;
    let names: Vec<String> = whole.things.keys().filter(|name| name.starts_with("sha256:")).cloned().collect();
    let mut refused = 0;
    for name in names {
        let (mut registry, _) = held();
        // Behind the end of an archive nothing is read for packages, and it counts all the same.
        registry.things.get_mut(&name).unwrap().extend_from_slice(&[0; 512]);
        if let Err(error) = scan::pull(&mut registry, &reference, "amd64") {
            assert!(error.to_string().contains(&name), "{error}");
            refused += 1;
        }
    }
    // Three layers, a configuration and a manifest; that of the other architecture is not asked for.
    assert_eq!(refused, 5);
    let manifest = |text: &str| {
        let mut registry = Held::default();
        registry.things.insert("1".to_owned(), text.as_bytes().to_vec());
        scan::pull(&mut registry, &reference, "amd64").unwrap_err().to_string()
    };
    assert!(manifest("{}").contains("schema 1"));
    assert!(manifest(r#"{"manifests": []}"#).contains("no image"));
    assert!(manifest(r#"{"manifests": [{"digest": "sha256:../../etc"}]}"#).contains("another digest"));
    assert!(manifest(r#"{"layers": [], "config": {"digest": "md5:00"}}"#).contains("another digest"));
    assert!(scan::pull(&mut Held::default(), &reference, "amd64").is_err());
}
