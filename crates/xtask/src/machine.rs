//! A Debian root as an image, for throwaway machines: made once, copied by whoever wants a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{install, say};

/// A fresh Debian of this suite in a folder `root`, made once.
pub(crate) fn root(folder: &Path, suite: &str) -> Result<PathBuf> {
    let (root, whole) = (folder.join("root"), folder.join("whole"));
    if !whole.exists() {
        debootstrap(folder, &root, &[suite])?;
        fs::write(whole, "")?;
    }
    Ok(root)
}

fn debootstrap(folder: &Path, root: &Path, options: &[&str]) -> Result<()> {
    if !install::has("debootstrap") {
        install::apt(&["debootstrap"], "a Debian in a folder", || install::has("debootstrap"))?;
    }
    say::step("A Debian in a folder (some minutes, once)");
    if root.exists() {
        fs::remove_dir_all(root).context("the unfinished root cannot be removed")?;
    }
    fs::create_dir_all(folder)?;
    let log = fs::File::create(folder.join("debootstrap.log"))?;
    let mut command = Command::new("debootstrap");
    command.arg("--variant=minbase").args(options).arg(root);
    let status = command.stdout(log.try_clone()?).stderr(log).status()?;
    ensure!(status.success(), "debootstrap failed: see {}", folder.join("debootstrap.log").display());
    Ok(())
}

/// Makes the image `root.ext4` of this size in a folder, with Debian's packages (separated by commas) and an account `user`,
/// unless one with these packages is there.
pub(crate) fn image(folder: &Path, packages: &str, size: &str) -> Result<PathBuf> {
    let packages = packages.replace(char::is_whitespace, "");
    let (root, image, list) = (folder.join("root"), folder.join("root.ext4"), folder.join("packages"));
    if image.exists() && fs::read_to_string(&list).is_ok_and(|made| made == packages) {
        return Ok(image);
    }
    debootstrap(folder, &root, &[&format!("--include={packages}"), "bookworm"])?;
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
