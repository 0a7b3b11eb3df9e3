//! Packages of the system's managers, and where they come from.

use guardian_inventory::{dpkg, rpm};
use rusqlite::types::Value;

use super::{Answered, Asked, Table, all, big, int, read, row, text};

const ADMIN: &str = "/var/lib/dpkg";
/// Places and names of rpm's database.
const RPM: [(&str, &str); 5] = [
    ("/usr/lib/sysimage/rpm", "rpmdb.sqlite"),
    ("/usr/lib/sysimage/rpm", "Packages.db"),
    ("/var/lib/rpm", "rpmdb.sqlite"),
    ("/var/lib/rpm", "Packages.db"),
    ("/var/lib/rpm", "Packages"),
];

/// `deb_packages`.
pub(super) const DEB_PACKAGES: Table = Table {
    name: "deb_packages",
    about: "Packages that dpkg has installed",
    needs: false,
    columns: &[
        text("name", "Name"),
        text("version", "Whole version"),
        text("source", "Source package, where it has another name"),
        big("size", "Size on the disk in KiB, as the package says"),
        text("arch", "Architecture"),
        text("revision", "What stands behind the last hyphen of the version"),
        text("status", "What is wanted, whether it went well, and how far it is"),
        text("maintainer", "Who maintains it"),
        text("section", "Section of the archive"),
        text("priority", "How much the system needs it"),
        text("admindir", "Folder of dpkg"),
    ],
    rows: deb_packages,
};

/// `rpm_packages`.
pub(super) const RPM_PACKAGES: Table = Table {
    name: "rpm_packages",
    about: "Packages that rpm has installed",
    needs: false,
    columns: &[
        text("name", "Name"),
        text("version", "Version"),
        text("release", "Release"),
        text("source", "File name of the source package"),
        big("size", "Size on the disk in bytes"),
        text("sha1", "SHA-1 of the header"),
        text("arch", "Architecture"),
        int("epoch", "Epoch"),
        int("install_time", "When it was installed, in seconds since the epoch"),
        text("vendor", "Who packaged it"),
        text("package_group", "Group that the packager put it in"),
    ],
    rows: rpm_packages,
};

/// `apt_sources`.
pub(super) const APT_SOURCES: Table = Table {
    name: "apt_sources",
    about: "Archives that apt takes packages from",
    needs: false,
    columns: &[
        text("name", "Address, suite and components in a line"),
        text("source", "The file it stands in"),
        text("base_uri", "Address"),
        text("release", "Suite"),
        text("version", "Version, as the archive's Release file says"),
        text("maintainer", "Origin, as the archive's Release file says"),
        text("components", "Components"),
        text("architectures", "Architectures"),
    ],
    rows: apt_sources,
};

fn deb_packages(_: &Asked<'_>) -> Answered {
    let status = read::database(format!("{ADMIN}/status")).unwrap_or_default();
    let row = |detail: dpkg::Detail| {
        let package = detail.package;
        let revision = package.version.rsplit_once('-').map(|(_, revision)| revision.to_owned()).unwrap_or_default();
        row![
            package.name,
            package.version,
            package.source,
            package.size_bytes.map(|bytes| bytes / 1_024),
            package.arch,
            revision,
            detail.status,
            package.vendor,
            detail.section,
            detail.priority,
            ADMIN,
        ]
    };
    all(dpkg::details(&status).entries.into_iter().map(row).collect())
}

fn rpm_packages(_: &Asked<'_>) -> Answered {
    let found = RPM.iter().find_map(|(folder, name)| {
        let path = format!("{folder}/{name}");
        Some((read::database(&path)?, read::database(format!("{path}-wal"))))
    });
    let Some((file, wal)) = found else { return all(Vec::new()) };
    let mut rows = Vec::new();
    let read = rpm::headers(&file, wal.as_deref(), |_, blob| {
        if let Ok(header) = rpm::Header::parse(blob)
            && let Ok(package) = header.package()
        {
            let (name, version, release, epoch) = header.parts();
            rows.push(row![
                name,
                version,
                release,
                header.source_file(),
                package.size_bytes,
                header.sha1(),
                package.arch,
                epoch,
                package.installed_s,
                package.vendor,
                header.group(),
            ]);
        }
        true
    });
    read.map_err(|malformed| format!("the database of rpm is {malformed}"))?;
    all(rows)
}

/// One archive of apt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Archive {
    uri: String,
    suite: String,
    components: String,
}

/// The archives of a file with one in a line (sources.list(5)).
fn one_line_archives(file: &str) -> Vec<Archive> {
    let archive = |line: &str| {
        let line = line.split('#').next()?.trim();
        let rest = line.strip_prefix("deb ").or_else(|| line.strip_prefix("deb-src "))?.trim_start();
        // Options stand in brackets before the address.
        let rest = rest.strip_prefix('[').map_or(Some(rest), |options| Some(options.split_once(']')?.1))?;
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Archive { uri, suite, components: words.collect::<Vec<_>>().join(" ") })
    };
    file.lines().filter_map(archive).collect()
}

/// The archives of a file in stanzas (deb822).
fn stanza_archives(file: &str) -> Vec<Archive> {
    let mut all = Vec::new();
    for stanza in file.split("\n\n") {
        let field = |name: &str| {
            let value = |line: &str| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            };
            stanza.lines().filter(|line| !line.starts_with('#')).find_map(value).unwrap_or_default()
        };
        if field("Enabled").eq_ignore_ascii_case("no") {
            continue;
        }
        let (uris, suites, components) = (field("URIs"), field("Suites"), field("Components"));
        for uri in uris.split_whitespace() {
            let of = |suite: &str| Archive { uri: uri.into(), suite: suite.into(), components: components.clone() };
            all.extend(suites.split_whitespace().map(of));
        }
    }
    all
}

fn apt_sources(_: &Asked<'_>) -> Answered {
    let more = read::names("/etc/apt/sources.list.d").into_iter().map(|name| format!("/etc/apt/sources.list.d/{name}"));
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for path in ["/etc/apt/sources.list".to_owned()].into_iter().chain(more) {
        let archives = match path.rsplit_once('.').map(|(_, end)| end) {
            Some("list") => one_line_archives(&read::text(&path)),
            Some("sources") => stanza_archives(&read::text(&path)),
            _ => continue,
        };
        rows.extend(archives.into_iter().map(|archive| archive_row(&archive, &path)));
    }
    all(rows)
}

fn archive_row(archive: &Archive, path: &str) -> Vec<Value> {
    let Archive { uri, suite, components } = archive;
    // What apt has fetched of it lies under its address with slashes as underscores.
    let place = uri.split_once("://").map_or(uri.as_str(), |(_, place)| place).trim_end_matches('/').replace('/', "_");
    let fetched = format!("/var/lib/apt/lists/{place}_dists_{}", suite.trim_end_matches('/').replace('/', "_"));
    let mut release = read::text(format!("{fetched}_InRelease"));
    if release.is_empty() {
        release = read::text(format!("{fetched}_Release"));
    }
    let said = |name: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    };
    row![
        format!("{uri} {suite} {components}").trim(),
        path,
        uri.as_str(),
        suite.as_str(),
        said("Version"),
        said("Origin"),
        components.as_str(),
        said("Architectures"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_read_from_lines_and_from_stanzas() {
        let archive = |uri: &str, suite: &str, components: &str| Archive {
            uri: uri.into(),
            suite: suite.into(),
            components: components.into(),
        };
        let lines =
            "# deb http://old x\ndeb [arch=amd64 signed-by=/k] http://a.example/debian stable main contrib # yes\n";
        assert_eq!(one_line_archives(lines), [archive("http://a.example/debian", "stable", "main contrib")]);
        let stanzas = "Types: deb\nURIs: http://a.example/u http://b.example/u\nSuites: noble\nComponents: main\n\n\
                       Types: deb\nEnabled: no\nURIs: http://c.example\nSuites: x\n";
        let expected = ["http://a.example/u", "http://b.example/u"].map(|uri| archive(uri, "noble", "main"));
        assert_eq!(stanza_archives(stanzas), expected);
    }
}
