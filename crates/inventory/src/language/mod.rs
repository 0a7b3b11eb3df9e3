//! What package managers of languages leave behind: lock files of projects, and what says of an installed package what it
//! is. One file a manager, each kind of file one line of [`ALL`].
//!
//! Only what names one version of a package of the language's registry is given: a range names none, and what comes from a
//! folder, a repository or an address is not what the registry's advisories speak of.

mod bun;
mod bundler;
mod cocoapods;
mod composer;
mod conan;
mod conda;
mod dart;
mod golang;
mod gradle;
mod hex;
mod maven;
mod nuget;
mod pipfile;
mod pnpm;
mod r;
mod requirements;
mod sbt;
mod swift;
mod toml;
mod yarn;

use crate::{Found, Malformed, Package, cargo, gem, jar, npm, python};

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name, as in the documentation.
    pub name: &'static str,
    /// Whether a file is one, by the path of its folder and its name.
    pub is: fn(folder: &str, name: &str) -> bool,
    /// The packages of one, by its name and content.
    pub read: fn(name: &str, bytes: &[u8]) -> Result<Found<Package>, Malformed>,
}

/// The kind of which [`of_archive`] reads what is not in memory.
pub const JAVA: &str = "Java";

/// Every kind, in the order in which they are tried.
pub const ALL: &[Kind] = &[
    Kind { name: "npm", is: |_, name| is_npm_lock(name), read: |_, bytes| npm::parse_lock(bytes) },
    Kind {
        name: "npm (installed)",
        is: |folder, name| name == "package.json" && in_node_modules(folder),
        read: installed_npm,
    },
    Kind { name: "Yarn", is: |_, name| name == "yarn.lock", read: |_, bytes| Ok(yarn::parse(bytes)) },
    Kind { name: "pnpm", is: |_, name| name == "pnpm-lock.yaml", read: |_, bytes| pnpm::parse(bytes) },
    Kind { name: "Bun", is: |_, name| name == "bun.lock", read: |_, bytes| bun::parse(bytes) },
    Kind { name: "Cargo", is: |_, name| name == "Cargo.lock", read: |_, bytes| Ok(locked_crates(bytes)) },
    Kind {
        name: "Cargo (installed)",
        is: |_, name| name == ".crates2.json",
        read: |_, bytes| cargo::parse_installed(bytes),
    },
    Kind { name: "Python (installed)", is: is_python, read: |_, bytes| python::parse(bytes).map(one) },
    Kind { name: "pip", is: is_requirements, read: |_, bytes| Ok(requirements::parse(bytes)) },
    Kind { name: "Poetry, uv, PDM", is: |_, name| is_python_lock(name), read: |_, bytes| toml::parse(bytes) },
    Kind { name: "Pipenv", is: |_, name| name == "Pipfile.lock", read: |_, bytes| pipfile::parse(bytes) },
    Kind { name: "conda", is: is_conda, read: |_, bytes| conda::parse(bytes).map(one) },
    Kind { name: "Go", is: |_, name| name == "go.mod", read: |_, bytes| golang::parse_mod(bytes) },
    Kind { name: "Go (sums)", is: |_, name| name == "go.sum", read: |_, bytes| Ok(golang::parse_sum(bytes)) },
    Kind { name: JAVA, is: |_, name| is_jar(name), read: jar::parse },
    Kind { name: "Maven", is: |_, name| name == "pom.xml", read: |_, bytes| maven::parse(bytes) },
    Kind { name: "Gradle", is: |_, name| name.ends_with("gradle.lockfile"), read: |_, bytes| Ok(gradle::parse(bytes)) },
    Kind { name: "sbt", is: |_, name| name == "build.sbt.lock", read: |_, bytes| sbt::parse(bytes) },
    Kind { name: "RubyGems", is: is_gemspec, read: |_, bytes| gem::parse(bytes).map(one) },
    Kind {
        name: "Bundler",
        is: |_, name| matches!(name, "Gemfile.lock" | "gems.locked"),
        read: |_, bytes| bundler::parse(bytes),
    },
    Kind { name: "Composer", is: is_composer, read: |_, bytes| composer::parse(bytes) },
    Kind { name: "NuGet", is: |_, name| name == "packages.lock.json", read: |_, bytes| nuget::parse_lock(bytes) },
    Kind { name: ".NET", is: |_, name| name.ends_with(".deps.json"), read: |_, bytes| nuget::parse_deps(bytes) },
    Kind { name: "NuGet (old)", is: |_, name| name == "packages.config", read: |_, bytes| nuget::parse_config(bytes) },
    Kind {
        name: "NuGet (central)",
        is: |_, name| name == "Directory.Packages.props",
        read: |_, bytes| nuget::parse_central(bytes),
    },
    Kind { name: "Hex", is: |_, name| name == "mix.lock", read: |_, bytes| Ok(hex::parse(bytes)) },
    Kind { name: "Pub", is: |_, name| name == "pubspec.lock", read: |_, bytes| Ok(dart::parse(bytes)) },
    Kind { name: "Swift", is: |_, name| name == "Package.resolved", read: |_, bytes| swift::parse(bytes) },
    Kind { name: "CocoaPods", is: is_podfile_lock, read: |_, bytes| cocoapods::parse(bytes) },
    Kind { name: "Conan", is: |_, name| name == "conan.lock", read: |_, bytes| conan::parse(bytes) },
    Kind { name: "R (installed)", is: |_, name| name == "DESCRIPTION", read: |_, bytes| r::parse(bytes) },
    Kind { name: "renv", is: |_, name| name == "renv.lock", read: |_, bytes| r::parse_lock(bytes) },
];

/// The kind of a file, by the path of its folder and its name.
pub fn of(folder: &str, name: &str) -> Option<&'static Kind> {
    ALL.iter().find(|kind| (kind.is)(folder, name))
}

/// Sections of a program that say what it was built from; a program with neither need not be read.
pub const PROGRAM_SECTIONS: &[&str] = &[".go.buildinfo", cargo::AUDIT_SECTION];

/// What a section of a program says that it was built from, by the section's name; nothing for any other.
pub fn of_section(name: &str, content: &[u8]) -> Found<Package> {
    let found = match name {
        cargo::AUDIT_SECTION => cargo::parse_audit_section(content),
        ".go.buildinfo" => crate::go::parse(content),
        _ => return Found::default(),
    };
    found.unwrap_or_default()
}

/// What a program says that it was built from: Go's modules, or crates where `cargo auditable` built it.
pub fn of_program(program: &[u8]) -> Found<Package> {
    cargo::parse_auditable(program).or_else(|_| crate::go::parse(program)).unwrap_or_default()
}

/// The packages of an archive of Java that is not in memory, by its name.
pub fn of_archive(name: &str, archive: impl std::io::Read + std::io::Seek) -> Result<Found<Package>, Malformed> {
    jar::parse_file(name, archive)
}

/// Whether a `go.mod` names every module that is needed, so that what `go.sum` names beside it does not count.
pub fn go_mod_is_whole(go_mod: &[u8]) -> bool {
    golang::is_whole(go_mod)
}

fn one(package: Package) -> Found<Package> {
    let mut found = Found::default();
    found.push(package);
    found
}

fn is_npm_lock(name: &str) -> bool {
    matches!(name, "package-lock.json" | "npm-shrinkwrap.json")
}

/// Whether the folder is that of one installed package: `…/node_modules/name`, or `…/node_modules/@scope/name`.
fn in_node_modules(folder: &str) -> bool {
    let mut parts = folder.rsplit('/').skip(1);
    match parts.next() {
        Some("node_modules") => true,
        Some(scope) if scope.starts_with('@') => parts.next() == Some("node_modules"),
        _ => false,
    }
}

/// Folders in packages have a `package.json` too that names no package.
fn installed_npm(_: &str, bytes: &[u8]) -> Result<Found<Package>, Malformed> {
    npm::parse(bytes).map(one)
}

/// Crates of the workspace itself have no source and are nobody's.
fn locked_crates(bytes: &[u8]) -> Found<Package> {
    let mut found = cargo::parse_lock(bytes);
    found.entries.retain(|package| package.source.starts_with("registry+") || package.source.starts_with("sparse+"));
    found
}

fn is_python(folder: &str, name: &str) -> bool {
    match name {
        "METADATA" => folder.ends_with(".dist-info"),
        "PKG-INFO" => folder.ends_with(".egg-info") || folder.ends_with("EGG-INFO"),
        name => name.ends_with(".egg-info"),
    }
}

fn is_requirements(folder: &str, name: &str) -> bool {
    let text = name.ends_with(".txt");
    text && (name.starts_with("requirements")
        || name.ends_with("requirements.txt")
        || folder.ends_with("/requirements"))
}

fn is_python_lock(name: &str) -> bool {
    matches!(name, "poetry.lock" | "uv.lock" | "pdm.lock") || name.starts_with("pylock.") && name.ends_with("toml")
}

fn is_conda(folder: &str, name: &str) -> bool {
    folder.ends_with("/conda-meta") && name.ends_with(".json")
}

fn is_jar(name: &str) -> bool {
    [".jar", ".war", ".ear", ".hpi"].iter().any(|end| name.ends_with(end))
}

fn is_gemspec(folder: &str, name: &str) -> bool {
    name.ends_with(".gemspec") && (folder.ends_with("/specifications") || folder.ends_with("/specifications/default"))
}

fn is_podfile_lock(folder: &str, name: &str) -> bool {
    name == "Podfile.lock" || name == "Manifest.lock" && folder.ends_with("/Pods")
}

fn is_composer(folder: &str, name: &str) -> bool {
    name == "composer.lock" || name == "installed.json" && folder.ends_with("/composer")
}
