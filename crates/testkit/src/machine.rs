//! A throwaway machine: a copy of a root on a file system of its own, in a mount namespace. What is done there ends with it.
//! An image, because the kernel says who changes files on real file systems only.

use std::path::{Path, PathBuf};

/// Mounts the machine and holds it, as the process that is called `sleep` from then on: `$1` is the folder to work in, `$2` the
/// root as an image, `$3` a file or folder that is lent to the machine, and `$4` where it lies there. For
/// `unshare --mount --propagation …`, see [`propagation`], and then `sh -ec`.
pub const MOUNT: &str = r#"
cp --sparse=always "$2" "$1/room.ext4"
mkdir -p "$1/room"
mount -o loop "$1/room.ext4" "$1/room"
rm "$1/room.ext4"
cd "$1/room"
if [ -d "$3" ]; then mkdir -p ".$4"; else mkdir -p "$(dirname ".$4")"; : > ".$4"; fi
mount --bind "$3" ".$4"
mount -o remount,bind,ro ".$4"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755,size=16m tmpfs dev
mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8; mknod -m 666 dev/urandom c 1 9; mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
mount -t tmpfs -o size=256m tmpfs dev/shm
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=755,size=64m tmpfs run
mkdir run/lock run/sshd
exec chroot . sleep infinity
"#;

/// The image that `cargo xtask test` makes for the tests, below the target folder.
pub const IMAGE: &str = "test-machine/root.ext4";

/// What is installed on it, in Debian's packages.
pub const PACKAGES: &str = "busybox,iproute2,lighttpd,netcat-openbsd,openssh-client,openssh-server,procps,\
    python3-minimal,rsyslog,sshpass";

/// What `unshare --propagation` is told, so that what is mounted in a namespace of its own stays there.
///
/// A root that is no mount point, as of a machine that lives in a folder, has nothing that could be changed: there it is up to
/// the mount that the folder is in.
pub fn propagation() -> &'static str {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // The fifth field is where it is mounted (proc_pid_mountinfo(5)).
    let whole = mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"));
    if whole { "private" } else { "unchanged" }
}

/// The library that gives one program another clock, where it is installed.
pub fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let all = folders.chain([Path::new("/usr/lib64").to_owned(), Path::new("/usr/lib").to_owned()]);
    all.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}
