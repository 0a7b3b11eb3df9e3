//! Children with limits that hold from their first instruction on: resources, a group of their own, a control group, and
//! that they end with us.
#![expect(unsafe_code, reason = "what a child does between fork and exec has no safe form in the standard library")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What a child and its children may use. Zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Seconds of processor time of each process.
    pub cpu_s: u64,
    /// Bytes of address space of each process.
    pub memory_bytes: u64,
    /// Bytes of any file that is written.
    pub file_bytes: u64,
    /// Open files of each process.
    pub files: u64,
    /// Lower priority, up to 19.
    pub nice: i32,
}

/// Makes the child of a command lead a session of its own, keep the limits, leave no image of its memory when it crashes,
/// and be killed when the thread that started it ends. `group` is the open `cgroup.procs` of the control group that it
/// enters; where that fails the child does not start.
pub fn limit(command: &mut Command, limits: Limits, group: Option<File>) {
    let set = move || {
        let resource = |resource, value: u64| {
            let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
            // SAFETY: the call only reads the struct, and may be made between fork and exec.
            if unsafe { libc::setrlimit(resource, &raw const limit) } == 0 { Ok(()) } else { Err(last()) }
        };
        for (kind, value) in [
            (libc::RLIMIT_CPU, limits.cpu_s),
            (libc::RLIMIT_AS, limits.memory_bytes),
            (libc::RLIMIT_FSIZE, limits.file_bytes),
            (libc::RLIMIT_NOFILE, limits.files),
        ] {
            if value > 0 {
                resource(kind, value)?;
            }
        }
        resource(libc::RLIMIT_CORE, 0)?;
        // SAFETY: calls with numbers alone, all permitted between fork and exec.
        unsafe {
            if libc::setsid() < 0 {
                return Err(last());
            }
            libc::setpriority(libc::PRIO_PROCESS, 0, limits.nice);
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) != 0 {
                return Err(last());
            }
        }
        if let Some(group) = &group {
            let own = b"0";
            // SAFETY: one byte is read from ours; writing is permitted between fork and exec.
            if unsafe { libc::write(group.as_raw_fd(), own.as_ptr().cast(), own.len()) } != 1 {
                return Err(last());
            }
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing and takes no lock: it makes system calls only.
    unsafe { command.pre_exec(set) };
}

fn last() -> io::Error {
    io::Error::last_os_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_keeps_its_limits_and_leads_a_session() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -f; ulimit -n; ulimit -c; cut -d' ' -f1,6 /proc/self/stat; echo $$"]);
        limit(&mut command, Limits { file_bytes: 1 << 20, files: 32, nice: 5, ..Limits::default() }, None);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(&lines[..3], ["2048", "32", "0"], "{text}");
        assert_eq!(lines[3].split(' ').nth(1), Some(lines[4]), "the shell leads its session");
    }
}
