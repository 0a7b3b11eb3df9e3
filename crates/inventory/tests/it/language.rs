//! What package managers of languages leave behind: one sample in each public form, and what is to be found in it.

use guardian_inventory::{Manager, cargo, language};

use crate::fixture;

/// Fixture, path of a file like it, packages as `name version`, and how many complaints.
type Case = (&'static str, &'static str, &'static [&'static str], usize);

const CASES: &[Case] = &[
    ("npm-lock.json", "/app/package-lock.json", &["@types/ms 2.1.0", "ms 2.1.3", "semver 5.7.2"], 0),
    ("npm-lock-1.json", "/app/package-lock.json", &["debug 4.3.4", "left-pad 1.3.0", "ms 2.1.2", "ms 2.1.3"], 1),
    ("npm-package.json", "/app/node_modules/@x/semver/package.json", &["semver 5.7.2"], 0),
    ("yarn-1.lock", "/app/yarn.lock", &["@babel/code-frame 7.22.5", "left-pad 1.3.0", "ms 2.1.2"], 0),
    ("yarn-berry.lock", "/app/yarn.lock", &["@babel/code-frame 7.22.5", "left-pad 1.3.0", "typescript 5.0.4"], 0),
    ("pnpm-lock-5.yaml", "/app/pnpm-lock.yaml", &["@babel/core 7.22.5", "debug 4.3.4"], 0),
    ("pnpm-lock-6.yaml", "/app/pnpm-lock.yaml", &["@babel/core 7.22.5", "debug 4.3.4"], 0),
    ("pnpm-lock-9.yaml", "/app/pnpm-lock.yaml", &["@babel/core 7.22.5", "debug 4.3.4"], 0),
    (
        "requirements.txt",
        "/app/requirements-dev.txt",
        &["Django 4.2.1", "flask 2.3.2", "legacy 1.0-odd", "requests 2.31.0"],
        1,
    ),
    ("poetry.lock", "/app/poetry.lock", &["certifi 2023.5.7", "urllib3 2.0.2"], 0),
    ("uv.lock", "/app/uv.lock", &["certifi 2024.8.30"], 0),
    ("Pipfile.lock", "/app/Pipfile.lock", &["certifi 2023.5.7", "pytest 7.3.1"], 0),
    ("conda-package.json", "/opt/conda/conda-meta/openssl-3.1.1-hd590300_1.json", &["openssl 3.1.1"], 0),
    (
        "go.mod",
        "/app/go.mod",
        &[
            "example.net/quoted v1.0.0",
            "example.net/text v0.14.0",
            "github.com/pkg/errors v0.9.1",
            "golang.org/x/net v0.17.0",
        ],
        0,
    ),
    ("go.sum", "/app/go.sum", &["github.com/pkg/errors v0.9.1"], 1),
    ("java-app.war", "/srv/app.war", &["net.example:acme-core 1.4.2", "plain-lib 3.1"], 0),
    (
        "pom.xml",
        "/app/pom.xml",
        &["com.example:managed 3.0", "net.example:lib 2.1", "org.apache.logging.log4j:log4j-core 2.14.1"],
        1,
    ),
    (
        "gradle.lockfile",
        "/app/gradle.lockfile",
        &["com.fasterxml.jackson.core:jackson-databind 2.13.0", "org.slf4j:slf4j-api 1.7.36"],
        1,
    ),
    ("build.sbt.lock", "/app/build.sbt.lock", &["org.example:core_2.13 1.2.3"], 0),
    ("bun.lock", "/app/bun.lock", &["@scope/left 2.0.1", "right 1.0.0-rc.1"], 0),
    ("Directory.Packages.props", "/app/Directory.Packages.props", &["Example.Json 12.0.3", "Example.Tool 4.5.6"], 1),
    ("gem-specification", "/usr/lib/ruby/gems/3.0/specifications/acme.gemspec", &["acme-tool 1.4.2"], 0),
    ("Gemfile.lock", "/app/Gemfile.lock", &["nokogiri 1.15.0", "racc 1.6.2"], 0),
    (
        "composer.lock",
        "/app/composer.lock",
        &["guzzlehttp/guzzle 7.4.4", "phpunit/phpunit 9.5.20", "symfony/http-kernel 5.4.10"],
        1,
    ),
    ("packages.lock.json", "/app/packages.lock.json", &["Newtonsoft.Json 12.0.3"], 1),
    ("app.deps.json", "/app/bin/app.deps.json", &["Newtonsoft.Json 12.0.3"], 0),
    ("packages.config", "/app/packages.config", &["jQuery 3.1.1"], 0),
    ("mix.lock", "/app/mix.lock", &["cowboy 2.9.0", "plug 1.13.6"], 0),
    ("pubspec.lock", "/app/pubspec.lock", &["http 0.13.3"], 0),
    ("Package.resolved", "/app/Package.resolved", &["github.com/apple/swift-nio 2.40.0"], 0),
    (
        "Podfile.lock",
        "/app/Podfile.lock",
        &[
            "Alamofire 5.4.0",
            "ExampleKit 6.1.0-beta.1",
            "ExampleUtilities 7.1.0",
            "OtherKit 1.2.3",
            "git.example/team/forked 2.0.1",
        ],
        1,
    ),
    ("conan-1.lock", "/app/conan.lock", &["cmake 3.22.0", "openssl 1.1.1g", "zlib 1.2.11"], 0),
    ("conan-2.lock", "/app/conan.lock", &["cmake 3.28.1", "zlib 1.2.13", "zlib 1.3.1"], 0),
    ("r-description", "/usr/lib/R/library/jsonlite/DESCRIPTION", &["jsonlite 1.8.4"], 0),
    ("renv.lock", "/app/renv.lock", &["jsonlite 1.8.4"], 0),
    ("python-pip", "/usr/lib/python3/pip-1.dist-info/METADATA", &[], 0),
];

#[test]
fn every_kind_of_file_is_known_by_its_name_and_read() {
    for (sample, path, packages, issues) in CASES {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let kind = language::of(folder, name).unwrap_or_else(|| panic!("{path} is of no kind"));
        let found = (kind.read)(name, &fixture(sample)).unwrap_or_else(|error| panic!("{sample}: {error}"));
        let mut named: Vec<String> = found.entries.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
        named.sort();
        if !packages.is_empty() {
            assert_eq!(named, *packages, "{sample}");
        }
        assert_eq!(found.issues.len(), *issues, "{sample}: {:?}", found.issues);
    }
    // What is like one, and is none.
    for path in [
        "/app/package.json",
        "/app/METADATA",
        "/app/a.gemspec",
        "/app/installed.json",
        "/app/requirements.in",
        "/app/Manifest.lock",
    ] {
        let (folder, name) = path.rsplit_once('/').unwrap();
        assert!(language::of(folder, name).is_none(), "{path}");
    }
}

#[test]
fn what_is_not_of_the_kind_is_refused() {
    for kind in
        language::ALL.iter().filter(|kind| !matches!(kind.name, "Yarn" | "Cargo" | "pip" | "Go (sums)" | "Gradle"))
    {
        let found = (kind.read)("x.jar", b"{ \"nothing\": ");
        assert!(found.is_err() || found.unwrap().entries.is_empty(), "{}", kind.name);
    }
    assert!(!language::go_mod_is_whole(b"module x\n\ngo 1.16\n"));
    assert!(language::go_mod_is_whole(b"module x\n\ngo 1.17\n"));
}

/// A program with one section of that name and content, as small as the format allows.
fn program(name: &str, content: &[u8]) -> Vec<u8> {
    let names = format!("\0.shstrtab\0{name}\0");
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64, 0);
    let names_at = program.len();
    program.extend_from_slice(names.as_bytes());
    let content_at = program.len();
    program.extend_from_slice(content);
    let table = program.len() as u64;
    program[40..48].copy_from_slice(&table.to_le_bytes());
    program[58..64].copy_from_slice(&[64, 0, 3, 0, 1, 0]);
    let mut section = |name: u32, at: usize, bytes: usize| {
        let mut row = [0; 64];
        row[..4].copy_from_slice(&name.to_le_bytes());
        row[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        row[32..40].copy_from_slice(&(bytes as u64).to_le_bytes());
        program.extend_from_slice(&row);
    };
    section(0, 0, 0);
    section(1, names_at, names.len());
    section(11, content_at, content.len());
    program
}

#[test]
fn programs_of_cargo_auditable_say_their_crates() {
    let json = br#"{"packages":[{"name":"app","version":"0.1.0","source":"local","root":true},
        {"name":"adler","version":"0.2.3","source":"crates.io"},{"name":"cc","version":"1.0","source":"crates.io","kind":"build"},
        {"name":"","version":"","source":"crates.io"}]}"#;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, json).unwrap();
    let program = program(cargo::AUDIT_SECTION, &encoder.finish().unwrap());
    let found = language::of_program(&program);
    assert_eq!((found.entries.len(), found.issues.len()), (1, 1));
    let package = &found.entries[0];
    assert_eq!((package.manager, package.name.as_str(), package.version.as_str()), (Manager::Cargo, "adler", "0.2.3"));
    for end in 0..program.len() {
        drop(language::of_program(&program[..end]));
    }
    assert_eq!(language::of_program(&fixture("go-program")).entries.len(), 3);
    assert!(language::of_program(b"#!/bin/sh\n").entries.is_empty());
}
