//! The readers against what the real tools say of the same files; see `fixtures/record.sh`.

#[path = "it/every_reader.rs"]
mod every_reader;
#[path = "it/firewall.rs"]
mod firewall;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/integrity.rs"]
mod integrity;
#[path = "it/language.rs"]
mod language;
#[path = "it/languages.rs"]
mod languages;
#[path = "it/live.rs"]
mod live;
#[path = "it/packages.rs"]
mod packages;
#[path = "it/system.rs"]
mod system;
#[path = "it/versions.rs"]
mod versions;

use std::path::PathBuf;

/// The bytes of a fixture, decompressed where it is kept so.
fn fixture(name: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    if !name.ends_with(".zst") {
        return bytes;
    }
    zstd::bulk::decompress(&bytes, 16 << 20).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(fixture(name)).unwrap()
}
