//! Programs that tests write and then start.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a program that can be started at once.
///
/// Another thread's child holds for a moment whatever this process has open, and a program that anybody has open for
/// writing cannot be started ("text file busy"). So it is written by a process of its own, which has ended by then.
///
/// # Panics
///
/// If it cannot be written.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    let mut shell = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh should be there");
    shell.stdin.take().expect("it is piped").write_all(content.as_ref()).expect("sh should read");
    let status = shell.wait().expect("sh should end");
    assert!(status.success(), "{} cannot be written: {status}", path.display());
}
