//! Which system calls are left to a confined process. What is not on its list is refused (`EPERM`); who tries to run a
//! program, to reach a network or into another process has been taken over, and is killed.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// Reads from descriptors that it is given, and answers. It opens nothing, and has one thread.
    Parse,
    /// The same, and makes machine code of what it was told, until [`no_more_code`].
    Compile,
    /// Opens files too, to read them, and may have threads. Which files, is a matter of paths.
    Read,
    /// The same, looks at attributes of files, and asks the kernel about its network.
    Look,
}

/// What every process needs: reading, answering, memory, time, and its end.
const ALWAYS: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_ppoll,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getrusage,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What whoever opens files needs beside that.
const READING: &[libc::c_long] = &[
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_getcwd,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_sched_getaffinity,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_setpriority,
    // It can only restrict itself further.
    libc::SYS_seccomp,
];

/// What whoever looks at the whole machine needs beside that. A socket is one of netlink alone: see [`allowed`].
const LOOKING: &[libc::c_long] = &[
    libc::SYS_statfs,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_bind,
    libc::SYS_getsockname,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
];

#[cfg(target_arch = "x86_64")]
const ALWAYS_OLD: &[libc::c_long] = &[libc::SYS_poll];
#[cfg(target_arch = "x86_64")]
const READING_OLD: &[libc::c_long] =
    &[libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink, libc::SYS_getdents];
#[cfg(not(target_arch = "x86_64"))]
const ALWAYS_OLD: &[libc::c_long] = &[];
#[cfg(not(target_arch = "x86_64"))]
const READING_OLD: &[libc::c_long] = &[];

/// What whoever parses does not either, but whoever asks the kernel about its network does.
const SOCKETS: &[libc::c_long] = &[libc::SYS_socket, libc::SYS_bind];

/// What nobody who parses ever does.
const FATAL: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_connect,
    libc::SYS_mount,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_add_key,
    libc::SYS_keyctl,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// A rule that holds where the bits of an argument under a mask are as given.
fn masked(argument: u8, mask: libc::c_int, value: libc::c_int) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let (mask, value) = (u64::from(mask as u32), u64::from(value as u32));
    let op = SeccompCmpOp::MaskedEq(mask);
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)?;
    Ok(vec![SeccompRule::new(vec![condition])?])
}

fn allowed(calls: Calls) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = ALWAYS.iter().chain(ALWAYS_OLD).map(|call| (*call, Vec::new())).collect();
    // Memory that can be run is what a program brings that was let in by a flaw.
    rules.insert(libc::SYS_mmap, masked(2, libc::PROT_EXEC, 0)?);
    rules.insert(libc::SYS_mprotect, masked(2, libc::PROT_EXEC, 0)?);
    if calls == Calls::Compile {
        rules.insert(libc::SYS_mmap, Vec::new());
        rules.insert(libc::SYS_mprotect, Vec::new());
        // It can only restrict itself further.
        rules.insert(libc::SYS_seccomp, Vec::new());
        rules.insert(libc::SYS_prctl, masked(0, -1, libc::PR_SET_NO_NEW_PRIVS)?);
    }
    // A process that gives up sends itself the signal.
    let own = u64::from(std::process::id());
    let own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![own])?]);
    if opens(calls) {
        rules.extend(READING.iter().chain(READING_OLD).map(|call| (*call, Vec::new())));
        let changes = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
        rules.insert(libc::SYS_openat, masked(2, changes, libc::O_RDONLY)?);
        #[cfg(target_arch = "x86_64")]
        rules.insert(libc::SYS_open, masked(1, changes, libc::O_RDONLY)?);
        let named = |what: libc::c_int| masked(0, -1, what);
        rules.insert(libc::SYS_prctl, [named(libc::PR_SET_NAME)?, named(libc::PR_SET_NO_NEW_PRIVS)?].concat());
        rules.insert(libc::SYS_clone, masked(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?);
    }
    if calls == Calls::Look {
        rules.extend(LOOKING.iter().map(|call| (*call, Vec::new())));
        rules.insert(libc::SYS_socket, masked(0, -1, libc::AF_NETLINK)?);
    }
    Ok(rules)
}

const fn opens(calls: Calls) -> bool {
    matches!(calls, Calls::Read | Calls::Look)
}

fn compile(rules: Rules, others: SeccompAction, these: SeccompAction) -> io::Result<Option<BpfProgram>> {
    // An architecture that the compiler does not know.
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(None) };
    let filter = SeccompFilter::new(rules, others, these, architecture).map_err(io::Error::other)?;
    BpfProgram::try_from(filter).map(Some).map_err(io::Error::other)
}

/// Whoever has made the machine code that it needs makes no more from now on.
pub fn no_more_code() -> io::Result<()> {
    let executable = [(libc::SYS_mmap, 2), (libc::SYS_mprotect, 2)]
        .into_iter()
        .map(|(call, argument)| masked(argument, libc::PROT_EXEC, libc::PROT_EXEC).map(|rule| (call, rule)));
    let executable = executable.collect::<Result<Rules, _>>().map_err(io::Error::other)?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    match compile(executable, SeccompAction::Allow, refused)? {
        Some(filter) => apply_filter(&filter).map_err(io::Error::other),
        None => Ok(()),
    }
}

/// Lets through what the work needs, from now on; whether the kernel does that.
pub(super) fn filter(calls: Calls) -> io::Result<bool> {
    let every = |calls: &[libc::c_long]| -> Rules { calls.iter().map(|call| (*call, Vec::new())).collect() };
    let mut never = every(FATAL);
    if calls != Calls::Look {
        never.extend(every(SOCKETS));
    }
    let fatal = compile(never, SeccompAction::Allow, SeccompAction::KillProcess)?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let main = compile(allowed(calls).map_err(io::Error::other)?, refused, SeccompAction::Allow)?;
    // Its arguments lie in memory, where a filter cannot look: the C library then takes the older call.
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let older = compile(every(&[libc::SYS_clone3, libc::SYS_openat2]), SeccompAction::Allow, absent)?;
    let (Some(fatal), Some(main), Some(older)) = (fatal, main, older) else { return Ok(false) };
    let mut filters = vec![fatal, main];
    if opens(calls) {
        filters.push(older);
    }
    for (at, filter) in filters.iter().enumerate() {
        match apply_filter(filter) {
            Ok(()) => {}
            // A kernel without filters refuses the first.
            Err(_) if at == 0 => return Ok(false),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(true)
}
