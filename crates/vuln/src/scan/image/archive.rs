//! An image in an archive of tar. Docker's and OCI's forms are both read: what a file in it is, is seen from its content,
//! because the list of layers may stand behind them.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::layer::{self, Budget, Contents};
use super::manifest::{self, Documents};
use super::tar::{Archive, Kind, clean};
use super::{Scanned, decompressed, judge, malformed};
use crate::limits::{IMAGE_DOCUMENTS_MAX, LOCK_BYTES_MAX};
use crate::packed::Form;

/// Reads an archive, which may be compressed as a whole.
pub(in super::super) fn read(reader: impl Read, architecture: &str) -> io::Result<Scanned> {
    let mut archive = Archive::new(decompressed(reader)?);
    let mut documents = Documents::new();
    let mut layers: BTreeMap<String, Contents> = BTreeMap::new();
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    let mut budget = Budget::default();
    while let Some(entry) = archive.next()? {
        if documents.len() + layers.len() + links.len() >= IMAGE_DOCUMENTS_MAX {
            return Err(malformed("it has too many files"));
        }
        match entry.kind {
            Kind::File if !entry.path.is_empty() => {}
            // Docker wrote a layer that another image has too as a link to it.
            Kind::Symbolic(target) => {
                let folder = entry.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                links.insert(entry.path.clone(), clean(&format!("{folder}/{target}")));
                continue;
            }
            Kind::Link(target) => {
                links.insert(entry.path, target);
                continue;
            }
            _ => continue,
        }
        let mut head = Vec::new();
        archive.by_ref().take(512).read_to_end(&mut head)?;
        let rest = entry.bytes - head.len() as u64;
        if is_layer(&head) {
            let whole = io::Cursor::new(head).chain(archive.by_ref().take(rest));
            let contents = layer::read(decompressed(whole)?, &mut budget);
            layers.insert(entry.path.clone(), contents.map_err(|e| malformed(format!("{}: {e}", entry.path)))?);
        } else if head.first() == Some(&b'{') || head.first() == Some(&b'[') {
            if entry.bytes > LOCK_BYTES_MAX {
                return Err(malformed(format!("{}: it is too large", entry.path)));
            }
            archive.by_ref().take(rest).read_to_end(&mut head)?;
            documents.insert(entry.path, head);
        }
    }
    let image = manifest::image(&documents, architecture)?;
    let mut found = Vec::new();
    for (file, _) in &image.layers {
        let real = links.get(file).unwrap_or(file);
        found.push(layers.get(real).ok_or_else(|| malformed(format!("the layer {file} is missing")))?);
    }
    Ok(judge(&image, &found))
}

fn is_layer(head: &[u8]) -> bool {
    Form::of(head).is_some()
        || head.get(257..262) == Some(b"ustar")
        || head.len() == 512 && head.iter().all(|byte| *byte == 0)
}
