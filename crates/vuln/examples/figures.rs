//! Builds a store of what the arguments name and says what is in it, how long that took, and how long it takes to open:
//! `figures FOLDER PATH…`. For measuring by hand; `guardian vulndb` is for use.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use guardian_vuln::load::Loader;
use guardian_vuln::store::folder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args().skip(1).map(PathBuf::from);
    let folder = paths.next().ok_or("name the folder of the store")?;
    let start = Instant::now();
    let mut loader = Loader::default();
    for path in paths {
        let before = Instant::now();
        loader.path(&path)?;
        println!("{}: {:.2} s", path.display(), before.elapsed().as_secs_f64());
    }
    println!("{} documents, {} of no source", loader.documents, loader.unknown);
    println!("{} complaints", loader.issues.len() as u64 + loader.issues_more);
    for issue in loader.issues.iter().take(20) {
        println!("  {} {}: {}", issue.document, issue.record, issue.what);
    }
    let built = folder::publish(&folder, loader.finish(), 1_764_000_000, 2)?;
    println!("{built:?} in {:.2} s", start.elapsed().as_secs_f64());
    show(&folder)
}

fn show(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let store = folder::open(folder, None)?;
    println!("opened in {:.3} ms", start.elapsed().as_secs_f64() * 1e3);
    for given in store.given() {
        println!("  {given:?}");
    }
    for (ecosystem, packages) in store.ecosystems() {
        println!("  {ecosystem}: {packages} packages");
    }
    println!("whole: {}", store.is_whole());
    Ok(())
}
