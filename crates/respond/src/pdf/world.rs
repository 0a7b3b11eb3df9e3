//! The world that typst sees: one template, one style, one file of data, the fonts inside the program. Nothing else can
//! be read, whatever a template asks for.

use std::sync::LazyLock;

use serde_json::Value;
use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration, Smart};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt as _, World};
use typst_kit::fonts::FontStore;
use typst_pdf::PdfOptions;

use super::PdfError;

const STYLE: &str = include_str!("style.typ");
/// Compilations whose intermediate results are kept for the next ones.
const KEEP_GENERATIONS: usize = 2;

static LIBRARY: LazyLock<LazyHash<Library>> = LazyLock::new(|| LazyHash::new(Library::default()));
static FONTS: LazyLock<FontStore> = LazyLock::new(|| {
    let mut fonts = FontStore::new();
    fonts.extend(typst_kit::fonts::embedded());
    fonts
});

struct Room {
    main: Source,
    style: Source,
    data: (FileId, Bytes),
}

fn file(name: &str) -> Result<FileId, PdfError> {
    let path = VirtualPath::new(name).map_err(|error| PdfError(format!("{name}: {error:?}")))?;
    Ok(RootedPath::new(VirtualRoot::Project, path).intern())
}

impl World for Room {
    fn library(&self) -> &LazyHash<Library> {
        &LIBRARY
    }

    fn book(&self) -> &LazyHash<FontBook> {
        FONTS.book()
    }

    fn main(&self) -> FileId {
        self.main.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        [&self.main, &self.style].into_iter().find(|s| s.id() == id).cloned().ok_or(FileError::AccessDenied)
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        if id == self.data.0 { Ok(self.data.1.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn font(&self, index: usize) -> Option<Font> {
        FONTS.font(index)
    }

    /// Templates take the time from their data.
    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

/// Makes a PDF of a template and its data.
pub(super) fn render(template: &str, data: &Value) -> Result<Vec<u8>, PdfError> {
    let room = Room {
        main: Source::new(file("main.typ")?, template.to_owned()),
        style: Source::new(file("style.typ")?, STYLE.to_owned()),
        data: (file("data.json")?, Bytes::new(data.to_string().into_bytes())),
    };
    let told = |errors: typst::ecow::EcoVec<typst::diag::SourceDiagnostic>| {
        let all: Vec<String> = errors.iter().map(|error| error.message.to_string()).collect();
        PdfError(all.join("; "))
    };
    let document = typst::compile(&room).output.map_err(told)?;
    let options = PdfOptions { creator: Smart::Custom(Some("Guardian".to_owned())), ..PdfOptions::default() };
    let pdf = typst_pdf::pdf(&document, &options).map_err(told);
    typst::comemo::evict(KEEP_GENERATIONS);
    pdf
}
