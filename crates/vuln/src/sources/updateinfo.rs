//! `updateinfo.xml` of a repository for dnf and yum, as Amazon and Fedora publish it: updates with the packages that they
//! bring.

use guardian_inventory::xml::{self, Element};

use super::download::{Download, Origin};
use super::{Document, Sink, Source, seconds};
use crate::advisory::{Advisory, Of, Statement, Status, clip, line};
use crate::ecosystem::Ecosystem;
use crate::limits::{AFFECTED_MAX, LIST_MAX};

/// The updates of a release of Fedora, which may be one to come.
macro_rules! fedora {
    ($release:literal) => {
        Download {
            may_be_absent: true,
            ..Download::of(
                concat!("fedora-", $release, ".xml.zst"),
                Origin::Repository(concat!(
                    "https://dl.fedoraproject.org/pub/fedora/linux/updates/",
                    $release,
                    "/Everything/x86_64"
                )),
            )
        }
    };
}

/// Where its publishers give it.
const DOWNLOADS: &[Download] = &[
    Download::of("amazon-2.xml.gz", Origin::Mirrors("https://cdn.amazonlinux.com/2/core/latest/x86_64/mirror.list")),
    Download::of(
        "amazon-2023.xml.gz",
        Origin::Mirrors("https://cdn.amazonlinux.com/al2023/core/mirrors/latest/x86_64/mirror.list"),
    ),
    fedora!("42"),
    fedora!("43"),
    fedora!("44"),
    fedora!("45"),
    fedora!("46"),
];

/// The source.
pub(super) struct UpdateInfo;

impl Source for UpdateInfo {
    fn name(&self) -> &'static str {
        "updateinfo"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.has("<updates") && document.has("<update ")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let error = |error: guardian_inventory::Malformed| error.to_string();
        let mut reader = xml::Document::new(document.bytes).map_err(error)?;
        while let Some(element) = reader.next_open().map_err(error)? {
            if element.name == "update" {
                let update = reader.fill(element).map_err(error)?;
                // Others mend what is no vulnerability.
                if update.attribute("type") == "security" {
                    read_update(&update, sink);
                } else {
                    sink.empty();
                }
            }
        }
        Ok(())
    }
}

fn read_update(update: &Element, sink: &mut dyn Sink) {
    let id = update.text_at(&["id"]);
    if id.is_empty() {
        return sink.malformed("an update", "it has no name");
    }
    let mut advisory = Advisory::new(id);
    advisory.summary = line(update.text_at(&["title"]));
    advisory.rating = super::osv::rating(update.text_at(&["severity"]));
    let time = |name: &str| update.child(name).map_or(0, |at| seconds(at.attribute("date")));
    (advisory.published_s, advisory.modified_s) = (time("issued"), time("updated"));
    for reference in update.child("references").into_iter().flat_map(|list| list.all("reference")).take(LIST_MAX) {
        if reference.attribute("id").starts_with("CVE-") {
            advisory.aliases.push(clip(reference.attribute("id")));
        }
        if !reference.attribute("href").is_empty() {
            advisory.references.push(clip(reference.attribute("href")));
        }
    }
    let collections = update.child("pkglist").into_iter().flat_map(|list| list.all("collection"));
    for package in collections.flat_map(|collection| collection.all("package")).take(AFFECTED_MAX) {
        let (name, release) = (package.attribute("name"), package.attribute("release"));
        let Some(ecosystem) = ecosystem(release) else { continue };
        let epoch = package.attribute("epoch");
        let epoch = if epoch.is_empty() { "0" } else { epoch };
        let version = format!("{epoch}:{}-{release}", package.attribute("version"));
        let statement = Statement::new(ecosystem, name, Of::Binary, Status::Affected).fixed_in(&version);
        // The same package of several architectures is one statement.
        if !name.is_empty() && !advisory.statements.contains(&statement) {
            advisory.statements.push(statement);
        }
    }
    match advisory.statements.is_empty() {
        true => sink.empty(),
        false => sink.advisory(advisory),
    }
}

/// The release of the distribution in that of a package: `1.amzn2.0.3`, `2.fc40`.
fn ecosystem(release: &str) -> Option<Ecosystem> {
    release.split('.').find_map(|part| {
        let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(version) = part.strip_prefix("amzn").filter(|rest| digits(rest)) {
            // The first Amazon Linux called itself by the year.
            return Ecosystem::new("amazon", if version == "1" { "2018" } else { version });
        }
        part.strip_prefix("fc").filter(|rest| digits(rest)).and_then(|version| Ecosystem::new("fedora", version))
    })
}
