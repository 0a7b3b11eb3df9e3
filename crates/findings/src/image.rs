//! What of an image counts: the packages of its bill of materials, as the advisories name them. The bill is kept packed, in
//! the form in which `guardian sbom` writes one, which reads back as the same.

use guardian_catalog::{FindingsOf, Image};
use guardian_kit::capped::read_capped;
use guardian_vuln::report::About;
use guardian_vuln::sbom::{self, Form};
use guardian_vuln::scan::{Os, Scanned};

use crate::host::{COMPONENTS_MAX, Facts};

/// Packages of one image.
const PACKAGES_MAX: usize = 100_000;
/// Bytes of one bill, unpacked.
const BILL_BYTES_MAX: u64 = 128 << 20;
/// The level of compression: a bill is kept once and read seldom.
const LEVEL: i32 = 6;

/// Why a bill of materials is not kept.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    /// There is nothing in it.
    #[error("the bill of materials names no package that has a version and a package URL: nothing could be judged")]
    Empty,
    /// There is too much in it.
    #[error("the bill of materials names {0} packages: at most {PACKAGES_MAX} are kept of one image")]
    TooMany(usize),
    /// It cannot be packed, or what was packed is damaged.
    #[error("the bill of materials cannot be packed: {0}")]
    Damaged(#[from] std::io::Error),
}

/// Packs what is in an image. What is said of vulnerabilities in a bill is left out: exceptions are asked for here.
pub fn pack_bill(scanned: &Scanned, time_s: i64) -> Result<Vec<u8>, BillError> {
    match scanned.packages.len() {
        0 => return Err(BillError::Empty),
        many if many > PACKAGES_MAX => return Err(BillError::TooMany(many)),
        _ => {}
    }
    let about = About { version: env!("CARGO_PKG_VERSION"), author: "guardian", time_s };
    let text = sbom::write(Form::CycloneDxJson, scanned, &about);
    Ok(zstd::bulk::compress(text.as_bytes(), LEVEL)?)
}

/// What is in an image, as it was packed.
pub fn open_bill(packed: &[u8]) -> Result<Scanned, BillError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    let text = read_capped(&mut decoder, BILL_BYTES_MAX)?;
    let damaged = |what: String| BillError::Damaged(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
    let read = sbom::read("", &text).ok_or_else(|| damaged("it is no bill of materials".to_owned()))?;
    read.map_err(damaged)
}

/// What is judged of an image.
pub(crate) fn facts(image: &Image, scanned: Scanned) -> Facts {
    let ecosystem = scanned.os.as_ref().and_then(Os::ecosystem);
    // A file that belongs to a distribution's package is judged as that.
    let judged = scanned.packages.into_iter().filter(|placed| placed.owner.is_none());
    let mut components: Vec<_> = judged.map(|placed| placed.component).collect();
    components.sort();
    components.dedup();
    components.truncate(COMPONENTS_MAX);
    Facts {
        of: FindingsOf::Image,
        ecosystem,
        components,
        exposure: image.exposure.parse().unwrap_or_default(),
        reasons: Vec::new(),
        kernel: String::new(),
        criticality: image.criticality.clone(),
    }
}

/// A hash over each layer and those below it, by their digests, the lowest first: two images have the same where one was
/// built upon the other. A layer without a digest ends it.
pub fn chains<'a>(digests: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut above = blake3::Hasher::new();
    let named = digests.take_while(|digest| !digest.is_empty());
    named
        .map(|digest| {
            above.update(&(digest.len() as u64).to_le_bytes()).update(digest.as_bytes());
            above.finalize().to_hex().to_string()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use guardian_vuln::ecosystem::Ecosystem;
    use guardian_vuln::matching::Component;
    use guardian_vuln::scan::{ImageFacts, Layer, Placed};

    use super::*;

    fn placed(name: &str, layer: u32, owner: Option<&str>) -> Placed {
        Placed {
            component: Component::new(Ecosystem::new("npm", "").unwrap(), name, "1.0.0"),
            place: format!("/srv/{name}"),
            owner: owner.map(ToOwned::to_owned),
            arch: String::new(),
            licences: Vec::new(),
            layer: Some(layer),
        }
    }

    #[test]
    fn a_bill_is_kept_as_it_is() {
        let layers = ["sha256:aa", "sha256:bb"].map(|digest| Layer { digest: digest.into(), made_by: "RUN x".into() });
        let before = Scanned {
            packages: vec![placed("one", 0, None), placed("two", 1, Some("node-two"))],
            layers: layers.to_vec(),
            image: ImageFacts { digest: "sha256:cc".into(), made_s: Some(1_900_000_000), ..ImageFacts::default() },
            subject: "app:1".into(),
            ..Scanned::default()
        };
        let packed = pack_bill(&before, 1_900_000_000).unwrap();
        let after = open_bill(&packed).unwrap();
        assert_eq!((&after.packages, &after.layers, &after.image), (&before.packages, &before.layers, &before.image));
        assert!(open_bill(&packed[..packed.len() / 2]).is_err() && open_bill(b"{}").is_err());
        assert!(matches!(pack_bill(&Scanned::default(), 0), Err(BillError::Empty)));
    }

    #[test]
    fn what_is_built_upon_another_begins_with_the_same_chain() {
        let of = |digests: &[&'static str]| chains(digests.iter().copied());
        let (base, whole) = (of(&["a", "b"]), of(&["a", "b", "c"]));
        assert_eq!((base.len(), &whole[..2]), (2, base.as_slice()));
        assert_ne!(of(&["ab"]), of(&["a", "b"])[1..]);
        assert_eq!(of(&["a", "", "c"]).len(), 1);
    }
}
