//! CSAF 2.0 (OASIS), advisories and VEX, as Red Hat and SUSE publish them: a tree of products, and for each vulnerability
//! which of them have it, have it fixed, or never had it.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::Deserialize;

use super::download::{Download, Origin};
use super::{Document, Sink, Source, seconds};
use crate::advisory::{Advisory, Of, Statement, Status, clip, line};
use crate::ecosystem::{Ecosystem, of_redhat_cpe_parts, suse_release};
use crate::limits::{AFFECTED_MAX, LIST_MAX, PRODUCT_DEPTH_MAX};
use crate::purl::Purl;

#[derive(Debug, Deserialize)]
struct File {
    document: Head,
    #[serde(default)]
    product_tree: Tree,
    #[serde(default)]
    vulnerabilities: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Head {
    tracking: Tracking,
    #[serde(default)]
    title: String,
    aggregate_severity: Option<Words>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Debug, Deserialize)]
struct Words {
    #[serde(default)]
    text: String,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(default)]
    category: String,
    #[serde(default)]
    url: String,
}

#[derive(Debug, Deserialize)]
struct Tracking {
    id: String,
    #[serde(default)]
    initial_release_date: String,
    #[serde(default)]
    current_release_date: String,
}

#[derive(Debug, Default, Deserialize)]
struct Tree {
    #[serde(default)]
    branches: Vec<Branch>,
    #[serde(default)]
    relationships: Vec<Relationship>,
    #[serde(default)]
    full_product_names: Vec<Product>,
}

#[derive(Debug, Deserialize)]
struct Branch {
    #[serde(default)]
    branches: Vec<Branch>,
    product: Option<Product>,
}

#[derive(Debug, Deserialize)]
struct Product {
    #[serde(default)]
    name: String,
    product_id: String,
    product_identification_helper: Option<Helper>,
}

#[derive(Debug, Default, Deserialize)]
struct Helper {
    cpe: Option<String>,
    purl: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Relationship {
    full_product_name: Product,
    product_reference: String,
    relates_to_product_reference: String,
}

#[derive(Debug, Deserialize)]
struct Vulnerability {
    cve: Option<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    product_status: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    remediations: Vec<Remediation>,
    #[serde(default)]
    scores: Vec<Scores>,
    #[serde(default)]
    threats: Vec<Threat>,
    #[serde(default)]
    flags: Vec<Flag>,
    #[serde(default)]
    release_date: String,
}

#[derive(Debug, Deserialize)]
struct Remediation {
    category: String,
    #[serde(default)]
    details: String,
    #[serde(default)]
    product_ids: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Scores {
    cvss_v3: Option<Cvss>,
    cvss_v4: Option<Cvss>,
    cvss_v2: Option<Cvss>,
}

#[derive(Debug, Deserialize)]
struct Cvss {
    #[serde(default, rename = "vectorString")]
    vector: String,
}

#[derive(Debug, Deserialize)]
struct Threat {
    category: String,
    #[serde(default)]
    details: String,
}

#[derive(Debug, Deserialize)]
struct Flag {
    label: String,
    #[serde(default)]
    product_ids: Vec<String>,
}

/// Where its publishers give it. Red Hat's VEX has what its advisories have; SUSE compresses its own by bzip2, and gives the
/// same as OVAL.
const DOWNLOADS: &[Download] = &[Download::of(
    "redhat-vex.tar.zst",
    Origin::Named("https://security.access.redhat.com/data/csaf/v2/vex/archive_latest.txt"),
)];

/// The source.
pub(super) struct Csaf;

impl Source for Csaf {
    fn name(&self) -> &'static str {
        "csaf"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.is_json() && document.has("\"csaf_version\"")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let file: File = serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?;
        let products = Products::of(&file.product_tree);
        for vulnerability in file.vulnerabilities {
            match Vulnerability::deserialize(vulnerability) {
                Ok(vulnerability) => match advisory(&file.document, &vulnerability, &products) {
                    Some(advisory) => sink.advisory(advisory),
                    None => sink.empty(),
                },
                Err(error) => sink.malformed(&file.document.tracking.id, &error.to_string()),
            }
        }
        Ok(())
    }
}

/// The products of a tree, by their names in it.
struct Products<'a> {
    helpers: HashMap<&'a str, (&'a str, Option<&'a Helper>)>,
    parts: HashMap<&'a str, (&'a str, &'a str)>,
}

/// A package of a product.
struct Package {
    ecosystem: Ecosystem,
    name: String,
    /// Empty where all versions are meant.
    version: String,
    of: Of,
    module: String,
}

impl<'a> Products<'a> {
    fn of(tree: &'a Tree) -> Self {
        let mut products = Self { helpers: HashMap::new(), parts: HashMap::new() };
        let mut open: Vec<&Branch> = tree.branches.iter().collect();
        while let Some(branch) = open.pop() {
            open.extend(&branch.branches);
            branch.product.iter().for_each(|product| products.add(product));
        }
        tree.full_product_names.iter().for_each(|product| products.add(product));
        for relationship in &tree.relationships {
            let parts = (relationship.product_reference.as_str(), relationship.relates_to_product_reference.as_str());
            products.parts.insert(&relationship.full_product_name.product_id, parts);
        }
        products
    }

    fn add(&mut self, product: &'a Product) {
        let helper = product.product_identification_helper.as_ref();
        self.helpers.insert(&product.product_id, (&product.name, helper));
    }

    /// The package that a name stands for; none where it is of a product that has no release of a distribution.
    fn package(&self, id: &str) -> Option<Package> {
        let (mut inner, mut outer) = *self.parts.get(id)?;
        let mut module = String::new();
        // A package can be a part of a module, and that one of a release.
        for _ in 0..PRODUCT_DEPTH_MAX {
            if let Some((part, whole)) = self.parts.get(outer) {
                module = module_of(part);
                outer = whole;
            } else if let Some((part, whole)) = self.parts.get(inner) {
                module = module_of(whole);
                inner = part;
            } else {
                break;
            }
        }
        let ecosystem = self.ecosystem(outer)?;
        let purl = self.helpers.get(inner).and_then(|(_, helper)| helper.as_ref()?.purl.as_deref()).and_then(Purl::new);
        let (name, version, arch) = match &purl {
            Some(purl) if purl.kind == "rpm" => {
                let epoch = purl.qualifier("epoch").filter(|epoch| *epoch != "0");
                let version = match epoch {
                    Some(epoch) if !purl.version.is_empty() => format!("{epoch}:{}", purl.version),
                    _ => purl.version.clone(),
                };
                if let Some(stream) = purl.qualifier("rpmmod") {
                    module = module_of(stream);
                }
                (purl.name.clone(), version, purl.qualifier("arch").unwrap_or_default().to_owned())
            }
            // A module or a container image is no package.
            Some(_) => return None,
            None => nevra(inner),
        };
        let source = arch == "src" || inner.ends_with(".src");
        Some(Package { ecosystem, name, version, of: if source { Of::Source } else { Of::Binary }, module })
    }

    fn ecosystem(&self, product: &str) -> Option<Ecosystem> {
        let (name, helper) = self.helpers.get(product)?;
        let cpe = helper.and_then(|helper| helper.cpe.as_deref()).unwrap_or_default();
        let mut parts = cpe.trim_start_matches("cpe:/").trim_start_matches("cpe:2.3:").split(':').skip(1);
        match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
            ("redhat", product, version) => of_redhat_cpe_parts(product, version),
            ("suse", "sles" | "sle-module" | "sled", _) => suse(name),
            ("opensuse", ..) => Ecosystem::new("opensuse", suse_release(name)?),
            // Old CPE names of SUSE say the product in words alone.
            _ if name.starts_with("SUSE Linux Enterprise") => suse(name),
            _ if name.starts_with("openSUSE Leap") => Ecosystem::new("opensuse", suse_release(name)?),
            _ => None,
        }
    }
}

/// `SUSE Linux Enterprise Server 15 SP4`, and modules of it, as 15.4.
fn suse(product: &str) -> Option<Ecosystem> {
    let mut words = product.split([' ', '-']).skip_while(|word| !word.starts_with(|c: char| c.is_ascii_digit()));
    let major = words.next()?;
    let pack = words.next().and_then(|word| word.strip_prefix("SP")).unwrap_or("0");
    Ecosystem::new("suse", &format!("{major}.{pack}"))
}

/// A module's name and stream, of `nodejs:18:8090020231…:rhel8`.
fn module_of(text: &str) -> String {
    text.split(':').take(2).collect::<Vec<_>>().join(":")
}

/// Name, version and architecture of `name-epoch:version-release.arch`; a name alone where all versions are meant.
fn nevra(text: &str) -> (String, String, String) {
    let (rest, arch) = match text.rsplit_once('.') {
        Some((rest, arch @ ("src" | "noarch" | "x86_64" | "aarch64" | "ppc64le" | "s390x" | "i686"))) => (rest, arch),
        _ => (text, ""),
    };
    let mut parts = rest.rsplitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(release), Some(version), Some(name)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
            let version = version.strip_prefix("0:").unwrap_or(version);
            (name.to_owned(), format!("{version}-{release}"), arch.to_owned())
        }
        _ => (rest.to_owned(), String::new(), arch.to_owned()),
    }
}

fn advisory(head: &Head, vulnerability: &Vulnerability, products: &Products<'_>) -> Option<Advisory> {
    let mut advisory = Advisory::new(&head.tracking.id);
    let cve = vulnerability.cve.as_deref().unwrap_or_default();
    if !cve.is_empty() && cve != advisory.id {
        advisory.aliases.push(clip(cve));
    }
    advisory.summary = line(if vulnerability.title.is_empty() { &head.title } else { &vulnerability.title });
    advisory.published_s = match seconds(&vulnerability.release_date) {
        0 => seconds(&head.tracking.initial_release_date),
        released => released,
    };
    advisory.modified_s = seconds(&head.tracking.current_release_date);
    let urls = head.references.iter().filter(|reference| reference.category == "self");
    advisory.references = urls.map(|reference| clip(&reference.url)).take(LIST_MAX).collect();
    let said = vulnerability.threats.iter().find(|threat| threat.category == "impact").map(|threat| &threat.details);
    let said = said.or_else(|| head.aggregate_severity.as_ref().map(|words| &words.text));
    advisory.rating = super::osv::rating(said.map_or("", String::as_str));
    for score in &vulnerability.scores {
        for cvss in [&score.cvss_v4, &score.cvss_v3, &score.cvss_v2].into_iter().flatten() {
            if !cvss.vector.is_empty() && !advisory.vectors.contains(&cvss.vector) && advisory.vectors.len() < LIST_MAX
            {
                advisory.vectors.push(clip(&cvss.vector));
            }
        }
    }
    advisory.statements = statements(vulnerability, products);
    (!advisory.statements.is_empty()).then_some(advisory)
}

/// What is said beside the status of a product.
struct Remedies<'a> {
    /// No fix will come, and why.
    never: HashMap<&'a str, &'a str>,
    /// No fix is there, and why.
    not_yet: HashMap<&'a str, &'a str>,
    /// Why it does not have it.
    flags: HashMap<&'a str, &'a str>,
}

impl<'a> Remedies<'a> {
    fn of(vulnerability: &'a Vulnerability) -> Self {
        let details = |category: &str| {
            let mut details = HashMap::new();
            for remedy in vulnerability.remediations.iter().filter(|remedy| remedy.category == category) {
                details.extend(remedy.product_ids.iter().map(|id| (id.as_str(), remedy.details.as_str())));
            }
            details
        };
        let mut flags = HashMap::new();
        for flag in &vulnerability.flags {
            flags.extend(flag.product_ids.iter().map(|id| (id.as_str(), flag.label.as_str())));
        }
        Self { never: details("no_fix_planned"), not_yet: details("none_available"), flags }
    }

    /// What a word of CSAF says of a product, and why; none for words that say nothing of the installed (CSAF 2.0,
    /// section 3.2.3.9).
    fn status(&self, word: &str, id: &str) -> Option<(Status, &'a str)> {
        Some(match word {
            "fixed" | "first_fixed" => (Status::Affected, ""),
            "known_not_affected" => (Status::NotAffected, self.flags.get(id).copied().unwrap_or_default()),
            "under_investigation" => (Status::UnderInvestigation, ""),
            "known_affected" | "first_affected" | "last_affected" => match (self.never.get(id), self.not_yet.get(id)) {
                (Some(why), _) if why.contains("Out of support") => (Status::EndOfLife, why),
                (Some(why), _) => (Status::WillNotFix, why),
                (None, Some(why)) => (Status::Deferred, why),
                (None, None) => (Status::Affected, ""),
            },
            _ => return None,
        })
    }
}

/// One statement a package, release and module, whatever the architecture.
fn statements(vulnerability: &Vulnerability, products: &Products<'_>) -> Vec<Statement> {
    let remedies = Remedies::of(vulnerability);
    let mut statements: BTreeMap<(String, String, Of, String), Statement> = BTreeMap::new();
    for (word, ids) in &vulnerability.product_status {
        for id in ids {
            if statements.len() >= AFFECTED_MAX {
                break;
            }
            let Some((status, reason)) = remedies.status(word, id) else { continue };
            let Some(package) = products.package(id) else { continue };
            let fixed = word.ends_with("fixed");
            let mut statement = Statement::new(package.ecosystem, &package.name, package.of, status);
            statement.module.clone_from(&package.module);
            statement.reason = line(reason);
            if fixed && !package.version.is_empty() {
                statement = statement.fixed_in(&package.version);
            } else if status != Status::NotAffected {
                statement = statement.all();
            }
            let key = (statement.ecosystem.to_string(), statement.package.clone(), package.of, package.module);
            // Fixed says more than affected, and the newest build is the fix of all.
            match statements.entry(key) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(statement);
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    if crate::matching::says_more(&statement, place.get()) {
                        place.insert(statement);
                    }
                }
            }
        }
    }
    statements.into_values().collect()
}
