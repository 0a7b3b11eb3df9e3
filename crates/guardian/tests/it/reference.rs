//! The generated chapters of the manual are what this program prints.

use std::path::Path;
use std::process::Command;

#[test]
fn the_references_are_up_to_date() {
    for page in ["cli", "configuration", "fields"] {
        let output = Command::new(env!("CARGO_BIN_EXE_guardian")).args(["docs", page]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/reference/{page}.md"));
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let same = committed == String::from_utf8_lossy(&output.stdout);
        assert!(same, "docs/reference/{page}.md is out of date: `cargo xtask tidy --write`");
    }
}
