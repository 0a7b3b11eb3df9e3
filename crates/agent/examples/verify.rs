//! Compares the files of a root with its package databases, and prints what deviates as `rpm -V` does: `verify ROOT`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example's output")]

use std::path::Path;
use std::time::Instant;

use guardian_agent::files::{Root, verify};

fn main() {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/".to_owned());
    let begun = Instant::now();
    let mut root = Root::new(Path::new(&path));
    let count = verify(&mut root, &mut |deviation| println!("{deviation}"));
    eprintln!(
        "{count} files in {:.1} s; {} complaints {:?}",
        begun.elapsed().as_secs_f64(),
        root.issues.len(),
        root.issues
    );
}
