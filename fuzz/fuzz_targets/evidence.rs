//! Packs of evidence as a machine that was taken over could send them: as they come, and as if the input were the archive
//! within a pack that was sealed with the right key.
#![no_main]

use std::io::{Read as _, Write as _};

use guardian_evidence::{Lock, Sealer, Unlock, open};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

const BYTES_MAX: u64 = 1 << 20;

fn unlock() -> Unlock {
    Unlock::Shared(Zeroizing::new([7; 32]))
}

fn look(pack: &[u8]) {
    let mut seen = 0;
    let opened = open(pack, &unlock(), BYTES_MAX, |name, entry| {
        assert!(!name.split('/').any(|part| matches!(part, "" | "." | "..")), "a name stays within its folder");
        let mut content = Vec::new();
        seen += entry.take(4_096).read_to_end(&mut content)? as u64;
        Ok(())
    });
    assert!(seen <= BYTES_MAX + 4_096);
    if let Ok(opened) = opened {
        assert!(opened.manifest.entries.len() >= opened.problems.iter().filter(|p| p.ends_with("is missing")).count());
    }
}

fuzz_target!(|input: &[u8]| {
    look(input);
    let lock = Lock::Shared { secret: Zeroizing::new([7; 32]), salt: [1; 32] };
    let mut sealer = Sealer::new(Vec::new(), &lock).expect("a sound lock");
    sealer.write_all(&stored(input)).expect("memory takes all");
    look(&sealer.finish().expect("memory takes all"));
});

/// A frame of zstd with one block that is stored as it is (RFC 8878 section 3.1.1): packing would be most of the work.
fn stored(input: &[u8]) -> Vec<u8> {
    let length = input.len() as u32;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&(length << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(input);
    frame
}
