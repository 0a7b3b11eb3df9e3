//! The generated chapters of the manual are what this program prints.

use std::path::Path;
use std::process::Command;

#[test]
fn the_references_are_up_to_date() {
    let reference = |page: &str| format!("docs/reference/{page}.md");
    let pages = ["cli", "configuration", "fields"].map(|page| (page, reference(page)));
    // The console's client is generated from the document: a change of the API is seen here, in review.
    for (page, file) in pages.into_iter().chain([("openapi", "web/openapi.json".to_owned())]) {
        let output = Command::new(env!("CARGO_BIN_EXE_guardian")).args(["docs", page]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(&file);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let same = committed == String::from_utf8_lossy(&output.stdout);
        assert!(same, "{file} is out of date: `cargo xtask tidy --write`");
    }
}
