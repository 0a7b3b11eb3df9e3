//! What the process knows and may change about itself: memory, processor time, open files.
//!
//! Of other processes it only says how much memory they use; it must never touch them.
#![expect(
    unsafe_code,
    reason = "getrusage, sysconf, local time and resource limits have no safe form in the standard library"
)]

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Resident memory of this process in bytes, from `/proc/self/statm`.
pub fn resident_bytes() -> io::Result<u64> {
    resident_in("/proc/self/statm")
}

/// The same of another process.
pub fn resident_bytes_of(pid: u32) -> io::Result<u64> {
    resident_in(&format!("/proc/{pid}/statm"))
}

fn resident_in(file: &str) -> io::Result<u64> {
    let text = fs::read_to_string(file)?;
    let pages = text.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    Ok(pages.ok_or_else(|| malformed(file))? * page_bytes())
}

/// The highest resident memory this process has had, in bytes, from `/proc/self/status`.
pub fn peak_resident_bytes() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|field| field.parse::<u64>().ok());
    Ok(kib.ok_or_else(|| malformed("/proc/self/status"))? * 1024)
}

/// Processor time that all threads of this process have used, user and system together.
pub fn cpu_time() -> io::Result<Duration> {
    usage(libc::RUSAGE_SELF)
}

/// Processor time that the calling thread has used, user and system together.
pub fn thread_cpu_time() -> io::Result<Duration> {
    usage(libc::RUSAGE_THREAD)
}

/// Seconds by which local time is ahead of UTC on this machine now; 0 where that is not known. Who changes the machine's time
/// zone is seen.
pub fn utc_offset_s() -> i64 {
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: the calls read the environment, which nothing here changes while threads run, and write to what is ours; a
    // null pointer would be an answer that there is none.
    unsafe {
        tzset();
        let now = libc::time(std::ptr::null_mut());
        let mut local = MaybeUninit::<libc::tm>::zeroed();
        if libc::localtime_r(&raw const now, local.as_mut_ptr()).is_null() { 0 } else { local.assume_init().tm_gmtoff }
    }
}

/// Raises the limit on open files to `wanted`, or to the hard limit where that is lower, and returns what now holds.
/// It never lowers the limit.
pub fn raise_open_files(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is ours and the call writes only to it.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let target = wanted.min(limit.rlim_max);
    if target <= limit.rlim_cur {
        return Ok(limit.rlim_cur);
    }
    limit.rlim_cur = target;
    // SAFETY: the struct is initialised and the call only reads it.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(target)
}

/// Has the kernel refuse memory beyond so many bytes to this process, and to what it starts from now on, unless somebody
/// allowed it fewer before.
pub fn limit_data_bytes(bytes: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_DATA)?;
    Ok(setrlimit(Resource::RLIMIT_DATA, bytes.min(hard), hard)?)
}

/// Lets the calling thread run before others (a lower number, down to -20) or after them (a higher one, up to 19). Going
/// down needs `CAP_SYS_NICE`.
pub fn nice_thread(nice: i32) -> io::Result<()> {
    // SAFETY: the call takes numbers; on Linux 0 is the calling thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets the calling thread, and what it starts from now on, wait a little longer than others for the processor, and have the
/// disk after them; it goes on all the same on a machine that is always busy.
pub fn background_thread() -> io::Result<()> {
    const WHO_PROCESS: libc::c_long = 1;
    /// The last of those that share the disk (linux/ioprio.h).
    const IO_LAST: libc::c_long = 2 << 13 | 7;
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: the struct is ours and only read; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameter) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call takes numbers; 0 is the calling thread.
    if unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0_i64, IO_LAST) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// From this size on memory comes from the system itself and goes back to it at once.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 256 << 10;

/// Has the allocator share two pools among all threads, instead of one for each that keeps what was once needed there, and
/// leave large pieces to the system however large some were before. To be called before there are threads. Where the allocator
/// is another than glibc's nothing happens.
pub fn share_memory_pools() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the calls take numbers, and there are no other threads yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
    }
}

/// Gives memory that was freed back to the system, which the allocator would keep for the next time.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes a number; it locks what it looks at.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of a memory page.
pub fn page_bytes() -> u64 {
    // SAFETY: the call takes no pointer and has no precondition.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}

fn usage(who: libc::c_int) -> io::Result<Duration> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call writes one `rusage` to the pointer, which has room for it.
    if unsafe { libc::getrusage(who, usage.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was zeroed and filled, and any bits are a valid `rusage` of integers.
    let usage = unsafe { usage.assume_init() };
    let micros = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    Ok(Duration::from_micros(micros(usage.ru_utime) + micros(usage.ru_stime)))
}

fn malformed(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{file} does not have its usual form"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_what_is_touched() {
        let before = resident_bytes().unwrap();
        let block = vec![1u8; 32 << 20];
        let after = resident_bytes().unwrap();
        assert!(after >= before + (24 << 20), "{before} -> {after}");
        assert!(peak_resident_bytes().unwrap() >= after - (4 << 20));
        drop(block);
    }

    #[test]
    fn processor_time_advances_with_work() {
        let before = thread_cpu_time().unwrap();
        let mut x = 1u64;
        while thread_cpu_time().unwrap() < before + Duration::from_millis(5) {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005));
        }
        assert!(cpu_time().unwrap() >= Duration::from_millis(5));
    }

    #[test]
    fn threads_stand_back_for_others() {
        let thread = std::thread::spawn(|| {
            background_thread().unwrap();
            fs::read_to_string("/proc/thread-self/stat").unwrap()
        });
        let stat = thread.join().unwrap();
        // The policy is the 41st field, the 39th after the name in brackets (proc_pid_stat(5)).
        let policy = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(38);
        assert_eq!(policy, Some("3"), "{stat}");
    }

    #[test]
    fn the_memory_of_others_is_told_and_of_nobody_is_an_error() {
        assert!(resident_bytes_of(std::process::id()).unwrap() > 1 << 20);
        assert!(resident_bytes_of(u32::MAX).is_err());
    }

    #[test]
    fn open_files_are_raised_up_to_the_hard_limit_and_never_lowered() {
        let now = raise_open_files(0).unwrap();
        let raised = raise_open_files(u64::MAX).unwrap();
        assert!(raised >= now);
        assert_eq!(raise_open_files(1).unwrap(), raised);
    }
}
