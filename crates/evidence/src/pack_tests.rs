//! Packs are what was put in, for their holder alone, and say so when they are not.

use super::*;
use crate::SecretKey;

fn lock() -> Lock {
    Lock::Public { recipient: SecretKey::new([3; 32]).public(), fresh: SecretKey::new([5; 32]) }
}

fn unlock() -> Unlock {
    Unlock::Secret(SecretKey::new([3; 32]))
}

fn read(bytes: &[u8], bytes_max: u64) -> Result<(Opened, BTreeMap<String, Vec<u8>>), EvidenceError> {
    let mut contents = BTreeMap::new();
    let opened = open(bytes, &unlock(), bytes_max, |name, entry| {
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        contents.insert(name.to_owned(), content);
        Ok(())
    })?;
    Ok((opened, contents))
}

#[test]
fn a_pack_comes_back_with_its_manifest() {
    let manifest = Manifest { host: "h".into(), begun: 7, ..Manifest::default() };
    let mut pack = PackWriter::new(Vec::new(), &lock(), manifest, 1_000_000).unwrap();
    let long = format!("files/{}", "very long/".repeat(40) + "end");
    let origin = Origin { path: "/etc/passwd".into(), mode: 0o100_644, modified: 5_000_000, ..Origin::default() };
    assert!(pack.add("files/etc/passwd", origin.clone(), 5, &mut b"root:".as_slice()).unwrap());
    assert!(pack.add(&long, Origin::default(), 0, &mut b"".as_slice()).unwrap());
    assert!(pack.add("short", Origin::default(), 10, &mut b"abc".as_slice()).unwrap());
    assert!(!pack.add("../out", Origin::default(), 1, &mut b"x".as_slice()).unwrap());
    assert!(!pack.add("large", Origin::default(), 2_000_000, &mut io::repeat(1)).unwrap());
    pack.left_out("/srv/secret", "Permission denied");
    let (made, manifest, bytes) = pack.finish(9).unwrap();
    assert_eq!((made.bytes, made.raw_bytes), (bytes.len() as u64, 15));
    assert_eq!(made.blake3, *blake3::hash(&bytes).as_bytes());

    let (opened, contents) = read(&bytes, 1 << 20).unwrap();
    assert_eq!(opened.problems, Vec::<String>::new());
    assert_eq!((opened.digest, &opened.manifest), (made.manifest, &manifest));
    assert_eq!((manifest.begun, manifest.ended, manifest.entries.len()), (7, 9, 3));
    assert_eq!(manifest.entries[0].origin, origin);
    assert!(manifest.entries[2].origin.note.starts_with("7 bytes"));
    assert_eq!(manifest.left_out.iter().map(|l| &*l.what).collect::<Vec<_>>(), ["../out", "large", "/srv/secret"]);
    assert_eq!(contents["files/etc/passwd"], b"root:");
    assert_eq!(contents["short"], b"abc\0\0\0\0\0\0\0");
    assert_eq!(contents[&long], b"");
}

/// Archives as an enemy could make them, with the right key.
#[test]
fn hostile_packs_are_refused_or_told() {
    let sealed = |fill: &dyn Fn(&mut tar::Builder<zstd::stream::write::Encoder<'static, Sealer<Vec<u8>>>>)| {
        let encoder = zstd::stream::write::Encoder::new(Sealer::new(Vec::new(), &lock()).unwrap(), 1).unwrap();
        let mut tar = tar::Builder::new(encoder);
        fill(&mut tar);
        tar.into_inner().unwrap().finish().unwrap().finish().unwrap()
    };
    let entry = Entry { name: "a".into(), bytes: 1, blake3: "00".into(), sha256: "00".into(), ..Entry::default() };
    let gone = Entry { name: "gone".into(), ..entry.clone() };
    let manifest = Manifest { entries: vec![entry, gone], ..Manifest::default() };
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let told = sealed(&|tar| {
        append(tar, "a", 1, 0, &mut b"x".as_slice()).unwrap();
        append(tar, "b", 1, 0, &mut b"x".as_slice()).unwrap();
        append(tar, MANIFEST_NAME, manifest.len() as u64, 0, &mut manifest.as_slice()).unwrap();
        append(tar, "c", 1, 0, &mut b"x".as_slice()).unwrap();
    });
    let (opened, _) = read(&told, 1 << 20).unwrap();
    let expected = [
        "`c` stands behind the manifest",
        "`a` is not what the manifest says",
        "`gone` is missing",
        "`b` is not in the manifest",
        "`c` is not in the manifest",
    ];
    assert_eq!(opened.problems, expected);

    let link = sealed(&|tar| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "a", "/etc/shadow").unwrap();
    });
    assert!(matches!(read(&link, 1 << 20), Err(EvidenceError::Limit(_))));
    let bare = sealed(&|tar| append(tar, "a", 1, 0, &mut b"x".as_slice()).unwrap());
    assert!(matches!(read(&bare, 1 << 20), Err(EvidenceError::NoManifest)));
    let bomb = sealed(&|tar| append(tar, "zeros", 64 << 20, 0, &mut io::repeat(0).take(64 << 20)).unwrap());
    assert!(bomb.len() < 1 << 20);
    assert!(read(&bomb, 1 << 20).is_err());
}
