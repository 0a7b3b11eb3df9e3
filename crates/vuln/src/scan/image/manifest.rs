//! What an image says of itself: OCI's index, manifest and configuration (OCI image specification), and docker's list of
//! manifests in an archive.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use super::super::{ImageFacts, Layer};
use super::malformed;
use crate::advisory::clip;
use crate::limits::{DEPTH_MAX, IMAGE_LAYERS_MAX};
use crate::vex::{list, text};

/// An image: its name, and its layers by the name of the file that holds each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) facts: ImageFacts,
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
    let Chosen { manifest, name, digest } = chosen(documents, &index, architecture, 0)?;
    let config = manifest.pointer("/config/digest").and_then(Value::as_str).and_then(blob);
    let config = config.map(|name| json(documents, &name)).transpose()?.unwrap_or_default();
    let files = list(&manifest, "layers").map(|layer| blob(text(layer, "digest")).ok_or("a layer without a digest"));
    let files = files.collect::<Result<Vec<String>, _>>().map_err(malformed)?;
    layers(name, digest, files, &config)
}

/// A manifest with its digest, and what the index calls it.
struct Chosen {
    manifest: Value,
    name: String,
    digest: String,
}

/// The manifest of the index that is meant: of the architecture asked for, else the first that is an image.
fn chosen(documents: &Documents, index: &Value, architecture: &str, depth: usize) -> io::Result<Chosen> {
    let entry = pick(index, architecture).ok_or(malformed("its index names no image"))?;
    let name = ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
        .iter()
        .find_map(|key| entry.get("annotations")?.get(*key)?.as_str());
    let digest = text(entry, "digest");
    let file = blob(digest).ok_or(malformed("a manifest without a digest"))?;
    let manifest = json(documents, &file)?;
    let name = clip(name.unwrap_or_default());
    if manifest.get("manifests").is_some() {
        if depth == DEPTH_MAX {
            return Err(malformed("its indices are nested too deep"));
        }
        let inner = chosen(documents, &manifest, architecture, depth + 1)?;
        return Ok(if inner.name.is_empty() { Chosen { name, ..inner } } else { inner });
    }
    Ok(Chosen { manifest, name, digest: clip(digest) })
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
    // Newer archives have an index beside it, which names the manifest; where there are several images nobody knows which.
    let only = all.as_array().is_some_and(|all| all.len() == 1);
    let index = json(documents, "index.json").ok().filter(|_| only);
    let digest = index.and_then(|index| Some(chosen(documents, &index, text(&config, "architecture"), 0).ok()?.digest));
    layers(clip(name), digest.unwrap_or_default(), files, &config)
}

/// Layers with the steps that made them: the history has one more for every step that made no layer.
fn layers(name: String, digest: String, files: Vec<String>, config: &Value) -> io::Result<Image> {
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
    let layers: Vec<_> = layers.collect();
    let base_layers = base_layers(config).min(layers.len() as u32);
    let facts = ImageFacts { digest, architecture: clip(text(config, "architecture")), base_layers, made_s: None };
    Ok(Image { name, facts, layers })
}

/// How many layers stand below the last command that the image took over from another: its own command comes at the end,
/// and every one before that was the end of what it was built upon.
fn base_layers(config: &Value) -> u32 {
    let steps: Vec<&Value> = list(config, "history").collect();
    let empty = |step: &&Value| step.get("empty_layer").and_then(Value::as_bool) == Some(true);
    let own = steps.iter().rposition(|step| !empty(step)).unwrap_or(0);
    let ends = |step: &&Value| empty(step) && is_command(text(step, "created_by"));
    let Some(end) = steps.iter().take(own).rposition(ends) else { return 0 };
    steps.iter().take(end).filter(|step| !empty(step)).count() as u32
}

/// Whether a step sets what is started, in the words of Docker's builder or of BuildKit.
fn is_command(step: &str) -> bool {
    let step = step.strip_prefix("/bin/sh -c #(nop)").unwrap_or(step).trim_start();
    step.starts_with("CMD ") || step.starts_with("CMD[")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_there_before_ends_with_its_command() {
        let step = |made: &str, empty| json!({ "created_by": made, "empty_layer": empty });
        let base = [step("ADD rootfs.tar /", false), step("/bin/sh -c #(nop)  CMD [\"sh\"]", true)];
        let own = [step("RUN install", false), step("COPY . .", false), step("CMD [\"app\"]", true)];
        let of = |steps: Vec<Value>| base_layers(&json!({ "history": steps }));
        assert_eq!(of([base.to_vec(), own.to_vec()].concat()), 1);
        assert_eq!(of(own.to_vec()), 0, "its own command ends no base");
        assert_eq!(of(base.to_vec()), 0);
        assert_eq!(of(Vec::new()), 0);
    }
}
