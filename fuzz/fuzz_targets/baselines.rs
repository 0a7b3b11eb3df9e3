//! What other checkers of files say: databases of AIDE and Tripwire, reports, and lines of ClamAV. Nothing panics, and what
//! they say of a file becomes what is compared.
#![no_main]

use guardian_agent::files::{of_aide, of_tripwire};
use guardian_agent::response::clam_finding;
use guardian_inventory::{aide, limits, tripwire};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(found) = aide::database(input) {
        assert!(found.entries.len() <= limits::ENTRIES_MAX);
        for entry in &found.entries {
            assert_eq!(of_aide(entry).path, entry.path);
        }
    }
    if let Ok(report) = aide::report(input) {
        assert!(report.listed.entries.len() <= limits::ENTRIES_MAX);
    }
    if let Ok(found) = tripwire::database(input) {
        assert!(found.objects.entries.len() <= limits::ENTRIES_MAX);
        for object in &found.objects.entries {
            assert_eq!(of_tripwire(object).path, object.path);
        }
    }
    for line in String::from_utf8_lossy(input).lines() {
        if let Some((path, name)) = clam_finding(line) {
            assert!(path.len() + name.len() < line.len());
        }
    }
});
