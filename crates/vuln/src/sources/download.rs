//! Where publishers give their files. This says where; nothing is fetched here, because this crate never reaches out to the
//! network.

use std::io::Read;

use guardian_inventory::xml;

use super::{Document, Source};
use crate::limits::{DOWNLOAD_BYTES_MAX, FILE_HEAD_BYTES, HEAD_BYTES};
use crate::packed::Form;

/// A file of a publisher.
#[derive(Clone, Copy, Debug)]
pub struct Download {
    /// Its name where downloads are kept, and below a mirror: `<source>/<file>`. Of an interface by pages the name is that
    /// of the folder's files in front of their numbers.
    pub file: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// Bytes that it has at most.
    pub bytes_max: u64,
    /// Whether it may be missing: a release that is not out yet, or no longer kept.
    pub may_be_absent: bool,
}

/// How one comes to a file.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    /// It lies at the address.
    At(&'static str),
    /// A short text at the address names the file that lies beside it.
    Named(&'static str),
    /// A list of mirrors of a repository for dnf; its `repomd.xml` names the list of updates.
    Mirrors(&'static str),
    /// A repository for dnf; its `repomd.xml` names the list of updates.
    Repository(&'static str),
    /// Pages of records, as NVD 2.0 gives them (`startIndex`, `lastModStartDate`).
    Pages(&'static str),
}

impl Origin {
    /// The address of the publisher.
    pub const fn address(&self) -> &'static str {
        match self {
            Self::At(url) | Self::Named(url) | Self::Mirrors(url) | Self::Repository(url) | Self::Pages(url) => url,
        }
    }
}

impl Download {
    /// A file at an address.
    pub(super) const fn at(file: &'static str, url: &'static str) -> Self {
        Self::of(file, Origin::At(url))
    }

    pub(super) const fn of(file: &'static str, origin: Origin) -> Self {
        Self { file, origin, bytes_max: DOWNLOAD_BYTES_MAX, may_be_absent: false }
    }

    /// One that is not always there.
    pub(super) const fn perhaps(file: &'static str, url: &'static str) -> Self {
        Self { may_be_absent: true, ..Self::at(file, url) }
    }

    /// One that is short.
    pub(super) const fn at_most(self, bytes_max: u64) -> Self {
        Self { bytes_max, ..self }
    }
}

/// Whether a file that begins like this can be the source's: its archive, or a document that it recognises. What a portal or
/// an error page gives in place of the file is not.
pub fn fits(source: &dyn Source, file: &str, head: &[u8]) -> bool {
    let mut bytes = head.get(..FILE_HEAD_BYTES).unwrap_or(head).to_vec();
    let mut name = file;
    // A compressed file, or a compressed archive.
    for _ in 0..2 {
        if bytes.starts_with(b"PK\x03\x04") || is_tar(&bytes) {
            return true;
        }
        let Some((form, inside)) = Form::of_named(name, &bytes) else { break };
        let mut beginning = Vec::new();
        // What is behind the beginning is not there, so that the end is always an error.
        if let Ok(reader) = form.open(bytes.as_slice()) {
            reader.take(HEAD_BYTES as u64).read_to_end(&mut beginning).ok();
        }
        (bytes, name) = (beginning, inside);
    }
    is_tar(&bytes) || source.recognises(&Document { name, bytes: &bytes })
}

fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// The first address of a list of mirrors.
pub fn mirror_in(list: &str) -> Option<&str> {
    list.lines().map(str::trim).find(|line| line.starts_with("https://") || line.starts_with("http://"))
}

/// Where a `repomd.xml` says that the list of updates lies, below the repository.
pub fn updates_in(repomd: &[u8]) -> Option<String> {
    let document = xml::parse(repomd).ok()?;
    let data = document.all("data").find(|data| data.attribute("type") == "updateinfo")?;
    let place = data.child("location")?.attribute("href");
    plain(place).then(|| place.to_owned())
}

/// The file that a short text names; it must lie beside the text.
pub fn name_in(text: &str) -> Option<&str> {
    let name = text.lines().next()?.trim();
    (plain(name) && !name.contains('/')).then_some(name)
}

/// A path that leads downwards only and needs no quoting.
fn plain(path: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '+' | '~');
    !path.is_empty() && path.len() < 512 && path.chars().all(fine) && !path.starts_with('/') && !path.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources;

    fn source(name: &str) -> &'static dyn Source {
        sources::named(name).unwrap()
    }

    #[test]
    fn only_what_can_be_the_sources_own_fits() {
        use std::io::Write as _;
        let page = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>";
        let table = b"#model_version:v2025\ncve,epss,percentile\nCVE-2030-0001,0.1,0.2\n";
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        assert!(fits(source("epss"), "current.csv.gz", &gzip(table)));
        assert!(fits(source("epss"), "current.csv", table));
        assert!(!fits(source("epss"), "current.csv.gz", &gzip(page)));
        assert!(!fits(source("epss"), "current.csv.gz", page));
        assert!(!fits(source("kev"), "kev.json", table));
        assert!(!fits(source("osv"), "PyPI.zip", page));
        assert!(fits(source("osv"), "PyPI.zip", b"PK\x03\x04rest"));
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_data(&mut tar::Header::new_gnu(), "a", [].as_slice()).unwrap();
        let tar = tar.into_inner().unwrap();
        assert!(fits(source("csaf"), "x.tar.gz", &gzip(&tar)));
        for (form, packed) in crate::packed::tests::packed(&tar) {
            assert!(fits(source("openvex"), "x.tar", &packed), "{form:?}");
        }
        // A block of bzip2 is read whole or not at all.
        let mut text = String::from("<oval_definitions>");
        let mut x = 1_u64;
        while text.len() < 2 << 20 {
            x = x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            text.push_str(&x.to_string());
        }
        for (form, packed) in crate::packed::tests::packed(text.as_bytes()) {
            let head = &packed[..packed.len().min(FILE_HEAD_BYTES)];
            assert!(fits(source("oval"), "x.xml", head), "{form:?}");
            assert!(!fits(source("nixpkgs"), "x.json.br", head), "{form:?}");
        }
        assert!(!fits(source("nixpkgs"), "x.json.br", page));
    }

    #[test]
    fn what_names_another_file_cannot_lead_elsewhere() {
        assert_eq!(name_in("csaf_vex_2030-01-01.tar.zst\n"), Some("csaf_vex_2030-01-01.tar.zst"));
        for text in ["", "../x", "a/b", "https://elsewhere/x", "a b", "<html>"] {
            assert_eq!(name_in(text), None, "{text}");
        }
        let list = |place: &str| {
            format!(
                r#"<repomd><data type="primary"><location href="repodata/p.xml.gz"/></data>
                <data type="updateinfo"><location href="{place}"/></data></repomd>"#
            )
        };
        assert_eq!(updates_in(list("repodata/u.xml.gz").as_bytes()).as_deref(), Some("repodata/u.xml.gz"));
        assert_eq!(updates_in(list("../../u.xml.gz").as_bytes()), None);
        assert_eq!(updates_in(b"rubbish"), None);
        assert_eq!(mirror_in("# comment\nhttps://a.example/x/\nhttps://b.example/"), Some("https://a.example/x/"));
    }

    #[test]
    fn every_download_has_a_place_of_its_own() {
        let mut places = std::collections::BTreeSet::new();
        for source in sources::ALL {
            for download in source.downloads() {
                assert!(plain(download.file) && !download.file.contains('/') && !download.file.starts_with('.'));
                assert!(download.origin.address().starts_with("https://"), "{}", download.origin.address());
                assert!(places.insert((source.name(), download.file)), "{}/{}", source.name(), download.file);
                assert!(download.bytes_max <= DOWNLOAD_BYTES_MAX);
            }
        }
        assert!(places.len() > 30);
    }
}
