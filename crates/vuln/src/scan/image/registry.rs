//! An image in a registry (OCI distribution specification): its manifest by tag or digest, then its configuration and its
//! layers by their digests, each read once as it comes and kept nowhere.
//!
//! Who fetches is the caller's business: this module names what it wants and believes nothing whose digest is another than
//! the one it was asked for by. It must never open a connection itself.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::layer::{self, Budget, Contents};
use super::manifest::{self, Documents};
use super::{Scanned, decompressed, judge, malformed};
use crate::limits::{DEPTH_MAX, IMAGE_BYTES_MAX, LOCK_BYTES_MAX};
use crate::vex::text;

/// Where Docker keeps what is named without a registry.
const DOCKER: &str = "registry-1.docker.io";
/// Characters of a reference.
const REFERENCE_MAX: usize = 512;

/// An image in a registry: `registry.example/team/app:1.2`, or `@sha256:…` in the place of the tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry, with its port where one is named.
    pub host: String,
    /// The repository in it.
    pub repository: String,
    /// A tag or a digest.
    pub version: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if is_digest(&self.version) { '@' } else { ':' };
        write!(f, "{}/{}{sign}{}", self.host, self.repository, self.version)
    }
}

impl FromStr for Reference {
    type Err = &'static str;

    fn from_str(reference: &str) -> Result<Self, Self::Err> {
        if reference.len() > REFERENCE_MAX {
            return Err("the name of an image is too long");
        }
        let (name, digest) = match reference.split_once('@') {
            Some((_, digest)) if !is_digest(digest) => return Err("a digest is sha256: and 64 hexadecimal digits"),
            Some((name, digest)) => (name, Some(digest)),
            None => (reference, None),
        };
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if host == "localhost" || host.contains(['.', ':']) => (host, path),
            _ => (DOCKER, name),
        };
        let host = if matches!(host, "docker.io" | "index.docker.io") { DOCKER } else { host };
        let (repository, tag) = path.split_once(':').unwrap_or((path, "latest"));
        let repository = match host == DOCKER && !repository.contains('/') {
            true => format!("library/{repository}"),
            false => repository.to_owned(),
        };
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b)) {
            return Err("that is no name of a registry");
        }
        if !repository.split('/').all(is_component) {
            return Err(
                "a repository has small letters, digits, and single dots, hyphens and underscores between them",
            );
        }
        let tagged = tag.len() <= 128
            && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if !tagged {
            return Err("a tag has letters, digits, dots, hyphens and underscores, 128 at most");
        }
        Ok(Self { host: host.to_owned(), repository, version: digest.unwrap_or(tag).to_owned() })
    }
}

/// Whether a part of a repository's name is one (OCI distribution specification, "Pulling manifests").
fn is_component(part: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    part.bytes().all(|byte| inner(byte) || b"._-".contains(&byte))
        && part.bytes().next().is_some_and(inner)
        && part.bytes().last().is_some_and(inner)
        && !part.contains("..")
}

fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Fetches from one repository of a registry.
pub trait Registry {
    /// The manifest or index of a tag or digest.
    fn manifest(&mut self, version: &str) -> io::Result<Box<dyn Read + '_>>;
    /// What has the digest.
    fn blob(&mut self, digest: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// Looks for packages in an image of a registry. Of an image for several architectures that one is taken which is asked
/// for.
pub fn pull(registry: &mut dyn Registry, reference: &Reference, architecture: &str) -> io::Result<Scanned> {
    let mut documents = Documents::new();
    let name = reference.to_string();
    let first = document(registry.manifest(&reference.version)?, &reference.version)?;
    let mut digest = digest_of(&first);
    let index =
        json!({ "manifests": [{ "digest": digest, "annotations": { "org.opencontainers.image.ref.name": name } }] });
    documents.insert("index.json".to_owned(), index.to_string().into_bytes());
    let mut bytes = first;
    let mut depth = 0;
    let manifest = loop {
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| malformed(format!("its manifest: {e}")))?;
        documents.insert(manifest::blob(&digest).ok_or(malformed("a digest that is none"))?, bytes);
        if value.get("manifests").is_none() {
            break value;
        }
        depth += 1;
        if depth > DEPTH_MAX {
            return Err(malformed("its indices are nested too deep"));
        }
        let chosen = manifest::pick(&value, architecture).ok_or(malformed("its index names no image"))?;
        digest = wanted(text(chosen, "digest"))?.to_owned();
        bytes = document(registry.manifest(&digest)?, &digest)?;
    };
    if manifest.get("layers").is_none() {
        return Err(malformed("its manifest is of a form that no registry should give any more (schema 1)"));
    }
    let config = wanted(manifest.pointer("/config/digest").and_then(Value::as_str).unwrap_or_default())?;
    let file = manifest::blob(config).ok_or(malformed("a digest that is none"))?;
    documents.insert(file, document(registry.blob(config)?, config)?);
    let image = manifest::image(&documents, architecture)?;
    let layers = layers(registry, &image)?;
    let found: Vec<&Contents> = image.layers.iter().filter_map(|(file, _)| layers.get(file)).collect();
    Ok(judge(&image, &found))
}

/// Every layer of the image, each fetched once however often the image has it.
fn layers(registry: &mut dyn Registry, image: &manifest::Image) -> io::Result<BTreeMap<String, Contents>> {
    let mut budget = Budget::default();
    let mut layers = BTreeMap::new();
    for (file, _) in &image.layers {
        if layers.contains_key(file) {
            continue;
        }
        let digest = file.strip_prefix("blobs/").unwrap_or_default().replacen('/', ":", 1);
        let digest = wanted(&digest)?;
        let mut read = Hashed { reader: registry.blob(digest)?.take(IMAGE_BYTES_MAX), hash: Sha256::new() };
        let contents = decompressed(&mut read).and_then(|reader| layer::read(reader, &mut budget));
        let contents = contents.map_err(|error| malformed(format!("{digest}: {error}")))?;
        // What stands behind the last file of a layer is part of what has the digest.
        io::copy(&mut read, &mut io::sink())?;
        if read.digest() != digest {
            return Err(malformed(format!("what the registry gave for {digest} has another digest")));
        }
        layers.insert(file.clone(), contents);
    }
    Ok(layers)
}

/// A digest that may be asked for.
fn wanted(digest: &str) -> io::Result<&str> {
    if is_digest(digest) { Ok(digest) } else { Err(malformed("it names something by another digest than SHA-256")) }
}

/// A small document, which has the digest where it was asked for by one.
fn document(reader: impl Read, version: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(LOCK_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LOCK_BYTES_MAX {
        return Err(malformed("a document of it is too large"));
    }
    if is_digest(version) && digest_of(&bytes) != version {
        return Err(malformed(format!("what the registry gave for {version} has another digest")));
    }
    Ok(bytes)
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)))
}

/// A reader that knows the digest of what was read.
struct Hashed<R> {
    reader: R,
    hash: Sha256,
}

impl<R> Hashed<R> {
    fn digest(self) -> String {
        format!("sha256:{}", HEXLOWER.encode(&self.hash.finalize()))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        self.hash.update(&into[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (given, whole) in [
            ("alpine", "registry-1.docker.io/library/alpine:latest"),
            ("docker.io/team/app:1", "registry-1.docker.io/team/app:1"),
            ("registry.example/a/b-c_d:v1.2", "registry.example/a/b-c_d:v1.2"),
            ("localhost/app", "localhost/app:latest"),
            ("127.0.0.1:5000/app:x", "127.0.0.1:5000/app:x"),
            (&format!("registry.example/app@{digest}"), &format!("registry.example/app@{digest}")),
            (&format!("registry.example/app:1@{digest}"), &format!("registry.example/app@{digest}")),
        ] {
            assert_eq!(given.parse::<Reference>().map(|r| r.to_string()), Ok(whole.to_owned()), "{given}");
        }
        for wrong in [
            "",
            "registry.example/",
            "Registry.example/App",
            "a/../b",
            "a//b",
            "r.example/a?b:1",
            "a:",
            "a:-x",
            "a@sha256:0",
            "r.example/a@md5:00",
            "x y",
            "a..b",
        ] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }
}
