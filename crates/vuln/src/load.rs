//! Reading downloaded advisories into a store: files, folders of them, and archives (zip, tar, gzip, zstd, xz, bzip2, Brotli), as
//! they come from their publishers or over an air gap.
//!
//! A document that no source knows, and a record that its source cannot read, is counted and complained of; the rest is
//! read. Nothing is unpacked to the disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::advisory::{Advisory, Signal};
use crate::limits::{DEPTH_MAX, DOCUMENT_BYTES_MAX, DOCUMENTS_MAX, ISSUES_MAX, WRAPPINGS_MAX};
use crate::packed::Form;
use crate::sources::{self, Document, Sink};
use crate::store::{Builder, Error, Given};

/// A complaint.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Issue {
    /// The document.
    pub document: String,
    /// The record in it, where it is one.
    pub record: String,
    /// What is wrong.
    pub what: String,
}

/// Reads documents into a builder.
#[derive(Default)]
pub struct Loader {
    builder: Builder,
    /// What could not be read, as far as there is room.
    pub issues: Vec<Issue>,
    /// Complaints for which there was no room.
    pub issues_more: u64,
    /// Documents that no source knows.
    pub unknown: u64,
    /// Documents that were read.
    pub documents: usize,
    full: Option<Error>,
}

impl Loader {
    /// Reads what lies at the path, whatever it is.
    pub fn path(&mut self, path: &Path) -> Result<(), Error> {
        self.walk(path, 0);
        self.full.take().map_or(Ok(()), Err)
    }

    /// Reads a document or an archive that is not a file.
    pub fn stream(&mut self, name: &str, reader: impl Read) -> Result<(), Error> {
        self.reader(name, Box::new(reader), 0);
        self.full.take().map_or(Ok(()), Err)
    }

    /// What was read.
    pub fn finish(self) -> Builder {
        self.builder
    }

    fn issue(&mut self, document: &str, record: &str, what: impl Into<String>) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(Issue { document: document.to_owned(), record: record.to_owned(), what: what.into() });
        } else {
            self.issues_more += 1;
        }
    }

    fn walk(&mut self, path: &Path, depth: usize) {
        let name = path.display().to_string();
        let kind = match std::fs::symlink_metadata(path) {
            // Only what was named may be a link.
            Ok(metadata) if metadata.is_symlink() && depth > 0 => return,
            Ok(_) => std::fs::metadata(path),
            Err(error) => Err(error),
        };
        match kind {
            Ok(metadata) if metadata.is_dir() => self.folder(path, &name, depth),
            Ok(metadata) if metadata.is_file() => match File::open(path) {
                Ok(file) => self.reader(&name, Box::new(file), 0),
                Err(error) => self.issue(&name, "", error.to_string()),
            },
            Ok(_) => {}
            Err(error) => self.issue(&name, "", error.to_string()),
        }
    }

    fn folder(&mut self, path: &Path, name: &str, depth: usize) {
        if depth == DEPTH_MAX {
            self.issue(name, "", "folders are nested too deep");
            return;
        }
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.issue(name, "", error.to_string()),
        };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            // What begins with a dot belongs to tools.
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if self.full.is_some() {
                return;
            }
            if !hidden {
                self.walk(&path, depth + 1);
            }
        }
    }

    /// Reads a file or what is compressed in one. `wrapped` is how many wrappings were taken off.
    fn reader(&mut self, name: &str, mut reader: Box<dyn Read + '_>, wrapped: usize) {
        let mut head = Vec::new();
        if let Err(error) = reader.by_ref().take(512).read_to_end(&mut head) {
            return self.issue(name, "", error.to_string());
        }
        let whole = io::Cursor::new(head.clone()).chain(reader);
        let packed = Form::of_named(name, &head);
        let (is_zip, is_tar) = (head.starts_with(b"PK\x03\x04"), head.get(257..262) == Some(b"ustar"));
        match packed {
            _ if wrapped == WRAPPINGS_MAX && (packed.is_some() || is_zip || is_tar) => {
                self.issue(name, "", "it is wrapped too often");
            }
            Some((form, inside)) => match form.open_buffered(whole) {
                Ok(decoder) => self.reader(inside, decoder, wrapped + 1),
                Err(error) => self.issue(name, "", error.to_string()),
            },
            None if is_zip => self.zip(name, whole, wrapped + 1),
            None if is_tar => self.tar(name, whole, wrapped + 1),
            None => self.bytes(name, whole),
        }
    }

    fn tar(&mut self, name: &str, reader: impl Read, wrapped: usize) {
        let mut archive = tar::Archive::new(reader);
        let entries = match archive.entries() {
            Ok(entries) => entries,
            Err(error) => return self.issue(name, "", error.to_string()),
        };
        for entry in entries {
            if self.full.is_some() {
                return;
            }
            match entry {
                Ok(entry) if entry.header().entry_type().is_file() => {
                    let inside = entry.path().map_or_else(|_| String::new(), |path| path.display().to_string());
                    self.reader(&format!("{name}!{inside}"), Box::new(entry), wrapped);
                }
                Ok(_) => {}
                Err(error) => return self.issue(name, "", error.to_string()),
            }
        }
    }

    fn zip(&mut self, name: &str, reader: impl Read, wrapped: usize) {
        // The list of a zip archive is at its end, so that it is held whole.
        let mut bytes = Vec::new();
        if let Err(error) = reader.take(4 * DOCUMENT_BYTES_MAX).read_to_end(&mut bytes) {
            return self.issue(name, "", error.to_string());
        }
        let mut archive = match zip::ZipArchive::new(io::Cursor::new(bytes)) {
            Ok(archive) => archive,
            Err(error) => return self.issue(name, "", error.to_string()),
        };
        for i in 0..archive.len() {
            if self.full.is_some() {
                return;
            }
            match archive.by_index(i) {
                Ok(entry) if entry.is_file() => {
                    let inside = format!("{name}!{}", String::from_utf8_lossy(entry.name_raw()));
                    self.reader(&inside, Box::new(entry), wrapped);
                }
                Ok(_) => {}
                Err(error) => self.issue(name, "", error.to_string()),
            }
        }
    }

    fn bytes(&mut self, name: &str, reader: impl Read) {
        let mut bytes = Vec::new();
        match reader.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > DOCUMENT_BYTES_MAX => self.issue(name, "", "it is too large"),
            Ok(_) => self.document(&Document { name, bytes: &bytes }),
            Err(error) => self.issue(name, "", error.to_string()),
        }
    }

    /// Reads one document.
    pub fn document(&mut self, document: &Document<'_>) {
        if self.documents == DOCUMENTS_MAX {
            self.full.get_or_insert(Error::Full("documents"));
            return;
        }
        let Some(number) = sources::ALL.iter().position(|source| source.recognises(document)) else {
            self.unknown += 1;
            return;
        };
        self.documents += 1;
        let source = sources::ALL[number];
        let given = Given { source: source.name().to_owned(), documents: 1, ..Given::default() };
        let mut into = Reading { loader: self, source: number as u8, given, document: document.name };
        if let Err(what) = source.read(document, &mut into) {
            into.malformed("", &what);
        }
        let given = into.given;
        self.builder.given(given);
    }
}

/// Where a source's records go.
struct Reading<'a> {
    loader: &'a mut Loader,
    source: u8,
    given: Given,
    document: &'a str,
}

impl Sink for Reading<'_> {
    fn advisory(&mut self, advisory: Advisory) {
        self.given.advisories += 1;
        if let Err(error) = self.loader.builder.advisory(self.source, &advisory) {
            self.loader.full.get_or_insert(error);
        }
    }

    fn signal(&mut self, cve: &str, signal: Signal) {
        self.given.signals += 1;
        self.loader.builder.signal(cve, &signal);
    }

    fn malformed(&mut self, record: &str, why: &str) {
        self.given.malformed += 1;
        let document = self.document;
        self.loader.issue(document, record, why.chars().take(200).collect::<String>());
    }

    fn empty(&mut self) {
        self.given.empty += 1;
    }
}
