//! What is compressed is read as it was, or refused: each form whole, cut off, changed, and larger than it may be.

use std::io::Write as _;

use super::*;

const TEXT: &[u8] =
    b"{\"version\": 2, \"packages\": {\"a\": {\"name\": \"a-1.0\", \"pname\": \"a\", \"version\": \"1.0\", \"meta\": \
    {\"knownVulnerabilities\": [\"CVE-2030-0001\"]}}}}";
/// [`TEXT`], and as many letters as [`BOMB`] says, by Node's zlib.
const BROTLI: &str = "1b8800a0ac0aec86d78f57150d847346e8e363dd865a646f4b66eac0b0e8e4c84f1af8fd70086aad620c38d24c161c6c3dfab24524464f167\
    23ed9a6988d28341b59cef486cd47293794e2144be8068b210465a4541f087204e98621375db8abfc02f73ff8b5f7e1c39b3e70c1d851b5f52b";
const BROTLI_BOMB: &str = "cbffff3f0024c2e2b14072effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f001200715800baf77ffcffff034\
    002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f000980382c00ddfbbffcffff032001108705a07bff07";
/// With a window of 1 GiB, which RFC 7932 does not have.
const BROTLI_LARGE: &str = "115efeffffe097088bc70201b9f73f";
const BOMB: usize = 64 << 20;

fn of_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// In every form.
pub(crate) fn packed(text: &[u8]) -> [(Form, Vec<u8>); 4] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    gzip.write_all(text).unwrap();
    xz.write_all(text).unwrap();
    bzip2.write_all(text).unwrap();
    [
        (Form::Gzip, gzip.finish().unwrap()),
        (Form::Zstd, zstd::bulk::compress(text, 1).unwrap()),
        (Form::Xz, xz.finish().unwrap()),
        (Form::Bzip2, bzip2.finish().unwrap()),
    ]
}

fn unpack(form: Form, packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    form.open(packed)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn every_form_is_told_and_read_however_often_it_stands_there() {
    for (form, once) in packed(TEXT) {
        assert_eq!(Form::of(&once[..MARK_BYTES]), Some(form));
        assert_eq!(unpack(form, &once).unwrap(), TEXT, "{form:?}");
        let twice = [once.as_slice(), once.as_slice()].concat();
        assert_eq!(unpack(form, &twice).unwrap(), [TEXT, TEXT].concat(), "{form:?}");
        // In pieces as small as they can be.
        let mut reader = form.open(io::BufReader::with_capacity(1, once.as_slice())).unwrap();
        let mut bytes = Vec::new();
        let mut one = [0];
        while reader.read(&mut one).unwrap() == 1 {
            bytes.push(one[0]);
        }
        assert_eq!(bytes, TEXT, "{form:?}");
    }
    assert_eq!(Form::of_named("packages.json.br", &of_hex(BROTLI)), Some((Form::Brotli, "packages.json")));
    assert_eq!(unpack(Form::Brotli, &of_hex(BROTLI)).unwrap(), TEXT);
    assert_eq!(Form::of_named("x.xz", b"BZhave a look"), None, "a text is what it is, whatever its name says");
    assert_eq!(unpack(Form::Xz, &packed(b"")[2].1).unwrap(), b"");
    let nothing = &packed(b"")[3].1;
    assert_eq!((Form::of(nothing), unpack(Form::Bzip2, nothing).unwrap()), (Some(Form::Bzip2), Vec::new()));
}

#[test]
fn what_is_cut_off_or_changed_is_an_error_and_never_a_shorter_text() {
    let mut all = packed(TEXT).to_vec();
    all.push((Form::Brotli, of_hex(BROTLI)));
    for (form, whole) in all {
        for end in 0..whole.len() {
            // Nothing at all is nothing compressed in most forms.
            let cut = unpack(form, &whole[..end]);
            assert!(cut.is_err() || end == 0 && cut.unwrap().is_empty(), "{form:?} up to {end} of {}", whole.len());
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            // Gzip's header has bytes that say nothing; Brotli has no checksum, and Zstandard none unless asked.
            if let Ok(text) = unpack(form, &changed) {
                assert!(text == TEXT || matches!(form, Form::Brotli | Form::Zstd), "{form:?} with another byte {at}");
            }
        }
    }
    let behind = [of_hex(BROTLI).as_slice(), b"x"].concat();
    assert!(unpack(Form::Brotli, &behind).is_err());
}

#[test]
fn what_grows_is_bounded_in_memory_and_in_length() {
    let bomb = of_hex(BROTLI_BOMB);
    let mut reader = Form::Brotli.open(bomb.as_slice()).unwrap();
    assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), BOMB as u64);
    assert!(unpack(Form::Brotli, &of_hex(BROTLI_LARGE)).is_err(), "a window of 1 GiB");
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.lzma_options.dict_size = 512 << 20;
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    xz.write_all(b"x").unwrap();
    let wrong = unpack(Form::Xz, &xz.finish().unwrap()).unwrap_err();
    assert_eq!(wrong.kind(), io::ErrorKind::OutOfMemory, "a dictionary of 512 MiB: {wrong}");
    for (form, packed) in packed(&vec![b'a'; 9 << 20]) {
        let inside = form.open(packed.as_slice()).unwrap();
        let error = Bounded { inside, left: 1 << 20 }.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{form:?}");
    }
}
