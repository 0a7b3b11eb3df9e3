//! Databases and reports of the other file integrity checkers, and what package managers say of files: against what the
//! tools themselves wrote.

use guardian_inventory::owned::{Account, Algorithm};
use guardian_inventory::{aide, apk, pacman, tripwire};

use crate::fixture;

fn path(entry: &aide::Entry) -> String {
    String::from_utf8_lossy(&entry.path).into_owned()
}

#[test]
fn aide_database_with_every_group() {
    let found = aide::database(&fixture("aide-database")).unwrap();
    assert_eq!(found.issues, []);
    let names: Vec<String> = found.entries.iter().map(|e| path(e).replace("/srv/files/", "")).collect();
    assert_eq!(names, ["tree", "tree/a", "tree/d", "tree/l", "tree/p", "tree/sp ace %41é", "tree/t"]);
    let [folder, file, _, link, pipe, _, program] = &found.entries[..] else { panic!("seven") };
    assert_eq!((folder.mode, folder.links, folder.e2fs), (Some(0o40_755), Some(3), Some(524_288)));
    assert_eq!((file.size, file.mode, file.uid, file.blocks), (Some(3), Some(0o100_644), Some(0), Some(8)));
    assert_eq!(file.modified_s, Some(1_795_383_369));
    let digests: Vec<(&str, usize)> = file.digests.iter().map(|(name, bytes)| (&name[..], bytes.len())).collect();
    let expected = [
        ("md5", 16),
        ("sha1", 20),
        ("rmd160", 20),
        ("tiger", 24),
        ("crc32", 4),
        ("haval", 32),
        ("gost", 32),
        ("sha256", 32),
        ("sha512", 64),
        ("whirlpool", 64),
    ];
    assert_eq!(digests, expected);
    // printf 'hi\n' | md5sum
    assert_eq!(file.digests[0].1[..4], [0x76, 0x4e, 0xfa, 0x88]);
    assert_eq!(file.acl.as_deref(), Some(&b"user::rw-\nuser:daemon:r--\ngroup::r--\nmask::r--\nother::r--\n"[..]));
    assert_eq!(file.attributes, [(b"user.note".to_vec(), b"val".to_vec())]);
    assert_eq!((link.target.as_deref(), link.mode), (Some(&b"a"[..]), Some(0o120_777)));
    assert_eq!((pipe.mode, pipe.digests.len()), (Some(0o10_644), 0));
    assert_eq!(program.capabilities.as_deref(), Some(&b"cap_net_admin,cap_net_raw=ep"[..]));
}

#[test]
fn aide_database_compressed_cut_off_and_written_again() {
    use std::io::Write as _;
    let plain = fixture("aide-database");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(&plain).unwrap();
    let found = aide::database(&plain).unwrap();
    assert_eq!(aide::database(&gz.finish().unwrap()).unwrap(), found);
    let cut = aide::database(&plain[..plain.len() / 2]).unwrap();
    assert!(!cut.entries.is_empty() && cut.issues.iter().any(|issue| issue.what == "it is cut off"));
    assert!(aide::database(b"root:x:0:0\n").is_err());
    let mut written = Vec::new();
    aide::write(&mut written, aide::Columns::ALL, &mut found.entries.clone().into_iter()).unwrap();
    let again = aide::database(&written).unwrap();
    assert_eq!(again.issues, []);
    for (mut was, is) in found.entries.into_iter().zip(again.entries) {
        // Columns that are not written.
        (was.accessed_s, was.blocks, was.e2fs) = (None, None, None);
        was.digests.retain(|(name, _)| name == "sha256");
        assert_eq!(was, is);
    }
}

#[test]
fn aide_report_with_details() {
    let report = aide::report(&fixture("aide-report")).unwrap();
    assert_eq!((&report.version[..], &report.started[..10]), ("0.18.3", "2026-11-22"));
    let told: Vec<(&str, &str)> =
        report.listed.entries.iter().map(|one| (one.what, one.path.trim_start_matches("/srv/files/"))).collect();
    for expected in [("added", "tree/new"), ("removed", "tree/d"), ("changed", "tree/a"), ("changed", "tree/t")] {
        assert!(told.contains(&expected), "{told:?}");
    }
    let file = report.listed.entries.iter().find(|one| one.path.ends_with("tree/a")).unwrap();
    let detail = |name: &str| file.details.iter().find(|(of, _, _)| of == name).unwrap();
    assert_eq!(detail("Size"), &("Size".into(), "3".into(), "8".into()));
    let sha256 = detail("SHA256");
    assert_eq!(sha256.1, "mOpuTyFvL7S2n/+bOkSELDhobKaF8/VdxIxdP7EQe+Q=");
    assert_eq!(sha256.2.len(), 44);
    assert!(aide::report(b"hello\n").is_err());
}

#[test]
fn tripwire_database_as_printed() {
    let database = tripwire::database(&fixture("tripwire-database")).unwrap();
    assert_eq!(database.objects.issues, []);
    assert_eq!((&database.host[..], &database.made[..]), ("vm", "Sun Nov 22 21:57:22 2026"));
    assert_eq!(database.objects.entries.len(), 9);
    let find = |end: &str| database.objects.entries.iter().find(|o| o.path.ends_with(end.as_bytes())).unwrap();
    assert_eq!(find("/null").mode, Some(0o020_666));
    assert_eq!((find("/tree/l").mode, find("/tree/p").mode), (Some(0o120_777), Some(0o010_644)));
    let program = find("tree/t");
    assert_eq!((program.size, program.uid, program.links), (Some(35_664), Some(0), Some(1)));
    let digest = |name: &str| program.digests.iter().find(|(of, _)| of == name).unwrap().1.clone();
    // The same file as in AIDE's database.
    let aide = aide::database(&fixture("aide-database")).unwrap();
    let same = aide.entries.iter().find(|e| path(e).ends_with("tree/t")).unwrap();
    for (theirs, ours) in [("MD5", "md5"), ("SHA", "sha1")] {
        assert_eq!(digest(theirs), same.digests.iter().find(|(name, _)| name == ours).unwrap().1);
    }
    assert!(!tripwire::Database::SIGNATURE_VERIFIED && tripwire::database(b"x").is_err());
}

#[test]
fn apk_files_with_owners_and_digests() {
    let found = apk::files(&fixture("apk-installed-files"));
    assert_eq!(found.issues, []);
    let told: Vec<_> = found
        .entries
        .iter()
        .map(|(_, o)| (String::from_utf8_lossy(&o.path).into_owned(), o.mode.unwrap(), o.digest.is_some(), o.config))
        .collect();
    let expected = [
        ("/etc", 0o755, false, false),
        ("/etc/acme.conf", 0o640, true, true),
        ("/usr", 0o755, false, false),
        ("/usr/bin", 0o755, false, false),
        ("/usr/bin/acme", 0o4755, true, false),
        ("/usr/bin/acme-l", 0o777, true, false),
    ];
    assert_eq!(told, expected.map(|(path, mode, digest, config)| (path.to_owned(), mode, digest, config)));
    assert_eq!(found.entries[1].1.group, Some(Account::Number(4)));
    assert_eq!(found.entries[4].1.digest.as_ref().unwrap().algorithm, Algorithm::Sha1);
}

#[test]
fn pacman_mtree_of_a_real_package() {
    let found = pacman::mtree(&fixture("pacman-mtree")).unwrap();
    assert_eq!(found.issues, []);
    let find = |path: &str| found.entries.iter().find(|o| o.path == path.as_bytes()).unwrap();
    assert_eq!(found.entries.len(), 8);
    assert_eq!((find("/usr/bin/acme").mode, find("/usr/bin/acme").size), (Some(0o4755), Some(6)));
    assert_eq!(find("/usr/lib/sp ace").digest.as_ref().unwrap().algorithm, Algorithm::Sha256);
    assert_eq!(find("/usr/bin/acme-link").target.as_deref(), Some(&b"acme"[..]));
}
