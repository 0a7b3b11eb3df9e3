//! A Debian root as an image, for throwaway machines: made once, copied by whoever wants a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{install, say};

/// Makes the image `root.ext4` of this size in a folder, with Debian's packages (separated by commas) and an account `user`,
/// unless one with these packages is there.
pub(crate) fn image(folder: &Path, packages: &str, size: &str) -> Result<PathBuf> {
    let packages = packages.replace(char::is_whitespace, "");
    let (root, image, list) = (folder.join("root"), folder.join("root.ext4"), folder.join("packages"));
    if image.exists() && fs::read_to_string(&list).is_ok_and(|made| made == packages) {
        return Ok(image);
    }
    if !install::has("debootstrap") {
        install::apt(&["debootstrap"], "a root for the throwaway machine", || install::has("debootstrap"))?;
    }
    say::step("A Debian root for the throwaway machine (some minutes, once)");
    if root.exists() {
        fs::remove_dir_all(&root).context("the unfinished root cannot be removed")?;
    }
    fs::create_dir_all(folder)?;
    let log = fs::File::create(folder.join("debootstrap.log"))?;
    let status = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={packages}"), "bookworm"])
        .arg(&root)
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()?;
    ensure!(status.success(), "debootstrap failed: see {}", folder.join("debootstrap.log").display());
    let account = Command::new("chroot").arg(&root).args(["useradd", "-m", "-s", "/bin/bash", "user"]).status()?;
    ensure!(account.success(), "the account `user` could not be made");
    let half = folder.join("root.ext4.half");
    fs::remove_file(&half).or_else(|error| if half.exists() { Err(error) } else { Ok(()) })?;
    let made = Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&root).arg(&half).arg(size).status()?;
    ensure!(made.success(), "the root could not be packed into an image");
    fs::rename(half, &image)?;
    fs::write(list, packages)?;
    fs::remove_dir_all(&root)?;
    Ok(image)
}
