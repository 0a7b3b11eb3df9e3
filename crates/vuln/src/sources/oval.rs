//! OVAL (Open Vulnerability and Assessment Language 5.11) of Red Hat, Oracle and SUSE: definitions with criteria on packages.
//!
//! A criterion names a test, the test an object (a package) and a state (a version). Tests stand behind the definitions, so
//! that a document is read twice. What a definition asks beside packages (a signature, an architecture) is not asked here;
//! which release and which module it is about, is.

use hashbrown::HashMap;

use guardian_inventory::xml::{self, Element};

use super::download::Download;
use super::{Document, Sink, Source, seconds};
use crate::advisory::{Advisory, Of, Statement, Status, clip, line};
use crate::ecosystem::{Ecosystem, of_redhat_cpe_parts, suse_release};
use crate::limits::{AFFECTED_MAX, LIST_MAX};

/// Where its publishers give it.
const DOWNLOADS: &[Download] = &[
    Download::at(
        "suse.linux.enterprise.server.12.xml.gz",
        "https://ftp.suse.com/pub/projects/security/oval/suse.linux.enterprise.server.12.xml.gz",
    ),
    Download::at(
        "suse.linux.enterprise.server.15.xml.gz",
        "https://ftp.suse.com/pub/projects/security/oval/suse.linux.enterprise.server.15.xml.gz",
    ),
    Download::perhaps(
        "suse.linux.enterprise.16.xml.gz",
        "https://ftp.suse.com/pub/projects/security/oval/suse.linux.enterprise.16.xml.gz",
    ),
    Download::perhaps(
        "suse.linux.enterprise.micro.5.xml.gz",
        "https://ftp.suse.com/pub/projects/security/oval/suse.linux.enterprise.micro.5.xml.gz",
    ),
    Download::at(
        "opensuse.leap.15.6.xml.gz",
        "https://ftp.suse.com/pub/projects/security/oval/opensuse.leap.15.6.xml.gz",
    ),
    Download::perhaps(
        "opensuse.leap.16.0.xml.gz",
        "https://ftp.suse.com/pub/projects/security/oval/opensuse.leap.16.0.xml.gz",
    ),
    Download::perhaps(
        "opensuse.tumbleweed.xml.gz",
        "https://ftp.suse.com/pub/projects/security/oval/opensuse.tumbleweed.xml.gz",
    ),
    Download::at("oracle.xml.bz2", "https://linux.oracle.com/security/oval/com.oracle.elsa-all.xml.bz2"),
];

/// The source.
pub(super) struct Oval;

impl Source for Oval {
    fn name(&self) -> &'static str {
        "oval"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.has("<oval_definitions") || document.has(":oval_definitions")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let error = |error: guardian_inventory::Malformed| error.to_string();
        let tests = Tests::read(document.bytes).map_err(error)?;
        let mut reader = xml::Document::new(document.bytes).map_err(error)?;
        while let Some(element) = reader.next_open().map_err(error)? {
            if element.name == "definition" {
                let definition = reader.fill(element).map_err(error)?;
                read_definition(&definition, &tests, sink);
            }
        }
        Ok(())
    }
}

/// Names of packages and versions, by the tests that ask for them.
#[derive(Default)]
struct Tests {
    /// Object and state of a test; the state is empty where only the package is asked for.
    tests: HashMap<String, (String, String)>,
    objects: HashMap<String, String>,
    /// Operation and version.
    states: HashMap<String, (String, String)>,
}

impl Tests {
    fn read(bytes: &[u8]) -> Result<Self, guardian_inventory::Malformed> {
        let mut found = Self::default();
        let mut reader = xml::Document::new(bytes)?;
        while let Some(element) = reader.next_open()? {
            match element.name.as_str() {
                "rpminfo_test" => {
                    let test = reader.fill(element)?;
                    let of =
                        |name: &str, key: &str| test.child(name).map_or("", |child| child.attribute(key)).to_owned();
                    let parts = (of("object", "object_ref"), of("state", "state_ref"));
                    found.tests.insert(test.attribute("id").to_owned(), parts);
                }
                "rpminfo_object" => {
                    let object = reader.fill(element)?;
                    found.objects.insert(object.attribute("id").to_owned(), clip(object.text_at(&["name"])));
                }
                "rpminfo_state" => {
                    let state = reader.fill(element)?;
                    if let Some(evr) = state.child("evr") {
                        let parts = (evr.attribute("operation").to_owned(), clip(evr.text.trim()));
                        found.states.insert(state.attribute("id").to_owned(), parts);
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The package of a test, with operation and version where it asks for one.
    fn of(&self, test: &str) -> Option<(&str, Option<(&str, &str)>)> {
        let (object, state) = self.tests.get(test)?;
        let name = self.objects.get(object)?;
        // A state without a version asks for a signature, or for the release.
        let state = match state.as_str() {
            "" => None,
            state => Some(self.states.get(state).map(|(operation, version)| (operation.as_str(), version.as_str()))?),
        };
        Some((name, state))
    }
}

/// What holds for the criteria below.
#[derive(Clone, Default)]
struct Context {
    ecosystems: Vec<Ecosystem>,
    module: String,
}

fn read_definition(definition: &Element, tests: &Tests, sink: &mut dyn Sink) {
    let Some(metadata) = definition.child("metadata") else { return };
    let title = metadata.text_at(&["title"]);
    let references: Vec<&Element> = metadata.all("reference").collect();
    let own = references.iter().find(|reference| reference.attribute("source") != "CVE").or(references.first());
    let id = own.map_or(title, |reference| reference.attribute("ref_id"));
    if id.is_empty() {
        return sink.malformed(definition.attribute("id"), "it has no name");
    }
    // `RHSA-2024:0811: sudo security update (Moderate)`; SUSE names the vulnerability itself.
    let mut advisory = Advisory::new(id.trim_start_matches("Mitre ").trim());
    advisory.summary = line(title);
    let about = metadata.child("advisory");
    let cves =
        references.iter().filter(|reference| reference.attribute("source") == "CVE").map(|r| r.attribute("ref_id"));
    let named = about.into_iter().flat_map(|about| about.all("cve")).map(|cve| cve.text.trim());
    advisory.aliases =
        cves.chain(named).filter_map(cve).filter(|name| *name != advisory.id).map(clip).take(LIST_MAX).collect();
    advisory.aliases.sort();
    advisory.aliases.dedup();
    advisory.references =
        references.iter().map(|r| clip(r.attribute("ref_url"))).filter(|url| !url.is_empty()).take(LIST_MAX).collect();
    if let Some(about) = about {
        advisory.rating = super::osv::rating(about.text_at(&["severity"]));
        let time = |name: &str| about.child(name).map_or(0, |at| seconds(at.attribute("date")));
        (advisory.published_s, advisory.modified_s) = (time("issued"), time("updated"));
        // `7.0/CVSS:3.1/AV:L/…`; of several vulnerabilities each has its own, which the store has elsewhere.
        let vectors: Vec<&str> = about.all("cve").map(|cve| cve.attribute("cvss3")).filter(|v| !v.is_empty()).collect();
        if let [one] = vectors.as_slice() {
            advisory.vectors.extend(one.split_once('/').map(|(_, vector)| clip(vector)));
        }
    }
    let top = Context { ecosystems: platforms(metadata), module: String::new() };
    let decided = about.map(decisions).unwrap_or_default();
    if let Some(criteria) = definition.child("criteria") {
        walk(criteria, &top, tests, &decided, &mut advisory);
    }
    advisory.statements.dedup();
    match advisory.statements.is_empty() {
        true => sink.empty(),
        false => sink.advisory(advisory),
    }
}

/// A CVE name in a text such as `Mitre CVE-2024-1`.
fn cve(text: &str) -> Option<&str> {
    text.split_whitespace().find(|word| word.starts_with("CVE-"))
}

/// The releases that the whole definition is about.
fn platforms(metadata: &Element) -> Vec<Ecosystem> {
    let cpes = metadata.at(&["advisory", "affected_cpe_list"]).into_iter().flat_map(|list| list.all("cpe"));
    let of_cpe = |cpe: &Element| {
        // `cpe:/o:redhat:enterprise_linux:9::baseos`
        let parts: Vec<&str> = cpe.text.trim().split(':').collect();
        match parts.as_slice() {
            [_, _, "redhat", product, version, ..] => of_redhat_cpe_parts(product, version),
            _ => None,
        }
    };
    let mut all: Vec<Ecosystem> = cpes.filter_map(of_cpe).collect();
    if all.is_empty() {
        let named = metadata.child("affected").into_iter().flat_map(|affected| affected.all("platform"));
        all = named.filter_map(|platform| release(platform.text.trim())).collect();
    }
    all.sort();
    all.dedup();
    all
}

/// The release of a product's name.
fn release(product: &str) -> Option<Ecosystem> {
    if let Some(version) = product.strip_prefix("Red Hat Enterprise Linux ") {
        return of_redhat_cpe_parts("enterprise_linux", version.split(' ').next()?);
    }
    if let Some(version) = product.strip_prefix("Oracle Linux ") {
        return version.starts_with(|c: char| c.is_ascii_digit()).then(|| Ecosystem::new("oracle", version))?;
    }
    if let Some(version) = product.strip_prefix("openSUSE Leap ") {
        return Ecosystem::new("opensuse", version);
    }
    // `SUSE Linux Enterprise Server 15 SP4` and its modules.
    let suse = product.starts_with("SUSE Linux Enterprise");
    let version = suse.then(|| suse_release(product))??;
    let mut words = version.split([' ', '-']);
    let (major, pack) = (words.next()?, words.next().unwrap_or_default());
    Ecosystem::new("suse", &format!("{major}.{}", pack.strip_prefix("SP").unwrap_or("0")))
}

/// What the keeper has decided of packages without a fix, by their names.
fn decisions(about: &Element) -> HashMap<String, Status> {
    let mut decided = HashMap::new();
    for resolution in about.child("affected").into_iter().flat_map(|affected| affected.all("resolution")) {
        let status = match resolution.attribute("state") {
            "Will not fix" => Status::WillNotFix,
            "Fix deferred" => Status::Deferred,
            "Out of support scope" => Status::EndOfLife,
            "Under investigation" => Status::UnderInvestigation,
            "Not affected" => Status::NotAffected,
            _ => Status::Affected,
        };
        for component in resolution.all("component") {
            // `nodejs:18/nodejs` is of a module.
            let name = component.text.trim();
            decided.insert(name.rsplit('/').next().unwrap_or(name).to_owned(), status);
        }
    }
    decided
}

fn walk(
    criteria: &Element,
    outer: &Context,
    tests: &Tests,
    decided: &HashMap<String, Status>,
    advisory: &mut Advisory,
) {
    let mut context = outer.clone();
    // What is asked beside packages holds for all of them where everything must hold.
    if criteria.attribute("operator") != "OR" {
        let beside = criteria.all("criteria").filter(|inner| inner.attribute("operator") == "OR");
        let comments: Vec<&str> = criteria
            .all("criterion")
            .chain(beside.filter(|inner| inner.child("criteria").is_none()).flat_map(|inner| inner.all("criterion")))
            .map(|criterion| criterion.attribute("comment"))
            .collect();
        let module = comments.iter().find_map(|comment| comment.strip_prefix("Module ")?.strip_suffix(" is enabled"));
        module.unwrap_or(&outer.module).clone_into(&mut context.module);
        let named: Vec<Ecosystem> =
            comments.iter().filter_map(|comment| release(comment.strip_suffix(" is installed")?)).collect();
        if !named.is_empty() {
            context.ecosystems = named;
        }
    }
    for criterion in criteria.all("criterion") {
        if advisory.statements.len() < AFFECTED_MAX
            && let Some((package, state)) = tests.of(criterion.attribute("test_ref"))
        {
            state_package(package, state, &context, decided, advisory);
        }
    }
    criteria.all("criteria").for_each(|inner| walk(inner, &context, tests, decided, advisory));
}

fn state_package(
    package: &str,
    state: Option<(&str, &str)>,
    context: &Context,
    decided: &HashMap<String, Status>,
    advisory: &mut Advisory,
) {
    for ecosystem in &context.ecosystems {
        let statement = |status| Statement::new(ecosystem.clone(), package, Of::Binary, status);
        let mut statement = match state {
            // SUSE's way to say that no version has it, and that every one has.
            Some(("less than", "0:0-0")) => statement(Status::NotAffected),
            Some(("greater than", "0:0-0")) => statement(Status::Affected).all(),
            Some(("less than", version)) => statement(Status::Affected).fixed_in(version),
            // A package of Red Hat without a version: what has been decided of it says more.
            None => match decided.get(package) {
                Some(Status::NotAffected) => statement(Status::NotAffected),
                Some(status) => statement(*status).all(),
                None => continue,
            },
            _ => continue,
        };
        // Oracle patches a program that runs; such a package's versions are a line of their own.
        let line_of_its_own =
            [".ksplice", "_fips"].into_iter().find(|mark| state.is_some_and(|(_, v)| v.contains(mark)));
        statement.module = match line_of_its_own {
            Some(mark) if ecosystem.family() == "oracle" => mark.trim_matches(['.', '_']).to_owned(),
            _ => clip(&context.module),
        };
        advisory.statements.push(statement);
    }
}
