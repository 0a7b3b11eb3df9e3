//! Tells cargo when the built console changes, also when files come or go. It builds nothing: `cargo xtask` does.

fn main() {
    let built = std::path::Path::new("../../web/dist");
    // A folder that is missing would make every build a change.
    if let Err(error) = std::fs::create_dir_all(built) {
        println!("cargo::warning=the folder of the built console cannot be made: {error}");
    }
    println!("cargo::rerun-if-changed={}", built.display());
}
