//! Images of containers: a folder in the layout of OCI, or an archive as `docker save`, `podman save`, `skopeo` and
//! `buildah` write them, plain or compressed. Everything is read once as it comes, in any order, and nothing is unpacked.
//!
//! Of every layer what package managers keep is held; then the layers are put upon each other in the image's order, and the
//! result is judged as a machine's root is.

mod archive;
mod layer;
mod layout;
mod manifest;
mod registry;
mod tar;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

pub(super) use archive::read as archive;
use layer::{Content, Contents};
pub(super) use layout::{is as is_layout, read as layout};
use manifest::Image;
pub use registry::{Reference, Registry, pull};

use super::languages::{self, Named};
use super::{Files, Layer, Scanned, distribution, os};
use crate::packed::{Form, MARK_BYTES};

/// What lies upon each other so far: by path, the layer that brought it and its content.
#[derive(Default)]
struct Stack {
    files: BTreeMap<String, (u32, Content)>,
}

impl Stack {
    fn add(&mut self, number: u32, contents: &Contents) {
        for folder in &contents.opaque {
            self.files.retain(|path, _| !is_below(path, folder));
        }
        for gone in &contents.gone {
            self.files.retain(|path, _| path != gone && !is_below(path, gone));
        }
        // What the layer has at a path takes the place of what was there, whatever it is.
        self.files.retain(|path, _| !contents.touches(path) && !replaced(path, contents));
        self.files.extend(contents.files.iter().map(|(path, content)| (path.clone(), (number, content.clone()))));
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether something that is no folder takes the place of one that the path leads through.
fn replaced(path: &str, contents: &Contents) -> bool {
    path.match_indices('/').any(|(at, _)| contents.touches(&path[..at]))
}

impl Files for Stack {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        match &self.files.get(path.trim_start_matches('/'))?.1 {
            Content::Bytes(bytes) => Some(bytes.to_vec()),
            Content::Named(_) => None,
        }
    }

    fn names(&self, path: &str) -> Vec<String> {
        let folder = format!("{}/", path.trim_matches('/'));
        let inside = self.files.range(folder.clone()..).take_while(|(path, _)| path.starts_with(&folder));
        let mut names: Vec<String> =
            inside.filter_map(|(path, _)| path[folder.len()..].split('/').next()).map(ToOwned::to_owned).collect();
        names.dedup();
        names
    }
}

/// A package as far as it is told apart from one layer to the next.
type Key = (String, String, String);

/// Puts the layers upon each other and looks for packages. `layers` are those of the image, the lowest first.
fn judge(image: &Image, layers: &[&Contents]) -> Scanned {
    let mut stack = Stack::default();
    let mut brought: BTreeMap<Key, u32> = BTreeMap::new();
    let mut scanned = Scanned::default();
    let mut owners = super::Owners::default();
    for (number, contents) in layers.iter().enumerate() {
        stack.add(number as u32, contents);
        // A layer that has nothing of a database, and takes nothing away, changes no package.
        let changes = contents.files.values().any(|content| matches!(content, Content::Bytes(_)))
            || !contents.gone.is_empty()
            || !contents.opaque.is_empty();
        if changes || number + 1 == layers.len() {
            scanned = Scanned { os: os(&stack), ..Scanned::default() };
            owners = distribution::read(&stack, &mut scanned);
            let mut now = BTreeMap::new();
            for placed in &mut scanned.packages {
                let component = &placed.component;
                let key = (component.name.clone(), component.version.clone(), placed.arch.clone());
                let layer = brought.get(&key).copied().unwrap_or(number as u32);
                placed.layer = Some(layer);
                now.insert(key, layer);
            }
            brought = now;
        }
    }
    scanned.files = layers.iter().map(|contents| contents.count).sum();
    let complaints: Vec<String> = layers.iter().flat_map(|contents| &contents.issues).cloned().collect();
    complaints.into_iter().for_each(|what| scanned.issue(what));
    let layer_of: BTreeMap<String, u32> =
        stack.files.iter().map(|(path, (layer, _))| (format!("/{path}"), *layer)).collect();
    let named: Vec<Named> = stack
        .files
        .iter()
        .filter_map(|(path, (_, content))| match content {
            // Another name of a file has its content under its own path.
            Content::Named(named) => Some(Named { place: format!("/{path}"), ..Named::clone(named) }),
            Content::Bytes(_) => None,
        })
        .collect();
    languages::take(named, &owners, &mut scanned, |place| layer_of.get(place).copied());
    scanned.subject.clone_from(&image.name);
    scanned.image.clone_from(&image.facts);
    scanned.layers = image.layers.iter().map(|(_, layer)| layer.clone()).collect::<Vec<Layer>>();
    scanned.sorted()
}

/// A reader of what may be compressed, by its first bytes.
fn decompressed<'a>(mut reader: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut head = Vec::new();
    reader.by_ref().take(MARK_BYTES as u64).read_to_end(&mut head)?;
    let form = Form::of(&head);
    let whole = io::BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(head).chain(reader));
    Ok(match form {
        Some(form) => Box::new(io::BufReader::with_capacity(BUFFER_BYTES, form.open(whole)?)),
        None => Box::new(whole),
    })
}

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
