//! What a root is read through where the reader itself may open nothing: somebody else opens files, and hands them over.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// Longest output of a program that is read.
pub(crate) const OUTPUT_BYTES_MAX: usize = 16 << 20;

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sort {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A symbolic link.
    Link,
    /// A device, a pipe or a socket.
    Other,
}

impl Sort {
    /// Of what a folder says.
    pub(crate) fn of(kind: fs::FileType) -> Self {
        match kind {
            _ if kind.is_dir() => Self::Folder,
            _ if kind.is_file() => Self::File,
            _ if kind.is_symlink() => Self::Link,
            _ => Self::Other,
        }
    }
}

/// A program of the system whose output is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tool {
    /// The ruleset of nftables as JSON.
    Nft,
    /// Tables of the old kind, for IPv4.
    Iptables,
    /// The same for IPv6.
    Ip6tables,
}

impl Tool {
    const fn command(self) -> ([&'static str; 2], &'static [&'static str]) {
        match self {
            Self::Nft => (["/usr/sbin/nft", "/sbin/nft"], &["-j", "list", "ruleset"]),
            Self::Iptables => (["/usr/sbin/iptables-legacy-save", "/sbin/iptables-legacy-save"], &[]),
            Self::Ip6tables => (["/usr/sbin/ip6tables-legacy-save", "/sbin/ip6tables-legacy-save"], &[]),
        }
    }

    /// What it says; none where there is none, or somebody else than root could have written it.
    pub(crate) fn output(self) -> Option<Vec<u8>> {
        let (programs, arguments) = self.command();
        let theirs = |path: &&&str| fs::metadata(path).is_ok_and(|m| m.uid() == 0 && m.mode() & 0o022 == 0);
        let program = programs.iter().find(theirs)?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let mut output = Vec::new();
        let read = child.stdout.take().map(|out| out.take(OUTPUT_BYTES_MAX as u64 + 1).read_to_end(&mut output));
        if output.len() > OUTPUT_BYTES_MAX {
            child.kill().ok();
        }
        let status = child.wait().ok()?;
        (read.is_some_and(|read| read.is_ok()) && status.success()).then_some(output)
    }
}

/// Who opens files for a reader that may not.
pub(crate) trait Reach: std::fmt::Debug + Send {
    /// Opens a file, and says how long it is.
    fn open(&mut self, path: &str) -> io::Result<(File, u64)>;
    /// What is in a folder; nothing where there is none.
    fn entries(&mut self, path: &str) -> Vec<(String, Sort)>;
    /// Where a path leads to.
    fn resolve(&mut self, path: &Path) -> PathBuf;
    /// What a program says.
    fn output(&mut self, tool: Tool) -> Option<Vec<u8>>;
}
