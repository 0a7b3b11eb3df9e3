//! What an image says of itself: OCI's index, manifest and configuration (OCI image specification), and docker's list of
//! manifests in an archive.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use super::super::Layer;
use super::malformed;
use crate::advisory::clip;
use crate::limits::{DEPTH_MAX, IMAGE_LAYERS_MAX};
use crate::vex::{list, text};

/// An image: its name, and its layers by the name of the file that holds each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) layers: Vec<(String, Layer)>,
}

/// Small documents by the name of their file.
pub(super) type Documents = BTreeMap<String, Vec<u8>>;

fn json(documents: &Documents, name: &str) -> io::Result<Value> {
    let bytes = documents.get(name).ok_or_else(|| malformed(format!("{name} is missing")))?;
    serde_json::from_slice(bytes).map_err(|error| malformed(format!("{name}: {error}")))
}

/// Where OCI keeps what has a digest.
pub(super) fn blob(digest: &str) -> Option<String> {
    let (algorithm, hex) = digest.split_once(':')?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plain(algorithm) && plain(hex)).then(|| format!("blobs/{algorithm}/{hex}"))
}

/// The image that the documents speak of.
pub(super) fn image(documents: &Documents, architecture: &str) -> io::Result<Image> {
    if documents.contains_key("manifest.json") {
        return docker(documents);
    }
    let index = json(documents, "index.json")?;
    let (manifest, name) = chosen(documents, &index, architecture, 0)?;
    let config = manifest.pointer("/config/digest").and_then(Value::as_str).and_then(blob);
    let config = config.map(|name| json(documents, &name)).transpose()?.unwrap_or_default();
    let files = list(&manifest, "layers").map(|layer| blob(text(layer, "digest")).ok_or("a layer without a digest"));
    let files = files.collect::<Result<Vec<String>, _>>().map_err(malformed)?;
    layers(name, files, &config)
}

/// The manifest of the index that is meant: of the architecture asked for, else the first that is an image.
fn chosen(documents: &Documents, index: &Value, architecture: &str, depth: usize) -> io::Result<(Value, String)> {
    let entry = pick(index, architecture).ok_or(malformed("its index names no image"))?;
    let name = ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
        .iter()
        .find_map(|key| entry.get("annotations")?.get(*key)?.as_str());
    let file = blob(text(entry, "digest")).ok_or(malformed("a manifest without a digest"))?;
    let manifest = json(documents, &file)?;
    let name = clip(name.unwrap_or_default());
    if manifest.get("manifests").is_some() {
        if depth == DEPTH_MAX {
            return Err(malformed("its indices are nested too deep"));
        }
        let (manifest, inner) = chosen(documents, &manifest, architecture, depth + 1)?;
        return Ok((manifest, if inner.is_empty() { name } else { inner }));
    }
    Ok((manifest, name))
}

/// The entry of an index that is meant.
pub(super) fn pick<'a>(index: &'a Value, architecture: &str) -> Option<&'a Value> {
    let platform = |entry: &Value, key: &str| {
        entry.pointer(&format!("/platform/{key}")).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    // Attestations stand beside images, of a platform that is none.
    let mut images = list(index, "manifests").filter(|entry| platform(entry, "os") != "unknown");
    let first = images.next()?;
    if platform(first, "architecture") == architecture {
        return Some(first);
    }
    images.find(|entry| platform(entry, "architecture") == architecture).or(Some(first))
}

/// The first image of docker's list.
fn docker(documents: &Documents) -> io::Result<Image> {
    let all = json(documents, "manifest.json")?;
    let first = all.get(0).ok_or(malformed("manifest.json names no image"))?;
    let config = json(documents, &super::tar::clean(text(first, "Config")))?;
    let name = list(first, "RepoTags").filter_map(Value::as_str).next().unwrap_or_default();
    let files = list(first, "Layers").filter_map(Value::as_str).map(super::tar::clean).collect();
    layers(clip(name), files, &config)
}

/// Layers with the steps that made them: the history has one more for every step that made no layer.
fn layers(name: String, files: Vec<String>, config: &Value) -> io::Result<Image> {
    if files.len() > IMAGE_LAYERS_MAX {
        return Err(malformed("it has too many layers"));
    }
    let made = list(config, "history").filter(|step| step.get("empty_layer").and_then(Value::as_bool) != Some(true));
    let mut made = made.map(|step| clip(text(step, "created_by")));
    let mut digests = config.pointer("/rootfs/diff_ids").and_then(Value::as_array).into_iter().flatten();
    let layers = files.into_iter().map(|file| {
        let digest = digests.next().and_then(Value::as_str).map(clip).unwrap_or_default();
        (file, Layer { digest, made_by: made.next().unwrap_or_default() })
    });
    Ok(Image { name, layers: layers.collect() })
}
