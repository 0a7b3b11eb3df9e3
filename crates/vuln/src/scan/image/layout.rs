//! An image in a folder (OCI image layout specification): an index, and beside it everything else by its digest.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::layer::{self, Budget};
use super::manifest::{self, Documents};
use super::{Scanned, decompressed, judge, malformed};
use crate::limits::{IMAGE_DOCUMENTS_MAX, LOCK_BYTES_MAX};

/// Whether the folder is one.
pub(in super::super) fn is(folder: &Path) -> bool {
    folder.join("oci-layout").is_file() && folder.join("index.json").is_file()
}

/// Reads the image in the folder.
pub(in super::super) fn read(folder: &Path, architecture: &str) -> io::Result<Scanned> {
    let root = folder.canonicalize()?;
    // Whatever a name says, it stays in the folder.
    let open = |name: &str| {
        let path = root.join(name).canonicalize()?;
        if path.starts_with(&root) { File::open(path) } else { Err(malformed(format!("{name} leads out of it"))) }
    };
    let mut documents = Documents::new();
    let mut wanted = vec!["index.json".to_owned()];
    while let Some(name) = wanted.pop() {
        if documents.contains_key(&name) {
            continue;
        }
        if documents.len() >= IMAGE_DOCUMENTS_MAX {
            return Err(malformed("it has too many documents"));
        }
        let mut bytes = Vec::new();
        open(&name)?.take(LOCK_BYTES_MAX).read_to_end(&mut bytes)?;
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| malformed(format!("{name}: {error}")))?;
        let manifests = crate::vex::list(&value, "manifests").map(|entry| crate::vex::text(entry, "digest"));
        let config = value.pointer("/config/digest").and_then(serde_json::Value::as_str);
        // What an index names may be left out of the layout, where only one platform was copied.
        let there = manifests.chain(config).filter_map(manifest::blob).filter(|name| root.join(name).is_file());
        wanted.extend(there);
        documents.insert(name, bytes);
    }
    let image = manifest::image(&documents, architecture)?;
    let mut budget = Budget::default();
    let mut layers = Vec::new();
    for (file, _) in &image.layers {
        let contents = open(file).and_then(|file| layer::read(decompressed(file)?, &mut budget));
        layers.push(contents.map_err(|error| malformed(format!("{file}: {error}")))?);
    }
    Ok(judge(&image, &layers.iter().collect::<Vec<_>>()))
}
